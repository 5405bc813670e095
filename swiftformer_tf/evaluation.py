"""Opens labeled photographs, measures how often a model is right on them or on masks, and draws its confusion."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ImageError, ModelError, prefix_path, require_packages
from swiftformer_tf.files import replacing
from swiftformer_tf.images.annotations import AnnotatedImages, ProblemType
from swiftformer_tf.images.folders import ImageFolder, iterate_images
from swiftformer_tf.images.labels import LabeledImages, labeled_images, matched_images
from swiftformer_tf.images.masks import MaskFolder, same_classes
from swiftformer_tf.images.metadata import METADATA, has_metadata
from swiftformer_tf.images.targets import open_annotated
from swiftformer_tf.tasks.classification import activate, activation, problem_type
from swiftformer_tf.tasks.confusion import ConfusionMatrix
from swiftformer_tf.tasks.features import Retrieval, check_classes, nearest_others
from swiftformer_tf.tasks.label_accuracy import LabelAccuracy
from swiftformer_tf.tasks.scores import LabelScores, NumberErrors
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion, answers_at
from swiftformer_tf.tasks.task import Activation

__all__ = [
    "evaluate_classifier",
    "evaluate_features",
    "evaluate_segmentation",
    "labeled_for",
    "save_confusion",
]


def save_confusion(path: str | Path, confusion: ConfusionMatrix) -> None:
    """Draws how often each class was answered for each right class as a PNG; needs matplotlib (extra `report`).

    Args:
        path: Path of the PNG.
        confusion: What to draw; of its classes, those that are right or answered anywhere.

    Raises:
        SwiftFormerError: matplotlib is not installed.
        OSError: The file cannot be written.

    Examples:
        >>> import tempfile
        >>> counts = np.array([[3, 1], [0, 4]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "confusion.png")
        ...     save_confusion(path, ConfusionMatrix(counts, ("tench", "church"), "top-1 88 %", "answered", "right"))
        ...     path.read_bytes()[1:4]
        b'PNG'
    """
    require_packages("a confusion matrix", "matplotlib")
    from matplotlib.figure import Figure

    counts = confusion.counts
    present = np.flatnonzero(counts.any(axis=1) | counts.any(axis=0))
    shares = counts[np.ix_(present, present)].astype(float)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    names = [confusion.labels[int(index)] for index in present]
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
    axes.set_xlabel(confusion.answered)
    axes.set_ylabel(confusion.right)
    axes.set_title(confusion.title)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)


def labeled_for(
    config: SwiftFormerConfig, folder: str | Path, *, label_file: str | Path | None = None
) -> LabeledImages | AnnotatedImages:
    """Opens the labeled photographs of a folder in the form that `evaluate` needs for a model.

    Reads `metadata.csv` if there is one, and otherwise calls `labeled_images`.

    Args:
        config: Configuration of the model: labels and problem type.
        folder: Folder of photographs.
        label_file: See `labeled_images`; overrides `metadata.csv`.

    Raises:
        ImageError: The folder does not contain the annotations that the model needs; the message names it.
    """
    kind = problem_type(config)
    if label_file is None and has_metadata(folder):
        images, _ = open_annotated(folder, kind, labels=config.labels)
        return images if isinstance(images, AnnotatedImages) else matched_images(images, config.labels)
    if kind != "single_label_classification":
        raise ImageError(
            f"{folder}: no {METADATA}; a model with problem_type={kind!r} needs one with the answers for each "
            "photograph"
        )
    return labeled_images(folder, config.labels, label_file=label_file)


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

    Examples:
        A function that takes every photograph for the second label:

        >>> import tempfile
        >>> from PIL import Image
        >>> config = SwiftFormerConfig.from_variant("tiny", id2label={0: "tench", 1: "church"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (40, 40)).save(Path(folder, "1.png"))
        ...     images = LabeledImages((Path(folder, "1.png"),), (1,), "by hand")
        ...     scores = evaluate_classifier(lambda batch: np.tile([0.0, 1.0], (len(batch), 1)), config, images)
        >>> scores.top1
        1.0
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

    Examples:
        Mean colors as features:

        >>> import tempfile
        >>> from PIL import Image
        >>> config = SwiftFormerConfig.from_variant("tiny", id2label={})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = tuple(Path(folder, f"{color}{index}.png") for color in ("red", "blue") for index in (1, 2))
        ...     for path in paths:
        ...         Image.new("RGB", (40, 40), path.stem[:-1]).save(path)
        ...     images = ImageFolder(paths, (0, 0, 1, 1), ("red", "blue"))
        ...     scores = evaluate_features(lambda batch: batch.mean(axis=(1, 2)), config, images)
        >>> scores.recall_at_1
        1.0
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

    Examples:
        A function that takes every pixel for road:

        >>> import tempfile
        >>> from PIL import Image
        >>> from swiftformer_tf import Transform
        >>> config = SwiftFormerConfig(id2label={0: "road", 1: "sky"}, transform=Transform(size=(8, 8), crop=None))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for kind, mode in (("images", "RGB"), ("masks", "L")):
        ...         Path(name, kind).mkdir()
        ...         Image.new(mode, (8, 8)).save(Path(name, kind, "1.png"))
        ...     _ = Path(name, "classes.csv").write_text("road\\nsky\\n")
        ...     folder = MaskFolder.open(Path(name, "images"))
        ...     scores = evaluate_segmentation(lambda batch: np.zeros((1, 2, 2), np.uint8), config, folder)
        >>> scores.pixel_accuracy
        1.0
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
