"""Features: numbers that are meaningful only together, such as embeddings and feature maps."""

import dataclasses
from typing import Any

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ImageError, number_of
from swiftformer_tf.tasks.task import Agreement, Task

__all__ = ["TASK", "Retrieval", "agreement", "check_classes", "cosine", "nearest_others"]

# A file finds each of so many images again; with fewer, chance would.
MIN_IMAGES = 5

# Cosine of two vectors, centered, that are the same but for roundings.
SAME = 1 - 1e-6

# Vectors that are compared with all others at a time: the cosines of 50,000 photographs would take ten gigabytes.
COMPARED_AT_A_TIME = 256


def agreement(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> Agreement:
    """Returns the share of images whose vectors in the file are closest, by cosine, to those of the reference.

    Both sides are first centered by the reference's mean, since what all images have in common identifies none of them.

    Args:
        expected: Outputs of the reference, (images, ...).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> vectors = np.random.default_rng(0).normal(size=(8, 16))
        >>> config = SwiftFormerConfig.from_variant("tiny")
        >>> agreement(vectors, vectors + 0.01, config).share
        1.0
        >>> agreement(vectors, vectors[::-1], config).share
        0.0
    """
    flat = expected.reshape(len(expected), -1)
    mean = flat.mean(axis=0)
    gallery, queries = _unit(flat - mean), _unit(actual.reshape(len(actual), -1) - mean)
    own = gallery @ gallery.T
    # Images with the same vector count once: which of them is found is chance.
    first = (own >= SAME).argmax(axis=1)
    found = first[(queries @ gallery.T).argmax(axis=1)]
    return Agreement(
        share=float(np.mean(found == first)),
        items=len(flat),
        distinct=len(np.unique(first)),
        needed=MIN_IMAGES,
    )


def cosine(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> float | None:
    """Returns the mean over the images of the cosine between their vectors in the file and in the reference.

    An image whose vector in the reference is zero does not count; if all are, the result is None.

    Args:
        expected: Outputs of the reference, (images, ...).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> config = SwiftFormerConfig.from_variant("tiny")
        >>> cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 1.0]]), config).__round__(3)
        0.854
    """
    one, other = (_unit(each.reshape(len(each), -1).astype(np.float64)) for each in (expected, actual))
    cosines = np.sum(one * other, axis=1)[one.any(axis=1)]
    return float(cosines.mean()) if len(cosines) else None


def nearest_others(vectors: np.ndarray) -> np.ndarray:
    """Returns, for each vector, the index of the other one that is nearest to it by cosine.

    Args:
        vectors: (N, n), at least two, of any precision; a zero vector is as near to all others.

    Returns:
        int64 (N,).

    Examples:
        >>> nearest_others(np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])).tolist()
        [2, 2, 0]
    """
    unit = _unit(vectors.astype(np.float64))  # half precision would round the cosines, and overflow in the lengths
    found = []
    for start in range(0, len(unit), COMPARED_AT_A_TIME):
        cosines = unit[start : start + COMPARED_AT_A_TIME] @ unit.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        found.append(cosines.argmax(axis=1))
    return np.concatenate(found)


def check_classes(targets: np.ndarray) -> None:
    """Rejects photographs of which recall would say nothing.

    Args:
        targets: For each photograph, the index of its class, (photographs,).

    Raises:
        ImageError: There is one class alone, or none has two photographs.

    Examples:
        >>> check_classes(np.array([0, 0, 1]))
        >>> check_classes(np.array([0, 0]))
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ImageError: all photographs are of one class, so any of them would be right; add others
    """
    counts = np.bincount(targets)
    if np.count_nonzero(counts) < 2:
        raise ImageError("all photographs are of one class, so any of them would be right; add others")
    if counts.max() < 2:
        raise ImageError("no class has two photographs, so none can be found by another; add photographs")


@dataclasses.dataclass(frozen=True, eq=False)
class Retrieval:
    """How often the photograph that is nearest to another one shows the same class: recall at 1.

    A photograph that is the only one of its class cannot be found, so it is not searched for; it remains among those
    that others may find.

    Args:
        targets: For each photograph, the index of its class, (photographs,).
        nearest: For each photograph, the index of the nearest other one, see `nearest_others`.
        labels: Class names.

    Raises:
        ImageError: See `check_classes`.

    Examples:
        >>> two_cats_and_a_dog = np.array([0, 0, 1])
        >>> retrieval = Retrieval(two_cats_and_a_dog, np.array([1, 2, 0]), ("cat", "dog"))
        >>> retrieval.searched, retrieval.recall_at_1
        (2, 0.5)
    """

    targets: np.ndarray
    nearest: np.ndarray
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_classes(self.targets)

    @property
    def images(self) -> int:
        """Number of photographs."""
        return len(self.targets)

    @property
    def _counts(self) -> np.ndarray:
        return np.bincount(self.targets, minlength=len(self.labels))

    @property
    def _found(self) -> np.ndarray:
        """Number of photographs of each class whose nearest other one has the same class, (labels,)."""
        return np.bincount(self.targets[self.targets[self.nearest] == self.targets], minlength=len(self.labels))

    @property
    def searched(self) -> int:
        """Number of photographs whose class has another one."""
        counts = self._counts
        return int(counts[counts > 1].sum())

    @property
    def recall_at_1(self) -> float:
        """Share of the searched photographs whose nearest other one has the same class."""
        return float(self._found.sum() / self.searched)

    @property
    def metrics(self) -> dict[str, float]:
        """The overall metric."""
        return {"recall_at_1": self.recall_at_1}

    @property
    def table(self) -> list[dict[str, Any]]:
        """A human-readable table with a row for each class."""
        return [
            {
                "label": row["label"],
                "images": row["images"],
                "recall at 1": "-" if row["recall_at_1"] is None else f"{row['recall_at_1']:.2%}",
            }
            for row in self.to_dict()["per_class"]
        ]

    @property
    def summary(self) -> str:
        """A human-readable summary of one line."""
        line = f"recall at 1 {self.recall_at_1:.2%} of {number_of(self.searched, 'photograph')}"
        alone = self.images - self.searched
        return f"{line}; {alone} more without another of the class" if alone else line

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types; None stands for the recall of a class with a single photograph."""
        counts, found = self._counts, self._found
        return {
            **self.metrics,
            "images": self.images,
            "searched": self.searched,
            "classes": len(self.labels),
            "per_class": [
                {
                    "index": index,
                    "label": label,
                    "images": int(counts[index]),
                    "recall_at_1": float(found[index] / counts[index]) if counts[index] > 1 else None,
                }
                for index, label in enumerate(self.labels)
                if counts[index]
            ],
        }


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # infinite ones, which another check names
        return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


TASK = Task(
    name="features",
    activation=lambda config: None,
    heads=lambda config: 0,
    output_name=lambda activation: "features",
    activate=lambda values, activation, config: values,
    agreement=agreement,
    cosine=cosine,
)
