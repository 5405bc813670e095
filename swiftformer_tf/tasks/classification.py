"""Classification: one score for each label."""

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.tasks.task import Activation, Agreement, Task

__all__ = ["TASK", "activate", "activation", "agreement", "output_name"]

# Fewer distinct answers of the reference say nothing about agreement: a constant would agree as well.
MIN_DISTINCT = 5


def activation(config: SwiftFormerConfig) -> Activation | None:
    """What makes probabilities of a classifier's logits; None where nothing does.

    The one place that decides it: everything else asks here.
    """
    return "softmax" if config.num_labels else None


def output_name(activation: Activation | None) -> str:
    """Of the output in files."""
    return "probabilities" if activation else "logits"


def activate(logits: np.ndarray, activation: Activation | None) -> np.ndarray:
    """Applies an activation along the last axis.

    Example:
        >>> activate(np.zeros((1, 4)), "softmax").tolist()
        [[0.25, 0.25, 0.25, 0.25]]
        >>> activate(np.zeros((1, 2)), "sigmoid").tolist()
        [[0.5, 0.5]]
    """
    if activation is None:
        return logits
    if activation == "sigmoid":
        # Of both signs without overflow.
        powers = np.exp(-np.abs(logits))
        return np.asarray(np.where(logits >= 0, 1, powers) / (1 + powers))
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def agreement(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> Agreement:
    """Share of images whose best label is the same; (images, labels) twice."""
    best = expected.argmax(axis=1)
    return Agreement(
        share=float(np.mean(best == actual.argmax(axis=1))),
        items=len(best),
        distinct=len(np.unique(best)),
        needed=min(MIN_DISTINCT, expected.shape[1]),
    )


TASK = Task("classification", activation, output_name, activate, agreement)
