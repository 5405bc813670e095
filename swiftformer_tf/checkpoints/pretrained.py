"""Weights by name: those that ship with the package, and those on the hub."""

from pathlib import Path
from typing import Literal

from swiftformer_tf.checkpoints.hub import fetch, is_hub_id
from swiftformer_tf.errors import CheckpointError, ModelError

__all__ = [
    "PRETRAINED",
    "bundled_path",
    "check_found",
    "check_one_model",
    "file_kind",
    "license_of",
    "weights_path",
]

FileKind = Literal["keras", "tflite", "checkpoint"]

_KINDS: dict[str, FileKind] = {".keras": "keras", ".tflite": "tflite"}

_FOLDER = Path(__file__).parents[1] / "weights"
PRETRAINED: dict[str, Path] = {
    "swiftformer_xs_imagenette": _FOLDER / "swiftformer_xs_imagenette.safetensors",
}
"""Checkpoints that ship with the package, by the name that `from_pretrained` accepts. Each has a model card next to it.

Examples:
    >>> PRETRAINED["swiftformer_xs_imagenette"].with_suffix(".md").is_file()
    True
"""


def bundled_path(name: str | Path) -> Path:
    """The file of a name in `PRETRAINED`; all others are paths.

    Examples:
        >>> bundled_path("swiftformer_xs_imagenette").name, bundled_path("mine.keras").name
        ('swiftformer_xs_imagenette.safetensors', 'mine.keras')
    """
    return PRETRAINED.get(str(name), Path(name))


def weights_path(name: str | Path) -> Path:
    """The file of a name in `PRETRAINED`, or the folder with the files of a hub id; other names are paths.

    Raises:
        CheckpointError: See `check_found` and `hub.fetch`.
        ModelError: See `check_found`.

    Examples:
        >>> weights_path("swiftformer_xs_imagenette").name
        'swiftformer_xs_imagenette.safetensors'
    """
    check_found(name)
    return fetch(name) if is_hub_id(name) else bundled_path(name)


def check_found(name: str | Path) -> None:
    """Checks that a name means a model: a file or folder, a name in `PRETRAINED`, or a hub id, which is not looked up.

    Raises:
        ModelError: There is no such `.keras` or `.tflite` file.
        CheckpointError: It means nothing else either.

    Examples:
        >>> check_found("swiftformer_xs_imagenette")
        >>> check_found("nothing")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.CheckpointError: nothing: no such file or folder; expected one, the name of weights that \
ship with the package (swiftformer_xs_imagenette), or an id on the Hugging Face hub (OWNER/NAME)
    """
    if is_hub_id(name) or bundled_path(name).exists():
        return
    message = (
        f"{name}: no such file or folder; expected one, the name of weights that ship with the package "
        f"({', '.join(PRETRAINED)}), or an id on the Hugging Face hub (OWNER/NAME)"
    )
    if file_kind(name) == "checkpoint":
        raise CheckpointError(message)
    raise ModelError(message)


def file_kind(path: str | Path) -> FileKind:
    """The kind of a file or folder by its suffix: anything but a `.keras` or a `.tflite` file is a checkpoint.

    Examples:
        >>> file_kind("mine.keras"), file_kind("mine.tflite"), file_kind("mine.pth")
        ('keras', 'tflite', 'checkpoint')
    """
    return _KINDS.get(Path(path).suffix.lower(), "checkpoint")


def check_one_model(path: Path, weights: str | None) -> None:
    """Rejects the argument `weights` for a file that contains only one model.

    Raises:
        ModelError: `weights` is given.

    Examples:
        >>> check_one_model(Path("mine.keras"), "ema")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: mine.keras: weights='ema': this kind of file has one model; leave it out
    """
    if weights is not None and file_kind(path) != "checkpoint":
        raise ModelError(f"{path}: weights={weights!r}: this kind of file has one model; leave it out")


def license_of(name: str | Path) -> str | None:
    """The license of weights that ship with the package, by their name or path; None for any other file.

    Examples:
        >>> license_of("swiftformer_xs_imagenette")
        'Apache-2.0'
    """
    return "Apache-2.0" if bundled_path(name) in PRETRAINED.values() else None
