"""Opens photographs with the annotations that a problem type needs: `metadata.csv`, a list or names of folders."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from swiftformer_tf.config import ProblemType, SwiftFormerConfig
from swiftformer_tf.errors import ImageError
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.labels import LabeledImages, labeled_images, matched_images
from swiftformer_tf.images.metadata import METADATA, Metadata, has_metadata, read_metadata
from swiftformer_tf.images.targets import (
    all_binary,
    all_numbers,
    binary_targets,
    label_targets,
    labels_in,
    number_targets,
    single_labels,
)
from swiftformer_tf.tasks.classification import problem_type as problem_type_of

__all__ = ["labeled_for", "open_annotated"]

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
        return single_labels(metadata, "for several, train with `problem_type='multi_label_classification'`"), kind
    if kind == "multi_label_classification" and len(metadata.columns) == 1 and not all_binary(metadata):
        return label_targets(metadata, labels), kind
    targets = number_targets(metadata) if kind == "regression" else binary_targets(metadata)
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


def _in_order(images: AnnotatedImages, labels: Sequence[str], path: Path) -> AnnotatedImages:
    if len(labels) == len(images.class_names) and list(labels) == [f"LABEL_{i}" for i in range(len(labels))]:
        rule = "order of the columns, since the labels are mere numbers"
        return dataclasses.replace(images, class_names=tuple(labels), rule=rule)
    if sorted(labels) != sorted(images.class_names):
        raise ImageError(f"{path}: columns {', '.join(images.class_names)}: expected {', '.join(labels)}")
    return images.reordered(labels)


def _implied(metadata: Metadata) -> ProblemType:
    """Infers the problem type of a table; an ambiguous table is an error that asks for it."""
    several, binary = len(metadata.columns) > 1, all_binary(metadata)
    if several and binary:
        return "multi_label_classification"
    numeric = all_numbers(metadata)
    if not several and not numeric:
        one_each = all(len(labels_in(row[0])) == 1 for row in metadata.rows)
        return "single_label_classification" if one_each else "multi_label_classification"
    what = f"{len(metadata.columns)} columns" if several else f"one label, {metadata.columns[0]!r},"
    raise ImageError(f"{metadata.path}: {what} of {'numbers' if numeric else 'numbers and text'}; {_ASK}")
