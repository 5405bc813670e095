"""Flatbuffers of a few operations, made and run."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from support.random_models import tiny_config
from swiftformer_tf import RECIPES, LiteModel
from swiftformer_tf.native_logs import native_stderr_silenced, tensorflow_notes_silenced
from swiftformer_tf.quantization import Graph
from swiftformer_tf.tasks import Output


def converted(layer: Callable[[Any], Any], *shape: int) -> bytes:
    """The float flatbuffer of a layer, or of any function of a Keras tensor, whose input has that shape."""
    source = keras.Input(shape, batch_size=1)
    return converted_model(keras.Model(source, layer(source)))


def converted_model(model: keras.Model) -> bytes:
    """The float flatbuffer of a model, as `from_keras_model` makes it, which takes three times as long: it saves it."""
    states = [[each.numpy() for each in row] for row in (model.trainable_variables, model.non_trainable_variables)]
    spec = tf.TensorSpec(model.inputs[0].shape, tf.float32)
    traced = tf.function(lambda image: model.stateless_call(*states, image, training=False)[0], input_signature=[spec])
    with native_stderr_silenced(), tensorflow_notes_silenced():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], tf.Module())
        converter.experimental_lower_to_saved_model = False
        return bytes(converter.convert())


def answers(content: bytes, images: Iterable[np.ndarray]) -> np.ndarray:
    """The output for each input, stacked."""
    from ai_edge_litert.interpreter import Interpreter

    with native_stderr_silenced():
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
    found = []
    for image in images:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.stack(found)


def packed(function: Any, size: tuple[int | None, ...], recipe: str = "float32", *, flex: bool = False) -> LiteModel:
    """Any function from a picture to ten logits as a file of ours."""
    spec = tf.TensorSpec(size, tf.float32, name="image")
    traced = tf.function(lambda image: {"logits": function(image)}, input_signature=[spec]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    outputs = (Output("logits", (1, 10), "classification"),)
    return LiteModel.pack(converter.convert(), config=tiny_config(), recipe=RECIPES[recipe], outputs=outputs)


def linear(image: Any) -> Any:
    return tf.reduce_mean(image, (1, 2)) @ tf.constant(np.eye(3, 10, dtype=np.float32))


def activations(content: bytes) -> list[int]:
    """The integer tensors that operations make, but for casts at the end, in their order."""
    graph = Graph(content)
    made = [tensor for op in graph.operations for tensor in op.outputs]
    return [tensor for tensor in made if graph.quantization(tensor) is not None]


def with_other_scale(content: bytes, tensor: int, factor: float) -> bytes:
    """A file with one scale that is wrong."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    quantization = model.subgraphs[0].tensors[tensor].quantization
    quantization.scale = [float(scale) * factor for scale in quantization.scale]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def max_rank(lite: LiteModel) -> int:
    """Most dimensions that a tensor of a file has."""
    (subgraph,) = flatbuffer_utils.read_model_from_bytearray(bytearray(lite.content)).subgraphs
    return max(len(tensor.shape) for tensor in subgraph.tensors if tensor.shape is not None)
