"""Rewrites a float graph as an integer graph: chooses scales, and inserts casts between floats and integers."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from swiftformer_tf.litert.integers import Kind, Quantization, dequantized, quantized
from swiftformer_tf.litert.ops import MATRIX_OPS, SAME_SCALE
from swiftformer_tf.quantization.choices import Precision, is_pointwise, stored_weights
from swiftformer_tf.quantization.flattening import flatten
from swiftformer_tf.quantization.gelu import CUBIC, LEAST_OF_GELU, LINEAR, LoweredGelu, lowered_gelus, read_by_gelus
from swiftformer_tf.quantization.graph import Graph, Operation
from swiftformer_tf.quantization.kernels import HYBRID_VERSIONS, KERNELS, integer_kind
from swiftformer_tf.quantization.ranges import Statistics, last_matrices
from swiftformer_tf.quantization.rounding import rounded_filter
from swiftformer_tf.quantization.scales import best_range, from_range, rounded
from swiftformer_tf.recipes import Recipe

__all__ = ["rewrite"]

# Operations whose outputs are worth a search for the range: of sums, int8 gains a decibel by it on training photographs
# (docs/results/constants.md). Whole ranges are better for what a matrix makes, where the rare large values count.
SEARCHED = ("ADD", "EXP", "MEAN", "MUL", "RSQRT")

# In 16 bits, ranges are wider than the images' by this factor: the few photographs that exceed them would lose more
# than all others lose from the coarser step.
HEADROOM = 1.5

# In 8 bits the ranges of what the last matrices make, and of outputs that add that up, are wider by that share on both
# sides: two labels beyond what the images reached would be the same integer, and the first of them the best.
OUTPUT_HEADROOM = 0.1

# LiteRT's RSQRT for int16 interpolates a table of 256 pieces from zero to the greatest input, and at zero it has the
# greatest output. With one that is that much more than at the end of the first piece, most of the piece is right within
# a tenth.
RSQRT_PIECES, RSQRT_REACH = 256, 1.8

BITS = {"int8": 8, "int4": 4}

# Distance of the pixels sampled to search a range: using all would be slow and give the same result.
PIXELS_APART = 2

# Largest integer of a matrix in eight bits.
LARGEST_WEIGHT = 127

# Largest bias, in steps of its sums: leaves room for what is added to it, and for the sums.
LARGEST_SUM = 2**28


def rewrite(
    graph: Graph, how: Mapping[Operation, Precision], recipe: Recipe, statistics: Statistics | None = None
) -> bytes:
    """Rewrites a float graph with a precision for each operation.

    Args:
        graph: A float graph.
        how: Precisions from `operation_precisions`, or your own.
        recipe: Recipe with the inference input and output types.
        statistics: The statistics from `measure`. Without them, weights are rounded to the nearest integer, and no
            operation can be fully integer.

    Returns:
        The flatbuffer.
    """
    return _Rewriter(graph, how, recipe, statistics).run()


class _Rewriter:
    def __init__(
        self, graph: Graph, how: Mapping[Operation, Precision], recipe: Recipe, statistics: Statistics | None
    ) -> None:
        self.graph, self.how, self.recipe, self.statistics = graph.copy(), how, recipe, statistics
        self.kind = integer_kind(recipe.activations)
        self.kernels = KERNELS[self.kind]
        self.operations: list[tuple[Operation, int]] = []
        # The tensors that exist already, by tensor of the float graph and type.
        self.tensors_by_dtype: dict[tuple[int, Kind], int] = {}
        self.quantizations: dict[int, Quantization] = {}
        self.producers = {output: op for op in graph.operations for output in op.outputs}
        self.last = {output for op in last_matrices(graph) for output in op.outputs} | self._added_outputs()
        self.lowered_gelus = {each.output: each for each in lowered_gelus(graph)}
        self.read_by_gelus = read_by_gelus(graph)

    def run(self) -> bytes:
        graph, recipe = self.graph, self.recipe
        inputs = tuple(self._of_inference_type(tensor, recipe.inference_input_type) for tensor in graph.inputs)
        for tensor, outside in zip(graph.inputs, inputs, strict=True):
            self._enter(tensor, outside, recipe.inference_input_type)
        for op in graph.operations:
            {"float32": self._float, "hybrid": self._hybrid, "integer": self._integer}[self.how[op]](op)
        outputs = tuple(self._leave(tensor, recipe.inference_output_type) for tensor in graph.outputs)
        return graph.rewritten(flatten(graph, self.operations, outputs), inputs, outputs)

    # Inference input and output.

    def _of_inference_type(self, tensor: int, kind: Kind) -> int:
        """Returns a tensor of the inference input or output type."""
        if kind == "float32":
            return tensor
        inside = self._quantization(tensor)
        shifted = Quantization(inside.scale, inside.zero_point + (128 if kind == "uint8" else 0))
        return self.graph.add_tensor(tensor, kind, quantization=shifted)

    def _enter(self, tensor: int, outside: int, kind: Kind) -> None:
        if kind == "uint8":
            self.tensors_by_dtype[tensor, "int8"] = self._requantized(tensor, outside)
        else:
            self.tensors_by_dtype[tensor, kind] = outside

    def _leave(self, tensor: int, kind: Kind) -> int:
        if kind != "uint8" or self.graph.kind(tensor) != "float32":
            return self._activation(tensor, kind)
        outside = self._of_inference_type(tensor, kind)
        self._emit("QUANTIZE", (self._activation(tensor, "int8"),), outside)
        return outside

    def _requantized(self, tensor: int, source: int) -> int:
        integers = self.graph.add_tensor(tensor, self.kind, quantization=self._quantization(tensor))
        self._emit("QUANTIZE", (source,), integers)
        return integers

    def _emit(self, name: str, inputs: tuple[int, ...], output: int, source: Any = None) -> None:
        self.operations.append((Operation(name, inputs, (output,), source), self.kernels.versions[name]))

    # Operations.

    def _float(self, op: Operation) -> None:
        inputs = tuple(self._activation(each, "float32") if self._computed(each) else each for each in op.inputs)
        self.operations.append((Operation(op.name, inputs, op.outputs, op.source), op.version))
        self.tensors_by_dtype.update(((output, "float32"), output) for output in op.outputs)

    def _hybrid(self, op: Operation) -> None:
        source, weights, _ = op.matrix
        graph = self.graph
        stored = stored_weights(graph, op, self.recipe)
        integers, quantization, shift = self._rounded(op, bits=BITS[stored])
        is_dense = op.name == "FULLY_CONNECTED"
        # XNNPACK takes integers of four bits as fully connected layers only. Where others are integer throughout, only
        # the last matrix is hybrid, and can be told from them so.
        is_small = self.graph.shape(source)[1:3] == (1, 1) or self.recipe.weights == "int4"
        is_matrix = (is_small or self.recipe.activations != "float32") and is_pointwise(graph, op)
        if is_matrix:
            # Written as a matrix, which distinguishes the file from one whose other convolutions are hybrid.
            integers = integers.reshape(len(integers), -1)
        kernel = self.graph.add_tensor(weights, stored, value=integers, quantization=quantization)
        offset = self.graph.add_tensor(weights, "float32", value=self._bias(op) + shift, name=graph.bias_name(op))
        inputs = op.with_matrix(self._activation(source, "float32"), kernel, offset)
        name = "FULLY_CONNECTED" if is_matrix else op.name
        options = self.graph.source_with(op, {"asymmetricQuantizeInputs": True} if is_dense else {})
        emitted = Operation(name, inputs, op.outputs, self.graph.fully_connected(op) if is_matrix else options)
        self.operations.append((emitted, HYBRID_VERSIONS[name]))
        self.tensors_by_dtype[op.outputs[0], "float32"] = op.outputs[0]

    def _integer(self, op: Operation) -> None:
        if self.recipe.lower_mean and self._is_over_channels(op):
            self._mean_as_matrix(op)
            return
        if op.name == "MAXIMUM" and self._is_idle_floor(op):
            (source,) = self.graph.computed_inputs(op)
            self.tensors_by_dtype[op.outputs[0], self.kind] = self._operand(op, source)
            return
        inputs = self._matrix(op) if op.name in MATRIX_OPS else tuple(self._operand(op, each) for each in op.inputs)
        outputs = tuple(
            self.graph.add_tensor(each, self.kind, quantization=self._quantization(each))
            if self._is_float(each)
            else each
            for each in op.outputs
        )
        self.tensors_by_dtype.update(zip(((each, self.kind) for each in op.outputs), outputs, strict=True))
        source = self.graph.source_with(op, self.kernels.options.get(op.name, {}))
        self.operations.append((Operation(op.name, inputs, outputs, source), self.kernels.versions[op.name]))

    def _is_idle_floor(self, op: Operation) -> bool:
        """Whether a maximum only keeps zero from reciprocal square roots that treat zero like one step.

        LiteRT's 8-bit RSQRT returns the largest output for zero, which is the correct limit.
        """
        (output,), readers = op.outputs, [each for each in self.graph.operations if {*each.inputs} & {*op.outputs}]
        floor = [value for each in op.inputs if (value := self.graph.constant(each)) is not None]
        if self.kind != "int8" or output in self.graph.outputs or not readers or len(floor) != 1:
            return False
        inside, step = self._quantization(output), float(self._quantization(output).scale[0])
        if inside.zero_point != -128 or floor[0].max() > step:
            return False
        roots = [self._quantization(each.outputs[0]) for each in readers]
        beyond = [(128 - each.zero_point) * float(each.scale[0]) for each in roots]
        integer = all(each.name == "RSQRT" and self.how[each] == "integer" for each in readers)
        return integer and 1 / math.sqrt(step) >= max(beyond)

    def _is_over_channels(self, op: Operation) -> bool:
        """Whether an operation is a mean over channels, which leaves one number per pixel."""
        if op.name != "MEAN":
            return False
        axes, (*_, last) = self.graph.constant(op.inputs[1]), self.graph.shape(op.outputs[0])
        ranks = {len(self.graph.shape(each)) for each in (op.inputs[0], op.outputs[0])}
        return axes is not None and ranks == {4} and last == 1 and (axes.reshape(-1) % 4).tolist() == [3]

    def _mean_as_matrix(self, op: Operation) -> None:
        """Replaces a mean over channels with a convolution with equal weights, which computes the same integers."""
        source, (output,) = op.inputs[0], op.outputs
        graph, channels, name = self.graph, self.graph.shape(source)[-1], self.graph.label(output)
        made = graph.add_tensor(output, self.kind, quantization=self._quantization(output))
        self.tensors_by_dtype[output, self.kind] = made
        scale = Quantization(np.array([1 / (LARGEST_WEIGHT * channels)], np.float32))
        weights = np.full((1, 1, 1, channels), LARGEST_WEIGHT)
        kernel = graph.add_tensor(output, "int8", value=weights, quantization=scale, name=f"{name}/kernel")
        sums = Quantization(scale.scale * self._quantization(source).scale)
        zero = np.zeros(1)
        bias = graph.add_tensor(output, self.kernels.bias, value=zero, quantization=sums, name=f"{name}/bias")
        self._emit("CONV_2D", (self._activation(source, self.kind), kernel, bias), made, graph.pointwise())

    def _operand(self, op: Operation, tensor: int) -> int:
        if not self._computed(tensor):
            return self._constant(op, tensor)
        made = self._activation(tensor, self.kind)
        if op.name in SAME_SCALE and self._is_float(tensor):
            return self._in_scale_of(op.outputs[0], tensor, made)
        if op.name not in self.kernels.widened:
            return made
        wide = self.graph.add_tensor(tensor, self.kernels.widened[op.name], quantization=self._quantization(tensor))
        self._emit("CAST", (made,), wide)
        return wide

    def _in_scale_of(self, output: int, tensor: int, made: int) -> int:
        """Returns a tensor with the scale of another, since concatenated tensors must share one."""
        mine, its = self._quantization(tensor), self._quantization(output)
        if np.array_equal(mine.scale, its.scale) and mine.zero_point == its.zero_point:
            return made
        name = f"{self.graph.label(output)}/{self.graph.label(tensor).rpartition('/')[2]}"
        rescaled = self.graph.add_tensor(tensor, self.kind, quantization=its, name=name)
        self._emit("QUANTIZE", (made,), rescaled)
        return rescaled

    def _matrix(self, op: Operation) -> tuple[int, ...]:
        source, weights, _ = op.matrix
        step = float(self._quantization(source).scale[0])
        # A channel whose weights are nothing, or next to it, still has its bias: in steps that fit into 32 bits, and
        # into the factor that makes an output of a sum.
        integers, quantization, shift = self._rounded(op, step, np.abs(self._bias(op)) / (step * LARGEST_SUM))
        shift = shift - self._passed_on(op, integers) * quantization.scale
        kernel = self.graph.add_tensor(weights, "int8", value=integers, quantization=quantization)
        products = Quantization((quantization.scale.astype(np.float64) * step).astype(np.float32))
        sums = np.rint((self._bias(op) + shift) / products.scale)
        bias = self.graph.add_tensor(
            weights, self.kernels.bias, value=sums, quantization=products, name=self.graph.bias_name(op)
        )
        return op.with_matrix(self._activation(source, self.kind), kernel, bias)

    # Tensors.

    def _passed_on(self, op: Operation, integers: np.ndarray) -> np.ndarray:
        """The drift of a matrix's output that is caused by the drift of its input, (outputs,)."""
        if op.name == "DEPTHWISE_CONV_2D":
            by_input = integers.sum(axis=(0, 1, 2))[:, None]
        else:
            by_input = integers.reshape(len(integers), -1, integers.shape[-1]).sum(axis=1)
        groups, inputs = self.graph.groups(op), by_input.shape[-1]
        drift = np.resize(self._drift(op.matrix[0]), (groups, inputs))  # again and again where a map is read as a row
        found = np.einsum("goi,gi->go", by_input.reshape(groups, -1, inputs), drift).reshape(-1)
        if op.name == "TRANSPOSE_CONV":  # a pixel is made of some of the taps
            found = found / (op.source.builtinOptions.strideH * op.source.builtinOptions.strideW)
        return np.asarray(found)

    def _drift(self, tensor: int) -> np.ndarray:
        """Returns the mean rounding error of each channel of a tensor.

        It is not zero: most outputs of a GELU are within one or two steps of zero, all on one side of their integer,
        and the noise of its input does not average out where the function is curved. Hundreds of such channels add up
        in a matrix.
        """
        if self.kind == "int16":
            return np.zeros(self.graph.shape(tensor)[-1])  # steps are too small to add up
        assert self.statistics is not None
        pixels, quantization = self.statistics.pixels, self._quantization(tensor)
        source, curve = self._curve(tensor)
        if (source, "int8") in self.tensors_by_dtype:
            before = self._quantization(source)
            table = quantized(curve(dequantized(np.arange(-128, 128), before)), quantization)
            integers = table[quantized(pixels[source], before).astype(int) + 128]
        else:
            integers = quantized(pixels[tensor], quantization)
        return np.asarray((dequantized(integers, quantization) - pixels[tensor]).mean(axis=0, dtype=np.float64))

    def _curve(self, tensor: int) -> tuple[int, Callable[[np.ndarray], np.ndarray]]:
        """The input of a GELU, and its output before the last rounding; -1 for a tensor that no GELU wrote."""
        lowered, producer = self.lowered_gelus.get(tensor), self.producers.get(tensor)
        if lowered is not None:
            return lowered.source, functools.partial(self._lowered_gelu, lowered)
        return producer.inputs[0] if producer is not None and producer.name == "GELU" else -1, _gelu

    def _lowered_gelu(self, lowered: LoweredGelu, values: np.ndarray) -> np.ndarray:
        """The result of the operations that replace a GELU, before the last rounding."""

        def as_stored(tensor: int, values: np.ndarray) -> np.ndarray:
            return rounded(values, self._quantization(tensor))

        scaled, square, slope, cubic, sigmoid = lowered.inner
        factor = as_stored(slope, as_stored(square, values * as_stored(scaled, CUBIC * values)) + LINEAR)
        return np.asarray(values * as_stored(sigmoid, 1 / (1 + np.exp(-as_stored(cubic, values * factor)))))

    def _is_float(self, tensor: int) -> bool:
        """Whether a tensor is to be quantized, which indices of maxima, conditions and the like are not."""
        return self.graph.kind(tensor) == "float32"

    def _computed(self, tensor: int) -> bool:
        return tensor >= 0 and self.graph.constant(tensor) is None

    def _activation(self, tensor: int, kind: Kind) -> int:
        """Returns a tensor in a type, with a cast if needed."""
        if not self._is_float(tensor):
            return tensor
        if (tensor, kind) not in self.tensors_by_dtype:
            if kind == self.kind:
                self.tensors_by_dtype[tensor, kind] = self._requantized(
                    tensor, self.tensors_by_dtype[tensor, "float32"]
                )
            else:
                self._emit("DEQUANTIZE", (self.tensors_by_dtype[tensor, self.kind],), tensor)
                self.tensors_by_dtype[tensor, kind] = tensor
        return self.tensors_by_dtype[tensor, kind]

    def _constant(self, op: Operation, tensor: int) -> int:
        value = self.graph.constant(tensor)
        if value is None or value.dtype != np.float32:
            return tensor  # axes and paddings
        if op.name in SAME_SCALE:
            quantization = self._quantization(op.outputs[0])
            integers = quantized(value, quantization, self.kind)
            if op.name == "MAXIMUM":
                # The floor that keeps a norm from zero is far below one step, but must be at least one step.
                integers = np.where(value > 0, np.maximum(integers, quantization.zero_point + 1), integers)
        else:
            quantization = from_range(float(value.min()), float(value.max()), self.kind)
            integers = quantized(value, quantization, self.kind)
        # Named after what reads it: the converter keeps one constant for all equal ones.
        name = self.graph.label(op.outputs[0]) + "/" + self.graph.label(tensor).rpartition("/")[2]
        return self.graph.add_tensor(tensor, self.kind, value=integers, quantization=quantization, name=name)

    def _bias(self, op: Operation) -> np.ndarray:
        *_, bias_tensor = op.matrix
        if bias_tensor < 0:
            return np.zeros(self.graph.shape(op.outputs[0])[-1])
        bias = self.graph.constant(bias_tensor)
        assert bias is not None
        return bias.astype(np.float64)

    def _added_outputs(self) -> set[int]:
        """Sums that outputs of the graph are, or are made of without arithmetic."""
        outputs = {self._scaled(tensor) for tensor in self.graph.outputs}
        return {tensor for tensor in outputs if tensor in self.producers and self.producers[tensor].name == "ADD"}

    def _scaled(self, tensor: int) -> int:
        """Returns the tensor whose scale a tensor shares."""
        producer = self.producers.get(tensor)
        if producer is None or producer.name not in SAME_SCALE:
            return tensor
        computed = [each for each in self.graph.computed_inputs(producer) if self._is_float(each)]
        return self._scaled(computed[0]) if len(computed) == 1 else tensor

    def _quantization(self, tensor: int) -> Quantization:
        tensor = self._scaled(tensor)
        name = self.producers[tensor].name if tensor in self.producers else "the image"
        if name in self.kernels.outputs:
            return self.kernels.outputs[name]
        if tensor not in self.quantizations:
            assert self.statistics is not None
            low, high = float(self.statistics.low[tensor].min()), float(self.statistics.high[tensor].max())
            whole = tensor in self.last or tensor in self.statistics.fixed_ranges
            if self.kind == "int8" and name in SEARCHED and not whole:
                low, high = best_range(low, high, self.statistics.pixels[tensor][::PIXELS_APART])
            if self.kind == "int8" and tensor in self.read_by_gelus:
                low = max(low, LEAST_OF_GELU)
            if self.kind == "int8" and tensor in self.last:
                beyond = OUTPUT_HEADROOM * (high - low)
                low, high = low - beyond, high + beyond
            if self.kind == "int16" and tensor in self.producers:
                low, high = low * HEADROOM, high * HEADROOM
            if self.kind == "int16" and name == "RSQRT":
                piece = 32767 * float(self._quantization(self.producers[tensor].inputs[0]).scale[0]) / RSQRT_PIECES
                high = min(high, RSQRT_REACH / math.sqrt(piece))
            self.quantizations[tensor] = from_range(low, high, self.kind)
        return self.quantizations[tensor]

    def _rounded(
        self, op: Operation, step: float = 0.0, least_scale: float | np.ndarray = 0.0, bits: int = 8
    ) -> tuple[np.ndarray, Quantization, np.ndarray]:
        """Returns the integers of a filter in its own layout, their scales, and the correction of the bias."""
        kernel = self.graph.constant(op.inputs[1])
        assert kernel is not None
        moments = None if self.statistics is None else self.statistics.moments[op.outputs[0]]
        return rounded_filter(op, kernel, moments, step, least_scale, groups=self.graph.groups(op), bits=bits)


def _gelu(values: np.ndarray) -> np.ndarray:
    return np.array([value / 2 * (1 + math.erf(value / math.sqrt(2))) for value in values.tolist()])
