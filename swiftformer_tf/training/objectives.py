"""The loss and metric of a classifier in training, by its problem type."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from swiftformer_tf.images.annotations import AnnotatedImages, ProblemType
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.training.recipes import TrainingRecipe

__all__ = ["OBJECTIVES", "Objective", "ScaledAbsoluteError", "spreads"]


@keras.saving.register_keras_serializable(PACKAGE)
class ScaledAbsoluteError(keras.losses.Loss):
    """Mean absolute error with a unit for each label, so that years and millimeters have the same weight.

    Shapes: targets and predictions (B, labels).

    Args:
        units: Unit of each label.

    Examples:
        >>> loss = ScaledAbsoluteError([10.0, 0.1])
        >>> round(float(loss(np.array([[30.0, 0.5]]), np.array([[35.0, 0.6]]))), 4)
        0.75
    """

    def __init__(self, units: Sequence[float], name: str = "scaled_absolute_error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.units = [float(unit) for unit in units]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        errors = ops.abs(ops.cast(y_true, y_pred.dtype) - y_pred)
        return ops.mean(errors / ops.convert_to_tensor(self.units, y_pred.dtype), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss and metric of a problem type.

    Args:
        loss: Function from a recipe and the units of the labels to a loss.
        metric: Function that creates the Keras metric of logits for an epoch.
        numbers: Whether targets are numbers with a unit of their own for each label, to which the loss and the steps of
            the head are scaled, and from whose mean the head starts.
    """

    loss: Callable[[TrainingRecipe, Sequence[float]], keras.losses.Loss]
    metric: Callable[[], Any]
    numbers: bool = False


OBJECTIVES: dict[ProblemType, Objective] = {
    "single_label_classification": Objective(
        lambda recipe, _: keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        lambda: "accuracy",
    ),
    "multi_label_classification": Objective(
        lambda recipe, _: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        # Threshold for logits: 0 is a probability of one half.
        lambda: keras.metrics.BinaryAccuracy(threshold=0.0, name="binary_accuracy"),
    ),
    "regression": Objective(
        lambda _, units: ScaledAbsoluteError(units),
        lambda: keras.metrics.MeanAbsoluteError(name="mean_absolute_error"),
        numbers=True,
    ),
}


def spreads(folder: Any) -> tuple[float, ...]:
    """Returns the standard deviation of each label's targets; 1 for constant targets and for classification.

    Examples:
        >>> spreads(AnnotatedImages(("a.png", "b.png"), np.array([[10.0], [30.0]]), ("age",)))
        (10.0,)
    """
    if not isinstance(folder, AnnotatedImages):
        return (1.0,) * len(folder.class_names)
    return tuple(float(spread) or 1.0 for spread in folder.targets.astype(np.float64).std(axis=0))
