"""Reshapes pixels to one row where their neighbors are not used, so that XNNPACK rounds an image with one range."""

from typing import Any

import numpy as np

from swiftformer_tf.quantization.graph import Graph, Operation

__all__ = ["flatten", "has_one_range"]

# Operations that make a pixel of the pixels at the same place, or one of all of them; of CONV_2D, those of 1x1.
PIXELWISE = ("ADD", "GELU", "LOGISTIC", "MAXIMUM", "MEAN", "MUL", "RSQRT", "TANH")

# An operation and its version.
Versioned = tuple[Operation, int]


def has_one_range(graph: Graph, op: Operation) -> bool:
    """Whether floats are rounded with one range for all pixels before a matrix multiplies them.

    XNNPACK converts a 1x1 convolution to a fully connected layer and measures a range for each pixel, which takes
    longer than 48 multiplications of 48 numbers. It does not convert a convolution with a stride, for which it measures
    one range in one pass. With a single row, a stride of two rows has no effect.

    Matrices that change the width keep a range for each pixel: their inputs, from a depthwise convolution or a GELU,
    have rare large values, and with a single range little precision would remain for the others.
    """
    if not _is_pixelwise(graph, op) or op.name != "CONV_2D" or not _is_map(graph, op.inputs[0]):
        return False
    outputs, _, _, inputs = graph.shape(op.inputs[1])
    return outputs == inputs and [graph.kind(each) for each in op.inputs[:2]] == ["float32", "int8"]


def flatten(graph: Graph, operations: list[Versioned], outputs: tuple[int, ...]) -> list[Versioned]:
    """Reshapes pixels to a row for the matrices with one range, and for the operations between them.

    Args:
        graph: The graph that contains the tensors; new ones are added to it.
        operations: The operations in the order of execution.
        outputs: Tensors that must be maps at the end.

    Returns:
        The operations with added reshapes, which XNNPACK performs in place.
    """
    return _Flattener(graph).run(operations, outputs)


class _Flattener:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operations: list[Versioned] = []
        # Rows of the maps that are there as rows, and maps that are there as maps.
        self.rows: dict[int, int] = {}
        self.maps: set[int] = set()

    def run(self, operations: list[Versioned], outputs: tuple[int, ...]) -> list[Versioned]:
        for op, version in operations:
            maps = [tensor for tensor in op.inputs if self._is_computed_map(tensor)]
            forced = has_one_range(self.graph, op)
            if forced or (maps and _is_pixelwise(self.graph, op) and all(tensor in self.rows for tensor in maps)):
                self._in_rows(op, version, forced)
            else:
                inputs = tuple(self._map(each) if each in maps else each for each in op.inputs)
                self.operations.append((Operation(op.name, inputs, op.outputs, op.source), version))
                self.maps.update(op.outputs)
        for tensor in outputs:
            self._map(tensor)
        return self.operations

    def _in_rows(self, op: Operation, version: int, forced: bool) -> None:
        inputs = tuple(self._row(each) if self._is_computed_map(each) else each for each in op.inputs)
        (output,) = op.outputs
        if _is_map(self.graph, output):
            self.rows[output] = self._like(output, self._row_shape(output))
        source = self.graph.source_with(op, {"strideH": 2} if forced else {})
        self.operations.append((Operation(op.name, inputs, (self.rows.get(output, output),), source), version))

    def _is_computed_map(self, tensor: int) -> bool:
        return tensor >= 0 and self.graph.constant(tensor) is None and _is_map(self.graph, tensor)

    def _row(self, tensor: int) -> int:
        if tensor not in self.rows:
            self.rows[tensor] = self._like(tensor, self._row_shape(tensor))
            self._reshape(tensor, self.rows[tensor])
        return self.rows[tensor]

    def _map(self, tensor: int) -> int:
        if tensor in self.rows and tensor not in self.maps:
            self._reshape(self.rows[tensor], tensor)
            self.maps.add(tensor)
        return tensor

    def _row_shape(self, tensor: int) -> tuple[int, ...]:
        batch, height, width, channels = self.graph.shape(tensor)
        return (batch, 1, height * width, channels)

    def _like(self, tensor: int, shape: tuple[int, ...]) -> int:
        graph = self.graph
        return graph.add_tensor(tensor, graph.kind(tensor), quantization=graph.quantization(tensor), shape=shape)

    def _reshape(self, source: int, output: int) -> None:
        shape: Any = np.array(self.graph.shape(output))
        target = self.graph.add_tensor(output, "int32", value=shape, name=self.graph.label(output) + "/shape")
        self.operations.append((Operation("RESHAPE", (source, target), (output,), self.graph.reshape(shape)), 1))


def _is_pixelwise(graph: Graph, op: Operation) -> bool:
    made = graph.shape(op.outputs[0])
    if op.name == "MEAN":
        axes = graph.constant(op.inputs[1])
        over = [] if axes is None else sorted((axes.reshape(-1) % 4).tolist())
        return over == [1, 2] or (over == [3] and len(made) == 4)
    if op.name != "CONV_2D":
        return op.name in PIXELWISE and all(_fits_rows(graph, each, made[1:3]) for each in op.inputs if each >= 0)
    options = op.source.builtinOptions
    return (*graph.shape(op.inputs[1])[1:3], options.strideH, options.strideW) == (1, 1, 1, 1)


def _fits_rows(graph: Graph, tensor: int, places: tuple[int, ...]) -> bool:
    """Whether a tensor is a map of that size, which can be reshaped to a row, or is constant over all pixels."""
    shape = graph.shape(tensor)
    is_map = len(shape) == 4 and shape[1:3] == places and graph.constant(tensor) is None
    return is_map or max(shape[-3:-1], default=1) == 1


def _is_map(graph: Graph, tensor: int) -> bool:
    shape = graph.shape(tensor)
    return len(shape) == 4 and shape[1] > 1
