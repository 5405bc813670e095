"""Photographs for the demo, from a pip package."""

import importlib.resources
import math

import numpy as np
from PIL import Image

from swiftformer_tf.errors import ImageError
from swiftformer_tf.preprocessing import Transform, open_image

__all__ = ["photographs"]

# Photographs in scikit-image's wheel (its `data` folder says who took them). They are few and unlike each other, from
# a cat to a galaxy: calibration must see something of each, as it must of every kind of picture that will come.
PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "ihc.png",
    "hubble_deep_field.jpg",
    "camera.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "moon.png",
    "brick.png",
)

# Crops are this share of a photograph's shorter side.
CROPS = (1.0, 0.6, 0.4)


def photographs(transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    """Crops of scikit-image's photographs, for calibration and for verification.

    Args:
        transform: Gives the size; the crops are resized straight to it.

    Returns:
        Two uint8 arrays (N, height, width, 3): of each photograph every other crop.

    Raises:
        ImageError: scikit-image is not installed.
    """
    try:
        folder = importlib.resources.files("skimage") / "data"
    except ModuleNotFoundError:
        raise ImageError(
            "no photographs: give --images FOLDER, or install those of the demo with pip install 'swiftformer_tf[demo]'"
        ) from None
    straight = transform.replace(crop=None)
    scenes = []
    for name in PHOTOGRAPHS:
        with importlib.resources.as_file(folder / name) as path:
            scenes.append(np.stack([straight.crop_image(crop) for crop in _crops(open_image(path))]))
    return np.concatenate([crops[0::2] for crops in scenes]), np.concatenate([crops[1::2] for crops in scenes])


def _crops(image: Image.Image) -> list[Image.Image]:
    """Square crops of each share, spread over the picture."""
    crops = []
    for share in CROPS:
        side = round(share * min(image.size))
        tops, lefts = (
            np.linspace(0, size - side, math.ceil(1 / share)).astype(int) for size in (image.height, image.width)
        )
        crops += [image.crop((left, top, left + side, top + side)) for top in tops for left in lefts]
    return crops
