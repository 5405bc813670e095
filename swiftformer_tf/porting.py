"""Weights into Keras models and out of them, every tensor and every variable accounted for."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from swiftformer_tf.checkpoints import Checkpoint, SchemeName
from swiftformer_tf.checkpoints.tensor_specs import compare
from swiftformer_tf.errors import CheckpointError, ModelError
from swiftformer_tf.layer_settings import is_changed, merged_weights, named_layers
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel

__all__ = ["Ported", "port", "to_checkpoint"]

# Keras's last name of a variable, and PyTorch's.
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


@dataclasses.dataclass(frozen=True)
class Ported:
    """A model with a checkpoint's weights.

    Args:
        model: A `SwiftFormerForImageClassification`; a `SwiftFormerModel` where the checkpoint ends with the last
            stage, without the classifier's normalisation.
        sources: Name in the checkpoint by the variable's path in the model, for every variable.

    Examples:
        >>> from swiftformer_tf import PRETRAINED
        >>> ported = port(Checkpoint.open(PRETRAINED["swiftformer_xs_imagenette"]))
        >>> ported.model.config.variant, len(ported.sources) == len(ported.model.weights)
        ('xs', True)
    """

    model: SwiftFormerForImageClassification | SwiftFormerModel
    sources: Mapping[str, str]


def port(checkpoint: Checkpoint, *, dtype: Any = None) -> Ported:
    """A Keras model that computes what the PyTorch model did.

    Args:
        checkpoint: Weights and their configuration.
        dtype: Keras precision or policy of the model; default is Keras's global policy.

    Raises:
        CheckpointError: A tensor or a variable has no partner, or another shape; lists both sides.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> port(to_checkpoint(model)).sources["stages-0-blocks-1/attn/w_g"]
        'stages.0.blocks.1.attn.w_g'
    """
    kind = SwiftFormerForImageClassification if checkpoint.has_final_norm else SwiftFormerModel
    model = kind(checkpoint.config, dtype=dtype)
    variables = _by_canonical_name(model)
    compare(
        {key: tensor.shape for key, tensor in checkpoint.tensors.items()},
        {key: _to_torch(variable.path, np.empty(variable.shape)).shape for key, variable in variables.items()},
    )
    for key, variable in variables.items():
        variable.assign(_to_keras(variable.path, checkpoint.tensors[key]))
    return Ported(model, {variable.path: key for key, variable in variables.items()})


def to_checkpoint(model: keras.Model, *, scheme: SchemeName = "timm") -> Checkpoint:
    """The weights of a model as a checkpoint, with the configuration that the model carries.

    What `port` put in comes out bit by bit; a dead `w_g` is among it. LoRA is merged into the kernels.

    Args:
        model: A `SwiftFormerForImageClassification` or `SwiftFormerModel`.
        scheme: Names that the checkpoint's `save` uses by default.

    Raises:
        ModelError: Another kind of model, or one that Keras quantized.
        CheckpointError: Its weights are not finite.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> to_checkpoint(model).tensors["head.weight"].shape
        (1000, 20)
    """
    if not isinstance(model, (SwiftFormerForImageClassification, SwiftFormerModel)):
        raise ModelError(
            f"{model.name}: a {type(model).__name__}, expected a SwiftFormerForImageClassification or "
            "SwiftFormerModel; weights come out of the model before it was fused, and a copy is "
            "type(model).from_config(model.get_config()), not keras.models.clone_model(model)"
        )
    config = model.config
    if isinstance(model, SwiftFormerModel):
        config = config.replace(id2label={})
    kernels = {f"{path}/kernel": merged_weights(layer)[0] for path, layer in named_layers(model) if is_changed(layer)}
    tensors = {
        key: _to_torch(variable.path, kernels.get(variable.path, variable.numpy()).astype(np.float32))
        for key, variable in _by_canonical_name(model).items()
    }
    return Checkpoint(tensors=tensors, config=config, scheme=scheme, source=model.name)


def canonical_name(path: str) -> str:
    """The checkpoint's name of a Keras variable.

    Args:
        path: `keras.Variable.path` in a model of this package.

    Raises:
        CheckpointError: A variable that no SwiftFormer has.

    Examples:
        >>> canonical_name("stages-0-blocks-2/attn/to_query/kernel")
        'stages.0.blocks.2.attn.to_query.weight'
    """
    *modules, leaf = path.replace("-", "/").split("/")
    if leaf not in LEAVES:
        raise CheckpointError(f"{path}: no tensor of a checkpoint is called so; expected one of {', '.join(LEAVES)}")
    return ".".join([*modules, LEAVES[leaf]])


def _by_canonical_name(model: keras.Model) -> dict[str, keras.Variable]:
    variables: dict[str, keras.Variable] = {}
    for variable in model.weights:
        if "/lora_kernel_" in variable.path:
            continue
        key = canonical_name(variable.path)
        if key in variables:
            raise CheckpointError(f"{variables[key].path} and {variable.path} would both be {key}")
        variables[key] = variable
    return variables


def _axes(path: str, rank: int) -> tuple[int, ...]:
    """Axes of the variable in Keras, in PyTorch's order."""
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
