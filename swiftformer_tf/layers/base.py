"""The base class of blocks: sublayers in the block's own precision, and arguments in saved files."""

import json
from typing import Any, ClassVar, Self

import keras

from swiftformer_tf.layer_settings import Settings, apply_settings, named_layers, settings_of
from swiftformer_tf.layers.initializers import TruncatedNormal

__all__ = ["BATCH_NORM_MOMENTUM", "Block", "Shape", "convolved_size", "initializer"]

# Batch, height and width may be None; channels never are.
Shape = tuple[Any, ...]

# Keras's momentum is the share that is kept; PyTorch's 0.1 is the share that is new.
BATCH_NORM_MOMENTUM = 0.9


def convolved_size(size: int | None, kernel_size: int, strides: int, padding: int) -> int | None:
    """Size along an axis after a convolution; None if it is unknown before the model runs."""
    return None if size is None else (size + 2 * padding - kernel_size) // strides + 1


def initializer() -> keras.initializers.Initializer:
    """Initializer of all kernels: normal with standard deviation 0.02, truncated at 0.04 (arXiv:2303.15446)."""
    return TruncatedNormal(stddev=0.02)


class Block(keras.layers.Layer):
    """A layer made of sublayers, which stores its arguments for `get_config` and runs sublayers in its own precision.

    Settings that users make on its sublayers are saved and copied with it, since Keras saves and copies layers one by
    one.
    """

    ARGUMENTS: ClassVar[tuple[str, ...]] = ()

    # The settings of a saved block, until its children exist to take them; a string, since Keras would track a dict.
    _saved_settings: str | None = None

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **{name: getattr(self, name) for name in self.ARGUMENTS}}
        settings = self._settings()
        return {**config, "layers": settings} if settings else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        arguments = dict(config)
        settings = arguments.pop("layers", {})
        block: Self = super().from_config(arguments)
        block._saved_settings = json.dumps(settings)
        return block

    def build(self, input_shape: Shape) -> None:
        self.build_children(input_shape)
        if self._saved_settings is not None:
            if not self.trainable:  # type: ignore[has-type]  # Keras types none
                # It was frozen alone, before it had children; to set what is set already does nothing.
                self.trainable = True
                self.trainable = False
            apply_settings(self, json.loads(self._saved_settings))
            self._saved_settings = None

    def build_children(self, input_shape: Shape) -> None:
        """Creates everything that depends on the number of input channels: variables, and layers with variables."""
        raise NotImplementedError

    def _settings(self) -> Settings:
        if self._saved_settings is not None:
            saved: Settings = json.loads(self._saved_settings)
            return saved
        return settings_of(self, dict.fromkeys((path for path, _ in named_layers(self)), self.dtype_policy.name))

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
