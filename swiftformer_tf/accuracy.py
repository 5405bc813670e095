"""Measures the accuracy of a model, in any kind of file, on a folder of photographs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import ConfigError, ModelError, prefix_path, require_packages
from swiftformer_tf.evaluation import (
    evaluate_classifier,
    evaluate_features,
    evaluate_segmentation,
    labeled_for,
    save_confusion,
)
from swiftformer_tf.files import check_place
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder, check_images
from swiftformer_tf.images.labels import LabeledImages, matched_images
from swiftformer_tf.images.masks import MaskFolder
from swiftformer_tf.images.metadata import METADATA
from swiftformer_tf.images.targets import classes_in
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.loading import Answering, open_any
from swiftformer_tf.predicting import activated, check_pooled, ported, predictor, task_of
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.tasks.classification import require_single_label
from swiftformer_tf.tasks.features import Retrieval
from swiftformer_tf.tasks.label_accuracy import LabelAccuracy
from swiftformer_tf.tasks.scores import LabelScores, NumberErrors
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion

__all__ = ["EVALUATE", "Accuracy", "evaluate"]

Truth = LabeledImages | AnnotatedImages | ImageFolder | MaskFolder
Scores = LabelAccuracy | LabelScores | NumberErrors | Retrieval | PixelConfusion


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The result of `evaluate`.

    Args:
        task: The task of the model: a key of `TASKS`.
        scores: For a classifier, `LabelAccuracy`, `LabelScores` or `NumberErrors`, depending on its problem type; for
            features, `Retrieval`; for a segmenter, `PixelConfusion`.
        config: Configuration of the model.
        images: Number of photographs.
    """

    task: str
    scores: Scores
    config: SwiftFormerConfig
    images: int

    @property
    def rule(self) -> str | None:
        """How names were matched to labels; None for features and masks."""
        return getattr(self.scores, "rule", None)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types: the scores, the number of photographs and the transform."""
        return {"transform": self.config.transform.to_dict(), "images": self.images, **self.scores.to_dict()}

    def save_confusion(self, path: str | Path) -> None:
        """Draws the confusion matrix as a PNG; needs matplotlib (extra `report`).

        Args:
            path: Path of the PNG.

        Raises:
            ConfigError: The model predicts several labels, numbers or features, for which there is no such matrix.
        """
        if not isinstance(self.scores, (LabelAccuracy, PixelConfusion)):
            raise ConfigError(f"{path}: a confusion matrix needs a single label per photograph; leave it out")
        save_confusion(path, self.scores.confusion_matrix)


def evaluate(
    model: keras.Model | LiteModel | Checkpoint | str | Path,
    folder: str | Path | Truth,
    *,
    task: str | None = None,
    label_file: str | Path | None = None,
    batch_size: int = 32,
    num_threads: int = 1,
    confusion: str | Path | None = None,
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    progress: Progress = silent,
) -> Accuracy:
    """Measures the accuracy of a classifier, of features or of a segmenter, as `swiftformer-tf evaluate` does.

    Features are accurate if the photograph nearest to another one, by the cosine of their vectors, has the same class.

    Args:
        model: A Keras model (including a `DeployModel`), a TFLite model or a checkpoint; or its path or name, see
            `open_any`.
        folder: For a classifier, a folder with a subfolder of photographs per class or with a `metadata.csv`, see
            `labeled_for`; for features the same, with classes of any name, see `classes_in`; for a segmenter, a folder
            of photographs and masks, see `MaskFolder.open`. Or the photographs that these functions return.
        task: The expected task of the model: a key of `TASKS`; None accepts any.
        label_file: Label file for a classifier, see `labeled_images`.
        batch_size: Number of photographs per batch, for a classifier or features.
        num_threads: Number of threads, for a TFLite model.
        confusion: Path of a PNG to which the confusion matrix is written, see `Accuracy.save_confusion`.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for each step, see `Progress`.

    Raises:
        ModelError: The model has a different task or cannot be used, or its outputs do not fit the labels.
        ImageError: The folder has no labels, or a photograph cannot be read; the message names it.
        ConfigError: There is no such task, an argument belongs to another task, or the masks have different classes.
        CheckpointError: See `Checkpoint.open`.
        OSError: The PNG cannot be written.
        SwiftFormerError: matplotlib, which the PNG needs, is not installed; raised before any computation.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for label in ("tench", "church"):
        ...         Path(folder, label).mkdir()
        ...         Image.new("RGB", (40, 40)).save(Path(folder, label, "1.png"))
        ...     accuracy = evaluate("swiftformer_xs_imagenette", folder)
        >>> accuracy.task, accuracy.images, accuracy.scores.top1 <= 0.5
        ('classification', 2, True)
    """
    if task not in (None, *EVALUATE):
        raise ConfigError(f"task={task!r}: expected one of {', '.join(EVALUATE)}")
    if confusion is not None:
        require_packages("a confusion matrix", "matplotlib")
        check_place(confusion)
    opened = ported(
        open_any(model, token_weights=token_weights, weights=weights) if isinstance(model, (str, Path)) else model
    )
    found = task_of(opened)
    if task not in (None, found):
        name = f"{model}: " if isinstance(model, (str, Path)) else ""
        raise ModelError(f"{name}a model for {found}; expected one for {task}")
    how = _How(label_file, batch_size, num_threads, confusion, progress)
    with prefix_path(Path(model) if isinstance(model, (str, Path)) else None):
        accuracy = EVALUATE[found](opened, folder, how)
    if confusion is not None:
        with progress("confusion matrix", None):
            accuracy.save_confusion(confusion)
    return accuracy


@dataclasses.dataclass(frozen=True)
class _How:
    """The options of `evaluate`, whatever the task."""

    label_file: str | Path | None
    batch_size: int
    num_threads: int
    confusion: str | Path | None
    progress: Progress


def _classifier(opened: Answering, folder: str | Path | Truth, how: _How) -> Accuracy:
    if how.confusion is not None:
        require_single_label(opened.config, "a confusion matrix", "leave it out: the report has each label's figures")
    predict, config = predictor(opened, num_threads=how.num_threads)
    config.transform.check_photographs()
    images = labeled_for(config, folder, label_file=how.label_file) if isinstance(folder, (str, Path)) else folder
    if isinstance(images, MaskFolder):
        raise ConfigError("masks were given, but the model is a classifier; expected labels")
    if isinstance(images, ImageFolder):
        images = matched_images(images, config.labels)
    check_images(images.paths)
    with how.progress("photographs", len(images.paths)) as count:
        scores = evaluate_classifier(
            predict,
            config,
            images,
            classifier_activation=activated(opened),
            batch_size=how.batch_size,
            progress=count,
        )
    return Accuracy("classification", scores, config, len(images.paths))


def _features(opened: Answering, folder: str | Path | Truth, how: _How) -> Accuracy:
    if how.confusion is not None:
        raise ConfigError(
            f"{how.confusion}: a confusion matrix needs labels, and the model returns features; leave it out"
        )
    if how.label_file is not None:
        raise ConfigError(
            f"{how.label_file}: a list is for classifiers; sort the photographs into folders, or write {METADATA}"
        )
    check_pooled(opened)
    predict, config = predictor(opened, num_threads=how.num_threads)
    config.transform.check_photographs()
    images = classes_in(folder) if isinstance(folder, (str, Path)) else folder
    if not isinstance(images, ImageFolder):
        raise ConfigError(
            f"a {type(images).__name__} was given, but the model returns features; expected an ImageFolder"
        )
    check_images(images.paths)
    with how.progress("photographs", len(images)) as count:
        scores = evaluate_features(predict, config, images, batch_size=how.batch_size, progress=count)
    return Accuracy("features", scores, config, len(images))


def _segmenter(opened: Answering, folder: str | Path | Truth, how: _How) -> Accuracy:
    if how.label_file is not None:
        raise ConfigError(f"{how.label_file}: the model is a segmenter, which takes no label file; leave it out")
    images = MaskFolder.open(folder) if isinstance(folder, (str, Path)) else folder
    if not isinstance(images, MaskFolder):
        raise ConfigError("labels were given, but the model is a segmenter; expected masks")
    predict, config = predictor(opened, num_threads=how.num_threads)
    with how.progress("photographs", len(images)) as count:
        scores = evaluate_segmentation(predict, config, images, progress=count)
    return Accuracy("semantic-segmentation", scores, config, len(images))


# How answers are counted, by their task.
EVALUATE: dict[str, Callable[[Answering, str | Path | Truth, _How], Accuracy]] = {
    "classification": _classifier,
    "features": _features,
    "semantic-segmentation": _segmenter,
}
