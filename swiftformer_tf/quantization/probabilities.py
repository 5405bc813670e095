"""Float probabilities after integer logits, and softmax over few channels by operations that are fast in XNNPACK."""

import dataclasses
import math

import numpy as np

from swiftformer_tf.quantization.graph import Graph, Operation

__all__ = ["PROBABILITY_OPS", "lower_softmax", "probability_operations"]

# Operations that convert logits to probabilities in float, besides the sum of a pixel's exponentials, a convolution by
# ones.
PROBABILITY_OPS = ("ADD", "DIV", "EXP", "REDUCE_MAX", "RESIZE_BILINEAR", "SOFTMAX", "SUB")

# Largest distance of two logits whose exponentials, shifted by the largest logits of four pixels and weighted by where
# a pixel lies between them, are normal float32 numbers whatever the weights.
MOST_DISTANCE = 100.0


def probability_operations(graph: Graph) -> list[Operation]:
    """Returns the operations for an output of per-pixel probabilities: resizing and adding logits, and softmax.

    Operations whose results are also used elsewhere are excluded: a residual sum, for instance, remains an integer.

    Args:
        graph: A float graph.
    """
    producers = {output: op for op in graph.operations for output in op.outputs}
    readers: dict[int, set[Operation]] = {}
    for op in graph.operations:
        for each in op.inputs:
            readers.setdefault(each, set()).add(op)
    found: list[Operation] = []
    for op in (producers[each] for each in graph.outputs if each in producers):
        before = producers.get(op.inputs[0]) if op.name == "SOFTMAX" else None
        waiting = [] if before is None or before.name != "RESIZE_BILINEAR" else [op]
        while waiting:
            found.append(waiting.pop())
            sources = {producers[each] for each in found[-1].inputs if each in producers}
            waiting += [
                each
                for each in sources
                if each.name in ("ADD", "RESIZE_BILINEAR") and readers[each.outputs[0]] <= {*found}
            ]
    return found


def lower_softmax(content: bytes) -> bytes:
    """Replaces the softmax of an enlarged map with exponentials, their sum as a 1x1 convolution, and a division.

    XNNPACK's softmax calls three functions for each pixel, which for a dozen classes takes longer than the arithmetic.
    The largest logit is subtracted before the map is enlarged, where there are few pixels: exponentials are then at
    most one and, since bilinear resizing is linear, the same number is subtracted from all classes of each pixel.

    Args:
        content: The flatbuffer from `rewrite`. Logits that were integers are bounded by their range, without which the
            exponentials of all classes of a pixel could vanish.

    Returns:
        The flatbuffer, unchanged if it has no such softmax.
    """
    graph = Graph(content)
    producers = {output: op for op in graph.operations for output in op.outputs}
    pairs = [(producers.get(op.inputs[0]), op) for op in graph.operations if op.name == "SOFTMAX"]
    enlarged = [
        (resize, softmax)
        for resize, softmax in pairs
        if resize is not None and resize.name == "RESIZE_BILINEAR" and _is_lowered(graph, producers, resize)
    ]
    if not enlarged:
        return content
    for resize, softmax in enlarged:
        graph.replace_operation(graph.operations.index(softmax), _lowered(graph, resize, softmax))
        graph.replace_operation(graph.operations.index(resize), [])
    return graph.rewritten([(each, each.version) for each in graph.operations], graph.inputs, graph.outputs)


def _is_lowered(graph: Graph, producers: dict[int, Operation], resize: Operation) -> bool:
    """Whether the logits are bounded, enlarged, and read only by the softmax."""
    (logits, _), (enlarged,) = resize.inputs, resize.outputs
    readers = sum(enlarged in op.inputs for op in graph.operations)
    is_larger = np.prod(graph.shape(logits)) < np.prod(graph.shape(enlarged))
    is_bounded = _distance(graph, producers, logits) <= MOST_DISTANCE
    return bool(is_bounded and is_larger and readers == 1 and enlarged not in graph.outputs)


def _distance(graph: Graph, producers: dict[int, Operation], logits: int) -> float:
    """Upper bound of the difference of two logits: former integers are within their range, as are sums and means."""
    if (constant := graph.constant(logits)) is not None:
        return float(np.ptp(constant)) if constant.dtype == np.float32 else 0.0  # a size adds nothing
    if (producer := producers.get(logits)) is None:
        return math.inf
    if producer.name in ("ADD", "RESIZE_BILINEAR"):
        return sum(_distance(graph, producers, each) for each in producer.inputs)
    integers = graph.quantization(producer.inputs[0]) if producer.name == "DEQUANTIZE" else None
    return math.inf if integers is None else 255 * float(integers.scale[0])


def _lowered(graph: Graph, resize: Operation, softmax: Operation) -> list[Operation]:
    (logits, size), (enlarged,), (output,) = resize.inputs, resize.outputs, softmax.outputs
    label, channels = graph.label(output), graph.shape(output)[-1]

    def tensor(like: int, name: str, *, one: bool = False) -> int:
        shape = (*graph.shape(like)[:-1], 1) if one else None
        return graph.add_tensor(like, "float32", shape=shape, name=f"{label}/{name}")

    largest, shifted = tensor(logits, "largest", one=True), tensor(logits, "shifted")
    powers, total = tensor(output, "exp"), tensor(output, "sum", one=True)
    ones = graph.add_tensor(output, "float32", value=np.ones((1, 1, 1, channels)), name=f"{label}/ones")
    zero = graph.add_tensor(output, "float32", value=np.zeros(1), name=f"{label}/zero")
    last_axis = graph.add_tensor(output, "int32", value=np.array([len(graph.shape(output)) - 1]), name=f"{label}/axis")
    return [
        Operation("REDUCE_MAX", (logits, last_axis), (largest,), graph.reduction()),
        graph.operation("SUB", (logits, largest), shifted),
        dataclasses.replace(resize, inputs=(shifted, size), outputs=(enlarged,)),
        graph.operation("EXP", (enlarged,), powers),
        Operation("CONV_2D", (powers, ones, zero), (total,), graph.pointwise()),
        graph.operation("DIV", (powers, total), output),
    ]
