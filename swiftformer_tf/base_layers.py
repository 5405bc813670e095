"""What the blocks have in common: their children in their own precision, and their arguments in files."""

from typing import Any, ClassVar

import keras

__all__ = ["BATCH_NORM_MOMENTUM", "Block", "Shape", "convolved_size", "initializer"]

# Batch, height and width may be None; channels never are.
Shape = tuple[Any, ...]

# Keras's momentum is the share that is kept; PyTorch's 0.1 is the share that is new.
BATCH_NORM_MOMENTUM = 0.9


def convolved_size(size: int | None, kernel_size: int, strides: int, padding: int) -> int | None:
    """Pixels along an axis after a convolution; None where they are not known before it runs."""
    return None if size is None else (size + 2 * padding - kernel_size) // strides + 1


def initializer() -> keras.initializers.Initializer:
    """Of every kernel: a normal distribution of standard deviation 0.02, cut at two of them (arXiv:2303.15446)."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


class Block(keras.layers.Layer):
    """A layer made of layers: keeps its arguments for `get_config`, runs children in its own precision."""

    ARGUMENTS: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.ARGUMENTS}}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        # Said here, it need not be traced: a model is built several times faster.
        return tuple(input_shape)

    def _conv(self, filters: int, kernel_size: int, *, name: str, strides: int = 1) -> keras.layers.Conv2D:
        options: dict[str, Any] = {"data_format": "channels_last", "dtype": self.dtype_policy, "name": name}
        return keras.layers.Conv2D(filters, kernel_size, strides, kernel_initializer=initializer(), **options)

    def _depthwise(self) -> keras.layers.DepthwiseConv2D:
        options: dict[str, Any] = {"data_format": "channels_last", "dtype": self.dtype_policy, "name": "dwconv"}
        return keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer=initializer(), **options)

    def _dense(self, units: int, *, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(units, kernel_initializer=initializer(), dtype=self.dtype_policy, name=name)

    def _norm(self, epsilon: float, *, name: str = "norm") -> keras.layers.BatchNormalization:
        return keras.layers.BatchNormalization(
            momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, dtype=self.dtype_policy, name=name
        )

    def _zero_padding(self, padding: int) -> keras.layers.ZeroPadding2D:
        return keras.layers.ZeroPadding2D(padding, data_format="channels_last", dtype=self.dtype_policy, name="padding")

    def _drop_path(self, rate: float) -> keras.layers.Dropout:
        # Stochastic depth: one coin a sample, for the whole map.
        return keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1), dtype=self.dtype_policy, name="drop_path")
