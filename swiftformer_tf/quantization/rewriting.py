"""A float graph becomes an integer one: which operations, by which scales, and the casts between the two."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from swiftformer_tf.quantization.graph import Graph, Kind, Operation, Quantization
from swiftformer_tf.quantization.ranges import MATRIX_OPS, Statistics
from swiftformer_tf.quantization.rounding import round_weights
from swiftformer_tf.quantization.scales import best_range, from_range, quantized, restored
from swiftformer_tf.recipes import Recipe

__all__ = ["Arithmetic", "arithmetic", "rewrite"]

# How an operation computes: all in float, float activations times an int8 matrix, or all in integers.
Arithmetic = Literal["float32", "hybrid", "int8"]

# Versions under which LiteRT's registry knows operations on int8, and those of float activations and an int8 matrix.
INT8_VERSIONS: dict[str, int] = {
    **{"ADD": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "GELU": 2, "MAXIMUM": 2, "MEAN": 2, "MUL": 2, "PAD": 2},
    **{"RESHAPE": 1, "RSQRT": 2, "SOFTMAX": 2, "SUB": 2},
}
# The matrix has a scale a row: an older runtime that is not told by the version reads the first alone, and answers.
HYBRID_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12}

# Operations whose output has the scale of their first input.
SAME_SCALE = ("MAXIMUM", "PAD", "RESHAPE")

# Operations whose outputs are worth a search for the range. Whole ranges are better for what a matrix multiplies and
# for what it makes, where the rare large values count.
SEARCHED = ("MEAN", "MUL", "RSQRT")

# Of the sample in which a range is searched: all of it would take long and find the same.
PIXELS_APART = 2

# LiteRT fixes what the integers of a probability stand for.
PROBABILITY = Quantization(np.array([1 / 256], np.float32), -128)

# Weights-only recipes leave smaller matrices in float: they save nothing, and XNNPACK leaves them alone.
MIN_HYBRID_ELEMENTS = 1024


def arithmetic(graph: Graph, recipe: Recipe) -> dict[Operation, Arithmetic]:
    """How each operation of a graph computes under a recipe.

    Args:
        graph: A float graph.
        recipe: A row of `RECIPES` with int8 weights.
    """
    last = [op for op in graph.operations if op.name in MATRIX_OPS][-1]

    def of(op: Operation) -> Arithmetic:
        if recipe.activations == "float32":
            return (
                "hybrid"
                if op.name == "CONV_2D" and np.prod(graph.shape(op.inputs[1])) >= MIN_HYBRID_ELEMENTS
                else "float32"
            )
        if op is last and op.name == "CONV_2D" and "FULLY_CONNECTED" in recipe.float_ops:
            return "hybrid"
        return "float32" if op.name in recipe.float_ops else "int8"

    return {op: of(op) for op in graph.operations}


def rewrite(
    graph: Graph, how: Mapping[Operation, Arithmetic], recipe: Recipe, statistics: Statistics | None = None
) -> bytes:
    """Writes a float graph with other arithmetic.

    Args:
        graph: A float graph; used up.
        how: What `arithmetic` returned, or a choice of your own.
        recipe: Says the types at the border.
        statistics: What `measure` found. Without it, weights are rounded to the nearest integer, and no operation
            can be integer throughout.

    Returns:
        The flatbuffer.
    """
    return _Rewriter(graph, statistics).run(how, recipe)


class _Rewriter:
    def __init__(self, graph: Graph, statistics: Statistics | None) -> None:
        self.graph, self.statistics = graph, statistics
        self.operations: list[tuple[Operation, int]] = []
        # A tensor of the float graph in each type in which it is there already.
        self.twins: dict[tuple[int, Kind], int] = {}
        self.quantizations: dict[int, Quantization] = {}
        self.makers = {op.outputs[0]: op for op in graph.operations}

    def run(self, how: Mapping[Operation, Arithmetic], recipe: Recipe) -> bytes:
        graph = self.graph
        inputs = tuple(self._border(tensor, recipe.inference_input_type) for tensor in graph.inputs)
        for tensor, border in zip(graph.inputs, inputs, strict=True):
            self._enter(tensor, border, recipe.inference_input_type)
        for op in graph.operations:
            {"float32": self._float, "hybrid": self._hybrid, "int8": self._integer}[how[op]](op)
        outputs = tuple(self._leave(tensor, recipe.inference_output_type) for tensor in graph.outputs)
        return graph.rewritten(self.operations, inputs, outputs)

    # Borders.

    def _border(self, tensor: int, kind: Kind) -> int:
        """A tensor of the type that stands at the file's border."""
        if kind == "float32":
            return tensor
        inside = self._quantization(tensor)
        shifted = Quantization(inside.scale, inside.zero_point + (128 if kind == "uint8" else 0))
        return self.graph.add_tensor(tensor, kind, quantization=shifted)

    def _enter(self, tensor: int, border: int, kind: Kind) -> None:
        if kind == "uint8":
            self.twins[tensor, "int8"] = self._requantized(tensor, border, "int8")
        else:
            self.twins[tensor, kind] = border

    def _leave(self, tensor: int, kind: Kind) -> int:
        if kind != "uint8":
            return self._activation(tensor, kind)
        border = self._border(tensor, kind)
        self.operations.append((Operation("QUANTIZE", (self._activation(tensor, "int8"),), (border,)), 1))
        return border

    def _requantized(self, tensor: int, source: int, kind: Kind) -> int:
        twin = self.graph.add_tensor(tensor, kind, quantization=self._quantization(tensor))
        self.operations.append((Operation("QUANTIZE", (source,), (twin,)), 1))
        return twin

    # Operations.

    def _float(self, op: Operation) -> None:
        inputs = tuple(self._activation(each, "float32") if self._computed(each) else each for each in op.inputs)
        self.operations.append((Operation(op.name, inputs, op.outputs, op.source), op.version))
        self.twins[op.outputs[0], "float32"] = op.outputs[0]

    def _hybrid(self, op: Operation) -> None:
        source, weights, bias = op.inputs
        integers, quantization, shift = self._rounded(op)
        on_one_pixel = self.graph.shape(source)[1:3] == (1, 1)
        if on_one_pixel:
            # As what it is: the file can then be told from one whose other convolutions are hybrid.
            integers = integers.reshape(len(integers), -1)
        kernel = self.graph.add_tensor(weights, "int8", value=integers, quantization=quantization)
        offset = self.graph.add_tensor(bias, "float32", value=self._bias(op) + shift)
        inputs = (self._activation(source, "float32"), kernel, offset)
        name = "FULLY_CONNECTED" if on_one_pixel else op.name
        emitted = Operation(name, inputs, op.outputs, self.graph.fully_connected() if on_one_pixel else op.source)
        self.operations.append((emitted, HYBRID_VERSIONS[name]))
        self.twins[op.outputs[0], "float32"] = op.outputs[0]

    def _integer(self, op: Operation) -> None:
        (output,) = op.outputs
        if op.name in MATRIX_OPS:
            inputs = self._matrix(op)
        else:
            inputs = tuple(
                self._activation(each, "int8") if self._computed(each) else self._constant(op, each)
                for each in op.inputs
            )
        twin = self.graph.add_tensor(output, "int8", quantization=self._quantization(output))
        self.twins[output, "int8"] = twin
        self.operations.append((Operation(op.name, inputs, (twin,), op.source), INT8_VERSIONS[op.name]))

    def _matrix(self, op: Operation) -> tuple[int, ...]:
        source, weights, bias = op.inputs
        step = float(self._quantization(source).scale[0])
        integers, quantization, shift = self._rounded(op, step)
        if op.name == "DEPTHWISE_CONV_2D":
            passed_on = integers.sum(axis=(0, 1, 2)) * self._drift(source)
        else:
            passed_on = integers.sum(axis=(1, 2)) @ self._drift(source)
        shift = shift - passed_on * quantization.scale
        kernel = self.graph.add_tensor(weights, "int8", value=integers, quantization=quantization)
        products = Quantization((quantization.scale.astype(np.float64) * step).astype(np.float32))
        limits = np.iinfo(np.int32)
        sums = np.clip(np.rint((self._bias(op) + shift) / products.scale), limits.min, limits.max)
        return (
            self._activation(source, "int8"),
            kernel,
            self.graph.add_tensor(bias, "int32", value=sums, quantization=products),
        )

    # Tensors.

    def _drift(self, tensor: int) -> np.ndarray:
        """Mean of what rounding adds to each channel of a tensor.

        It is not zero: most outputs of a GELU lie within a step or two of zero, all on one side of their integer, and
        the noise of its input does not average out where it bends. Hundreds of such channels add up in a matrix.
        """
        assert self.statistics is not None
        pixels = self.statistics.pixels[tensor]
        quantization, maker = self._quantization(tensor), self.makers.get(tensor)
        if maker is not None and maker.name == "GELU" and (maker.inputs[0], "int8") in self.twins:
            before = self._quantization(maker.inputs[0])
            table = quantized(_gelu(restored(np.arange(-128, 128), before)), quantization)
            integers = table[quantized(self.statistics.pixels[maker.inputs[0]], before).astype(int) + 128]
        else:
            integers = quantized(pixels, quantization)
        return np.asarray((restored(integers, quantization) - pixels).mean(axis=0, dtype=np.float64))

    def _computed(self, tensor: int) -> bool:
        return tensor >= 0 and self.graph.constant(tensor) is None

    def _activation(self, tensor: int, kind: Kind) -> int:
        """The tensor in that type, cast where it is not there yet."""
        if (tensor, kind) not in self.twins:
            if kind == "int8":
                self.twins[tensor, kind] = self._requantized(tensor, self.twins[tensor, "float32"], kind)
            else:
                self.operations.append((Operation("DEQUANTIZE", (self.twins[tensor, "int8"],), (tensor,)), 2))
                self.twins[tensor, kind] = tensor
        return self.twins[tensor, kind]

    def _constant(self, op: Operation, tensor: int) -> int:
        value = self.graph.constant(tensor)
        if value is None or value.dtype != np.float32:
            return tensor  # axes and paddings
        if op.name == "MAXIMUM":
            # What keeps a norm from zero: far below one step, and one step it has to be.
            quantization = self._quantization(op.inputs[0])
            integers = np.full(value.shape, quantization.zero_point + 1)
        else:
            quantization = from_range(float(value.min()), float(value.max()))
            integers = quantized(value, quantization)
        return self.graph.add_tensor(tensor, "int8", value=integers, quantization=quantization)

    def _bias(self, op: Operation) -> np.ndarray:
        bias = self.graph.constant(op.inputs[2])
        assert bias is not None
        return bias.astype(np.float64)

    def _quantization(self, tensor: int) -> Quantization:
        if tensor not in self.quantizations:
            assert self.statistics is not None
            maker = self.makers.get(tensor)
            if maker is not None and maker.name in SAME_SCALE:
                return self._quantization(maker.inputs[0])
            low, high = float(self.statistics.low[tensor].min()), float(self.statistics.high[tensor].max())
            if maker is not None and maker.name in SEARCHED:
                low, high = best_range(low, high, self.statistics.pixels[tensor][::PIXELS_APART])
            is_probability = maker is not None and maker.name == "SOFTMAX"
            self.quantizations[tensor] = PROBABILITY if is_probability else from_range(low, high)
        return self.quantizations[tensor]

    def _rounded(self, op: Operation, step: float = 0.0) -> tuple[np.ndarray, Quantization, np.ndarray]:
        """Integers of a filter in its own layout, their scales, and what to add to the bias."""
        kernel = self.graph.constant(op.inputs[1])
        assert kernel is not None
        moments = None if self.statistics is None else self.statistics.moments[op.outputs[0]]
        return rounded_filter(op, kernel, moments, step)


def _gelu(values: np.ndarray) -> np.ndarray:
    return np.array([value / 2 * (1 + math.erf(value / math.sqrt(2))) for value in values.tolist()])


def rounded_filter(
    op: Operation, kernel: np.ndarray, moments: np.ndarray | None, step: float = 0.0
) -> tuple[np.ndarray, Quantization, np.ndarray]:
    """`round_weights` of a filter in TFLite's layout: (N, height, width, C), or (1, height, width, C) depthwise.

    Args:
        op: The operation that it belongs to.
        kernel: Its value.
        moments: See `measure`; None rounds to nearest.
        step: Of its input's integers.

    Returns:
        int8 of the same shape, scales by output channel, and float64 shifts of the bias.
    """
    depthwise = op.name == "DEPTHWISE_CONV_2D"
    size = kernel.shape[-1] if depthwise else len(kernel)
    rows = kernel.astype(np.float64).reshape(-1, size).T if depthwise else kernel.astype(np.float64).reshape(size, -1)
    weights = rows[:, :, None] if depthwise else rows.T[None]
    if moments is not None and not depthwise:
        moments = moments[None]
    integers, scale, shift = round_weights(weights, moments, noise=step**2 / 12)
    restored = integers[:, :, 0].T if depthwise else integers[0].T
    quantization = Quantization(scale.reshape(-1).astype(np.float32), axis=3 if depthwise else 0)
    return restored.reshape(kernel.shape), quantization, shift.reshape(-1)
