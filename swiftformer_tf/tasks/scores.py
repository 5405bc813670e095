"""Metrics for multi-label classification (average precision, F1) and regression (absolute error)."""

import dataclasses
from typing import Any

import numpy as np

from swiftformer_tf.errors import ModelError, number_of

__all__ = ["LabelScores", "NumberErrors", "average_precision"]

# From this probability on, a label that is right or wrong by itself is given.
THRESHOLD = 0.5


def average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """Average precision of one label: the sum of (R_n - R_(n-1)) * P_n over the distinct scores, as in scikit-learn.

    Args:
        targets: Whether each photograph has the label, (N,).
        scores: Its logit or probability, (N,).

    Returns:
        A number from 0 to 1; NaN if no photograph has the label.

    Examples:
        >>> round(average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
        0.8333
    """
    order = np.argsort(-scores, kind="stable")
    given = np.asarray(targets, bool)[order]
    if not given.any():
        return float("nan")
    # Photographs of the same score come together.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(given)[last]
    gains = np.diff(hits, prepend=0) / given.sum()
    return float((gains * hits / (last + 1)).sum())


@dataclasses.dataclass(frozen=True, eq=False)
class LabelScores:
    """The outputs of a multi-label classifier and their targets.

    Args:
        targets: 0 or 1, (photographs, labels).
        probabilities: Outputs of the model, (photographs, labels).
        labels: Label names in the order of the outputs.
        rule: How annotations were converted to targets.

    Raises:
        ModelError: No photograph has any label, so the metrics are undefined.

    Examples:
        >>> scores = LabelScores(np.array([[1], [0], [1]]), np.array([[0.9], [0.6], [0.4]]), ("rust",), "by hand")
        >>> round(scores.mean_average_precision, 4), scores.f1.tolist()
        (0.8333, [0.5])
    """

    targets: np.ndarray
    probabilities: np.ndarray
    labels: tuple[str, ...]
    rule: str

    def __post_init__(self) -> None:
        if not self.targets.any():
            raise ModelError(f"none of the {self.images} photographs has a label, so there is nothing to find")

    @property
    def images(self) -> int:
        """Number of photographs."""
        return len(self.targets)

    @property
    def average_precision(self) -> np.ndarray:
        """Average precision of each label, (labels,); NaN if no photograph has the label."""
        columns = zip(self.targets.T, self.probabilities.T, strict=True)
        return np.asarray([average_precision(*column) for column in columns])

    @property
    def mean_average_precision(self) -> float:
        """Mean average precision over the labels that photographs have."""
        return float(np.nanmean(self.average_precision))

    @property
    def f1(self) -> np.ndarray:
        """F1 score of each label at a probability of 0.5, (labels,); 0 if it is neither present nor predicted."""
        wanted, given = self.targets > 0, self.probabilities >= THRESHOLD
        sums = wanted.sum(axis=0) + given.sum(axis=0)
        both = 2 * (wanted & given).sum(axis=0)
        return np.asarray(np.divide(both, sums, out=np.zeros(len(self.labels)), where=sums > 0))

    @property
    def mean_f1(self) -> float:
        """Mean F1 score over all labels."""
        return float(self.f1.mean())

    @property
    def metrics(self) -> dict[str, float]:
        """The overall metrics; the first is the one by which the best epoch is chosen."""
        return {"mean_average_precision": self.mean_average_precision, "mean_f1": self.mean_f1}

    @property
    def table(self) -> list[dict[str, Any]]:
        """A human-readable table with a row for each label."""
        return [
            {
                "label": row["label"],
                "images": row["images"],
                "average precision": "-" if row["average_precision"] is None else f"{row['average_precision']:.4f}",
                "F1": f"{row['f1']:.4f}",
            }
            for row in self.to_dict()["per_label"]
        ]

    @property
    def summary(self) -> str:
        """A human-readable summary of one line."""
        return (
            f"mean average precision {self.mean_average_precision:.4f}, mean F1 {self.mean_f1:.4f} of "
            f"{number_of(self.images, 'photograph')}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types; None stands for undefined values."""
        return {
            **self.metrics,
            "images": self.images,
            "class_rule": self.rule,
            "per_label": [
                {
                    "index": index,
                    "label": label,
                    "images": int((self.targets[:, index] > 0).sum()),
                    "average_precision": None if np.isnan(precision) else float(precision),
                    "f1": float(f1),
                }
                for index, (label, precision, f1) in enumerate(
                    zip(self.labels, self.average_precision, self.f1, strict=True)
                )
            ],
        }


@dataclasses.dataclass(frozen=True, eq=False)
class NumberErrors:
    """The outputs of a regression model and their targets.

    Args:
        targets: True values, (photographs, labels).
        answers: Outputs of the model, (photographs, labels).
        labels: Label names in the order of the outputs.
        rule: How annotations were converted to targets.

    Examples:
        >>> NumberErrors(np.array([[10.0], [20.0]]), np.array([[11.0], [18.0]]), ("age",), "by hand").metrics
        {'mean_absolute_error': 1.5}
    """

    targets: np.ndarray
    answers: np.ndarray
    labels: tuple[str, ...]
    rule: str

    @property
    def images(self) -> int:
        """Number of photographs."""
        return len(self.targets)

    @property
    def errors(self) -> np.ndarray:
        """Mean absolute error of each label, (labels,), in the label's own unit."""
        return np.asarray(np.abs(self.targets - self.answers).mean(axis=0))

    @property
    def metrics(self) -> dict[str, float]:
        """The overall metric: the mean over the labels."""
        return {"mean_absolute_error": float(self.errors.mean())}

    @property
    def table(self) -> list[dict[str, Any]]:
        """A human-readable table with a row for each label."""
        rows = zip(self.labels, self.errors, strict=True)
        return [{"label": label, "mean absolute error": f"{error:.4g}"} for label, error in rows]

    @property
    def summary(self) -> str:
        """A human-readable summary of one line."""
        error = self.metrics["mean_absolute_error"]
        return f"mean absolute error {error:.4g} of {number_of(self.images, 'photograph')}"

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        return {
            **self.metrics,
            "images": self.images,
            "class_rule": self.rule,
            "per_label": [
                {"index": index, "label": label, "mean_absolute_error": float(error)}
                for index, (label, error) in enumerate(zip(self.labels, self.errors, strict=True))
            ],
        }
