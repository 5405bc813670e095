"""Weights that ship with the package, by name."""

from pathlib import Path

__all__ = ["PRETRAINED", "weights_path"]

# A model card of the same name lies beside each file.
_FOLDER = Path(__file__).with_name("weights")
PRETRAINED: dict[str, Path] = {
    "swiftformer_xs_imagenette": _FOLDER / "swiftformer_xs_imagenette.safetensors",
}


def weights_path(name: str | Path) -> Path:
    """The file behind a name of `PRETRAINED`; anything else is a path already.

    Example:
        >>> weights_path("swiftformer_xs_imagenette").name
        'swiftformer_xs_imagenette.safetensors'
        >>> weights_path("mine.keras").name
        'mine.keras'
    """
    return PRETRAINED.get(str(name), Path(name))
