"""Inspects a `.tflite` file: reads its flatbuffer instead of relying on what the converter reports."""

import collections
import dataclasses
from typing import Any

import numpy as np

from swiftformer_tf.errors import ModelError, prefix_path
from swiftformer_tf.litert.damage import damage_told
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.ops import (
    CASTS,
    FLOATS,
    MATRIX_OPS,
    before_matrices,
    behind_integers,
    groups,
    operation_name,
    reads_one_pixel,
)
from swiftformer_tf.litert.strictness import find_misquantized, find_unused
from swiftformer_tf.litert.versions import option_version

__all__ = ["Inspection", "Matrix", "Op", "inspect_model"]


@dataclasses.dataclass(frozen=True)
class Op:
    """One operation.

    Args:
        name: LiteRT's name of the operation.
        inputs: Types of the inputs.
        outputs: Types of the outputs.
        matrix: The matrix that it multiplies by, if any.
        version: Version of the operation in LiteRT's registry.
        option_version: The version that its shapes and options need, see `litert.versions`.
        is_first: Whether no matrix multiplication precedes it.
        is_last: Whether it and all operations that depend on it compute in float.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    matrix: "Matrix | None" = None
    version: int = 1
    option_version: int = 1
    is_first: bool = False
    is_last: bool = False


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A stored matrix or filter.

    Args:
        layer: Name of its layer.
        kind: Type in which it is stored.
        shape: Shape, with outputs first.
        bytes: Size in bytes.
        is_pointwise: Whether each output pixel depends only on the input pixel at the same position.
        places: Number of pixels or rows that a run multiplies by it.
        is_grouped: Whether it is the filter of a grouped convolution, where each output reads only some of the inputs.
        is_sum: Whether all elements are 1.0: it sums channels, and has no trained weights.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    bytes: int
    is_pointwise: bool
    places: int = 1
    is_grouped: bool = False
    is_sum: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    @property
    def multiply_adds(self) -> int:
        """Number of multiply-adds in a run."""
        return self.size * self.places


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Operations and tensors of a file.

    Args:
        ops: Operations in the order of execution.
        dynamic: Names of tensors with a dimension that is not fixed.
        repeated_names: Names that several tensors share; an empty name if a tensor has none.
        unused: Buffers, operation codes and tensors that nothing uses, and operations that no output depends on.
        misquantized: Tensors whose scales strict readers reject, each with the reason.
        input_type: Type of the file's input, as LiteRT names it.
        output_type: Type of the file's output.
        signatures: Input and output names by signature.
        constant_casts: DEQUANTIZE operations of constants, which are part of how these are stored.
    """

    ops: tuple[Op, ...]
    dynamic: tuple[str, ...]
    repeated_names: tuple[str, ...]
    unused: tuple[str, ...]
    misquantized: tuple[str, ...]
    input_type: str
    output_type: str
    signatures: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    constant_casts: tuple[Op, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of operations by name, in descending order."""
        return dict(collections.Counter(op.name for op in self.ops).most_common())

    @property
    def flex(self) -> tuple[str, ...]:
        """Operations that are not built into LiteRT: Flex (TensorFlow's kernels) and custom ones."""
        return tuple(op.name for op in self.ops if op.name.startswith(("Flex", "CUSTOM")))

    @property
    def float_ops(self) -> tuple[str, ...]:
        """Operations that read or write a float tensor, except casts between float and integer."""
        return tuple(op.name for op in self.ops if op.name not in CASTS and {*op.inputs, *op.outputs} & {*FLOATS})

    def matrices(self, at_least: int = 1, names: tuple[str, ...] = MATRIX_OPS) -> tuple[Matrix, ...]:
        """Returns the matrices and filters of the operations `names` with at least `at_least` elements."""
        found = (op.matrix for op in self.ops if op.name in names)
        return tuple(each for each in found if each is not None and each.size >= at_least)


def inspect_model(model: LiteModel) -> Inspection:
    """Reads the flatbuffer of a model.

    Raises:
        ModelError: The flatbuffer is damaged.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    with prefix_path(model.path), damage_told():
        graph = flatbuffer_utils.read_model_from_bytearray(bytearray(model.content))
        return _inspected(graph, flatbuffer_utils)


def _inspected(graph: Any, utils: Any) -> Inspection:
    if len(graph.subgraphs) != 1:
        raise ModelError(f"the file has {len(graph.subgraphs)} subgraphs: expected one")
    (subgraph,) = graph.subgraphs
    tensors = subgraph.tensors
    types = [utils.type_to_name(tensor.type) for tensor in tensors]
    stored = [len(buffer.data) if buffer.data is not None else 0 for buffer in graph.buffers]
    names = [operation_name(code) for code in graph.operatorCodes]
    # A DEQUANTIZE stands between a float16 matrix and its operation: what counts is the stored type.
    dequantized = {
        int(op.outputs[0]): int(op.inputs[0])
        for op in subgraph.operators
        if names[op.opcodeIndex] == "DEQUANTIZE" and stored[tensors[op.inputs[0]].buffer]
    }
    ops, ends, casts = [], [], []
    for op in subgraph.operators:
        name = names[op.opcodeIndex]
        matrix = None
        if name in MATRIX_OPS:
            index = dequantized.get(int(op.inputs[1]), int(op.inputs[1]))
            if stored[tensors[index].buffer]:
                shape = tuple(map(int, tensors[index].shape))
                source, output = ([*tensors[each].shape] for each in (op.inputs[0], op.outputs[0]))
                # A transposed convolution multiplies once per input pixel, other operations once per output pixel.
                spread = tensors[op.inputs[2] if name == "TRANSPOSE_CONV" else op.outputs[0]]
                matrix = Matrix(
                    _text(tensors[index].name).partition(";")[0].rpartition("/")[0],
                    types[index],
                    shape,
                    stored[tensors[index].buffer],
                    name != "DEPTHWISE_CONV_2D" and reads_one_pixel(source, shape, output),
                    int(np.prod(spread.shape[:-1])),
                    name == "CONV_2D" and groups(name, source, shape) > 1,
                    types[index] == "FLOAT32" and _is_one(graph.buffers[tensors[index].buffer].data),
                )
        shapes = [None if i < 0 else _shape(tensors[i]) for i in op.inputs]
        found = Op(
            name,
            tuple(types[i] for i in op.inputs if i >= 0),
            tuple(types[i] for i in op.outputs),
            matrix,
            graph.operatorCodes[op.opcodeIndex].version,
            option_version(name, op.builtinOptions, shapes),
        )
        if name == "DEQUANTIZE" and int(op.outputs[0]) in dequantized:
            casts.append(found)
            continue
        ends.append(([*map(int, op.inputs)], [*map(int, op.outputs)], matrix is not None))
        ops.append(found)
    floats = [
        (inputs, outputs, not any("INT" in kind and kind != "INT32" for kind in (*op.inputs, *op.outputs)))
        for op, (inputs, outputs, _) in zip(ops, ends, strict=True)
    ]
    signatures = {
        _text(signature.signatureKey): (
            tuple(_text(item.name) for item in signature.inputs),
            tuple(_text(item.name) for item in signature.outputs),
        )
        for signature in graph.signatureDefs or ()
    }
    return Inspection(
        ops=tuple(
            dataclasses.replace(op, is_first=is_first, is_last=is_last)
            for op, is_first, is_last in zip(ops, before_matrices(ends), behind_integers(floats), strict=True)
        ),
        repeated_names=tuple(
            name
            for name, count in collections.Counter(_text(tensor.name or b"") for tensor in tensors).items()
            if count > 1 or not name
        ),
        unused=find_unused(graph),
        misquantized=find_misquantized(graph, types),
        dynamic=tuple(_text(tensor.name) for tensor in tensors if _is_dynamic(tensor)),
        input_type=types[subgraph.inputs[0]],
        output_type=types[subgraph.outputs[0]],
        signatures=signatures,
        constant_casts=tuple(casts),
    )


def _is_one(data: Any) -> bool:
    return bool((np.frombuffer(bytes(data), np.float32) == 1).all())


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _is_dynamic(tensor: Any) -> bool:
    signature = tensor.shapeSignature if tensor.shapeSignature is not None else ()
    return any(size < 0 for size in signature)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
