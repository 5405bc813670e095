"""The deploy graph: the same function, static and folded, so that XNNPACK takes all of it in one piece.

Every folding is exact in real numbers; what changes is the order of float32 roundings.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, Self

import keras
import numpy as np
from keras import ops

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError
from swiftformer_tf.layers import ConvEncoder, Encoder
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.registration import PACKAGE

__all__ = ["DeployModel", "fuse"]

# PyTorch's clamp of an L2 norm, squared.
MIN_SQUARE = 1e-24

# A layer's kernel in Keras's layout and its bias, in float64.
Weights = list[np.ndarray]


@keras.saving.register_keras_serializable(PACKAGE)
class DeployModel(keras.Model):
    """A SwiftFormer classifier for deployment: batch 1, one image size, nothing that only training needs.

    A functional `keras.Model`. Input `image`: (1, height, width, num_channels) float32; normalised pixels, or 0 to 255
    with `include_preprocessing`. Output `logits` or `probabilities`: (1, num_labels). Every tensor between is 4-D.

    `fuse` makes one with weights; made by hand it has the structure only.

    Args:
        config: Architecture, with the `image_size` that the graph is bound to.
        include_preprocessing: See `fuse`.
        classifier_activation: See `fuse`.
        name: Of the model.

    Raises:
        ConfigError: An unknown activation, or `"softmax"` without labels.

    Example:
        >>> DeployModel(SwiftFormerConfig.from_variant("tiny", image_size=64)).input.shape
        (1, 64, 64, 3)
    """

    def __init__(
        self,
        config: SwiftFormerConfig,
        *,
        include_preprocessing: bool = False,
        classifier_activation: Literal["softmax"] | None = None,
        name: str = "swiftformer_deploy",
    ) -> None:
        if classifier_activation not in (None, "softmax"):
            raise ConfigError(f"classifier_activation={classifier_activation!r}: expected 'softmax' or None")
        if classifier_activation and not config.num_labels:
            raise ConfigError("classifier_activation='softmax': expected a model with labels, this one has none")
        image = keras.Input((*config.input_size, config.num_channels), batch_size=1, name="image", dtype="float32")
        hidden = _normalized(image, config) if include_preprocessing else image
        output = _classified(_features(hidden, config), config)
        if classifier_activation:
            output = keras.layers.Softmax(dtype="float32", name="probabilities")(output)
        super().__init__(inputs=image, outputs=output, name=name)
        self.config = config
        self.include_preprocessing = include_preprocessing
        self.classifier_activation = classifier_activation

    def get_config(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "include_preprocessing": self.include_preprocessing,
            "classifier_activation": self.classifier_activation,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        return cls(**{**config, "config": SwiftFormerConfig.from_dict(config["config"])})


def fuse(
    model: SwiftFormerForImageClassification,
    *,
    image_size: int | tuple[int, int] | None = None,
    include_preprocessing: bool = False,
    classifier_activation: Literal["softmax"] | None = None,
) -> DeployModel:
    """Folds a classifier into its deploy graph; `model` stays as it is.

    Args:
        model: The classifier, in float32.
        image_size: (height, width) in pixels, or an int for a square; default is `model.config.image_size`.
            The graph is bound to it, since the number of tokens folds into the attention's matrices.
        include_preprocessing: Whether the graph normalises by `config.transform` itself and takes RGB from 0
            to 255, instead of normalised pixels.
        classifier_activation: `"softmax"` for probabilities; None for logits.

    Returns:
        A `DeployModel`.

    Raises:
        ConfigError: An impossible size or activation.
        ModelError: `model` is not a classifier in float32.

    Example:
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=64))
        >>> image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
        >>> bool(np.allclose(fuse(model)(image), model(image), atol=1e-5))
        True
    """
    if not isinstance(model, SwiftFormerForImageClassification):
        raise ModelError(f"fuse: expected a SwiftFormerForImageClassification, not a {type(model).__name__}")
    if model.dtype_policy.compute_dtype != "float32" or model.dtype_policy.variable_dtype != "float32":
        raise ModelError(f"fuse: expected a float32 model, not {model.dtype_policy.name}; load its weights into one")
    size = model.config.image_size if image_size is None else image_size
    transform = model.config.transform
    if include_preprocessing and len(transform.mean) != model.config.num_channels:
        raise ModelError(
            f"fuse: transform.mean has {len(transform.mean)} entries for {model.config.num_channels} channels"
        )
    deploy = DeployModel(
        model.config.replace(image_size=size),
        include_preprocessing=include_preprocessing,
        classifier_activation=classifier_activation,
    )
    for name, weights in _fold(model, deploy):
        deploy.get_layer(name).set_weights([array.astype(np.float32) for array in weights])
    return deploy


# Structure: what is left of each block when its constants are folded away.


def _normalized(image: Any, config: SwiftFormerConfig) -> Any:
    # Only the mean is subtracted here: 1/std folds into the stem. The stem's zero padding must see centred
    # pixels, which is why the mean cannot fold into its bias.
    mean = 255 * np.asarray(config.transform.mean, np.float32).reshape(1, 1, 1, -1)
    return ops.subtract(image, mean)


def _features(hidden: Any, config: SwiftFormerConfig) -> Any:
    width = config.embed_dims[0]
    hidden = ops.relu(_conv(_pad(hidden, 1), width // 2, "stem-0", kernel_size=3, strides=2))
    hidden = ops.relu(_conv(_pad(hidden, 1), width, "stem-3", kernel_size=3, strides=2))
    for stage, (depth, width) in enumerate(zip(config.depths, config.embed_dims, strict=True)):
        expanded = int(width * config.mlp_ratio)
        if config.downsampled[stage]:
            hidden = _conv(
                _pad(hidden, config.down_pad),
                width,
                f"stages-{stage}-downsample",
                kernel_size=config.down_patch_size,
                strides=config.down_stride,
            )
        for block in range(depth - 1):
            hidden = _conv_encoder(hidden, expanded, f"stages-{stage}-blocks-{block}")
        name = f"stages-{stage}-blocks-{depth - 1}"
        hidden = _conv_encoder(hidden, width, f"{name}-local_representation")
        hidden = hidden + _attention(hidden, config, f"{name}-attn")
        mlp = keras.activations.get(config.hidden_act)(_conv(hidden, expanded, f"{name}-linear-fc1"))
        hidden = hidden + _conv(mlp, width, f"{name}-linear-fc2")
    return hidden


def _classified(hidden: Any, config: SwiftFormerConfig) -> Any:
    pooled = ops.mean(hidden, axis=(1, 2), keepdims=True)
    if not config.num_labels:
        # The final normalisation has no matrix to fold into: a depthwise 1x1 convolution does both.
        pooled = keras.layers.DepthwiseConv2D(1, dtype="float32", name="head")(pooled)
        return keras.layers.Reshape((config.embed_dims[-1],), dtype="float32", name="features")(pooled)
    logits = _conv(pooled, config.num_labels, "head")
    return keras.layers.Reshape((config.num_labels,), dtype="float32", name="logits")(logits)


def _conv(hidden: Any, filters: int, name: str, *, kernel_size: int = 1, strides: int = 1) -> Any:
    return keras.layers.Conv2D(filters, kernel_size, strides=strides, dtype="float32", name=name)(hidden)


def _pad(hidden: Any, padding: int) -> Any:
    return ops.pad(hidden, [[0, 0], [padding, padding], [padding, padding], [0, 0]])


def _conv_encoder(hidden: Any, expanded: int, name: str) -> Any:
    branch = keras.layers.DepthwiseConv2D(3, padding="same", dtype="float32", name=f"{name}-dwconv")(hidden)
    branch = ops.gelu(_conv(branch, expanded, f"{name}-pwconv1"), approximate=False)
    return hidden + _conv(branch, hidden.shape[-1], f"{name}-pwconv2")


def _attention(hidden: Any, config: SwiftFormerConfig, name: str) -> Any:
    """Additive attention with every L2 norm as a root mean square, which keeps values near one.

    The constants between the two forms are in the matrices `global` and `query` (see `_fold_attention`).
    """
    _, height, width, channels = hidden.shape
    query = _over_rms(_conv(hidden, channels, f"{name}-to_query"), axis=-1, least=MIN_SQUARE / channels)
    key = _over_rms(_conv(hidden, channels, f"{name}-to_key"), axis=-1, least=MIN_SQUARE / channels)
    weighted = query
    if config.token_weights == "l2":
        scores = keras.layers.Conv2D(1, 1, use_bias=False, dtype="float32", name=f"{name}-w_g")(query)
        least = MIN_SQUARE * channels**2 / (height * width)
        weighted = _over_rms(scores, axis=(1, 2), least=least) * query
    global_query = ops.mean(weighted, axis=(1, 2), keepdims=True)
    context = keras.layers.Conv2D(channels, 1, use_bias=False, dtype="float32", name=f"{name}-global")(
        global_query * key
    )
    return context + _conv(query, channels, f"{name}-query")


def _over_rms(hidden: Any, axis: int | tuple[int, ...], least: float) -> Any:
    # A product and not `square`, which the TFLite converter leaves in float when it quantises.
    mean_square = ops.mean(hidden * hidden, axis=axis, keepdims=True)
    return hidden * ops.rsqrt(ops.maximum(mean_square, least))


# Weights: what each of those layers holds.


def _fold(model: SwiftFormerForImageClassification, deploy: DeployModel) -> Iterator[tuple[str, Weights]]:
    config = deploy.config
    stem = model.get_layer("stem")
    first = _before_norm(_weights(stem.conv1), stem.norm1)
    if deploy.include_preprocessing:
        std = 255 * np.asarray(config.transform.std, np.float64)
        first[0] = first[0] / std[:, None]
    yield "stem-0", first
    yield "stem-3", _before_norm(_weights(stem.conv2), stem.norm2)
    for stage, depth in enumerate(config.depths):
        if config.downsampled[stage]:
            downsample = model.get_layer(f"stages-{stage}-downsample")
            yield f"stages-{stage}-downsample", _before_norm(_weights(downsample.proj), downsample.norm)
        for block in range(depth - 1):
            name = f"stages-{stage}-blocks-{block}"
            yield from _fold_conv_encoder(model.get_layer(name), name)
        name = f"stages-{stage}-blocks-{depth - 1}"
        _, height, width, _ = deploy.get_layer(f"{name}-attn-to_query").output.shape
        yield from _fold_encoder(model.get_layer(name), name, height * width)
    yield "head", _fold_head(model)


def _fold_conv_encoder(block: ConvEncoder, name: str) -> Iterator[tuple[str, Weights]]:
    # Into the depthwise convolution, not into the matrix after it: its output is then normalised, which
    # is what an integer tensor with one scale for all channels wants.
    yield f"{name}-dwconv", _before_norm(_weights(block.dwconv), block.norm, depthwise=True)
    yield f"{name}-pwconv1", _weights(block.pwconv1)
    yield f"{name}-pwconv2", _scaled(_weights(block.pwconv2), block.layer_scale)


def _fold_encoder(block: Encoder, name: str, tokens: int) -> Iterator[tuple[str, Weights]]:
    yield from _fold_conv_encoder(block.local_representation, f"{name}-local_representation")
    yield from _fold_attention(block, f"{name}-attn", tokens)
    kernel, bias = _weights(block.linear.fc1)
    scale, shift = _affine(block.linear.norm1)
    yield f"{name}-linear-fc1", [kernel * scale[:, None], bias + shift @ kernel[0, 0]]
    yield f"{name}-linear-fc2", _scaled(_weights(block.linear.fc2), block.layer_scale_2)


def _fold_attention(block: Encoder, name: str, tokens: int) -> Iterator[tuple[str, Weights]]:
    """`final(proj(G * k) + q)` is `G * k` times one matrix plus `q` times another.

    With q' = sqrt(C) q and k' = sqrt(C) k, whose mean squares are one, G' = mean(a' q') is sqrt(C / N) G where
    a' = sqrt(N) a (`l2`), and sqrt(C) / N G where a' = 1 (`uniform`).
    """
    attention = block.attn
    for child in ("to_query", "to_key"):
        kernel, bias = _weights(getattr(attention, child))
        yield f"{name}-{child}", [kernel[None, None], bias]
    kernel, bias = _weights(attention.proj)
    final, final_bias = _scaled(_weights(attention.final), block.layer_scale_1)
    channels = len(bias)
    if attention.token_weights == "l2":
        yield f"{name}-w_g", [np.asarray(attention.w_g, np.float64)[None, None]]
        factor = math.sqrt(tokens) / channels
    else:
        factor = tokens / channels
    yield f"{name}-global", [(factor * kernel @ final)[None, None]]
    yield f"{name}-query", [final[None, None] / math.sqrt(channels), bias @ final + final_bias]


def _fold_head(model: SwiftFormerForImageClassification) -> Weights:
    scale, shift = _affine(model.get_layer("norm"))
    if not model.config.num_labels:
        return [scale.reshape(1, 1, -1, 1), shift]
    names = ("head", "head_dist") if model.config.distillation else ("head",)
    heads = [_weights(model.get_layer(name)) for name in names]
    kernel = np.mean([kernel for kernel, _ in heads], axis=0)
    bias = np.mean([bias for _, bias in heads], axis=0)
    return [(scale[:, None] * kernel)[None, None], bias + shift @ kernel]


def _weights(layer: keras.layers.Layer) -> Weights:
    return [np.asarray(array, np.float64) for array in layer.get_weights()]


def _affine(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation at inference as `scale * x + shift`."""
    gamma, beta, mean, variance = _weights(norm)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale


def _before_norm(weights: Weights, norm: keras.layers.BatchNormalization, *, depthwise: bool = False) -> Weights:
    kernel, bias = weights
    scale, shift = _affine(norm)
    return [kernel * (scale[:, None] if depthwise else scale), bias * scale + shift]


def _scaled(weights: Weights, layer_scale: keras.layers.Layer | None) -> Weights:
    if layer_scale is None:
        return weights
    (scale,) = _weights(layer_scale)
    return [array * scale for array in weights]
