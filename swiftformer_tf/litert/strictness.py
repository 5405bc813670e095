"""Checks for readers that are stricter than LiteRT: unused parts of a flatbuffer, and scales of integers."""

import collections
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from swiftformer_tf.litert.integers import FIXED_OUTPUTS, Kind
from swiftformer_tf.litert.ops import CHANNEL_AXES, FLOATS, MATRIX_OPS, SAME_SCALE, operation_name

__all__ = ["find_misquantized", "find_unused"]

# Integer types with quantized values. Bytes may also be indices, which have no scale.
SCALED = ("INT4", "INT8", "INT16")
# The integer that stands for zero must be one of its type: the smallest and the largest.
ZERO_POINTS = {"INT4": (-8, 7), "INT8": (-128, 127), "UINT8": (0, 255)}
KINDS: dict[str, Kind] = {"INT8": "int8", "INT16": "int16"}
# The integer that LiteRT's kernels exclude from matrices, so that the sum of two products fits into 16 bits.
LEAST_OF_INT8 = -128
# Relative tolerance between a bias's scale and that of its sums: both are products of float32.
ROUNDING = 1e-5


def find_unused(graph: Any) -> tuple[str, ...]:
    """Finds buffers, operation codes, operations and tensors that are unused, and duplicate operation codes.

    Args:
        graph: The generated schema's `ModelT`, with one subgraph.
    """
    (subgraph,) = graph.subgraphs
    tensors = {*subgraph.inputs, *subgraph.outputs}
    tensors |= {index for op in subgraph.operators for ends in (op.inputs, op.outputs) for index in ends}
    codes = {op.opcodeIndex for op in subgraph.operators}
    # The first buffer is that of all tensors without data, by the schema.
    buffers = {0, *(tensor.buffer for tensor in subgraph.tensors), *(each.buffer for each in graph.metadata or ())}
    named = [f"{operation_name(code)} {code.version}" for code in graph.operatorCodes]
    return (
        *(f"operation code {name}" for index, name in enumerate(named) if index not in codes),
        *(f"duplicate operation code {name}" for name, count in collections.Counter(named).items() if count > 1),
        *_unread(graph),
        *(f"tensor {_name(tensor)}" for index, tensor in enumerate(subgraph.tensors) if index not in tensors),
        *(f"buffer {index}" for index in range(len(graph.buffers)) if index not in buffers),
    )


def _unread(graph: Any) -> Iterator[str]:
    """Operations on which no output of the graph depends, the last first."""
    (subgraph,) = graph.subgraphs
    needed = {*subgraph.outputs}
    for op in reversed(subgraph.operators):
        if needed.isdisjoint(op.outputs):
            made = ", ".join(_name(subgraph.tensors[index]) for index in op.outputs)
            yield f"operation {operation_name(graph.operatorCodes[op.opcodeIndex])} ({made})"
        else:
            needed.update(op.inputs)


def find_misquantized(graph: Any, types: Sequence[str]) -> tuple[str, ...]:
    """Finds tensors whose scales a strict reader would reject or misinterpret, each with the reason.

    Args:
        graph: The generated schema's `ModelT`, with one subgraph.
        types: Types of its tensors, by LiteRT's names.
    """
    (subgraph,) = graph.subgraphs
    by_channel = _channel_axes(graph)
    found = {
        index: fault
        for index, (tensor, kind) in enumerate(zip(subgraph.tensors, types, strict=True))
        if (fault := _fault(tensor, kind, by_channel.get(index)))
    }
    for index, fault in (*_matrix_faults(graph, types), *_scale_faults(graph, types)):
        found.setdefault(index, fault)
    return tuple(f"{_name(subgraph.tensors[index])} ({fault})" for index, fault in found.items())


def _channel_axes(graph: Any) -> dict[int, int]:
    """Tensors that may have a scale for each channel, which are stored matrices and their biases: its axis."""
    (subgraph,) = graph.subgraphs
    found: dict[int, int] = {}
    for op in subgraph.operators:
        name = operation_name(graph.operatorCodes[op.opcodeIndex])
        if name in MATRIX_OPS:
            _, weights, bias = _places(name, op.inputs)
            found |= {weights: CHANNEL_AXES[name], bias: 0}
    return {index: axis for index, axis in found.items() if index >= 0 and _is_stored(graph, subgraph.tensors[index])}


def _fault(tensor: Any, kind: str, channel_axis: int | None) -> str:
    """The fault in the scales of a single tensor, whose channels are on that axis if each may have one."""
    scales, zero_points = _scales(tensor), _zero_points(tensor)
    axis = tensor.quantization.quantizedDimension if tensor.quantization is not None else 0
    low, high = ZERO_POINTS.get(kind, (-math.inf, math.inf))
    shape = [] if tensor.shape is None else [*tensor.shape]
    has_several = len(scales) > 1
    rules = (
        (kind in FLOATS and scales.size, "floats with a scale"),
        (kind in SCALED and not scales.size, "integers without a scale"),
        (len(zero_points) != len(scales), f"{len(scales)} scales and {len(zero_points)} zero points"),
        (not (np.isfinite(scales) & (scales > 0)).all(), "a scale that is not a positive number"),
        (has_several and channel_axis is None, f"{len(scales)} scales, one expected"),
        (has_several and axis != channel_axis, f"{len(scales)} scales on axis {axis}, axis {channel_axis} expected"),
        (has_several and shape[axis : axis + 1] != [len(scales)], f"{len(scales)} scales on axis {axis}"),
        (kind == "INT16" and zero_points.any(), "a zero point of 16 bits"),
        (((zero_points < low) | (zero_points > high)).any(), f"a zero point outside {low} to {high}"),
    )
    return next((fault for is_wrong, fault in rules if is_wrong), "")


def _matrix_faults(graph: Any, types: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Faults of matrices, which must be symmetric, and of biases, which must have the scale of the sums."""
    (subgraph,) = graph.subgraphs
    for op in subgraph.operators:
        name = operation_name(graph.operatorCodes[op.opcodeIndex])
        if name not in MATRIX_OPS or types[op.inputs[1]] not in SCALED:
            continue
        source, weights, bias = _places(name, op.inputs)
        matrix = subgraph.tensors[weights]
        if _is_stored(graph, matrix):
            data = graph.buffers[matrix.buffer].data
            if _zero_points(matrix).any():
                yield weights, "a matrix with a zero point"
            if types[weights] == "INT8" and (np.asarray(data).view(np.int8) == LEAST_OF_INT8).any():
                yield weights, f"a matrix with {LEAST_OF_INT8}"
        if bias < 0 or types[bias] in FLOATS:
            continue
        steps = _scales(subgraph.tensors[bias])
        sums = np.outer(_scales(subgraph.tensors[source]), _scales(matrix)).reshape(-1)
        if steps.shape != sums.shape or not np.allclose(steps, sums, rtol=ROUNDING, atol=0):
            yield bias, "a bias with another scale than its sums"
        elif _zero_points(subgraph.tensors[bias]).any():
            yield bias, "a bias with a zero point"


def _scale_faults(graph: Any, types: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Faults of outputs whose quantization LiteRT's kernels take for granted, and others compute with."""
    (subgraph,) = graph.subgraphs
    for op in subgraph.operators:
        name = operation_name(graph.operatorCodes[op.opcodeIndex])
        read = [_quantization(subgraph.tensors[index]) for index in op.inputs if index >= 0]
        for index in op.outputs:
            its = _quantization(subgraph.tensors[index])
            if name in SAME_SCALE and any(other != its for other in read if other[0]):
                yield index, f"{name} with another scale or zero point than its inputs"
            fixed = FIXED_OUTPUTS[KINDS[types[index]]].get(name) if types[index] in KINDS else None
            if fixed is not None and its != ([*fixed.scale], [fixed.zero_point]):
                (step,) = fixed.scale
                yield index, f"{name} with another scale or zero point than 1/{1 / step:.0f} and {fixed.zero_point}"


def _is_stored(graph: Any, tensor: Any) -> bool:
    data = graph.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _quantization(tensor: Any) -> tuple[list[float], list[int]]:
    """Scales and zero points, to be compared."""
    return _scales(tensor).tolist(), _zero_points(tensor).tolist()


def _places(name: str, inputs: Sequence[int]) -> tuple[int, int, int]:
    """Indices of the input, the matrix and the bias of an operation; -1 for none."""
    first = 1 if name == "TRANSPOSE_CONV" else 0
    source = inputs[2] if first else inputs[0]
    return source, inputs[1], inputs[first + 2] if len(inputs) > first + 2 else -1


def _scales(tensor: Any) -> np.ndarray:
    quantization = tensor.quantization
    return np.asarray([] if quantization is None or quantization.scale is None else quantization.scale, np.float64)


def _zero_points(tensor: Any) -> np.ndarray:
    quantization = tensor.quantization
    return np.asarray([] if quantization is None or quantization.zeroPoint is None else quantization.zeroPoint)


def _name(tensor: Any) -> str:
    return tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name)
