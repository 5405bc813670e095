"""Photographs for the demo, taken from a pip package."""

import dataclasses
import importlib.resources
import importlib.util
import math

import numpy as np
from PIL import Image

from swiftformer_tf.errors import ImageError, how_to_install
from swiftformer_tf.images.transform import Transform, open_image

__all__ = ["Photographs", "photographs", "require_photographs"]

# Photographs in scikit-image's wheel (its `data` folder says who took them). They are few and unlike each other, from
# a cat to a galaxy: calibration must see something of each, as it must of every kind of picture that will come.
PHOTOGRAPHS = {
    "astronaut.png": "astronaut",
    "chelsea.png": "cat",
    "coffee.png": "cup of coffee",
    "rocket.jpg": "rocket",
    "motorcycle_left.png": "motorcycle",
    "retina.jpg": "retina of an eye",
    "ihc.png": "stained tissue",
    "hubble_deep_field.jpg": "galaxies",
    "camera.png": "photographer",
    "coins.png": "coins",
    "grass.png": "grass",
    "gravel.png": "gravel",
    "moon.png": "surface of the moon",
    "brick.png": "brick wall",
}

# Crops are this share of a photograph's shorter side.
CROPS = (1.0, 0.6, 0.4)


@dataclasses.dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs of the same size.

    Args:
        pixels: uint8 (N, height, width, 3).
        names: Caption of each photograph.
    """

    pixels: np.ndarray
    names: tuple[str, ...]


def require_photographs() -> None:
    """Raises an error if the photographs are not installed.

    Raises:
        ImageError: scikit-image is not installed.
    """
    if importlib.util.find_spec("skimage") is None:
        raise ImageError(
            f"no photographs: give a folder of your own (`images`), or install the demo's: {how_to_install('skimage')}"
        )


def photographs(transform: Transform) -> tuple[Photographs, Photographs]:
    """Returns crops of scikit-image's photographs, for calibration and for verification.

    Args:
        transform: Transform with the size to which the crops are resized.

    Returns:
        Two sets, each with every other crop of each photograph.

    Raises:
        ImageError: scikit-image is not installed.
    """
    require_photographs()
    folder = importlib.resources.files("skimage") / "data"
    straight = transform.replace(crop=None)
    sets: tuple[list[tuple[np.ndarray, str]], ...] = ([], [])
    for name, shown in PHOTOGRAPHS.items():
        with importlib.resources.as_file(folder / name) as path:
            for index, crop in enumerate(_crops(open_image(path))):
                sets[index % 2].append((straight.crop_image(crop), f"{shown}, crop {index + 1}"))
    calibration, holdout = (
        Photographs(np.stack([pixels for pixels, _ in crops]), tuple(name for _, name in crops)) for crops in sets
    )
    return calibration, holdout


def _crops(image: Image.Image) -> list[Image.Image]:
    """Square crops of each relative size, spread over the photograph."""
    crops = []
    for share in CROPS:
        side = round(share * min(image.size))
        tops, lefts = (
            np.linspace(0, size - side, math.ceil(1 / share)).astype(int) for size in (image.height, image.width)
        )
        crops += [image.crop((left, top, left + side, top + side)) for top in tops for left in lefts]
    return crops
