"""Measures how often a model is right on photographs with labels or masks."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from swiftformer_tf.config import ProblemType, SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError, number_of, prefix_path, require_packages
from swiftformer_tf.files import replacing
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder, iterate_images
from swiftformer_tf.images.labels import LabeledImages
from swiftformer_tf.images.masks import MaskFolder, same_classes
from swiftformer_tf.images.metadata import METADATA
from swiftformer_tf.tasks.classification import activate, activation, problem_type
from swiftformer_tf.tasks.features import Retrieval, check_classes, nearest_others
from swiftformer_tf.tasks.scores import LabelScores, NumberErrors
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion
from swiftformer_tf.tasks.task import Activation

__all__ = [
    "Evaluation",
    "answers_at",
    "evaluate_classifier",
    "evaluate_features",
    "evaluate_segmentation",
    "save_confusion",
]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate` for a single-label classifier.

    Args:
        confusion: int64 (labels, labels): number of photographs by true label (rows) and predicted label (columns).
        within_top5: int64 (labels,): for each label, the number of its photographs for which it is among the top five
            predictions.
        confusion_present: Like `confusion`, but only labels that have photographs can be predicted.
        labels: Label names in the order of the outputs.
        rule: How the names of folders or the entries of lists were matched to labels.
    """

    confusion: np.ndarray
    within_top5: np.ndarray
    confusion_present: np.ndarray
    labels: tuple[str, ...]
    rule: str

    @property
    def images(self) -> int:
        """Number of photographs."""
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        """Share of photographs whose top prediction is correct."""
        return float(np.trace(self.confusion) / self.images)

    @property
    def top5(self) -> float:
        """Share of photographs whose true label is among the top five predictions."""
        return float(self.within_top5.sum() / self.images)

    @property
    def top1_present(self) -> float:
        """`top1` if only labels that have photographs can be predicted."""
        return float(np.trace(self.confusion_present) / self.images)

    @property
    def present(self) -> list[int]:
        """Indices of the labels that have photographs."""
        return [int(index) for index in np.flatnonzero(self.confusion.sum(axis=1))]

    @property
    def metrics(self) -> dict[str, float]:
        """The overall metric, by which the best epoch is chosen."""
        return {"accuracy": self.top1}

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types: shares from 0 to 1, and the number of photographs and the shares per class."""
        totals = self.confusion.sum(axis=1)
        return {
            "top1": self.top1,
            "top5": self.top5,
            "images": self.images,
            "classes": len(self.labels),
            "classes_present": len(self.present),
            "top1_present": self.top1_present,
            "class_rule": self.rule,
            "per_class": [
                {
                    "index": index,
                    "label": self.labels[index],
                    "images": int(totals[index]),
                    "top1": float(self.confusion[index, index] / totals[index]),
                    "top5": float(self.within_top5[index] / totals[index]),
                }
                for index in self.present
            ],
        }

    @property
    def table(self) -> list[dict[str, Any]]:
        """A human-readable table with a row for each label that has photographs."""
        return [
            {
                "label": row["label"],
                "images": row["images"],
                "top-1": f"{row['top1']:.2%}",
                "top-5": f"{row['top5']:.2%}",
            }
            for row in self.to_dict()["per_class"]
        ]

    @property
    def summary(self) -> str:
        """A human-readable summary of one or two lines."""
        line = f"top-1 {self.top1:.2%}, top-5 {self.top5:.2%} of {number_of(self.images, 'photograph')}"
        if len(self.present) == len(self.labels):
            return line
        return f"{line}\ntop-1 among the {number_of(len(self.present), 'class')} present: {self.top1_present:.2%}"

    def save_confusion(self, path: str | Path) -> None:
        """Draws the confusion matrix of the labels present as a PNG; needs matplotlib (extra `report`)."""
        save_confusion(
            path,
            self.confusion_present,
            self.labels,
            title=f"top-1 {self.top1_present:.1%} of {number_of(self.images, 'photograph')}, "
            f"{number_of(len(self.present), 'class')}",
        )


def save_confusion(
    path: str | Path,
    matrix: np.ndarray,
    labels: Sequence[str],
    *,
    title: str,
    answered: str = "best output",
    right: str = "right label",
) -> None:
    """Draws the confusion matrix of the true and predicted labels as a PNG; needs matplotlib (extra `report`).

    Args:
        path: Path of the PNG.
        matrix: int64 (labels, labels): counts by true label (rows) and predicted label (columns).
        labels: Label names in the order of the outputs.
        title: Title of the plot.
        answered: Label of the horizontal axis.
        right: Label of the vertical axis.

    Raises:
        SwiftFormerError: matplotlib is not installed.
        OSError: The file cannot be written.
    """
    require_packages("a confusion matrix", "matplotlib")
    from matplotlib.figure import Figure

    present = np.flatnonzero(matrix.any(axis=1) | matrix.any(axis=0))
    shares = matrix[np.ix_(present, present)].astype(float)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    names = [labels[int(index)] for index in present]
    side = min(3 + 0.45 * len(names), 30)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
    if len(names) <= 50:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names)
    if len(names) <= 25:
        for row, column in np.argwhere(shares >= 0.005):
            share = shares[row, column]
            color = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=7, color=color)
    axes.set_xlabel(answered)
    axes.set_ylabel(right)
    axes.set_title(title)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)


def evaluate_classifier(
    predict: Callable[[np.ndarray], np.ndarray],
    config: SwiftFormerConfig,
    images: LabeledImages | AnnotatedImages,
    *,
    classifier_activation: Activation | None = None,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Evaluation | LabelScores | NumberErrors:
    """Runs labeled photographs through a classifier, one batch in memory at a time.

    Args:
        predict: Function from normalized images (N, height, width, channels) to logits or probabilities (N,
            num_labels); `predicting.predictor` creates one from a Keras or TFLite model.
        config: Configuration of the model: its transform prepares the photographs, its labels name the outputs, and its
            problem type determines what is measured.
        images: The photographs, as returned by `labeled_for`.
        classifier_activation: The activation that `predict` applies itself, such as a file's `classifier_activation`;
            None if it returns logits.
        batch_size: Number of photographs per call of `predict`.
        progress: Called with the number of photographs processed so far.

    Raises:
        ModelError: The outputs do not fit the labels, or are not finite.
        ConfigError: The annotations of the photographs do not match the problem type of the model.
        ImageError: A photograph cannot be decoded; the message names it.
    """
    count = _COUNTS[problem_type(config)]
    outputs = _outputs(predict, config, images.paths, batch_size, progress, width=config.num_labels)
    return count(outputs, config, images, classifier_activation)


def _outputs(
    predict: Callable[[np.ndarray], np.ndarray],
    config: SwiftFormerConfig,
    paths: Sequence[Path],
    batch_size: int,
    progress: Callable[[int], None] | None,
    width: int | None,
) -> Iterator[np.ndarray]:
    """Yields the outputs of a model, one batch (photographs, width) at a time; None takes any width."""
    seen = 0
    for batch in iterate_images(paths, config.transform, batch_size):
        outputs = np.asarray(predict(batch))
        if outputs.shape != (len(batch), outputs.shape[-1] if width is None else width):
            expected = f"({len(batch)}, n), a vector" if width is None else f"{(len(batch), width)}, one for each label"
            raise ModelError(f"outputs of shape {outputs.shape}: expected {expected}")
        if not np.isfinite(outputs).all():
            row = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
            raise ModelError(f"{paths[seen + row]}: the model's outputs for it are not finite")
        seen += len(batch)
        yield outputs
        if progress:
            progress(seen)


def _count_best(batches: Iterator[np.ndarray], config: SwiftFormerConfig, images: Any, _: Any) -> Evaluation:
    if not isinstance(images, LabeledImages):
        raise ConfigError("problem_type='single_label_classification': expected one correct label per photograph")
    count = config.num_labels
    targets = np.asarray(images.targets)
    present = np.unique(targets)
    confusion, confusion_present = np.zeros((2, count, count), np.int64)
    within_top5 = np.zeros(count, np.int64)
    seen = 0
    for outputs in batches:
        right = targets[seen : seen + len(outputs)]
        order = np.argsort(-outputs, axis=1, kind="stable")
        np.add.at(confusion, (right, order[:, 0]), 1)
        np.add.at(within_top5, right[(order[:, :5] == right[:, None]).any(axis=1)], 1)
        np.add.at(confusion_present, (right, present[outputs[:, present].argmax(axis=1)]), 1)
        seen += len(outputs)
    return Evaluation(confusion, within_top5, confusion_present, config.labels, images.rule)


def _score(
    scores: type[LabelScores] | type[NumberErrors],
    batches: Iterator[np.ndarray],
    config: SwiftFormerConfig,
    images: Any,
    classifier_activation: Activation | None,
) -> LabelScores | NumberErrors:
    if not isinstance(images, AnnotatedImages):
        raise ConfigError(f"problem_type={problem_type(config)!r}: expected photographs with a {METADATA}")
    outputs = np.concatenate(list(batches))
    if not classifier_activation:
        outputs = np.asarray(keras.ops.convert_to_numpy(activate(outputs, activation(config))))
    return scores(images.targets, outputs, config.labels, images.rule)


# How answers are counted, by problem type.
_COUNTS: dict[ProblemType, Callable[..., Evaluation | LabelScores | NumberErrors]] = {
    "single_label_classification": _count_best,
    "multi_label_classification": functools.partial(_score, LabelScores),
    "regression": functools.partial(_score, NumberErrors),
}


def evaluate_features(
    predict: Callable[[np.ndarray], np.ndarray],
    config: SwiftFormerConfig,
    images: ImageFolder,
    *,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Retrieval:
    """Looks for the nearest other photograph of each, by the cosine of their vectors.

    Args:
        predict: Function from normalized images (N, height, width, channels) to vectors (N, n).
        config: Configuration of the model: its transform prepares the photographs.
        images: Photographs and their classes, as returned by `classes_in`.
        batch_size: Number of photographs per call of `predict`.
        progress: Called with the number of photographs processed so far.

    Raises:
        ModelError: The outputs are no vectors, or are not finite.
        ImageError: See `check_classes`, before any photograph is read; or one cannot be decoded, which the message
            names.
    """
    targets = np.asarray(images.labels)
    check_classes(targets)
    vectors = np.concatenate(list(_outputs(predict, config, images.paths, batch_size, progress, width=None)))
    return Retrieval(targets, nearest_others(vectors), images.class_names)


def evaluate_segmentation(
    predict: Callable[[np.ndarray], np.ndarray],
    config: SwiftFormerConfig,
    folder: MaskFolder,
    *,
    progress: Callable[[int], None] | None = None,
) -> PixelConfusion:
    """Runs photographs through a segmenter, one at a time, and counts pixels at the size of each photograph's mask.

    Args:
        predict: Function from normalized images (1, height, width, channels) to logits or probabilities of any height
            and width, (1, h, w, num_labels), which are resized to the mask bilinearly; or to class indices, integers
            (1, h, w), which are resized with nearest-neighbor interpolation.
        config: Configuration of the model: its transform prepares the photographs, and its labels name the outputs.
        folder: Photographs and masks. The model must see each photograph as a whole, so its transform must not crop.
        progress: Called with the number of photographs processed so far.

    Raises:
        ModelError: The outputs do not fit the labels, or are not finite.
        ConfigError: The transform crops, or the masks have different classes.
        ImageError: A photograph or mask cannot be used; the message names it.
    """
    config.transform.check_whole()
    same_classes(folder, config.labels)
    confusion = PixelConfusion.empty(config.labels)
    for seen, (image, labels) in enumerate(folder, start=1):
        outputs = np.asarray(predict(config.transform(image)[None]))
        with prefix_path(folder.images[seen - 1]):
            confusion = confusion.add(labels, answers_at(outputs, labels.shape, config.num_labels))
        if progress:
            progress(seen)
    return confusion


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
    if outputs.ndim == 3 and np.issubdtype(outputs.dtype, np.integer):
        rows, columns = (np.arange(side) * have // side for side, have in zip(size, outputs.shape[1:], strict=True))
        return np.asarray(outputs[0][rows[:, None], columns])
    if outputs.ndim != 4 or outputs.shape[-1] != num_labels:
        raise ModelError(f"outputs of shape {outputs.shape}: expected (1, h, w, {num_labels}), one for each label")
    if not np.isfinite(outputs).all():
        raise ModelError("the model's outputs are not finite")
    best, answers = np.full(size, -np.inf, np.float32), np.zeros(size, np.min_scalar_type(num_labels - 1))
    for label in range(num_labels):  # one at a time: all classes of a large photograph would take gigabytes
        resized = keras.ops.image.resize(
            outputs[..., label, None].astype(np.float32), size, interpolation="bilinear", data_format="channels_last"
        )
        values = keras.ops.convert_to_numpy(resized)[0, ..., 0]
        answers[values > best] = label  # of equal values, the first remains
        np.maximum(best, values, out=best)
    return answers
