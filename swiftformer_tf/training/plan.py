"""What a training is about to do, reported before its first step."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from swiftformer_tf.errors import number_of
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder

__all__ = ["TrainingPlan", "count_labels", "telling"]

# Maximum number of labels that are named.
NAMED = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What `train` is about to do, as derived from its arguments.

    Args:
        labels: Label names in the order of the outputs.
        counts: Number of photographs of each label; None if not known before they are read, or for regression.
        images: Number of training photographs.
        validation: Number of validation photographs; 0 for none.
        image_size: (height, width) in pixels.
        source: Origin of the trained weights; None for a new model.
        new: Parts of the model with newly initialized weights.
        frozen: Frozen parts of the model.

    Examples:
        >>> plan = TrainingPlan(
        ...     labels=("cat", "dog"), counts=(60, 40), images=100, validation=20, image_size=(224, 224),
        ...     source="xs.pth", new=("head", "head_dist"), frozen=(),
        ... )
        >>> print("\\n".join(plan.lines))
        2 labels, 100 photographs: cat 60, dog 40
        validation: 20 photographs
        size: 224 x 224 pixels
        new weights: head, head_dist; all others come from xs.pth
        frozen: nothing
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...] | None
    images: int
    validation: int
    image_size: tuple[int, int]
    source: str | None
    new: tuple[str, ...]
    frozen: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The plan as human-readable lines."""
        known = f"; all others come from {self.source}" if self.new else f"none; all come from {self.source}"
        new = f"{', '.join(self.new)}{known}" if self.source else "all"
        return (
            f"{number_of(len(self.labels), 'label')}, {number_of(self.images, 'photograph')}: {self._labels}",
            f"validation: {number_of(self.validation, 'photograph') if self.validation else 'none'}",
            f"size: {self.image_size[0]} x {self.image_size[1]} pixels",
            f"new weights: {new}",
            f"frozen: {', '.join(self.frozen) or 'nothing'}",
        )

    @property
    def _labels(self) -> str:
        counts = ("",) * len(self.labels) if self.counts is None else tuple(f" {count}" for count in self.counts)
        told = ", ".join(f"{label}{count}" for label, count in zip(self.labels[:NAMED], counts, strict=False))
        if len(self.labels) <= NAMED:
            return told
        return f"{told}, ..." + (f" ({min(self.counts)} to {max(self.counts)} of each)" if self.counts else "")


def count_labels(images: ImageFolder | AnnotatedImages) -> tuple[int, ...] | None:
    """Returns the number of photographs of each label; None for regression.

    Args:
        images: See `training_photographs`.

    Examples:
        >>> count_labels(ImageFolder(("a.png", "b.png"), (1, 1), ("cat", "dog")))
        (0, 2)
        >>> count_labels(AnnotatedImages(("a.png",), np.array([[31.5]], np.float32), ("age",)))
    """
    if isinstance(images, ImageFolder):
        counts = np.bincount(images.labels, minlength=len(images.class_names))
    elif np.isin(images.targets, (0, 1)).all():
        counts = images.targets.sum(axis=0)
    else:
        return None
    return tuple(int(count) for count in counts)


def telling(plan: TrainingPlan, tell: Callable[[TrainingPlan], None]) -> keras.callbacks.Callback:
    """Creates a callback that reports the plan before the first step, after everything has been validated.

    Args:
        plan: The plan.
        tell: Function to call with the plan.
    """
    return keras.callbacks.LambdaCallback(on_train_begin=lambda _: tell(plan))
