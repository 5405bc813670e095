"""The class of each pixel inside a graph."""

from typing import Any

import keras
from keras import ops

from swiftformer_tf.registration import PACKAGE

__all__ = ["PixelClass"]


@keras.saving.register_keras_serializable(PACKAGE)
class PixelClass(keras.layers.Layer):
    """Returns the index of the largest entry of each pixel; among equal ones, the first.

    `keras.ops.argmax` is not used because the TFLite converter turns it into operations that exist only in TensorFlow.

    Shapes: (B, H, W, C) to uint8 (B, H, W); C is at most 256.

    Examples:
        >>> ops.convert_to_numpy(PixelClass()(ops.array([[[[1.0, 3.0], [2.0, 2.0]]]]))).tolist()
        [[[1, 0]]]
    """

    def call(self, inputs: Any) -> Any:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.cast(tf.argmax(inputs, axis=-1, output_type=tf.int32), tf.uint8)
        return ops.cast(ops.argmax(inputs, axis=-1), "uint8")

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape[:-1], "uint8")
