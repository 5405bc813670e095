"""Semantic segmentation: one class for each pixel."""

import dataclasses
from typing import Any, Self

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ModelError
from swiftformer_tf.images.masks import VOID
from swiftformer_tf.tasks.confusion import ConfusionMatrix
from swiftformer_tf.tasks.task import Activation, Agreement, Output, Task

__all__ = [
    "TASK",
    "PixelConfusion",
    "activate",
    "agreement",
    "answers_at",
    "classes",
    "confusion_matrix",
    "logits_shape",
]

# What comes out, by what was made of logits inside.
OUTPUT_NAMES: dict[Activation | None, str] = {None: "logits", "softmax": "probabilities", "argmax": "mask"}

# A class of fewer of the reference's pixels does not count as another answer: nearly all pixels would agree with a file
# that answers the commonest class everywhere.
APPRECIABLE = 0.05


def activate(logits: Any, activation: Activation | None, config: SwiftFormerConfig) -> Any:
    """Computes the output of a file from logits at any stride.

    Args:
        logits: (N, h, w, num_labels), an array or a Keras tensor.
        activation: None: the logits unchanged. `"softmax"`: probabilities (N, height, width, num_labels). `"argmax"`:
            the class of each pixel, uint8 (N, height, width).
        config: Configuration of the file; its `input_size` is the (height, width) to which logits are resized,
            bilinearly with half-pixel centers.

    Examples:
        >>> config = SwiftFormerConfig.from_variant("tiny", image_size=(2, 4), id2label={0: "road", 1: "sky"})
        >>> np.asarray(activate(np.array([[[[1.0, 0.0], [0.0, 1.0]]]]), "argmax", config)).tolist()
        [[[0, 0, 1, 1], [0, 0, 1, 1]]]
    """
    from keras import ops

    from swiftformer_tf.tasks.pixel_class import PixelClass

    if activation is None:
        return logits
    if tuple(logits.shape[1:3]) != config.input_size:
        logits = ops.image.resize(logits, config.input_size, interpolation="bilinear", data_format="channels_last")
    return {"softmax": ops.softmax, "argmax": PixelClass(name="mask")}[activation](logits)


def classes(outputs: np.ndarray, activation: Activation | None, config: SwiftFormerConfig) -> np.ndarray:
    """Returns the class of each pixel, uint8 (N, height, width), from the output of a file.

    Args:
        outputs: See `activate`.
        activation: The activation applied to the logits inside the file.
        config: Configuration of the file.
    """
    if activation == "argmax":
        return np.asarray(outputs)
    if activation is None:
        outputs = np.asarray(activate(outputs, "softmax", config))
    return np.asarray(np.argmax(outputs, axis=-1), np.uint8)


def answers_at(outputs: np.ndarray, size: tuple[int, ...], num_labels: int) -> np.ndarray:
    """Returns the predicted class of each pixel at a different size.

    Args:
        outputs: Logits or probabilities (1, h, w, num_labels), or classes, integers (1, h, w).
        size: (height, width) of the result.
        num_labels: Number of classes.

    Raises:
        ModelError: The outputs have a different shape, or are not finite.

    Examples:
        >>> answers_at(np.array([[[[1.0, 0.0], [0.0, 1.0]]]]), (1, 4), 2).tolist()
        [[0, 0, 1, 1]]
    """
    from keras import ops

    if outputs.ndim == 3 and np.issubdtype(outputs.dtype, np.integer):
        rows, columns = (np.arange(side) * have // side for side, have in zip(size, outputs.shape[1:], strict=True))
        return np.asarray(outputs[0][rows[:, None], columns])
    if outputs.ndim != 4 or outputs.shape[-1] != num_labels:
        raise ModelError(f"outputs of shape {outputs.shape}: expected (1, h, w, {num_labels}), one for each label")
    if not np.isfinite(outputs).all():
        raise ModelError("the model's outputs are not finite")
    best, answers = np.full(size, -np.inf, np.float32), np.zeros(size, np.min_scalar_type(num_labels - 1))
    for label in range(num_labels):  # one at a time: all classes of a large photograph would take gigabytes
        resized = ops.image.resize(
            outputs[..., label, None].astype(np.float32), size, interpolation="bilinear", data_format="channels_last"
        )
        values = ops.convert_to_numpy(resized)[0, ..., 0]
        answers[values > best] = label  # of equal values, the first remains
        np.maximum(best, values, out=best)
    return answers


def logits_shape(output: Output, config: SwiftFormerConfig) -> tuple[int | None, ...]:
    """Returns the shape of the logits from which `activate` computes an output, at any stride."""
    return output.shape if output.activation is None else (output.shape[0], None, None, config.num_labels)


def agreement(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> Agreement:
    """Returns the share of pixels, over all images, that have the same class.

    Args:
        expected: The reference's classes (images, height, width).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> config = SwiftFormerConfig(id2label={0: "road", 1: "sky"})
        >>> agreement(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]]), config).share
        0.75
    """
    shares = np.bincount(expected.ravel(), minlength=config.num_labels) / expected.size
    return Agreement(
        share=float(np.mean(expected == actual)),
        items=expected.size,
        distinct=int((shares >= APPRECIABLE).sum()),
        needed=min(2, config.num_labels),
        unit="pixels",
    )


def confusion_matrix(truth: np.ndarray, answers: np.ndarray, num_labels: int) -> np.ndarray:
    """Counts pixels by true class (rows) and predicted class (columns), ignoring void pixels.

    Args:
        truth: True class of each pixel, or `VOID`; integers of any shape.
        answers: Predicted class of each pixel, in the same shape.
        num_labels: Number of classes.

    Returns:
        int64 (num_labels, num_labels).

    Raises:
        ModelError: The shapes differ, or a class is out of range for `num_labels`.

    Examples:
        >>> confusion_matrix(np.array([0, 0, 1, VOID]), np.array([0, 1, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    if truth.shape != answers.shape:
        raise ModelError(f"answers of shape {answers.shape}: expected {truth.shape}, one for each pixel")
    counted = truth != VOID
    pairs = truth[counted].astype(np.int64) * num_labels + answers[counted]
    for name, values in (("truth", truth[counted]), ("answers", answers[counted])):
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < num_labels:
            raise ModelError(f"{name}: classes from {values.min()} to {values.max()}, expected 0 to {num_labels - 1}")
    return np.bincount(pairs.ravel(), minlength=num_labels**2).reshape(num_labels, num_labels)


@dataclasses.dataclass(frozen=True)
class PixelConfusion:
    """A confusion matrix over a set of images, and the metrics derived from it.

    Args:
        matrix: int64 (labels, labels): number of pixels by true class (rows) and predicted class (columns).
        labels: Class names in the order of the outputs.

    Examples:
        >>> confusion = PixelConfusion.empty(("road", "sky")).add(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
        >>> round(confusion.mean_iou, 4), confusion.pixel_accuracy
        (0.5833, 0.75)
    """

    matrix: np.ndarray
    labels: tuple[str, ...]

    @classmethod
    def empty(cls, labels: tuple[str, ...]) -> Self:
        """Creates a matrix of zeros."""
        return cls(np.zeros((len(labels), len(labels)), np.int64), labels)

    def add(self, truth: np.ndarray, answers: np.ndarray) -> Self:
        """Returns the sum with the pixels of one more image or batch, see `confusion_matrix`."""
        return dataclasses.replace(self, matrix=self.matrix + confusion_matrix(truth, answers, len(self.labels)))

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class, float64 (labels,); NaN if it is neither present nor predicted."""
        both = np.diag(self.matrix)
        either = self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - both
        return np.asarray(np.divide(both, either, out=np.full(len(self.labels), np.nan), where=either > 0))

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that are present or predicted; NaN if no pixels were counted."""
        iou = self.iou[~np.isnan(self.iou)]
        return float(iou.mean()) if len(iou) else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels with the correct class; NaN if no pixels were counted."""
        total = self.matrix.sum()
        return float(np.trace(self.matrix) / total) if total else float("nan")

    @property
    def metrics(self) -> dict[str, float]:
        """The overall metrics; the first is the one by which the best epoch is chosen."""
        return {"mean_iou": self.mean_iou, "pixel_accuracy": self.pixel_accuracy}

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types: shares from 0 to 1, pixels and IoU of each class present or predicted."""
        return {
            **self.metrics,
            "pixels": int(self.matrix.sum()),
            "per_class": [
                {"index": index, "label": label, "pixels": int(self.matrix[index].sum()), "iou": float(self.iou[index])}
                for index, label in enumerate(self.labels)
                if not np.isnan(self.iou[index])
            ],
        }

    @property
    def table(self) -> list[dict[str, Any]]:
        """A human-readable table with a row for each class that is present or predicted."""
        return [{**row, "iou": f"{row['iou']:.2%}"} for row in self.to_dict()["per_class"]]

    @property
    def summary(self) -> str:
        """A human-readable summary of one line."""
        return f"mIoU {self.mean_iou:.2%}, {self.pixel_accuracy:.2%} of {int(self.matrix.sum())} pixels right"

    @property
    def confusion_matrix(self) -> ConfusionMatrix:
        """`matrix`, as it is drawn."""
        return ConfusionMatrix(self.matrix, self.labels, self.summary, "answered class", "right class")


TASK = Task(
    name="semantic-segmentation",
    activation=lambda config: "softmax" if config.num_labels else None,
    heads=lambda config: 1,
    output_name=OUTPUT_NAMES.__getitem__,
    activate=activate,
    agreement=agreement,
    kept=classes,
    logits_shape=logits_shape,
    rank=4,
    further_activations=("argmax",),
    unit="pixels",
)
