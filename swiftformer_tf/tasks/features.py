"""Features: numbers that are meaningful only together, such as embeddings and feature maps."""

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.tasks.task import Agreement, Task

__all__ = ["TASK", "agreement"]

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


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


TASK = Task(
    name="features",
    activation=lambda config: None,
    output_name=lambda activation: "features",
    activate=lambda values, activation, config: values,
    agreement=agreement,
)
