"""The building blocks of SwiftFormer, channels last, in the order in which data passes through them.

Layers inside a block have timm's names, so that the path of a variable is its checkpoint key. Paper: Shaker et al.,
"SwiftFormer: Efficient Additive Attention for Transformer-based Real-time Mobile Vision Applications", ICCV 2023,
https://arxiv.org/abs/2303.15446.
"""

from typing import Any

import keras
from keras import ops

from swiftformer_tf.config import TokenWeights
from swiftformer_tf.layers.activations import activation
from swiftformer_tf.layers.base import Block, Shape, convolved_size
from swiftformer_tf.layers.initializers import RandomNormal
from swiftformer_tf.registration import PACKAGE

__all__ = [
    "ConvEncoder",
    "Downsample",
    "EfficientAdditiveAttention",
    "Encoder",
    "LayerScale",
    "LocalRepresentation",
    "Mlp",
    "Stem",
]


@keras.saving.register_keras_serializable(PACKAGE)
class LayerScale(keras.layers.Layer):
    """Multiplies each channel by a learned factor (CaiT, arXiv:2103.17239).

    Shapes: (..., C) in and out.

    Args:
        initial_value: Initial value of every factor.

    Examples:
        >>> LayerScale(0.5)(keras.ops.ones((1, 2, 2, 3))).shape
        TensorShape([1, 2, 2, 3])
    """

    def __init__(self, initial_value: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_value = initial_value

    def build(self, input_shape: Shape) -> None:
        self.scale = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial_value), name="scale"
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs * ops.cast(self.scale, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial_value": self.initial_value}


@keras.saving.register_keras_serializable(PACKAGE)
class Stem(Block):
    """Patch embedding: two 3x3 convolutions of stride 2, each with batch normalization and ReLU.

    Shapes: (B, H, W, channels) to (B, ceil(H / 4), ceil(W / 4), filters).

    Sublayers are numbered as in the original repository's `nn.Sequential`, in which 2 and 5 are the ReLUs.

    Args:
        filters: Number of output channels; the first convolution has half as many.
        epsilon: Epsilon of the batch normalizations.
    """

    ARGUMENTS = ("filters", "epsilon")

    def __init__(self, filters: int, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.epsilon = filters, epsilon
        # PyTorch pads one on every side; Keras's "same" would pad an even size on one side only.
        self.padding = self._zero_padding(1)
        self.conv1 = self._conv(filters // 2, 3, strides=2, name="0")
        self.norm1 = self._norm(epsilon, name="1")
        self.conv2 = self._conv(filters, 3, strides=2, name="3")
        self.norm2 = self._norm(epsilon, name="4")

    def build_children(self, input_shape: Shape) -> None:
        self.padding.build(input_shape)
        self.conv1.build(input_shape)
        hidden = (*input_shape[:-1], self.filters // 2)
        self.norm1.build(hidden)
        self.conv2.build(hidden)
        self.norm2.build((*input_shape[:-1], self.filters))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        return (
            batch,
            *(convolved_size(convolved_size(size, 3, 2, 1), 3, 2, 1) for size in (height, width)),
            self.filters,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        hidden = ops.relu(self.norm1(self.conv1(self.padding(inputs)), training=training))
        return ops.relu(self.norm2(self.conv2(self.padding(hidden)), training=training))


@keras.saving.register_keras_serializable(PACKAGE)
class Downsample(Block):
    """Strided convolution with batch normalization between two stages.

    Shapes: (B, H, W, C) to (B, H', W', filters) with H' = floor((H + 2 padding - kernel_size) / strides) + 1.

    Args:
        filters: Number of output channels.
        kernel_size: Kernel size in pixels.
        strides: Stride in pixels.
        padding: Number of rows and columns of zeros on every side.
        epsilon: Epsilon of the batch normalization.
    """

    ARGUMENTS = ("filters", "kernel_size", "strides", "padding", "epsilon")

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 2,
        padding: int = 1,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.padding, self.epsilon = padding, epsilon
        self.pad = self._zero_padding(padding)
        self.proj = self._conv(filters, kernel_size, strides=strides, name="proj")
        self.norm = self._norm(epsilon)

    def build_children(self, input_shape: Shape) -> None:
        self.pad.build(input_shape)
        self.proj.build(input_shape)
        self.norm.build((*input_shape[:-1], self.filters))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sizes, _ = input_shape
        return (
            batch,
            *(convolved_size(size, self.kernel_size, self.strides, self.padding) for size in sizes),
            self.filters,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.norm(self.proj(self.pad(inputs)), training=training)


@keras.saving.register_keras_serializable(PACKAGE)
class ConvEncoder(Block):
    """Depthwise and pointwise convolutions on a residual branch: every block of a stage except the last.

    `x + drop(scale * pwconv2(gelu(pwconv1(norm(dwconv(x))))))`; the layer scale starts at one.

    Shapes: (B, H, W, C) in and out.

    Args:
        hidden_dim: Number of channels between the two pointwise convolutions.
        epsilon: Epsilon of the batch normalization.
        dropout: Rate of ordinary dropout on the branch (Hugging Face's `drop_conv_encoder_rate`).
    """

    ARGUMENTS = ("hidden_dim", "epsilon", "dropout")

    def __init__(self, hidden_dim: int, epsilon: float = 1e-5, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.epsilon, self.dropout = hidden_dim, epsilon, dropout
        self.dwconv = self._depthwise()
        self.norm = self._norm(epsilon)
        self.pwconv1 = self._conv(hidden_dim, 1, name="pwconv1")
        self.layer_scale = LayerScale(1.0, dtype=self.dtype_policy, name="layer_scale")
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def build_children(self, input_shape: Shape) -> None:
        self.dwconv.build(input_shape)
        self.norm.build(input_shape)
        self.pwconv1.build(input_shape)
        self.pwconv2 = self._conv(input_shape[-1], 1, name="pwconv2")
        self.pwconv2.build((*input_shape[:-1], self.hidden_dim))
        self.layer_scale.build(input_shape)
        self.drop.build(input_shape)

    def branch(self, inputs: Any, training: bool | None = None) -> Any:
        """The residual that is added to the input, (B, H, W, C)."""
        hidden = self.pwconv1(self.norm(self.dwconv(inputs), training=training))
        return self.layer_scale(self.pwconv2(activation("gelu", training)(hidden)))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return inputs + self.drop(self.branch(inputs, training=training), training=training)


@keras.saving.register_keras_serializable(PACKAGE)
class LocalRepresentation(ConvEncoder):
    """The `ConvEncoder` at the start of an `Encoder`: as many hidden as outer channels, and no dropout.

    Shapes: (B, H, W, C) in and out.
    """


@keras.saving.register_keras_serializable(PACKAGE)
class EfficientAdditiveAttention(Block):
    """Additive attention over all positions, at a cost linear in their number (paper, section 3.2, eq. 3-7).

    With q and k the L2-normalized rows of query and key: token weights `a = norm(q @ w_g)`, one global
    query `g = sum(a * q)`, result `final(proj(g * k) + q)`.

    Shapes: (B, H, W, C) in and out.

    Args:
        token_weights: `"l2"` divides the token weights by their L2 norm over the positions (original since July 2023,
            timm). `"uniform"` gives every position a weight of one, so that `w_g` is unused and not trainable (first
            release, Hugging Face).

    Examples:
        >>> EfficientAdditiveAttention("l2")(keras.ops.ones((1, 4, 4, 8))).shape
        TensorShape([1, 4, 4, 8])
    """

    ARGUMENTS = ("token_weights",)

    def __init__(self, token_weights: TokenWeights = "l2", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.token_weights = token_weights

    def build_children(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        self.w_g = self.add_weight(
            shape=(channels, 1),
            initializer=RandomNormal(stddev=1.0),
            trainable=self.token_weights == "l2",
            name="w_g",
        )
        for name in ("to_query", "to_key", "proj", "final"):
            layer = self._dense(channels, name=name)
            layer.build(input_shape)
            setattr(self, name, layer)

    def call(self, inputs: Any) -> Any:
        # Squares overflow in half precision: the norms and what is made of them are float32.
        query = _l2_normalize(ops.cast(self.to_query(inputs), "float32"), axis=-1)
        key = _l2_normalize(ops.cast(self.to_key(inputs), "float32"), axis=-1)
        if self.token_weights == "l2":
            scores = ops.matmul(query, ops.cast(self.w_g, "float32")) * (query.shape[-1] ** -0.5)
            weighted = _l2_normalize(scores, axis=(1, 2)) * query
        else:
            weighted = query
        global_query = ops.sum(weighted, axis=(1, 2), keepdims=True)
        context = self.proj(ops.cast(global_query * key, self.compute_dtype))
        return self.final(context + ops.cast(query, self.compute_dtype))


def _l2_normalize(inputs: Any, axis: int | tuple[int, ...]) -> Any:
    """Computes PyTorch's `inputs / max(norm, 1e-12)` from the squared norm, whose gradient at zero is finite."""
    square = ops.sum(ops.square(inputs), axis=axis, keepdims=True)
    return inputs * ops.rsqrt(ops.maximum(square, 1e-24))


@keras.saving.register_keras_serializable(PACKAGE)
class Mlp(Block):
    """Batch normalization and two pointwise convolutions.

    `drop(fc2(drop(act(fc1(norm1(x))))))`

    Shapes: (B, H, W, C) in and out.

    Args:
        hidden_dim: Number of channels between the two convolutions.
        activation: A key of `activations.FUNCTIONS`; `"gelu"` is the exact GELU.
        epsilon: Epsilon of the batch normalization.
        dropout: Dropout rate after the activation and after the second convolution.
    """

    ARGUMENTS = ("hidden_dim", "activation", "epsilon", "dropout")

    def __init__(
        self, hidden_dim: int, activation: str = "gelu", epsilon: float = 1e-5, dropout: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.activation = hidden_dim, activation
        self.epsilon, self.dropout = epsilon, dropout
        self.norm1 = self._norm(epsilon, name="norm1")
        self.fc1 = self._conv(hidden_dim, 1, name="fc1")
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def build_children(self, input_shape: Shape) -> None:
        self.norm1.build(input_shape)
        self.fc1.build(input_shape)
        self.fc2 = self._conv(input_shape[-1], 1, name="fc2")
        self.fc2.build((*input_shape[:-1], self.hidden_dim))
        self.drop.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        hidden = activation(self.activation, training)(self.fc1(self.norm1(inputs, training=training)))
        return self.drop(self.fc2(self.drop(hidden, training=training)), training=training)


@keras.saving.register_keras_serializable(PACKAGE)
class Encoder(Block):
    """Local representation, additive attention and MLP: the last block of every stage (paper, section 3.3, eq. 9).

    Shapes: (B, H, W, C) in and out.

    Args:
        hidden_dim: Number of hidden channels of the MLP.
        token_weights: See `EfficientAdditiveAttention`.
        activation: Activation of the MLP.
        layer_scale_init_value: Initial value of the layer scales of attention and MLP; None omits them.
        drop_path: Stochastic depth rate of attention and MLP.
        dropout: Dropout rate in the MLP.
        epsilon: Epsilon of every batch normalization.
    """

    ARGUMENTS = (
        "hidden_dim",
        "token_weights",
        "activation",
        "layer_scale_init_value",
        "drop_path",
        "dropout",
        "epsilon",
    )

    def __init__(
        self,
        hidden_dim: int,
        token_weights: TokenWeights = "l2",
        activation: str = "gelu",
        layer_scale_init_value: float | None = 1e-5,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.token_weights, self.activation = hidden_dim, token_weights, activation
        self.layer_scale_init_value = layer_scale_init_value
        self.drop_path, self.dropout, self.epsilon = drop_path, dropout, epsilon
        policy = self.dtype_policy
        self.attn = EfficientAdditiveAttention(token_weights, dtype=policy, name="attn")
        self.linear = Mlp(hidden_dim, activation, epsilon, dropout, dtype=policy, name="linear")
        self.drop = self._drop_path(drop_path)
        self.layer_scale_1, self.layer_scale_2 = (
            None if layer_scale_init_value is None else LayerScale(layer_scale_init_value, dtype=policy, name=name)
            for name in ("layer_scale_1", "layer_scale_2")
        )

    def build_children(self, input_shape: Shape) -> None:
        self.local_representation = LocalRepresentation(
            input_shape[-1], self.epsilon, dtype=self.dtype_policy, name="local_representation"
        )
        scales = (self.layer_scale_1, self.layer_scale_2)
        for child in (self.local_representation, self.attn, self.linear, *scales, self.drop):
            if child is not None:
                child.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        hidden = self.local_representation(inputs, training=training)
        attention = self.attn(hidden)
        if self.layer_scale_1 is not None:
            attention = self.layer_scale_1(attention)
        hidden = hidden + self.drop(attention, training=training)
        mlp = self.linear(hidden, training=training)
        if self.layer_scale_2 is not None:
            mlp = self.layer_scale_2(mlp)
        return hidden + self.drop(mlp, training=training)
