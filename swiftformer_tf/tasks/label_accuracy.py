"""Metrics for single-label classification: whether the best outputs are right."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from swiftformer_tf.errors import number_of
from swiftformer_tf.tasks.confusion import ConfusionMatrix

__all__ = ["LabelAccuracy"]


@dataclasses.dataclass(frozen=True)
class LabelAccuracy:
    """How often the best outputs of a single-label classifier are right.

    Args:
        confusion: int64 (labels, labels): number of photographs by true label (rows) and predicted label (columns).
        within_top5: int64 (labels,): for each label, the number of its photographs for which it is among the top five
            predictions.
        confusion_present: Like `confusion`, but only labels that have photographs can be predicted.
        labels: Label names in the order of the outputs.
        rule: How the names of folders or the entries of lists were matched to labels.

    Examples:
        >>> outputs = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
        >>> accuracy = LabelAccuracy.count([outputs], [0, 1], ("tench", "church", "golf ball"), "by hand")
        >>> accuracy.top1, accuracy.top1_present, accuracy.top5
        (0.5, 1.0, 1.0)
    """

    confusion: np.ndarray
    within_top5: np.ndarray
    confusion_present: np.ndarray
    labels: tuple[str, ...]
    rule: str

    @classmethod
    def count(cls, batches: Iterable[np.ndarray], targets: Sequence[int], labels: tuple[str, ...], rule: str) -> Self:
        """Counts right and wrong outputs.

        Args:
            batches: Outputs (photographs, labels): logits or probabilities, in any number of batches.
            targets: The index of the true label of each photograph of all batches.
            labels: See the class.
            rule: See the class.
        """
        right = np.asarray(targets)
        present = np.unique(right)
        confusion, confusion_present = np.zeros((2, len(labels), len(labels)), np.int64)
        within_top5 = np.zeros(len(labels), np.int64)
        seen = 0
        for outputs in batches:
            batch = right[seen : seen + len(outputs)]
            order = np.argsort(-outputs, axis=1, kind="stable")
            np.add.at(confusion, (batch, order[:, 0]), 1)
            np.add.at(within_top5, batch[(order[:, :5] == batch[:, None]).any(axis=1)], 1)
            np.add.at(confusion_present, (batch, present[outputs[:, present].argmax(axis=1)]), 1)
            seen += len(outputs)
        return cls(confusion, within_top5, confusion_present, labels, rule)

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

    @property
    def confusion_matrix(self) -> ConfusionMatrix:
        """`confusion_present`, as it is drawn."""
        photographs, classes = number_of(self.images, "photograph"), number_of(len(self.present), "class")
        title = f"top-1 {self.top1_present:.1%} of {photographs}, {classes}"
        return ConfusionMatrix(self.confusion_present, self.labels, title, "best output", "right label")
