"""Photographs to learn from, with what is right of them, for a new model or one that has learned before."""

import dataclasses
from pathlib import Path

from swiftformer_tf.config import ProblemType, SwiftFormerConfig
from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.metadata import METADATA
from swiftformer_tf.tasks.annotations import has_metadata, open_annotated
from swiftformer_tf.training.models import class_labels

__all__ = ["training_photographs"]


def training_photographs(
    folder: str | Path, config: SwiftFormerConfig, *, problem_type: ProblemType | None = None
) -> tuple[ImageFolder | AnnotatedImages, SwiftFormerConfig]:
    """Photographs with their labels or numbers, and a configuration whose outputs are these.

    Args:
        folder: With a subfolder a class, or with a `metadata.csv`, see `open_annotated`.
        config: Of the model to start from. Where its labels are those of the folder, their order wins, so that its
            heads are kept.
        problem_type: What the labels mean; None takes the configuration's, or what the folder implies.

    Raises:
        ImageError: As `ImageFolder.open` and `open_annotated`: one label or numbers without a problem type too.
        ConfigError: Several labels or numbers, and a folder that has no `metadata.csv`.

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
        raise ConfigError(f"{folder}: no {METADATA}, which says what is right to a model of {problem_type}")
    else:
        images = ImageFolder.open(folder)
        # A folder a class says so; of others, the heads learn it anew.
        said = "single_label_classification" if problem_type or config.problem_type else None
    if isinstance(images, ImageFolder):
        images = dataclasses.replace(images, class_names=class_labels(images.class_names))
    if sorted(config.labels) == sorted(images.class_names):
        images = images.reordered(config.labels)
    return images, config.replace(id2label=dict(enumerate(images.class_names)), problem_type=said)
