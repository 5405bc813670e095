"""The folded form of each block: the same function with all constants folded into the matrices, and all tensors 4-D.

Every folding is exact in real arithmetic; only the order of float32 roundings changes.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from swiftformer_tf.layer_settings import merged_weights
from swiftformer_tf.layers import ConvEncoder, Downsample, EfficientAdditiveAttention, Encoder, LayerScale, Mlp, Stem
from swiftformer_tf.layers.activations import activation

__all__ = [
    "BLOCKS",
    "PARTS",
    "Affine",
    "Lazy",
    "Name",
    "Pooled",
    "Weights",
    "average",
    "convolved",
    "dense",
    "folded",
    "norm_of",
    "normalized",
    "pool",
    "tensor_of",
    "upsampled",
    "weights_of",
]

# The layers of a SwiftFormer's functional graph, and the layers inside these blocks.
BLOCKS = (Stem, Downsample, ConvEncoder, Encoder)
PARTS = (EfficientAdditiveAttention, LayerScale, Mlp)

# PyTorch's clamp of an L2 norm, squared.
MIN_SQUARE = 1e-24

# Returns a name that no layer of the graph has yet.
Name = Callable[[str], str]

# A layer's kernel in Keras's layout and its bias, in float64.
Weights = list[np.ndarray]


class Lazy:
    """A tensor that is not computed yet, since later operations may absorb it.

    Attributes:
        tensor: The tensor, computed once, however many layers read it.
    """

    tensor: Any


@dataclasses.dataclass(eq=False)
class Affine(Lazy):
    """A tensor to be scaled and shifted by channel; not computed yet, since the next layer may absorb scale and shift.

    Args:
        source: The tensor, 4-D.
        scale: float64 (C,).
        shift: float64 (C,).
        write: Function that computes the tensor.
    """

    source: Any
    scale: np.ndarray
    shift: np.ndarray
    write: Callable[[Any], Any]

    @functools.cached_property
    def tensor(self) -> Any:
        return self.write(self)


@dataclasses.dataclass(eq=False)
class Pooled(Affine):
    """A vector (B, C) that comes from a 1x1 map, `source`, followed by a matrix.

    Args:
        source: As in `Affine`.
        scale: As in `Affine`.
        shift: As in `Affine`.
        write: As in `Affine`.
        kernel: float64 (C, N), applied after scale and shift.
        bias: float64 (N,), added after the kernel.
    """

    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None


def tensor_of(value: Any) -> Any:
    """Returns the tensor of a value, and computes it first if the value is lazy."""
    return value.tensor if isinstance(value, Lazy) else value


def normalized(image: Any, mean: np.ndarray, std: np.ndarray) -> Affine:
    """Normalizes pixels from 0 to 255, (B, H, W, C).

    Only the mean is subtracted here: 1/std folds into the stem. The stem's zero padding must see centered pixels,
    which is why the mean cannot fold into its bias.
    """
    centered = ops.subtract(image, np.asarray(mean, np.float32).reshape(1, 1, 1, -1))
    factor = (1 / std).astype(np.float32)
    return Affine(centered, 1 / std, np.zeros_like(std), lambda each: ops.multiply(each.source, factor))


def pool(value: Any, name: str) -> Pooled:
    """Returns the mean over all pixels of a map (B, H, W, C), which may be an `Affine`; (B, C) once computed."""
    if not isinstance(value, Affine):
        value = Affine(value, np.ones(value.shape[-1]), np.zeros(value.shape[-1]), lambda each: each.source)
    source = ops.mean(value.source, axis=(1, 2), keepdims=True)
    return Pooled(source, value.scale, value.shift, functools.partial(_pooled, name=name))


def dense(pooled: Pooled, layer: keras.layers.Dense, name: str) -> Pooled:
    """Appends the matrix and bias of a dense layer to a pooling."""
    kernel, *bias = weights_of(layer)
    return dataclasses.replace(
        pooled,
        write=functools.partial(_multiplied, name=name),
        kernel=kernel,
        bias=bias[0] if bias else np.zeros(kernel.shape[1]),
    )


def average(values: list[Any]) -> Pooled | None:
    """Merges the mean of several dense layers on the same pooled features; None for anything else."""
    matrices = [each for each in values if isinstance(each, Pooled) and each.kernel is not None]
    if len(matrices) < len(values) or len({id(each.source) for each in matrices}) > 1:
        return None
    first = matrices[0]
    kernel, bias = (np.mean([getattr(each, field) for each in matrices], axis=0) for field in ("kernel", "bias"))
    return dataclasses.replace(first, kernel=kernel, bias=bias)


def upsampled(hidden: Any, size: tuple[int, int]) -> Any:
    """Repeats each pixel of a map (B, H, W, C) `size` times without TILE, which XNNPACK does not support."""
    batch, height, width, channels = hidden.shape
    rows, columns = size
    wide = ops.reshape(ops.concatenate([hidden] * columns, axis=-1), (batch, height, 1, width * columns * channels))
    return ops.reshape(ops.concatenate([wide] * rows, axis=2), (batch, height * rows, width * columns, channels))


def folded(block: keras.layers.Layer, value: Any, name: Name) -> Any:
    """Applies the folded form of a block to a map (B, H, W, C) of fixed size.

    Args:
        block: One of `BLOCKS`.
        value: The map; for a stem, normalized pixels or the result of `normalized`.
        name: Name of the layers that are created.
    """
    prefix = functools.partial(_joined, name, block.name)
    if isinstance(block, Stem):
        return _stem(block, value, prefix)
    hidden = tensor_of(value)
    if isinstance(block, Downsample):
        weights = _before_norm(weights_of(block.proj), block.norm)
        return convolved(_pad(hidden, block.padding), weights, name(block.name), strides=block.strides)
    return (_encoder if isinstance(block, Encoder) else _conv_encoder)(block, hidden, prefix)


def weights_of(layer: keras.layers.Layer) -> Weights:
    """The weights of a layer as float64 arrays."""
    return [array.astype(np.float64) for array in merged_weights(layer)]


def norm_of(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalization at inference as `scale * x + shift`."""
    mean, variance = (np.asarray(each, np.float64) for each in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = np.asarray(norm.gamma, np.float64) / np.sqrt(variance + norm.epsilon)
    beta = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    return scale, beta - mean * scale


def _joined(name: Name, prefix: str, suffix: str) -> str:
    return name(f"{prefix}-{suffix}")


def _pooled(value: Affine, name: str) -> Any:
    """The final normalization has no matrix to fold into: a depthwise 1x1 convolution does both."""
    hidden, channels = value.source, len(value.scale)
    if np.any(value.scale != 1) or np.any(value.shift):
        layer = keras.layers.DepthwiseConv2D(1, data_format="channels_last", dtype="float32", name=name)
        hidden = _with_weights(layer, hidden, [value.scale.reshape(1, 1, -1, 1), value.shift])
    return keras.layers.Reshape((channels,), dtype="float32", name=f"{name}-reshape")(hidden)


def _multiplied(value: Pooled, name: str) -> Any:
    assert value.kernel is not None
    assert value.bias is not None
    weights = [(value.scale[:, None] * value.kernel)[None, None], value.bias + value.shift @ value.kernel]
    hidden = convolved(value.source, weights, name)
    return keras.layers.Reshape((len(value.bias),), dtype="float32", name=f"{name}-reshape")(hidden)


def _stem(block: Stem, value: Any, name: Name) -> Any:
    first = _before_norm(weights_of(block.conv1), block.norm1)
    if isinstance(value, Affine) and not np.any(value.shift):
        first[0] = first[0] * value.scale[:, None]
        value = value.source
    hidden = tensor_of(value)
    hidden = ops.relu(convolved(_pad(hidden, 1), first, name("0"), strides=2))
    second = _before_norm(weights_of(block.conv2), block.norm2)
    return ops.relu(convolved(_pad(hidden, 1), second, name("3"), strides=2))


def _conv_encoder(block: ConvEncoder, hidden: Any, name: Name) -> Any:
    # Into the depthwise convolution, not into the matrix after it: its output is then normalized, which
    # is what an integer tensor with one scale for all channels wants.
    depthwise = keras.layers.DepthwiseConv2D(
        3, padding="same", data_format="channels_last", dtype="float32", name=name("dwconv")
    )
    branch = _with_weights(depthwise, hidden, _before_norm(weights_of(block.dwconv), block.norm, depthwise=True))
    branch = ops.gelu(convolved(branch, weights_of(block.pwconv1), name("pwconv1")), approximate=False)
    return hidden + convolved(branch, _scaled(weights_of(block.pwconv2), block.layer_scale), name("pwconv2"))


def _encoder(block: Encoder, hidden: Any, name: Name) -> Any:
    local = block.local_representation
    hidden = _conv_encoder(local, hidden, functools.partial(_joined, name, local.name))
    hidden = hidden + _attention(block, hidden, functools.partial(_joined, name, "attn"))
    linear = block.linear
    kernel, bias = weights_of(linear.fc1)
    scale, shift = norm_of(linear.norm1)
    first = [kernel * scale[:, None], bias + shift @ kernel[0, 0]]
    mlp = activation(linear.activation)(convolved(hidden, first, name("linear-fc1")))
    return hidden + convolved(mlp, _scaled(weights_of(linear.fc2), block.layer_scale_2), name("linear-fc2"))


def _attention(block: Encoder, hidden: Any, name: Name) -> Any:
    """Additive attention with every L2 norm as a root mean square, which keeps values near one.

    `final(proj(G * k) + q)` is `G * k` times one matrix plus `q` times another. With q' = sqrt(C) q and k' = sqrt(C) k,
    whose mean squares are one, G' = mean(a' q') is sqrt(C / N) G where a' = sqrt(N) a (`l2`), and sqrt(C) / N G where
    a' = 1 (`uniform`).
    """
    attention = block.attn
    _, height, width, channels = hidden.shape
    tokens, least = height * width, MIN_SQUARE / channels
    query, key = (
        _over_rms(convolved(hidden, [kernel[None, None], bias], name(child)), axis=-1, least=least)
        for child in ("to_query", "to_key")
        for kernel, bias in [weights_of(getattr(attention, child))]
    )
    weighted, factor = query, tokens / channels
    if attention.token_weights == "l2":
        scores = convolved(query, [np.asarray(attention.w_g, np.float64)[None, None]], name("w_g"))
        weighted = _over_rms(scores, axis=(1, 2), least=MIN_SQUARE * channels**2 / tokens) * query
        factor = math.sqrt(tokens) / channels
    global_query = ops.mean(weighted, axis=(1, 2), keepdims=True)
    kernel, bias = weights_of(attention.proj)
    final, final_bias = _scaled(weights_of(attention.final), block.layer_scale_1)
    context = convolved(global_query * key, [(factor * kernel @ final)[None, None]], name("global"))
    return context + convolved(
        query, [final[None, None] / math.sqrt(channels), bias @ final + final_bias], name("query")
    )


def _over_rms(hidden: Any, axis: int | tuple[int, ...], least: float) -> Any:
    # A product and not `square`, which the TFLite converter leaves in float when it quantizes.
    mean_square = ops.mean(hidden * hidden, axis=axis, keepdims=True)
    return hidden * ops.rsqrt(ops.maximum(mean_square, least))


def _pad(hidden: Any, padding: int) -> Any:
    return ops.pad(hidden, [[0, 0], [padding, padding], [padding, padding], [0, 0]])


def convolved(hidden: Any, weights: Weights, name: str, *, strides: int = 1) -> Any:
    """Applies a convolution with these weights, kernel (height, width, C, filters) and possibly bias (filters,)."""
    height, width, _, filters = weights[0].shape
    layer = keras.layers.Conv2D(
        filters,
        (height, width),
        strides=strides,
        use_bias=len(weights) > 1,
        data_format="channels_last",
        dtype="float32",
        name=name,
    )
    return _with_weights(layer, hidden, weights)


def _with_weights(layer: keras.layers.Layer, hidden: Any, weights: Weights) -> Any:
    result = layer(hidden)
    layer.set_weights([array.astype(np.float32) for array in weights])
    return result


def _before_norm(weights: Weights, norm: keras.layers.BatchNormalization, *, depthwise: bool = False) -> Weights:
    kernel, bias = weights
    scale, shift = norm_of(norm)
    return [kernel * (scale[:, None] if depthwise else scale), bias * scale + shift]


def _scaled(weights: Weights, layer_scale: keras.layers.Layer | None) -> Weights:
    if layer_scale is None:
        return weights
    (scale,) = weights_of(layer_scale)
    return [array * scale for array in weights]
