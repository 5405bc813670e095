"""Maps the variables of Keras models to the names and shapes of tensors in checkpoints."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from swiftformer_tf.checkpoints import Checkpoint, KeyLayoutName
from swiftformer_tf.checkpoints.selection import SEGMENTER
from swiftformer_tf.checkpoints.tensor_specs import compare
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.layer_settings import is_changed, merged_weights, named_layers
from swiftformer_tf.segmentation_heads import FEATURE_NORM

__all__ = ["assign_head", "assign_tensors", "backbone_of", "canonical_name", "checkpoint_of", "count_parameters"]

# The last part of a variable's name in Keras, and in PyTorch.
LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "scale": "gamma",
    "w_g": "w_g",
}

# Axes of a kernel in Keras, listed in PyTorch's order.
DENSE = (1, 0)
CONVOLUTION = (3, 2, 0, 1)
DEPTHWISE = (2, 3, 0, 1)


# Prefixes of the names of the backbone's own variables, and of those that follow it in a classifier.
BACKBONE = ("stem", "stages-")
CLASSIFIER = ("norm.", "head.", "head_dist.")


def assign_tensors(model: keras.Model, tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Assigns all tensors of a checkpoint to a model, and a tensor to every variable.

    Args:
        model: A model of this package; modified in place.
        tensors: Tensors by canonical name, in PyTorch's shapes.

    Returns:
        The name of the tensor for the path of each variable.

    Raises:
        CheckpointError: A tensor or variable has no counterpart, or one of a different shape; the message lists both
            sides, and the model is unchanged.
    """
    variables = _by_canonical_name(model)
    compare(
        {key: tensor.shape for key, tensor in tensors.items()},
        {key: _to_torch(variable.path, np.empty(variable.shape)).shape for key, variable in variables.items()},
    )
    for key, variable in variables.items():
        variable.assign(_to_keras(variable.path, tensors[key]))
    return {variable.path: key for key, variable in variables.items()}


def assign_head(model: keras.Model, tensors: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Assigns the tensors of another segmenter's head to a segmenter, as far as they fit.

    None fits if they read normalized maps and this head does not.

    Args:
        model: A segmenter; modified in place.
        tensors: Tensors by mmsegmentation's names, in PyTorch's shapes.

    Returns:
        Paths of the variables without a tensor of the same shape, which are unchanged.

    Raises:
        CheckpointError: Every variable has a tensor but there are further ones, so that the other head computes
            something different.
    """
    variables = {key: each for key, each in _by_canonical_name(model).items() if key.startswith(SEGMENTER)}
    is_fit = not any(key.startswith(FEATURE_NORM) for key in tensors.keys() - variables.keys())
    new = []
    for key, variable in variables.items():
        tensor = tensors.get(key) if is_fit else None
        if tensor is None or _to_torch(variable.path, np.empty(variable.shape)).shape != tensor.shape:
            new.append(variable.path)
    if not new and (more := sorted(set(tensors) - set(variables))):
        raise CheckpointError(f"unexpected in the head ({len(more)}): {', '.join(more[:3])}")
    for key, variable in variables.items():
        if variable.path not in new:
            variable.assign(_to_keras(variable.path, tensors[key]))
    return tuple(new)


def checkpoint_of(
    model: keras.Model, config: SwiftFormerConfig, *, key_layout: KeyLayoutName = "timm", backbone_only: bool = False
) -> Checkpoint:
    """Returns the weights of a model as a checkpoint; for a segmenter, those of its backbone and, separately, its head.

    Args:
        model: A model of this package; LoRA weights are merged into the kernels.
        config: Configuration of the model.
        key_layout: The key layout that the checkpoint's `save` uses by default.
        backbone_only: Whether variables of other layers are left out, whatever their names are.

    Raises:
        ModelError: The model was quantized by Keras.
        CheckpointError: The weights are not finite.
    """
    kernels = {f"{path}/kernel": merged_weights(layer)[0] for path, layer in named_layers(model) if is_changed(layer)}
    tensors = {
        key: _to_torch(variable.path, kernels.get(variable.path, variable.numpy()).astype(np.float32))
        for key, variable in _by_canonical_name(model, BACKBONE if backbone_only else ("",)).items()
    }
    segmenter = {key: tensors.pop(key) for key in [*tensors] if key.startswith(SEGMENTER)}
    labels, colors = (config.id2label, config.label_colors) if segmenter else ({}, ())
    if "head.weight" not in tensors:
        config = config.replace(id2label={})
    return Checkpoint(
        tensors=tensors,
        config=config,
        key_layout=key_layout,
        source=model.name,
        segmenter=segmenter,
        segmenter_labels=labels,
        segmenter_colors=colors,
    )


def backbone_of(checkpoint: Checkpoint) -> Checkpoint:
    """Returns a checkpoint without what follows the last stage: normalization and heads."""
    tensors = {key: tensor for key, tensor in checkpoint.tensors.items() if not key.startswith(CLASSIFIER)}
    bare = checkpoint.config.replace(id2label={})
    return dataclasses.replace(
        checkpoint, tensors=tensors, config=bare, segmenter={}, segmenter_labels={}, segmenter_colors=()
    )


def count_parameters(model: keras.Model) -> int:
    """Number of parameters as PyTorch counts them.

    That is without BatchNorm's statistics, with what is frozen and with a `w_g` that `uniform` does not train.
    """
    return sum(int(np.prod(each.shape)) for each in model.weights if "/moving_" not in each.path)


def canonical_name(path: str) -> str:
    """Returns the name of a Keras variable in a checkpoint.

    Args:
        path: `keras.Variable.path` in a model of this package.

    Raises:
        CheckpointError: No SwiftFormer has such a variable.

    Examples:
        >>> canonical_name("stages-0-blocks-2/attn/to_query/kernel")
        'stages.0.blocks.2.attn.to_query.weight'
    """
    *modules, leaf = path.replace("-", "/").split("/")
    if leaf not in LEAVES:
        raise CheckpointError(f"{path}: not the name of a checkpoint's tensor; expected one of {', '.join(LEAVES)}")
    return ".".join([*modules, LEAVES[leaf]])


def _by_canonical_name(model: keras.Model, beginnings: tuple[str, ...] = ("",)) -> dict[str, keras.Variable]:
    variables: dict[str, keras.Variable] = {}
    for variable in model.weights:
        if "/lora_kernel_" in variable.path or not variable.path.startswith(beginnings):
            continue
        key = canonical_name(variable.path)
        if key in variables:
            raise CheckpointError(f"{variables[key].path} and {variable.path} would both be {key}")
        variables[key] = variable
    return variables


def _axes(path: str, rank: int) -> tuple[int, ...]:
    """The axes of a Keras variable in PyTorch's order."""
    if path.endswith("/kernel"):
        return DENSE if rank == 2 else DEPTHWISE if path.endswith("/dwconv/kernel") else CONVOLUTION
    return tuple(range(rank))


def _to_torch(path: str, value: np.ndarray) -> np.ndarray:
    moved = np.ascontiguousarray(value.transpose(_axes(path, value.ndim)))
    return moved.reshape(-1, 1, 1) if path.endswith("/scale") else moved


def _to_keras(path: str, tensor: np.ndarray) -> np.ndarray:
    if path.endswith("/scale"):
        return tensor.reshape(-1)
    return tensor.transpose(np.argsort(_axes(path, tensor.ndim)))
