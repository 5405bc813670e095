"""Small classifiers whose every weight matters, and pictures that they tell apart."""

import hashlib
import math
from typing import Any

import keras
import numpy as np

from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
from swiftformer_tf.training import update_batch_norm

LABELS = {index: f"class {index}" for index in range(10)}

#: Fields of a configuration with two stages, which have every kind of block: half the time of `tiny`'s four.
TWO_STAGES: dict[str, Any] = {"depths": (2, 1), "embed_dims": (8, 12), "downsamples": (True, True)}

# Weights of `seeded_model` by all that they depend on.
_SEEDED: dict[tuple[object, ...], list[np.ndarray]] = {}


def tiny_config(**fields: Any) -> SwiftFormerConfig:
    """The `tiny` variant for 64 px and ten labels."""
    return SwiftFormerConfig.from_variant("tiny", **{"image_size": 64, "id2label": LABELS, **fields})


def fan_in(kernel: keras.Variable) -> int:
    """How many values one output of a convolution or a dense layer is a sum of."""
    shape, depthwise = tuple(kernel.shape), "dwconv" in kernel.path
    return math.prod(shape[:2] if depthwise else shape[:-1])


def randomized(model: keras.Model, seed: int = 0) -> Any:
    """Draws all weights anew: at default initialization the layer scales hide attention and MLP."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape, kind = tuple(variable.shape), variable.path.rpartition("/")[2]
        if kind in ("gamma", "scale", "moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif kind == "kernel":
            value = rng.normal(0, 1 / math.sqrt(fan_in(variable)), shape)
        else:
            value = rng.normal(0, 1 if kind == "w_g" else 0.3, shape)
        variable.assign(value)
    return model


def random_classifier(seed: int = 0, **fields: Any) -> SwiftFormerForImageClassification:
    """A tiny classifier with random weights, layer scales near one and random BatchNorm statistics."""
    return randomized(SwiftFormerForImageClassification(tiny_config(**fields)), seed)


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    """Normalized pixels."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colored pictures, uint8 (count, height, width, 3), each of another mood."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = np.zeros((count, height, width, 3))
    for _ in range(4):
        frequency, phase = rng.uniform(-12, 12, (2, count, 1, 1, 3)), rng.uniform(0, 2 * np.pi, (count, 1, 1, 3))
        angle = frequency[0] * rows[None, :, :, None] + frequency[1] * columns[None, :, :, None] + phase
        waves += rng.uniform(0.2, 1, (count, 1, 1, 3)) * np.sin(angle)
    waves = waves * rng.uniform(20, 50, (count, 1, 1, 1)) + rng.uniform(60, 190, (count, 1, 1, 3))
    return np.clip(waves, 0, 255).astype(np.uint8)


def relative_error(actual: Any, expected: Any) -> float:
    """Largest absolute difference over the largest absolute value expected."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def seeded_model(
    config: SwiftFormerConfig, images: np.ndarray, seed: int = 0, gain: float = 1.4
) -> SwiftFormerForImageClassification:
    """A classifier with random weights whose answers differ from picture to picture, as a trained one's do.

    As initialized, attention and MLP count for nothing, every map is mostly what all pictures have in common, and all
    get the same answer. Here matrices have a deviation of `gain` over the root of their inputs, 1.4 keeps the size of
    what a GELU takes half of; layer scales are near one, and every normalization has the statistics of `images`,
    normalized (N, height, width, channels).
    """
    model = SwiftFormerForImageClassification(config)
    # The statistics take two thirds of the time: of the same arguments they are the same.
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
    key = (repr(config), digest, images.shape, str(images.dtype), seed, gain, keras.config.dtype_policy().name)
    if key in _SEEDED:
        model.set_weights(_SEEDED[key])
        return model
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        shape, kind = tuple(variable.shape), variable.path.rpartition("/")[2]
        if kind == "kernel":
            variable.assign(rng.normal(0, gain / math.sqrt(fan_in(variable)), shape))
        elif kind == "scale":
            variable.assign(rng.uniform(0.5, 1.0, shape))
        elif kind == "w_g":
            variable.assign(rng.normal(size=shape))
    update_batch_norm(model, [images])
    _SEEDED[key] = model.get_weights()
    return model


def uncentered(expected: np.ndarray, actual: np.ndarray) -> float:
    """Signal-to-noise ratio in dB of outputs as they are, mean and all."""
    return float(10 * np.log10(np.sum(expected**2) / np.sum((actual - expected) ** 2)))
