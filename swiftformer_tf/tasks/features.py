"""Features: numbers that are meaningful only together, such as embeddings and feature maps."""

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.tasks.task import Agreement, Task

__all__ = ["TASK", "agreement", "cosine"]

# A file finds each of so many images again; with fewer, chance would.
MIN_IMAGES = 5

# Cosine of two vectors, centered, that are the same but for roundings.
SAME = 1 - 1e-6


def agreement(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> Agreement:
    """Returns the share of images whose vectors in the file are closest, by cosine, to those of the reference.

    Both sides are first centered by the reference's mean, since what all images have in common identifies none of them.

    Args:
        expected: Outputs of the reference, (images, ...).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> vectors = np.random.default_rng(0).normal(size=(8, 16))
        >>> config = SwiftFormerConfig.from_variant("tiny")
        >>> agreement(vectors, vectors + 0.01, config).share
        1.0
        >>> agreement(vectors, vectors[::-1], config).share
        0.0
    """
    flat = expected.reshape(len(expected), -1)
    mean = flat.mean(axis=0)
    gallery, queries = _unit(flat - mean), _unit(actual.reshape(len(actual), -1) - mean)
    own = gallery @ gallery.T
    # Images with the same vector count once: which of them is found is chance.
    first = (own >= SAME).argmax(axis=1)
    found = first[(queries @ gallery.T).argmax(axis=1)]
    return Agreement(
        share=float(np.mean(found == first)),
        items=len(flat),
        distinct=len(np.unique(first)),
        needed=MIN_IMAGES,
    )


def cosine(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> float | None:
    """Returns the mean over the images of the cosine between their vectors in the file and in the reference.

    An image whose vector in the reference is zero does not count; if all are, the result is None.

    Args:
        expected: Outputs of the reference, (images, ...).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> config = SwiftFormerConfig.from_variant("tiny")
        >>> cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 1.0]]), config).__round__(3)
        0.854
    """
    one, other = (_unit(each.reshape(len(each), -1).astype(np.float64)) for each in (expected, actual))
    cosines = np.sum(one * other, axis=1)[one.any(axis=1)]
    return float(cosines.mean()) if len(cosines) else None


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinite ones, which another check names
        return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


TASK = Task(
    name="features",
    activation=lambda config: None,
    heads=lambda config: 0,
    output_name=lambda activation: "features",
    activate=lambda values, activation, config: values,
    agreement=agreement,
    cosine=cosine,
)
