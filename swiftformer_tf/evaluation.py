"""How often a model is right on photographs with labels or masks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError, prefix_path
from swiftformer_tf.files import replacing
from swiftformer_tf.images.folders import iterate_images
from swiftformer_tf.images.labels import LabelledImages
from swiftformer_tf.images.masks import MaskFolder, same_classes
from swiftformer_tf.tasks.classification import require_single_label
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion

__all__ = ["Evaluation", "evaluate", "evaluate_segmentation"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate` counted.

    Args:
        confusion: int64 (labels, labels): photographs by right label (rows) and best output (columns).
        within_top5: int64 (labels,): photographs of each label that is among their five best outputs.
        confusion_present: Like `confusion`, where only outputs of labels with photographs compete.
        labels: Names, in the order of the outputs.
        rule: How folders or lists became labels.
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
        """Share of photographs whose best output is right."""
        return float(np.trace(self.confusion) / self.images)

    @property
    def top5(self) -> float:
        """Share of photographs whose right label is among the five best outputs."""
        return float(self.within_top5.sum() / self.images)

    @property
    def top1_present(self) -> float:
        """`top1` where only the labels that have photographs compete."""
        return float(np.trace(self.confusion_present) / self.images)

    @property
    def present(self) -> list[int]:
        """Indices of the labels that have photographs."""
        return [int(index) for index in np.flatnonzero(self.confusion.sum(axis=1))]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: shares from 0 to 1, photographs and shares per class."""
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

    def save_confusion(self, path: str | Path) -> None:
        """Draws the confusion among the labels present as a PNG; needs matplotlib (the extra `report`)."""
        from matplotlib.figure import Figure

        shares = self.confusion_present[np.ix_(self.present, self.present)].astype(float)
        shares /= shares.sum(axis=1, keepdims=True)
        names = [self.labels[index] for index in self.present]
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
        axes.set_xlabel("best output")
        axes.set_ylabel("right label")
        axes.set_title(f"top-1 {self.top1_present:.1%} of {self.images} photographs, {len(names)} classes")
        with replacing(path) as beside:
            figure.savefig(beside, format="png", dpi=120)


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    config: SwiftFormerConfig,
    images: LabelledImages,
    *,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Runs labelled photographs through a classifier, one batch in memory at a time.

    Args:
        predict: From normalised images (N, height, width, channels) to logits or probabilities
            (N, num_labels); `predicting.predictor` makes one from a Keras or TFLite model.
        config: Of the model: its transform prepares the photographs, its labels name the outputs.
        images: What `labelled_images` returned.
        batch_size: Photographs a call of `predict`.
        progress: Called with the number of photographs seen so far.

    Raises:
        ModelError: The outputs do not fit the labels, or are not finite.
        ImageError: A photograph that cannot be decoded; the message names it.
    """
    require_single_label(config, "evaluate")
    count = config.num_labels
    targets = np.asarray(images.targets)
    present = np.unique(targets)
    confusion, confusion_present = np.zeros((2, count, count), np.int64)
    within_top5 = np.zeros(count, np.int64)
    seen = 0
    for batch in iterate_images(images.paths, config.transform, batch_size):
        outputs = np.asarray(predict(batch))
        if outputs.shape != (len(batch), count):
            raise ModelError(f"outputs of shape {outputs.shape}: expected {(len(batch), count)}, one for each label")
        right = targets[seen : seen + len(batch)]
        if not np.isfinite(outputs).all():
            row = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
            raise ModelError(f"{images.paths[seen + row]}: the model's outputs for it are not finite")
        order = np.argsort(-outputs, axis=1, kind="stable")
        np.add.at(confusion, (right, order[:, 0]), 1)
        np.add.at(within_top5, right[(order[:, :5] == right[:, None]).any(axis=1)], 1)
        np.add.at(confusion_present, (right, present[outputs[:, present].argmax(axis=1)]), 1)
        seen += len(batch)
        if progress:
            progress(seen)
    return Evaluation(confusion, within_top5, confusion_present, config.labels, images.rule)


def evaluate_segmentation(
    predict: Callable[[np.ndarray], np.ndarray],
    config: SwiftFormerConfig,
    folder: MaskFolder,
    *,
    progress: Callable[[int], None] | None = None,
) -> PixelConfusion:
    """Runs photographs through a segmenter, one at a time, and counts pixels at the size of each one's mask.

    Args:
        predict: From normalized images (1, height, width, channels) to logits or probabilities of any height and
            width, (1, h, w, num_labels): they are resized to the mask, bilinear. Or to a mask, integers (1, h, w),
            which is resized to the nearest.
        config: Of the model: its transform prepares the photographs, its labels name the outputs.
        folder: Photographs and masks. A photograph reaches the model as a whole, so that its transform must not crop.
        progress: Called with the number of photographs seen so far.

    Raises:
        ModelError: The outputs do not fit the labels, or are not finite.
        ConfigError: A transform that crops, or masks of other classes.
        ImageError: A photograph or mask that cannot be used; the message names it.
    """
    if config.transform.crop is not None:
        raise ConfigError(
            f"transform.crop={config.transform.crop}: evaluation compares whole photographs with their masks; expected "
            "a transform with crop=None"
        )
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
    """Best class of each pixel at another size.

    Args:
        outputs: Logits or probabilities (1, h, w, num_labels), or classes, integers (1, h, w).
        size: (height, width) of the result.
        num_labels: Number of classes.

    Raises:
        ModelError: Another shape, or outputs that are not finite.

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
    resized = keras.ops.image.resize(
        outputs.astype(np.float32), size, interpolation="bilinear", data_format="channels_last"
    )
    return np.asarray(np.argmax(keras.ops.convert_to_numpy(resized)[0], axis=-1))
