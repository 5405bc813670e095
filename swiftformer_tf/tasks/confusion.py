"""A confusion matrix as it is drawn."""

import dataclasses

import numpy as np

__all__ = ["ConfusionMatrix"]


@dataclasses.dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Counts of answers by right class, and the texts of their plot.

    Args:
        counts: int64 (labels, labels): counts by right class (rows) and answered class (columns).
        labels: Names of the classes.
        title: Title of the plot.
        answered: Label of the horizontal axis.
        right: Label of the vertical axis.
    """

    counts: np.ndarray
    labels: tuple[str, ...]
    title: str
    answered: str
    right: str
