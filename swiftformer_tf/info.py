"""Describes files as plain facts."""

from pathlib import Path
from typing import Any

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.pretrained import weights_path
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import prefix_path
from swiftformer_tf.litert import metadata
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.loading import Opened, open_any
from swiftformer_tf.tasks import CUSTOM_HEAD, TASKS

__all__ = ["describe", "describe_file"]


def describe(opened: Opened) -> dict[str, Any]:
    """Describes a model from `open_any` in plain JSON types.

    Args:
        opened: A Keras model, a TFLite model or a checkpoint.

    Returns:
        `kind`, `variant`, `token_weights`, `parameters`, `image_size`, `num_labels`, `labels`, `transform`, `config`,
        and facts that are specific to its kind.

    Raises:
        ModelError: The TFLite file is damaged.

    Examples:
        >>> from swiftformer_tf import SwiftFormerForImageClassification
        >>> facts = describe(SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=64)))
        >>> facts["kind"], facts["variant"], facts["heads"]
        ('keras', 'tiny', 2)
    """
    if isinstance(opened, Checkpoint):
        tensors = {**opened.tensors, **opened.segmenter}
        own = {
            "scheme": opened.key_layout,
            "token_weights_assumed": opened.token_weights_assumed,
            "parameters": sum(tensor.size for key, tensor in tensors.items() if ".running_" not in key),
            "source": opened.source,
            "notes": list(opened.notes),
        }
        return {"kind": "checkpoint", **_config_facts(opened.model_config, opened.task), **own}
    if isinstance(opened, LiteModel):
        with prefix_path(opened.path):
            return {"kind": "tflite", **_config_facts(opened.config, opened.main_output.task), **_lite_facts(opened)}
    # They import Keras, as what was opened did.
    from swiftformer_tf.pretrained_model import config_of
    from swiftformer_tf.variables import count_parameters

    return {
        "kind": "keras",
        **_config_facts(config_of(opened), getattr(opened, "task", CUSTOM_HEAD)),
        "parameters": count_parameters(opened),
        "dtype": opened.dtype_policy.name,
    }


def describe_file(path: str | Path, *, weights: str | None = None) -> dict[str, Any]:
    """Describes a file or folder, as `swiftformer-tf info` does.

    Args:
        path: A checkpoint, a `.keras` or a `.tflite` file, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        weights: Which of several sets of weights in a checkpoint, see `Checkpoint.open`.

    Returns:
        The facts from `describe`, and `bytes`, the size of the file or of all files in the folder.

    Raises:
        ModelError: The `.keras` or `.tflite` file cannot be used.
        CheckpointError: See `Checkpoint.open`.

    Examples:
        >>> facts = describe_file("swiftformer_xs_imagenette")
        >>> facts["kind"], facts["variant"], facts["num_labels"]
        ('checkpoint', 'xs', 10)
    """
    found = weights_path(path)
    facts = describe(open_any(found, weights=weights))
    files = [each for each in found.iterdir() if each.is_file()] if found.is_dir() else [found]
    return {**facts, "bytes": sum(each.stat().st_size for each in files)}


def _config_facts(config: SwiftFormerConfig, task: str) -> dict[str, Any]:
    return {
        "variant": config.variant or "non-standard",
        "depths": list(config.depths),
        "embed_dims": list(config.embed_dims),
        "token_weights": config.token_weights,
        "heads": TASKS[task].heads(config),
        "image_size": list(config.input_size),
        "num_labels": config.num_labels,
        "labels": list(config.labels),
        "problem_type": config.problem_type,
        "transform": config.transform.to_dict(),
        "config": config.to_dict(),
    }


def _lite_facts(lite: LiteModel) -> dict[str, Any]:
    inspection = inspect_model(lite)
    told = metadata.read(lite.content)
    return {
        "recipe": lite.recipe.name,
        "input": f"{inspection.input_type.lower()}, "
        + ("pixels 0 to 255" if lite.include_preprocessing else "normalized"),
        "output": f"{inspection.output_type.lower()}, {lite.answers}",
        "outputs": {each.name: f"{each.task} {' x '.join(map(str, each.shape))}" for each in lite.outputs},
        "signature": {name: " to ".join(map(",".join, names)) for name, names in inspection.signatures.items()},
        "ops": inspection.counts,
        "partitions": LiteRunner(lite).partitions,
        "min_runtime_version": metadata.min_runtime_version(lite.content),
        "metadata": None if told is None else metadata.summary(told),
        "bytes": len(lite.content),
        "sha256": lite.sha256,
    }
