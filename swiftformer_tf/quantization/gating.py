"""GELU as x times sigmoid(1.702 x), of two operations that integer backends have, wherever that is close enough."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from swiftformer_tf.quantization.equalizing import Group, rescale
from swiftformer_tf.quantization.graph import Graph, Operation, Quantization
from swiftformer_tf.quantization.ranges import MATRIX_OPS, Statistics
from swiftformer_tf.recipes import Recipe

__all__ = ["SLOPE", "Gate", "gate", "gates", "is_gated", "ungated"]

# Of the sigmoid, as in section 2 of the paper on GELU (Hendrycks and Gimpel, arXiv:1606.08415).
SLOPE = 1.702

# In dB, of what is left when the bias behind has taken back the mean. Eight bits leave 28 dB of a GELU's outputs.
MIN_SNR = 32

SUFFIX = "/sigmoid"


@dataclasses.dataclass(frozen=True, eq=False)
class Gate:
    """Two operations in the place of a GELU. Around them all is `SLOPE` times as large: the matrices see to that.

    Args:
        sigmoid: LOGISTIC of the input.
        product: MUL of the input and the sigmoid.
        writer: The operation that makes the input.
        reader: The operation that multiplies the output.
    """

    sigmoid: Operation
    product: Operation
    writer: Operation
    reader: Operation


def is_gated(recipe: Recipe) -> bool:
    """Whether a recipe's GELUs are gates.

    XNNPACK and most accelerators take no integer GELU: LiteRT looks every byte up by itself, and the graph falls into
    pieces. In 16 bits nothing but GELU itself is as faithful as the rest, and in float XNNPACK takes it.
    """
    return recipe.activations == "int8" and "GELU" not in recipe.float_ops


def gate(graph: Graph, statistics: Statistics) -> Statistics:
    """Puts gates in the place of the GELUs to which they are close on what was measured.

    Args:
        graph: A float graph; its operations and weights are replaced.
        statistics: What `measure` found on it.

    Returns:
        What `measure` would find now, had the gates the outputs of a GELU; of sigmoids nothing, since LiteRT fixes
        what their integers stand for.
    """
    writers = {op.outputs[0]: index for index, op in enumerate(graph.operations) if op.name in MATRIX_OPS}
    readers: dict[int, list[int]] = {}
    for index, op in enumerate(graph.operations):
        for tensor in op.inputs:
            readers.setdefault(tensor, []).append(index)
    chosen, groups = [], []
    for index, op in enumerate(graph.operations):
        (output,) = op.outputs
        if op.name != "GELU" or op.inputs[0] not in writers or readers[op.inputs[0]] != [index]:
            continue
        behind = readers.get(output, [])
        if [graph.operations[each].name for each in behind] != ["CONV_2D"]:
            continue
        if _snr(statistics.pixels[op.inputs[0]], statistics.pixels[output]) >= MIN_SNR:
            chosen.append(index)
            groups += [Group({op.inputs[0]}, writers=[writers[op.inputs[0]]]), Group({output}, readers=behind)]
    factors = [np.full(graph.shape(next(iter(each.tensors)))[-1], SLOPE) for each in groups]
    found = rescale(graph, statistics, list(zip(groups, factors, strict=True)))
    for index in reversed(chosen):
        (source,), (output,) = graph.operations[index].inputs, graph.operations[index].outputs
        sigmoid = graph.add_tensor(output, "float32", name=graph.label(output) + SUFFIX)
        logistic = graph.operation("LOGISTIC", (source,), sigmoid)
        graph.replace_operation(index, [logistic, graph.operation("MUL", (source, sigmoid), output)])
    return found


def gates(graph: Graph) -> list[Gate]:
    """Those of a graph, float or integer."""
    makers = {op.outputs[0]: op for op in graph.operations}
    readers = {tensor: op for op in graph.operations for tensor in op.inputs}
    found = []
    for product in graph.operations:
        sigmoid = makers.get(product.inputs[-1]) if product.name == "MUL" else None
        # By the name: SiLU has the same operations.
        if sigmoid is not None and graph.label(sigmoid.outputs[0]).endswith(SUFFIX):
            (source,), (output,) = sigmoid.inputs, product.outputs
            found.append(Gate(sigmoid, product, makers[source], readers[output]))
    return found


def ungated(graph: Graph) -> Callable[[int], Quantization | None]:
    """What the integers of an integer graph's tensors stand for in a float graph, which has GELUs; None for floats."""
    found: dict[int, Quantization] = {}
    for each in gates(graph):
        weights = (each.writer.inputs[1], 1 / SLOPE), (each.reader.inputs[1], SLOPE)
        activations = ((tensor, 1 / SLOPE) for tensor in (*each.sigmoid.inputs, *each.product.outputs))
        for tensor, factor in (*weights, *activations):
            quantization = found.get(tensor) or graph.quantization(tensor)
            assert quantization is not None
            found[tensor] = dataclasses.replace(quantization, scale=quantization.scale * np.float32(factor))
    return lambda tensor: found.get(tensor) or graph.quantization(tensor)


def _snr(inputs: np.ndarray, outputs: np.ndarray) -> float:
    """In dB, of a gate's outputs beside a GELU's, both without their means."""
    noise = inputs / (1 + np.exp(-SLOPE * inputs.astype(np.float64))) - outputs
    signal, left = (float(np.square(each - each.mean(axis=0)).sum()) for each in (outputs, noise))
    return 10 * math.log10(signal / left) if signal and left else math.inf
