"""Opens photographs with what is right for each: from `metadata.csv`, a list, or the names of folders."""

import ast
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swiftformer_tf.config import ProblemType, SwiftFormerConfig
from swiftformer_tf.errors import ImageError
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.labels import LabeledImages, labeled_images, matched_images
from swiftformer_tf.images.metadata import METADATA, Metadata, read_metadata
from swiftformer_tf.tasks.classification import problem_type as problem_type_of

__all__ = ["classes_in", "has_metadata", "labeled_for", "open_annotated"]

_YES_OR_NO = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}

_LARGEST = float(np.finfo(np.float32).max)

_ASK = "say what they mean with `problem_type`: multi_label_classification, regression or single_label_classification"


def has_metadata(folder: str | Path) -> bool:
    """Whether a folder has a `metadata.csv` with annotations of its photographs.

    Raises:
        ImageError: It has none, but one of its subfolders has, or there is a `metadata.jsonl` instead.
    """
    root = Path(folder)
    if (root / METADATA).is_file():
        return True
    if below := sorted(root.glob(f"*/{METADATA}")):
        raise ImageError(
            f"{root}: has no {METADATA}, but {below[0]} is one; give its folder, or if the subfolders are the "
            "classes, move it away"
        )
    if (lines := root / "metadata.jsonl").is_file():
        raise ImageError(
            f"{lines}: not supported; pandas.read_json({str(lines)!r}, lines=True).to_csv({str(root / METADATA)!r}, "
            "index=False) converts it; if the subfolders are the classes, move it away"
        )
    return False


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
        return _single(metadata, "for several, train with `problem_type='multi_label_classification'`"), kind
    if kind == "multi_label_classification" and len(metadata.columns) == 1 and not _all_yes_or_no(metadata):
        return _listed(metadata, labels), kind
    targets = _numbers(metadata) if kind == "regression" else _binary(metadata)
    images = AnnotatedImages(metadata.photographs, targets, metadata.columns, "columns are labels")
    return (images if labels is None else _in_order(images, labels, metadata.path)), kind


def labeled_for(
    config: SwiftFormerConfig, folder: str | Path, *, label_file: str | Path | None = None
) -> LabeledImages | AnnotatedImages:
    """Opens the labeled photographs of a folder in the form that `evaluate` needs for a model.

    Reads `metadata.csv` if there is one, and otherwise calls `labeled_images`.

    Args:
        config: Configuration of the model: labels and problem type.
        folder: Folder of photographs.
        label_file: See `labeled_images`; overrides `metadata.csv`.

    Raises:
        ImageError: The folder does not contain the annotations that the model needs; the message names it.
    """
    kind = problem_type_of(config)
    if label_file is None and has_metadata(folder):
        images, _ = open_annotated(folder, kind, labels=config.labels)
        return images if isinstance(images, AnnotatedImages) else matched_images(images, config.labels)
    if kind != "single_label_classification":
        raise ImageError(
            f"{folder}: no {METADATA}; a model with problem_type={kind!r} needs one with the answers for each "
            "photograph"
        )
    return labeled_images(folder, config.labels, label_file=label_file)


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
    images = _single(metadata, "features are evaluated on photographs of one class each")
    for name in images.class_names:
        if len(metadata.columns) == 1 and not name.isdigit() and _number(name, metadata.decimal) is not None:
            raise ImageError(
                f"{metadata.path}: {metadata.columns[0]} has {name!r}, a number; expected names of classes"
            )
    return images


def _in_order(images: AnnotatedImages, labels: Sequence[str], path: Path) -> AnnotatedImages:
    if len(labels) == len(images.class_names) and list(labels) == [f"LABEL_{i}" for i in range(len(labels))]:
        rule = "order of the columns, since the labels are mere numbers"
        return dataclasses.replace(images, class_names=tuple(labels), rule=rule)
    if sorted(labels) != sorted(images.class_names):
        raise ImageError(f"{path}: columns {', '.join(images.class_names)}: expected {', '.join(labels)}")
    return images.reordered(labels)


def _implied(metadata: Metadata) -> ProblemType:
    """Infers the problem type of a table; an ambiguous table is an error that asks for it."""
    several, binary = len(metadata.columns) > 1, _all_yes_or_no(metadata)
    if several and binary:
        return "multi_label_classification"
    numeric = all(_number(cell, metadata.decimal) is not None for row in metadata.rows for cell in row)
    if not several and not numeric:
        one_each = all(len(_names(row[0])) == 1 for row in metadata.rows)
        return "single_label_classification" if one_each else "multi_label_classification"
    what = f"{len(metadata.columns)} columns" if several else f"one label, {metadata.columns[0]!r},"
    raise ImageError(f"{metadata.path}: {what} of {'numbers' if numeric else 'numbers and text'}; {_ASK}")


def _all_yes_or_no(metadata: Metadata) -> bool:
    return all(cell.lower() in _YES_OR_NO for row in metadata.rows for cell in row)


def _number(cell: str, decimal: str) -> float | None:
    try:
        number = float(cell.replace(decimal, "."))
    except ValueError:
        return None
    return number if abs(number) <= _LARGEST else None


def _numbers(metadata: Metadata) -> np.ndarray:
    numbers = [[_number(cell, metadata.decimal) for cell in row] for row in metadata.rows]
    for index, row in enumerate(numbers):
        for column, number, cell in zip(metadata.columns, row, metadata.rows[index], strict=True):
            if number is None:
                raise ImageError(f"{metadata.where(index, column)}: {cell!r}, expected a number such as 3.5")
    return np.asarray(numbers, np.float32).reshape(len(numbers), len(metadata.columns))


def _binary(metadata: Metadata) -> np.ndarray:
    for index, row in enumerate(metadata.rows):
        for column, cell in zip(metadata.columns, row, strict=True):
            if cell.lower() not in _YES_OR_NO:
                raise ImageError(
                    f"{metadata.where(index, column)}: {cell!r}, expected 0 or 1; for numbers, train with "
                    "`problem_type='regression'`"
                )
    return np.asarray([[_YES_OR_NO[cell.lower()] for cell in row] for row in metadata.rows], np.float32)


def _names(cell: str) -> list[str]:
    """Parses the labels in a cell: a Python or JSON list, or names with separators."""
    if cell.startswith("["):
        try:
            names = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [cell]
        return [str(name).strip() for name in names]
    return [name.strip() for name in re.split(r"[,;|]", cell) if name.strip()]


def _listed(metadata: Metadata, labels: Sequence[str] | None) -> AnnotatedImages:
    listed = [_names(row[0]) for row in metadata.rows]
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


def _single(metadata: Metadata, cure: str) -> ImageFolder:
    if len(metadata.columns) > 1:
        targets = _binary(metadata)
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
