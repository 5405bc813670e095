"""Runs the main task on weights that ship with the package and photographs from a pip package."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.pretrained import license_of
from swiftformer_tf.deployment.serving import runtime_folder
from swiftformer_tf.errors import ImageError
from swiftformer_tf.files import replacing
from swiftformer_tf.images.folders import photographs_in
from swiftformer_tf.images.inputs import ImageSource
from swiftformer_tf.images.samples import PHOTOGRAPHS, photographs, require_photographs
from swiftformer_tf.pipeline import Exported, export_files
from swiftformer_tf.porting import port
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.recipes import RECIPES
from swiftformer_tf.report import check_page, save_page

__all__ = ["DEMO_WEIGHTS", "Demonstration", "demonstrate"]

DEMO_WEIGHTS = "swiftformer_xs_imagenette"

# Photographs taken from a folder; half of them calibrate, the others verify.
IMAGES = 400


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """The result of `demonstrate`.

    Args:
        exported: The exported files.
        page: Path of the HTML report.
        remark: A remark about the photographs; empty if they are the user's.
    """

    exported: Sequence[Exported]
    page: Path
    remark: str


@dataclasses.dataclass(frozen=True, eq=False)
class _Photographs:
    calibration: ImageSource
    holdout: ImageSource
    names: Sequence[str] | None = None
    about: str = ""
    remark: str = ""


def demonstrate(
    folder: str | Path,
    *,
    images: str | Path | None = None,
    command: str = "",
    litert_js: str | Path | None = None,
    progress: Progress = silent,
) -> Demonstration:
    """Ports, fuses, exports with every recipe, verifies and reports, as `swiftformer-tf demo` does.

    Args:
        folder: The folder to write to; created if needed.
        images: Folder of photographs. Default: a few that ship with scikit-image.
        command: The command that created the page, for its last section.
        litert_js: If the files are to be served afterwards, the folder in which npm installed LiteRT.js, see `serve`:
            its absence is reported before any work.
        progress: Opens a progress display for each step, see `Progress`.

    Raises:
        ImageError: There are no photographs, some files are not images, or scikit-image is not installed.
        ModelError: LiteRT.js is not in `litert_js`.
        SwiftFormerError: Jinja or matplotlib is not installed.
        OSError: The folder cannot be written to.

    Examples:
        All recipes together take minutes, but invalid arguments are reported at once:

        >>> demonstrate("demo", images="nowhere")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ImageError: ...

        From a shell, run `swiftformer-tf demo -o demo`, which prints a line for each file and the path of the page.
    """
    if litert_js is not None:
        runtime_folder(litert_js)
    folder = Path(folder)
    page = folder / "report.html"
    if not images:
        require_photographs()  # first, since their extra also includes what the page needs
    check_page(page, made=folder)
    checkpoint = Checkpoint.open(DEMO_WEIGHTS)
    seen = _own(images) if images else _shipped(checkpoint)
    model = port(checkpoint).model
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{DEMO_WEIGHTS}.keras") as beside:
        model.save(beside)
    exported = export_files(
        model,
        RECIPES,
        folder,
        stem=DEMO_WEIGHTS,
        calibration=seen.calibration,
        images=seen.holdout,
        license=license_of(DEMO_WEIGHTS),
        progress=progress,
    )
    results = [(each.model, each.report) for each in exported]
    with progress("report page", None):
        save_page(page, results, images=seen.holdout, names=seen.names, about_images=seen.about, command=command)
    return Demonstration(exported, page, seen.remark)


def _own(folder: str | Path) -> _Photographs:
    paths = photographs_in(folder, IMAGES)
    if len(paths) < 2:
        raise ImageError(f"{folder}: {len(paths)} photograph; expected two or more, to calibrate and to verify on")
    return _Photographs(paths[0::2], paths[1::2])


def _shipped(checkpoint: Checkpoint) -> _Photographs:
    shown, others = photographs(checkpoint.config.transform)
    return _Photographs(
        shown.pixels,
        others.pixels,
        others.names,
        about=f"Square crops of {len(PHOTOGRAPHS)} pictures that come with scikit-image. The model knows "
        f"{checkpoint.config.num_labels} things ({', '.join(checkpoint.config.labels)}), and few of the pictures "
        "show one: it names the most alike, and what counts is that each file names the same.",
        remark=f"Photographs: {len(shown.pixels)} crops of {len(PHOTOGRAPHS)} pictures to calibrate, "
        f"{len(others.pixels)} other crops of them to verify. That is enough to show the way, and too few to calibrate "
        "well: give a folder of your own (`images`).",
    )
