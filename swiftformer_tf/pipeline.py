"""The main job in one call: a Keras model becomes verified TFLite files in a folder."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import keras

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ExportError
from swiftformer_tf.exporting import calibrate, export, require_calibration
from swiftformer_tf.files import filling
from swiftformer_tf.fusion import fuse
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.recipes import Recipe
from swiftformer_tf.tasks import Activation
from swiftformer_tf.verification import VerificationReport, check_file, reference_answers, verify

__all__ = ["Exported", "Progress", "export_files"]

# Opens a display for a step and yields what is called with the count so far.
Progress = Callable[[str], AbstractContextManager[Callable[[int], None]]]


@dataclasses.dataclass(frozen=True)
class Exported:
    """One file that was written.

    Args:
        path: The `.tflite`; its report lies beside it with the suffix `.json`.
        model: Its content.
        report: What was measured.
    """

    path: Path
    model: LiteModel
    report: VerificationReport


def export_files(
    model: keras.Model,
    recipes: Iterable[Recipe],
    folder: str | Path,
    *,
    stem: str,
    config: SwiftFormerConfig | None = None,
    calibration: Sequence[Any] | None = None,
    images: Sequence[Any] | None = None,
    image_size: int | tuple[int, int] | None = None,
    include_preprocessing: bool = False,
    classifier_activation: Activation | None = None,
    tasks: str | Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    license: str | None = None,  # noqa: A002  TFLite Metadata's word
    progress: Progress | None = None,
) -> list[Exported]:
    """Fuses `model` once, exports it by each recipe, verifies each file, and writes both file and report.

    Args:
        model: A classifier, or what else `fuse` takes.
        recipes: Rows of `RECIPES` or your own.
        folder: Where to write; made if it is not there.
        stem: Start of the file names, `STEM_RECIPE.tflite`.
        config: See `fuse`.
        calibration: Images, see `calibrate`; they are run once for all recipes.
        images: Images to verify on, see `verify`; default is `calibration`, and without both a file is checked
            against its recipe only, which the report says.
        image_size: See `fuse`.
        include_preprocessing: See `fuse`.
        classifier_activation: See `fuse`.
        tasks: See `fuse`.
        labels: See `fuse`.
        license: See `export`.
        progress: Opens a progress display for a step with the given title.

    Raises:
        ExportError: A recipe needs calibration and there is none, or `stem` has a folder in it; nothing is written
            then.
        OSError: `folder` cannot be written to; nothing is computed then.
    """
    if Path(stem).name != stem:
        raise ExportError(
            f"name {stem!r}: expected the start of a file name, without a folder; give that as the output folder"
        )
    recipes = list(recipes)
    for recipe in recipes:
        require_calibration(recipe, calibration)
    shown = progress or (lambda _: nullcontext(lambda _: None))
    verified_on, source = (images, "images") if images is not None else (calibration, "calibration images")
    if verified_on is None:
        source = "nothing"
    results = []
    with _made(Path(folder)):
        with filling(folder):
            pass  # It can be written to: better known now than after the work.
        deploy = fuse(
            model,
            config=config,
            image_size=image_size,
            include_preprocessing=include_preprocessing,
            classifier_activation=classifier_activation,
            tasks=tasks,
            labels=labels,
        )
        calibrated = None
        if calibration is not None and any(recipe.weights == "int8" for recipe in recipes):
            with shown("calibrate") as count:
                calibrated = calibrate(deploy, calibration, progress=count)
        answers = None
        if verified_on is not None:
            with shown("reference") as count:
                answers = reference_answers(model, verified_on, deploy.config.transform, progress=count)
        for recipe in recipes:
            path = Path(folder, f"{stem}_{recipe.name}.tflite")
            with shown(f"{recipe.name}: export"):
                lite = export(deploy, recipe, calibration=calibrated, license=license)
            with shown(f"{recipe.name}: verify") as count:
                if answers is None or verified_on is None:
                    report = VerificationReport(*check_file(lite))
                else:
                    report = verify(lite, reference=answers, images=verified_on, progress=count)
            told = {"file": path.name, "verified_on": source, "verdict": report.verdict}
            report = dataclasses.replace(report, measured=report.measured | told)
            with filling(folder) as beside:  # A file never lies beside the report of another.
                lite.save(beside / path.name)
                beside.joinpath(path.name).with_suffix(".json").write_text(
                    json.dumps(report.to_dict(), indent=2) + "\n"
                )
            results.append(Exported(path, lite, report))
    return results


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes a folder and those around it; what of them is still empty when the block fails is removed again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:  # the innermost first
            with suppress(OSError):
                each.rmdir()
        raise
