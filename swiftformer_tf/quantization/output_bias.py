"""Corrects the mean error of a file's outputs with the biases of its last matrices."""

from collections.abc import Mapping, Sequence

import numpy as np

from swiftformer_tf.litert.integers import dequantized, quantized
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization.graph import Graph
from swiftformer_tf.quantization.ranges import channel_means, last_matrices

__all__ = ["correct_output_bias"]


def correct_output_bias(content: bytes, images: Sequence[np.ndarray], expected: Mapping[str, np.ndarray]) -> bytes:
    """Runs an integer graph and shifts the biases of its last matrices.

    Only now is the accumulated rounding error of all layers known, which would shift the same classes for all
    photographs.

    Args:
        content: The flatbuffer from `rewrite`.
        images: Inputs of the graph, float32.
        expected: Mean outputs of the last matrices in the float graph, (channels,), by the label of the output.

    Returns:
        The flatbuffer.
    """
    from ai_edge_litert.interpreter import Interpreter

    graph = Graph(content)
    # A mean over channels that became a matrix was none in the float graph, and is not expected.
    last = [op for op in last_matrices(graph) if op.matrix[2] >= 0 and graph.label(op.outputs[0]) in expected]
    if not last:
        return content
    (source,), outputs = graph.inputs, tuple(op.outputs[0] for op in last)
    with native_stderr_silenced():
        interpreter = Interpreter(model_content=graph.watched(outputs))
        interpreter.allocate_tensors()
    (given,), made = interpreter.get_input_details(), interpreter.get_output_details()
    wanted = [expected[graph.label(output)] for output in outputs]
    totals = [np.zeros(len(each)) for each in wanted]
    inputs = graph.quantization(source)
    for image in images:
        value = image if inputs is None else quantized(image, inputs, graph.kind(source))
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        for total, output, details in zip(totals, outputs, made, strict=True):
            answer, scale = interpreter.get_tensor(details["index"]), graph.quantization(output)
            total += channel_means(answer if scale is None else dequantized(answer, scale))
    for op, total, each in zip(last, totals, wanted, strict=True):
        graph.shift_bias(graph.operations.index(op), each - total / len(images))
    return graph.rewritten([(each, each.version) for each in graph.operations], graph.inputs, graph.outputs)
