"""Layers that resize a map to the size of another map or to twice its own size."""

from typing import Any

import keras
from keras import ops

from swiftformer_tf.layers.base import Shape
from swiftformer_tf.registration import PACKAGE

__all__ = ["BilinearResize", "BilinearUpsampling", "NearestUpsampling", "resize_bilinear"]


class _OfItsInputs(keras.layers.Layer):
    """Base class of layers without settings, which are copied from their configuration."""

    def get_config(self) -> dict[str, Any]:
        # Keras's own works out what a layer was given, and gives up where that is a policy object.
        return {"name": self.name, "dtype": keras.saving.serialize_keras_object(self.dtype_policy)}


@keras.saving.register_keras_serializable(PACKAGE)
class NearestUpsampling(_OfItsInputs):
    """Doubles a map and crops it to the size of another map, for a downsampling that rounded up: 12 rows become 23.

    Equivalent to PyTorch's `interpolate(mode="nearest")` to such a size. It consists of two concatenations and a
    reshape, which XNNPACK supports; Keras's nearest upsampling is converted to operations that split the graph into
    four partitions.

    Shapes: (B, H, W, C) and (B, H', W', D) to (B, H', W', C), where H' is 2 H or 2 H - 1.

    Examples:
        >>> rows = ops.reshape(ops.arange(2, dtype="float32"), (1, 2, 1, 1))
        >>> ops.convert_to_numpy(NearestUpsampling()(rows, ops.zeros((1, 3, 1, 5))))[0, :, 0, 0].tolist()
        [0.0, 0.0, 1.0]
    """

    def call(self, inputs: Any, like: Any) -> Any:
        batch, height, width, channels = ops.shape(inputs)
        columns = ops.concatenate([inputs, inputs], axis=-1)
        doubled = ops.reshape(ops.concatenate([columns, columns], axis=2), (batch, 2 * height, 2 * width, channels))
        if _same_size(doubled, like):
            return doubled
        return doubled[:, : ops.shape(like)[1], : ops.shape(like)[2]]

    def compute_output_shape(self, inputs_shape: Shape, like_shape: Shape) -> Shape:
        return (*inputs_shape[:1], *like_shape[1:3], inputs_shape[-1])


@keras.saving.register_keras_serializable(PACKAGE)
class BilinearResize(_OfItsInputs):
    """Resizes a map to the size of another map, bilinearly with half-pixel centers (PyTorch's `align_corners=False`).

    `keras.layers.Resizing` is not used because it needs fixed sizes, and runs BatchNorm layers that follow it in
    training mode (Keras 3.15).

    Shapes: (B, H, W, C) and (B, H', W', D) to (B, H', W', C).

    Examples:
        >>> rows = ops.reshape(ops.arange(2, dtype="float32"), (1, 2, 1, 1))
        >>> ops.convert_to_numpy(BilinearResize()(rows, ops.zeros((1, 4, 1, 5))))[0, :, 0, 0].tolist()
        [0.0, 0.25, 0.75, 1.0]
    """

    def call(self, inputs: Any, like: Any) -> Any:
        if _same_size(inputs, like):
            return inputs
        return resize_bilinear(inputs, ops.shape(like)[1:3])

    def compute_output_shape(self, inputs_shape: Shape, like_shape: Shape) -> Shape:
        return (*inputs_shape[:1], *like_shape[1:3], inputs_shape[-1])


@keras.saving.register_keras_serializable(PACKAGE)
class BilinearUpsampling(_OfItsInputs):
    """Doubles a map bilinearly with half-pixel centers; `keras.layers.UpSampling2D` needs known sizes.

    Shapes: (B, H, W, C) to (B, 2 H, 2 W, C).
    """

    def call(self, inputs: Any) -> Any:
        return resize_bilinear(inputs, tuple(2 * side for side in ops.shape(inputs)[1:3]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        doubled = (None if side is None else 2 * side for side in input_shape[1:3])
        return (*input_shape[:1], *doubled, input_shape[-1])


def resize_bilinear(inputs: Any, size: Any) -> Any:
    """Resizes (B, H, W, C), with half-pixel centers, to a (height, width) that may be known only at run time."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Keras's own asks whether a size is above zero, which a graph does not know of one yet to come.
        return tf.cast(tf.image.resize(inputs, size), inputs.dtype)
    return ops.image.resize(inputs, size, interpolation="bilinear", data_format="channels_last")


def _same_size(inputs: Any, like: Any) -> bool:
    """Whether height and width are equal and known before the graph runs, so that no operation is needed."""
    return None not in like.shape[1:3] and tuple(inputs.shape[1:3]) == tuple(like.shape[1:3])
