"""Opens photographs with the targets in their `metadata.csv`: names of labels, 0 and 1, or numbers."""

import ast
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swiftformer_tf.errors import ImageError
from swiftformer_tf.images.annotations import AnnotatedImages, ProblemType
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.metadata import Metadata, has_metadata, read_metadata

__all__ = ["classes_in", "open_annotated"]

_BINARY = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}

_LARGEST = float(np.finfo(np.float32).max)

_ASK = "say what they mean with `problem_type`: multi_label_classification, regression or single_label_classification"


def open_annotated(
    folder: str | Path, problem_type: ProblemType | None = None, *, labels: Sequence[str] | None = None
) -> tuple[AnnotatedImages | ImageFolder, ProblemType]:
    """Opens photographs with the annotations in their `metadata.csv`, as targets for a problem type.

    * `multi_label_classification`: one column per label, with 0 or 1 (or false and true); or a single column with the
      names of the labels that apply, separated by commas, semicolons or `|`, or as a list `["rust", "crack"]`.
    * `regression`: one column of numbers per label.
    * `single_label_classification`: a single column with the name of the label, or one column per label, exactly one of
      which is 1.

    Args:
        folder: Folder with the photographs and `metadata.csv`.
        problem_type: Problem type of the model; None infers it from the table.
        labels: Labels of the model, which determine the order of the targets; None takes the labels of the table.
            Placeholder labels (`LABEL_0`, ...) are matched to columns in the order of the table.

    Returns:
        The photographs and the problem type.

    Raises:
        ImageError: See `read_metadata`; or a cell is invalid (the message names its line and column), the labels differ
            from the model's, or the table is ambiguous.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (8, 8)).save(Path(folder, "1.png"))
        ...     _ = Path(folder, "metadata.csv").write_text("file_name,rust,crack\\n1.png,1,0\\n")
        ...     images, implied = open_annotated(folder)
        >>> implied, images.class_names, images.targets.tolist()
        ('multi_label_classification', ('rust', 'crack'), [[1.0, 0.0]])
    """
    metadata = read_metadata(folder)
    kind = problem_type or _implied(metadata)
    if kind == "single_label_classification":
        return _single_labels(metadata, "for several, train with `problem_type='multi_label_classification'`"), kind
    if kind == "multi_label_classification" and len(metadata.columns) == 1 and not _all_binary(metadata):
        return _label_targets(metadata, labels), kind
    targets = _number_targets(metadata) if kind == "regression" else _binary_targets(metadata)
    images = AnnotatedImages(metadata.photographs, targets, metadata.columns, "columns are labels")
    return (images if labels is None else _in_order(images, labels, metadata.path)), kind


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
    images = _single_labels(metadata, "features are evaluated on photographs of one class each")
    for name in images.class_names:
        if len(metadata.columns) == 1 and not name.isdigit() and _number(name, metadata.decimal) is not None:
            raise ImageError(
                f"{metadata.path}: {metadata.columns[0]} has {name!r}, a number; expected names of classes"
            )
    return images


def _all_binary(metadata: Metadata) -> bool:
    """Whether each cell is 0 or 1, or false or true."""
    return all(cell.lower() in _BINARY for row in metadata.rows for cell in row)


def _all_numbers(metadata: Metadata) -> bool:
    """Whether each cell is a finite number."""
    return all(_number(cell, metadata.decimal) is not None for row in metadata.rows for cell in row)


def _number(cell: str, decimal: str) -> float | None:
    try:
        number = float(cell.replace(decimal, "."))
    except ValueError:
        return None
    return number if abs(number) <= _LARGEST else None


def _number_targets(metadata: Metadata) -> np.ndarray:
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


def _binary_targets(metadata: Metadata) -> np.ndarray:
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


def _names_in(cell: str) -> list[str]:
    """Parses the labels in a cell: a Python or JSON list, or names with separators."""
    if cell.startswith("["):
        try:
            names = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [cell]
        return [str(name).strip() for name in names]
    return [name.strip() for name in re.split(r"[,;|]", cell) if name.strip()]


def _label_targets(metadata: Metadata, labels: Sequence[str] | None) -> AnnotatedImages:
    """Reads the names of labels in the first column, of any number per photograph.

    Args:
        metadata: A table with one column of annotations.
        labels: Labels of the model, in the order of the targets; None takes all names of the table.

    Raises:
        ImageError: A name is missing, or not one of `labels`; or there are no names.
    """
    listed = [_names_in(row[0]) for row in metadata.rows]
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


def _single_labels(metadata: Metadata, cure: str) -> ImageFolder:
    """Reads one label per photograph: a column of names, or a column per label, exactly one of which is 1.

    Args:
        metadata: The table.
        cure: What to do if a photograph has several, or none; the message ends with it.

    Raises:
        ImageError: A photograph does not have exactly one label; the message names its line.
    """
    if len(metadata.columns) > 1:
        targets = _binary_targets(metadata)
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


def _in_order(images: AnnotatedImages, labels: Sequence[str], path: Path) -> AnnotatedImages:
    if len(labels) == len(images.class_names) and list(labels) == [f"LABEL_{i}" for i in range(len(labels))]:
        rule = "order of the columns, since the labels are mere numbers"
        return dataclasses.replace(images, class_names=tuple(labels), rule=rule)
    if sorted(labels) != sorted(images.class_names):
        raise ImageError(f"{path}: columns {', '.join(images.class_names)}: expected {', '.join(labels)}")
    return images.reordered(labels)


def _implied(metadata: Metadata) -> ProblemType:
    """Infers the problem type of a table; an ambiguous table is an error that asks for it."""
    several, binary = len(metadata.columns) > 1, _all_binary(metadata)
    if several and binary:
        return "multi_label_classification"
    numeric = _all_numbers(metadata)
    if not several and not numeric:
        one_each = all(len(_names_in(row[0])) == 1 for row in metadata.rows)
        return "single_label_classification" if one_each else "multi_label_classification"
    what = f"{len(metadata.columns)} columns" if several else f"one label, {metadata.columns[0]!r},"
    raise ImageError(f"{metadata.path}: {what} of {'numbers' if numeric else 'numbers and text'}; {_ASK}")
