"""Weights that ship with the package, by name."""

from pathlib import Path

__all__ = ["PRETRAINED", "license_of", "weights_path"]

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


def license_of(path: Path) -> str | None:
    """The licence of weights that ship with the package; None for a file of the user's.

    Example:
        >>> license_of(weights_path("swiftformer_xs_imagenette"))
        'Apache-2.0'
    """
    return "Apache-2.0" if path in PRETRAINED.values() else None
