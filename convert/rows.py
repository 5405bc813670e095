"""The rows of `parity.py`'s tables, and which of them pass; without PyTorch, so that the tests can see them fail."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from comparing import CONTROL, OTHER, THRESHOLD, error

from swiftformer_tf.config import TokenWeights

# At each size, by attention type.
Logits = dict[TokenWeights, list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One row of the first table: a variant under one key layout and attention type.

    Args:
        variant: Its name.
        key_layout: The checkpoint's key layout.
        token_weights: The attention type.
        logits: Error against the reference.
        odd_size: The same at a size that no stage divides evenly.
        hidden_states: The worst of them.
        blocks: The worst of the layers, each on the reference's own input.
        wrong: Error of the other attention type against the reference.
        back: Error of the reference with the file that we write.
    """

    variant: str
    key_layout: str
    token_weights: str
    logits: float
    odd_size: float
    hidden_states: float
    blocks: float
    wrong: float
    back: float

    @property
    def passed(self) -> bool:
        measured = (self.logits, self.odd_size, self.hidden_states, self.blocks)
        return max(measured) <= THRESHOLD and self.wrong >= CONTROL and self.back == 0


@dataclasses.dataclass(frozen=True)
class FileCase:
    """One row of the second table: a format or memory layout.

    Args:
        file: Its name.
        holds: What is special in it.
        logits: Error against the reference, which reads the same file with PyTorch.
    """

    file: str
    holds: str
    logits: float

    @property
    def passed(self) -> bool:
        return self.logits <= THRESHOLD


@dataclasses.dataclass(frozen=True)
class BackendCase:
    """One row of the third table: a backend under one attention type.

    Args:
        backend: As `KERAS_BACKEND` has it, and its version.
        token_weights: The attention type.
        logits: Error against the reference.
        odd_size: The same at a size that no stage divides evenly.
        tensorflow: Error against Keras on TensorFlow; the worse of both sizes.
        wrong: Error of the other attention type on this backend against the reference.
    """

    backend: str
    token_weights: str
    logits: float
    odd_size: float
    tensorflow: float
    wrong: float

    @property
    def passed(self) -> bool:
        return max(self.logits, self.odd_size, self.tensorflow) <= THRESHOLD and self.wrong >= CONTROL


@dataclasses.dataclass(frozen=True)
class FolderCase:
    """One row of the fourth table: a way to write a folder, and the library that loads it.

    Args:
        layout: The folder's layout.
        written: What wrote it.
        logits: Error of the Keras model's logits against those of the library's model.
        wrong: The same with the Keras model of the other attention type.
        back: Error of the library's model against the one whose weights they are.
        labels: Whether the library finds the labels' names.
    """

    layout: str
    written: str
    logits: float
    wrong: float
    back: float
    labels: bool

    @property
    def passed(self) -> bool:
        return self.logits <= THRESHOLD and self.wrong >= CONTROL and self.back == 0 and self.labels


@dataclasses.dataclass(frozen=True)
class FormCase:
    """One row of the fifth table: a form in which people have a checkpoint.

    Args:
        file: Its name.
        written: What wrote it.
        read: What was taken of it.
        logits: Error against the model that it holds.
    """

    file: str
    written: str
    read: str
    logits: float

    @property
    def passed(self) -> bool:
        return self.logits <= THRESHOLD


def backend_rows(backend: str, ours: Logits, on_tensorflow: Logits, expected: Logits) -> Iterator[BackendCase]:
    """A row for each attention type, from Keras's logits on this backend and on TensorFlow, and the references'."""
    for kind, other in OTHER.items():
        yield BackendCase(
            backend=backend,
            token_weights=kind,
            logits=error(ours[kind][0], expected[kind][0]),
            odd_size=error(ours[kind][1], expected[kind][1]),
            tensorflow=max(map(error, ours[kind], on_tensorflow[kind])),
            wrong=error(ours[other][0], expected[kind][0]),
        )


def folder_row(
    layout: str,
    written: str,
    ours: np.ndarray,
    wrong: np.ndarray,
    *,
    theirs: np.ndarray,
    expected: np.ndarray,
    labels: bool,
) -> FolderCase:
    """A row, from logits: of the Keras models of both attention types, of the library's model of the folder, and of the
    model whose weights they are."""
    return FolderCase(layout, written, error(ours, theirs), error(wrong, theirs), error(theirs, expected), labels)
