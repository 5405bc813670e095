"""A deploy graph as a float flatbuffer, by the TFLite converter."""

from collections.abc import Iterator
from typing import Any, Literal

import keras

from swiftformer_tf.errors import ExportError, first_line
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.native_logs import native_stderr_silenced, tensorflow_notes_silenced
from swiftformer_tf.quantization.naming import name_tensors

__all__ = ["convert"]


def convert(deploy: DeployModel, weights: Literal["float32", "float16"] = "float32") -> bytes:
    """Writes a deploy graph with one signature: `image` in, the graph's named outputs out.

    Args:
        deploy: What `fuse` returned.
        weights: Type of the stored weights; all else is float32.

    Raises:
        ExportError: The converter failed; the message has the first line of what it said.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerModel, fuse
        >>> convert(fuse(SwiftFormerModel(SwiftFormerConfig.from_variant("tiny", image_size=32))))[4:8]
        b'TFL3'
    """
    import tensorflow as tf

    try:
        with native_stderr_silenced(), tensorflow_notes_silenced():
            converter = _converter(deploy)
            if weights == "float16":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            content = bytes(converter.convert())
    except Exception as error:  # the converter raises whatever its passes raise
        raise ExportError(f"{weights}: the TFLite converter failed: {first_line(error)}") from error
    return name_tensors(content, set(_layer_names(deploy)))


def _layer_names(model: keras.Model) -> Iterator[str]:
    """Of a model and of those inside it."""
    for layer in model.layers:
        yield layer.name
        if isinstance(layer, keras.Model):
            yield from _layer_names(layer)


def _converter(deploy: DeployModel) -> Any:
    import tensorflow as tf

    spec = tf.TensorSpec(deploy.inputs[0].shape, tf.float32, name="image")
    names = [each.name for each in deploy.named_outputs]
    # Variables would stay resources in the file, which no other tool can read; arrays become constants.
    states = [
        [each.numpy() for each in variables]
        for variables in (deploy.trainable_variables, deploy.non_trainable_variables)
    ]

    def signature(image: Any) -> dict[str, Any]:
        with tf.name_scope(deploy.name):
            results, _ = deploy.stateless_call(*states, image, training=False)
            return dict(zip(names, keras.tree.flatten(results), strict=True))

    traced = tf.function(signature, input_signature=[spec]).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
