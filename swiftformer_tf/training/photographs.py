"""Photographs and targets for training, for a new model or a trained one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ImageError
from swiftformer_tf.images.annotations import AnnotatedImages, ProblemType
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.metadata import METADATA, has_metadata
from swiftformer_tf.images.targets import open_annotated
from swiftformer_tf.training.models import class_labels

__all__ = ["training_photographs"]

# Names of parts of a data set, which are no classes where train is among them.
SPLITS = {"train", "val", "valid", "validation", "test"}


def training_photographs(
    folder: str | Path, config: SwiftFormerConfig, *, problem_type: ProblemType | None = None
) -> tuple[ImageFolder | AnnotatedImages, SwiftFormerConfig]:
    """Opens photographs with their labels or numbers, and returns a configuration with matching outputs.

    Args:
        folder: Folder with a subfolder per class, or with a `metadata.csv`, see `open_annotated`.
        config: Configuration of the model to start from. If its labels are those of the folder, it keeps their order,
            so that its heads are kept.
        problem_type: The problem type; None takes that of the configuration, or the one implied by the folder.

    Raises:
        ImageError: See `ImageFolder.open` and `open_annotated`; or a single label or numbers without a problem type; or
            the folder contains splits, in subfolders named train and val.
        ConfigError: The problem type is multi-label classification or regression, but the folder has no `metadata.csv`.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (8, 8)).save(Path(folder, "1.png"))
        ...     _ = Path(folder, "metadata.csv").write_text("file_name,age\\n1.png,31.5\\n")
        ...     images, config = training_photographs(folder, SwiftFormerConfig(), problem_type="regression")
        >>> images.targets.tolist(), config.labels, config.problem_type
        ([[31.5]], ('age',), 'regression')
    """
    if has_metadata(folder):
        images, kind = open_annotated(folder, problem_type or config.problem_type)
        said: ProblemType | None = kind
    elif problem_type not in (None, "single_label_classification"):
        raise ConfigError(
            f"{folder}: no {METADATA}; a model with problem_type={problem_type!r} needs one with the answers for "
            "each photograph"
        )
    else:
        images = ImageFolder.open(folder)
        _check_splits(Path(folder), images.class_names)
        # A folder a class says so; of others, the heads learn it anew.
        said = "single_label_classification" if problem_type or config.problem_type else None
    if isinstance(images, ImageFolder):
        images = dataclasses.replace(images, class_names=class_labels(images.class_names))
    if sorted(config.labels) == sorted(images.class_names):
        images = images.reordered(config.labels)
    return images, config.replace(id2label=dict(enumerate(images.class_names)), problem_type=said)


def _check_splits(folder: Path, names: Sequence[str]) -> None:
    """Rejects a folder that contains train and val, which would be learned as classes."""
    if "train" in names and {name.lower() for name in names} <= SPLITS:
        others = [name for name in names if name != "train"]
        validation = f", and {folder / others[-1]} as validation" if others else ""
        raise ImageError(f"{folder}: its classes would be {' and '.join(names)}; give {folder / 'train'}{validation}")
