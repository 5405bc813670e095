"""The main job on weights that ship with the package and photographs that a pip package has."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.pretrained import license_of, weights_path
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
    """What `demonstrate` made.

    Args:
        exported: Each file.
        page: The report.
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
    progress: Progress = silent,
) -> Demonstration:
    """From end to end: checkpoint, port, fuse, export by every recipe, verify, report. What `swiftformer-tf demo` does.

    Args:
        folder: Where to write; made if it is not there.
        images: Folder of photographs. Default: a few that scikit-image ships.
        command: How the page was made, for its last section.
        progress: Opens a progress display for a step, see `Progress`.

    Raises:
        ImageError: No photographs, or some that are no pictures; or scikit-image is not installed.
        SwiftFormerError: Jinja or matplotlib is not installed.
        OSError: The folder cannot be written to.

    Examples:
        Every recipe takes minutes; what cannot work is said at once:

        >>> demonstrate("demo", images="nowhere")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ImageError: ...

        From a shell it is `swiftformer-tf demo -o demo`, which ends with a line for each file and the page's name.
    """
    folder = Path(folder)
    page = folder / "report.html"
    if not images:
        require_photographs()  # first, since their extra brings what the page needs, too
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
        license=license_of(weights_path(DEMO_WEIGHTS)),
        progress=progress,
    )
    results = [(each.model, each.report) for each in exported]
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
        "well: give a folder of your own (--images).",
    )
