"""Turns the cells of `metadata.csv` into targets: names of labels, 0 and 1, or numbers."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swiftformer_tf.errors import ImageError
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.metadata import Metadata, has_metadata, read_metadata

__all__ = [
    "all_binary",
    "all_numbers",
    "binary_targets",
    "classes_in",
    "label_targets",
    "labels_in",
    "number_targets",
    "single_labels",
]

_BINARY = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}

_LARGEST = float(np.finfo(np.float32).max)


def classes_in(folder: str | Path) -> ImageFolder:
    """Opens the photographs of a folder with the class of each, whatever labels a model has.

    Reads `metadata.csv` if there is one, and otherwise the names of the subfolders.

    Args:
        folder: Folder of photographs.

    Raises:
        ImageError: The folder does not say the class of each photograph; the message names it.
    """
    if not has_metadata(folder):
        return ImageFolder.open(folder)
    metadata = read_metadata(folder)
    images = single_labels(metadata, "features are evaluated on photographs of one class each")
    for name in images.class_names:
        if len(metadata.columns) == 1 and not name.isdigit() and _number(name, metadata.decimal) is not None:
            raise ImageError(
                f"{metadata.path}: {metadata.columns[0]} has {name!r}, a number; expected names of classes"
            )
    return images


def all_binary(metadata: Metadata) -> bool:
    """Whether each cell is 0 or 1, or false or true."""
    return all(cell.lower() in _BINARY for row in metadata.rows for cell in row)


def all_numbers(metadata: Metadata) -> bool:
    """Whether each cell is a finite number."""
    return all(_number(cell, metadata.decimal) is not None for row in metadata.rows for cell in row)


def _number(cell: str, decimal: str) -> float | None:
    try:
        number = float(cell.replace(decimal, "."))
    except ValueError:
        return None
    return number if abs(number) <= _LARGEST else None


def number_targets(metadata: Metadata) -> np.ndarray:
    """Reads each cell as a number, float32 (photographs, columns).

    Raises:
        ImageError: A cell is no finite number; the message names it.
    """
    numbers = [[_number(cell, metadata.decimal) for cell in row] for row in metadata.rows]
    for index, row in enumerate(numbers):
        for column, number, cell in zip(metadata.columns, row, metadata.rows[index], strict=True):
            if number is None:
                raise ImageError(f"{metadata.where(index, column)}: {cell!r}, expected a number such as 3.5")
    return np.asarray(numbers, np.float32).reshape(len(numbers), len(metadata.columns))


def binary_targets(metadata: Metadata) -> np.ndarray:
    """Reads each cell as 0 or 1, float32 (photographs, columns).

    Raises:
        ImageError: A cell is neither, nor false or true; the message names it.
    """
    for index, row in enumerate(metadata.rows):
        for column, cell in zip(metadata.columns, row, strict=True):
            if cell.lower() not in _BINARY:
                raise ImageError(
                    f"{metadata.where(index, column)}: {cell!r}, expected 0 or 1; for numbers, train with "
                    "`problem_type='regression'`"
                )
    return np.asarray([[_BINARY[cell.lower()] for cell in row] for row in metadata.rows], np.float32)


def labels_in(cell: str) -> list[str]:
    """Parses the labels in a cell: a Python or JSON list, or names with separators."""
    if cell.startswith("["):
        try:
            names = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [cell]
        return [str(name).strip() for name in names]
    return [name.strip() for name in re.split(r"[,;|]", cell) if name.strip()]


def label_targets(metadata: Metadata, labels: Sequence[str] | None) -> AnnotatedImages:
    """Reads the names of labels in the first column, of any number per photograph.

    Args:
        metadata: A table with one column of annotations.
        labels: Labels of the model, in the order of the targets; None takes all names of the table.

    Raises:
        ImageError: A name is missing, or not one of `labels`; or there are no names.
    """
    listed = [labels_in(row[0]) for row in metadata.rows]
    for index, names in enumerate(listed):
        where = metadata.where(index, metadata.columns[0])
        if wrong := [name for name in names if not name or name.startswith("[")]:
            raise ImageError(f"{where}: {wrong[0]!r}, expected names of labels, or a list of them")
        if strange := [name for name in names if labels is not None and name not in labels]:
            raise ImageError(f"{where}: {strange[0]!r} is not one of the model's labels, {', '.join(labels or ())}")
    labels = labels or sorted({name for names in listed for name in names})
    if not labels:
        raise ImageError(f"{metadata.path}: no photograph has a label")
    targets = np.asarray([[label in names for label in labels] for names in listed], np.float32)
    return AnnotatedImages(metadata.photographs, targets, tuple(labels), "names of labels by photograph")


def single_labels(metadata: Metadata, cure: str) -> ImageFolder:
    """Reads one label per photograph: a column of names, or a column per label, exactly one of which is 1.

    Args:
        metadata: The table.
        cure: What to do if a photograph has several, or none; the message ends with it.

    Raises:
        ImageError: A photograph does not have exactly one label; the message names its line.
    """
    if len(metadata.columns) > 1:
        targets = binary_targets(metadata)
        for index in np.flatnonzero(targets.sum(axis=1) != 1)[:1]:
            raise ImageError(
                f"{metadata.path}, line {metadata.lines[index]}: {targets[index].sum():.0f} labels, expected one; "
                f"{cure}"
            )
        return ImageFolder(metadata.photographs, _indices(targets.argmax(axis=1)), metadata.columns)
    names = [row[0] for row in metadata.rows]
    if "" in names:
        raise ImageError(f"{metadata.where(names.index(''), metadata.columns[0])}: empty, expected a label")
    labels = sorted(set(names))
    return ImageFolder(metadata.photographs, _indices([labels.index(name) for name in names]), tuple(labels))


def _indices(values: Sequence[int] | np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
