"""Names and kinds of LiteRT's operations, shared by all code that reads files."""

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "CASTS",
    "CHANNEL_AXES",
    "FLOATS",
    "MATRIX_OPS",
    "SAME_SCALE",
    "before_matrices",
    "behind_integers",
    "count_partitions",
    "groups",
    "operation_name",
    "reads_one_pixel",
]

# Types of numbers that are no integers.
FLOATS = ("FLOAT32", "FLOAT16")

# Operations that only change the type of a tensor, and so may stand between float and integer.
CASTS = ("CAST", "QUANTIZE", "DEQUANTIZE")

# Operations whose second input is a matrix or a filter.
MATRIX_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")

# Axis of a matrix's output channels: the only one along which scales may differ.
CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}

# Operations that copy or compare integers: all that they read and write must have the same scale and zero point.
# From `restrict_same_input_output_scale` in TensorFlow's tensorflow/lite/tools/optimize/operator_property.cc.
SAME_SCALE = (
    *("AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS"),
    *("FILL", "GATHER", "GATHER_ND", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "MIRROR_PAD", "PACK", "PAD", "PADV2"),
    *("REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2"),
    *("SCATTER_ND", "SELECT", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE"),
    *("STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK"),
)


def operation_name(code: Any) -> str:
    """Name of an `OperatorCode`, such as `CONV_2D`; `Flex...` or `CUSTOM ...` if it is not built into LiteRT."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    # Old files keep the code in a byte; new ones in an int beside it.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == BuiltinOperator.CUSTOM:
        custom = code.customCode.decode() if isinstance(code.customCode, bytes) else str(code.customCode)
        return custom if custom.startswith("Flex") else f"CUSTOM {custom}"
    return next((name for name, value in vars(BuiltinOperator).items() if value == number), f"CUSTOM {number}")


def before_matrices(operations: Iterable[tuple[Iterable[int], Iterable[int], bool]]) -> list[bool]:
    """Returns, for each operation of a graph, whether no matrix multiplication precedes it.

    Args:
        operations: In the order of execution, the tensors that each operation reads and writes, and whether it
            multiplies by a matrix.

    Examples:
        >>> before_matrices([([0], [1], False), ([1], [2], True), ([0], [3], False), ([2, 3], [4], False)])
        [True, True, True, False]
    """
    found = []
    behind: set[int] = set()  # tensors that depend on a matrix
    for inputs, outputs, is_matrix in operations:
        found.append(behind.isdisjoint(inputs))
        if is_matrix or not found[-1]:
            behind.update(outputs)
    return found


def behind_integers(operations: Iterable[tuple[Iterable[int], Iterable[int], bool]]) -> list[bool]:
    """Returns, for each operation of a graph, whether it and all operations that depend on it compute in float.

    Args:
        operations: In the order of execution, the tensors that each operation reads and writes, and whether all of
            them are floats.

    Examples:
        >>> behind_integers([([0], [1], True), ([1], [2], False), ([2], [3], True), ([3], [4], True)])
        [False, False, True, True]
    """
    found = []
    before: set[int] = set()  # tensors that an integer operation depends on
    for inputs, outputs, is_float in reversed(list(operations)):
        found.append(is_float and before.isdisjoint(outputs))
        if not found[-1]:
            before.update(inputs)
    return found[::-1]


def groups(name: str, source: Sequence[int], weights: Sequence[int]) -> int:
    """Returns the number of groups of a matrix or filter: sets of channels with separate outputs.

    Args:
        name: The operation, one of `MATRIX_OPS`.
        source: Shape of its input.
        weights: Shape of its matrix or filter.

    Examples:
        >>> groups("CONV_2D", (1, 8, 8, 12), (12, 3, 3, 4)), groups("FULLY_CONNECTED", (1, 12), (10, 12))
        (3, 1)
    """
    channels = source[-1]
    return {"DEPTHWISE_CONV_2D": channels, "CONV_2D": channels // max(weights[-1], 1)}.get(name, 1)


def reads_one_pixel(source: Sequence[int], weights: Sequence[int], output: Sequence[int]) -> bool:
    """Whether a matrix or filter computes each pixel from the pixel at the same position, given the three shapes.

    Examples:
        >>> reads_one_pixel((1, 8, 8, 12), (4, 1, 1, 12), (1, 8, 8, 4))
        True
        >>> reads_one_pixel((1, 8, 8, 12), (4, 1, 1, 12), (1, 4, 4, 4))  # with strides
        False
    """
    return {*weights[1:-1]} <= {1} and [*source[1:-1]] == [*output[1:-1]]


def count_partitions(interpreter: Any) -> int:
    """Counts the partitions of a graph that were delegated to XNNPACK, which LiteRT's Python API does not report."""
    return sum(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())
