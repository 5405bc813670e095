"""Measures how often a model is right on photographs with labels or masks."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from swiftformer_tf.config import ProblemType, SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError, prefix_path, require_packages
from swiftformer_tf.files import replacing
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder, iterate_images
from swiftformer_tf.images.labels import LabeledImages
from swiftformer_tf.images.masks import MaskFolder, same_classes
from swiftformer_tf.images.metadata import METADATA
from swiftformer_tf.tasks.classification import activate, activation, problem_type
from swiftformer_tf.tasks.features import Retrieval, check_classes, nearest_others
from swiftformer_tf.tasks.label_accuracy import LabelAccuracy
from swiftformer_tf.tasks.scores import LabelScores, NumberErrors
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion, answers_at
from swiftformer_tf.tasks.task import Activation

__all__ = [
    "evaluate_classifier",
    "evaluate_features",
    "evaluate_segmentation",
    "save_confusion",
]


def save_confusion(path: str | Path, scores: LabelAccuracy | PixelConfusion) -> None:
    """Draws how often each class was answered for each right class as a PNG; needs matplotlib (extra `report`).

    Args:
        path: Path of the PNG.
        scores: The counts, of photographs or of pixels; of labels, only those that have photographs are drawn.

    Raises:
        SwiftFormerError: matplotlib is not installed.
        OSError: The file cannot be written.
    """
    require_packages("a confusion matrix", "matplotlib")
    from matplotlib.figure import Figure

    pixels = isinstance(scores, PixelConfusion)
    matrix = scores.matrix if isinstance(scores, PixelConfusion) else scores.confusion_present
    present = np.flatnonzero(matrix.any(axis=1) | matrix.any(axis=0))
    shares = matrix[np.ix_(present, present)].astype(float)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    names = [scores.labels[int(index)] for index in present]
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
    axes.set_xlabel("answered class" if pixels else "best output")
    axes.set_ylabel("right class" if pixels else "right label")
    axes.set_title(scores.plot_title)
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
) -> LabelAccuracy | LabelScores | NumberErrors:
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


def _count_best(batches: Iterator[np.ndarray], config: SwiftFormerConfig, images: Any, _: Any) -> LabelAccuracy:
    if not isinstance(images, LabeledImages):
        raise ConfigError("problem_type='single_label_classification': expected one correct label per photograph")
    return LabelAccuracy.count(batches, images.targets, config.labels, images.rule)


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
_COUNTS: dict[ProblemType, Callable[..., LabelAccuracy | LabelScores | NumberErrors]] = {
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
