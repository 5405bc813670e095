"""Annotations other than one class per photograph: several labels, or numbers."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np

from swiftformer_tf.errors import ImageError

__all__ = ["AnnotatedImages", "ProblemType"]

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """Photographs with a target for each label.

    Args:
        paths: Paths of the photographs.
        targets: Targets, float32 (photographs, labels): 0 or 1, or any numbers for regression.
        class_names: Names of the labels.
        rule: Human-readable description of how annotations were converted to targets.

    Raises:
        ImageError: The lengths differ.
    """

    paths: tuple[Path, ...]
    targets: np.ndarray
    class_names: tuple[str, ...]
    rule: str = "numbers as given"

    def __post_init__(self) -> None:
        shape = (len(self.paths), len(self.class_names))
        if self.targets.shape != shape:
            raise ImageError(f"targets of shape {self.targets.shape}: expected {shape}, one for each label")

    def __len__(self) -> int:
        return len(self.paths)

    def targets_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the targets of some of the photographs, float32 (rows, labels)."""
        return np.asarray(self.targets[rows])

    def reordered(self, class_names: Sequence[str]) -> Self:
        """Returns the same photographs, with the same labels in a different order.

        Raises:
            ImageError: The names differ.
        """
        if sorted(class_names) != sorted(self.class_names):
            raise ImageError(f"labels {', '.join(self.class_names)}: expected {', '.join(class_names)}")
        columns = [self.class_names.index(name) for name in class_names]
        return dataclasses.replace(self, targets=self.targets[:, columns], class_names=tuple(class_names))
