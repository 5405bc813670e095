"""Right answers that are not one class a photograph: several labels, or numbers."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from swiftformer_tf.errors import ImageError

__all__ = ["AnnotatedImages"]


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedImages:
    """Photographs with a number for each label.

    Args:
        paths: Files.
        targets: float32 (photographs, labels): 0 or 1, or any numbers.
        class_names: Names of the labels.
        rule: How what was written became numbers, for people to read.

    Raises:
        ImageError: Lengths that differ.
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
        """What a model learns of some of the photographs, float32 (rows, labels)."""
        return np.asarray(self.targets[rows])

    def reordered(self, class_names: Sequence[str]) -> Self:
        """The same photographs, with the same labels in another order.

        Raises:
            ImageError: Other names.
        """
        if sorted(class_names) != sorted(self.class_names):
            raise ImageError(f"labels {', '.join(self.class_names)}: expected {', '.join(class_names)}")
        columns = [self.class_names.index(name) for name in class_names]
        return dataclasses.replace(self, targets=self.targets[:, columns], class_names=tuple(class_names))
