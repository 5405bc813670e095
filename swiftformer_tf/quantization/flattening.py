"""Pixels laid in one row where nothing looks at their neighbors, so that XNNPACK rounds an image by one range."""

from typing import Any

import numpy as np

from swiftformer_tf.quantization.graph import Graph, Operation

__all__ = ["flatten", "has_one_range"]

# Operations that make a pixel of the pixels at the same place, or one of all of them; of CONV_2D, those of 1x1.
PIXELWISE = ("ADD", "GELU", "LOGISTIC", "MAXIMUM", "MEAN", "MUL", "RSQRT", "TANH")

# An operation and its version.
Versioned = tuple[Operation, int]


def has_one_range(graph: Graph, op: Operation) -> bool:
    """Whether floats are rounded by one range for all pixels before a matrix multiplies them.

    XNNPACK makes a fully connected layer of a 1x1 convolution and measures a range for each pixel: that takes longer
    than 48 multiplications of 48 numbers. A convolution with a stride it leaves alone, and measures one range in one
    pass. A stride of two rows is none where there is one row.

    Matrices that change the width keep a range for each pixel: what a depthwise convolution or a GELU gives them has
    rare large values, beside which one range leaves little of all others.
    """
    if not _is_pixelwise(graph, op) or op.name != "CONV_2D" or not _is_map(graph, op.inputs[0]):
        return False
    outputs, _, _, inputs = graph.shape(op.inputs[1])
    return outputs == inputs and [graph.kind(each) for each in op.inputs[:2]] == ["float32", "int8"]


def flatten(graph: Graph, operations: list[Versioned], outputs: tuple[int, ...]) -> list[Versioned]:
    """Lays pixels in a row for the matrices with one range, and for what stands between them.

    Args:
        graph: Holds the tensors; gets further ones.
        operations: In the order in which they run.
        outputs: Tensors that have to be maps at the end.

    Returns:
        The operations with reshapes among them, which XNNPACK does in place.
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
    """Whether a tensor is a map with those places, which can be laid in a row, or is the same at all of them."""
    shape = graph.shape(tensor)
    is_map = len(shape) == 4 and shape[1:3] == places and graph.constant(tensor) is None
    return is_map or max(shape[-3:-1], default=1) == 1


def _is_map(graph: Graph, tensor: int) -> bool:
    shape = graph.shape(tensor)
    return len(shape) == 4 and shape[1] > 1
