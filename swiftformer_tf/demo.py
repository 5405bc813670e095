"""The main job on what is at hand: a seeded SwiftFormer-XS and the photographs of a pip package."""

import importlib.resources
import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from PIL import Image

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ImageError
from swiftformer_tf.layers import BATCH_NORM_MOMENTUM
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.preprocessing import Transform, open_image

__all__ = ["photographs", "seeded_model"]

# Photographs in scikit-image's wheel (its `data` folder says who took them), in turn for calibration and for
# verification, so that no scene is in both.
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
        Two uint8 arrays (N, height, width, 3) of different scenes.

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
    return np.concatenate(scenes[0::2]), np.concatenate(scenes[1::2])


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


def seeded_model(config: SwiftFormerConfig, images: np.ndarray, seed: int = 0) -> SwiftFormerForImageClassification:
    """A classifier with random weights whose answers differ from photograph to photograph.

    As initialised, attention and MLP count for nothing (layer scale 1e-5), every map is mostly what all photographs
    have in common, and all get the same answer. Here matrices keep the size of their input, layer scales are near
    one, and every normalisation has the statistics of `images`, as in a trained model.

    Args:
        config: Architecture.
        images: Normalised images (N, height, width, channels).
        seed: Of everything random.
    """
    model = SwiftFormerForImageClassification(config)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        shape, kind = tuple(variable.shape), variable.path.rpartition("/")[2]
        if kind == "kernel":
            fan_in = math.prod(shape[:2]) if "dwconv" in variable.path else math.prod(shape[:-1])
            variable.assign(rng.normal(0, 1.4 / math.sqrt(fan_in), shape))
        elif kind == "scale":
            variable.assign(rng.uniform(0.5, 1.0, shape))
        elif kind == "w_g":
            variable.assign(rng.normal(size=shape))
    norms = list(_normalisations(model.layers))
    for norm in norms:
        norm.momentum = 0.0  # one pass is all there is
    model(images, training=True)
    for norm in norms:
        norm.momentum = BATCH_NORM_MOMENTUM
    return model


def _normalisations(layers: Iterable[Any]) -> Iterator[keras.layers.BatchNormalization]:
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        elif isinstance(layer, keras.layers.Layer):
            yield from _normalisations(vars(layer).values())
