"""The last bias takes back what a file's outputs differ by in the mean."""

from collections.abc import Sequence

import numpy as np

from swiftformer_tf.litert.integers import dequantized, quantized
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization.graph import Graph
from swiftformer_tf.quantization.ranges import last_matrix

__all__ = ["correct_output_bias"]


def correct_output_bias(content: bytes, images: Sequence[np.ndarray], expected: np.ndarray) -> bytes:
    """Runs an integer graph and shifts the bias of its last matrix.

    What rounding adds up to through all layers is known only now. It would move the same classes of all photographs.

    Args:
        content: What `rewrite` returned.
        images: Inputs (1, height, width, channels) float32.
        expected: What the last matrix makes of them in the float graph, in the mean, (labels,).

    Returns:
        The flatbuffer.
    """
    from ai_edge_litert.interpreter import Interpreter

    graph = Graph(content)
    last = last_matrix(graph)
    (source,), (output,) = graph.inputs, last.outputs
    with native_stderr_silenced():
        interpreter = Interpreter(model_content=graph.watched((output,)))
        interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    inputs, outputs = graph.quantization(source), graph.quantization(output)
    total = np.zeros(len(expected))
    for image in images:
        value = image if inputs is None else quantized(image, inputs, graph.kind(source))
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        answer = interpreter.get_tensor(made["index"])
        floats = answer if outputs is None else dequantized(answer, outputs)
        total += floats.reshape(-1, len(total)).mean(axis=0)
    graph.shift_bias(graph.operations.index(last), expected - total / len(images))
    return graph.rewritten([(each, each.version) for each in graph.operations], graph.inputs, graph.outputs)
