"""Weights by name: those that ship with the package, and the hub's."""

from pathlib import Path

from swiftformer_tf.checkpoints.hub import fetch, is_hub_id

__all__ = ["PRETRAINED", "license_of", "weights_path"]

_FOLDER = Path(__file__).parents[1] / "weights"
PRETRAINED: dict[str, Path] = {
    "swiftformer_xs_imagenette": _FOLDER / "swiftformer_xs_imagenette.safetensors",
}
"""Checkpoints that ship with the package, by name; `from_pretrained` takes the names. A model card lies beside each.

Example:
    >>> PRETRAINED["swiftformer_xs_imagenette"].with_suffix(".md").is_file()
    True
"""


def weights_path(name: str | Path) -> Path:
    """The file behind a name of `PRETRAINED`, or the folder with what an id on the hub holds; other names are paths.

    Raises:
        CheckpointError: See `hub.fetch`.

    Examples:
        >>> weights_path("swiftformer_xs_imagenette").name
        'swiftformer_xs_imagenette.safetensors'
        >>> weights_path("mine.keras").name
        'mine.keras'
    """
    if str(name) in PRETRAINED:
        return PRETRAINED[str(name)]
    return fetch(name) if is_hub_id(name) else Path(name)


def license_of(path: Path) -> str | None:
    """The licence of weights that ship with the package; None for a file of the user's.

    Examples:
        >>> license_of(weights_path("swiftformer_xs_imagenette"))
        'Apache-2.0'
    """
    return "Apache-2.0" if path in PRETRAINED.values() else None
