"""Names and kinds of LiteRT's operations, the same for all that reads a file."""

from typing import Any

__all__ = ["CASTS", "MATRIX_OPS", "count_partitions", "operation_name"]

# Operations that only change the type of a tensor, and so may stand between float and integer.
CASTS = ("CAST", "QUANTIZE", "DEQUANTIZE")

# Operations whose second input is a matrix or a filter.
MATRIX_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def operation_name(code: Any) -> str:
    """Name of an `OperatorCode`, such as `CONV_2D`; `Flex...` or `CUSTOM ...` for what is not LiteRT's own."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    # Old files keep the code in a byte; new ones in an int beside it.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == BuiltinOperator.CUSTOM:
        custom = code.customCode.decode() if isinstance(code.customCode, bytes) else str(code.customCode)
        return custom if custom.startswith("Flex") else f"CUSTOM {custom}"
    return next((name for name, value in vars(BuiltinOperator).items() if value == number), f"CUSTOM {number}")


def count_partitions(interpreter: Any) -> int:
    """Number of pieces of a graph that XNNPACK took, which LiteRT's Python interface tells nowhere else."""
    return sum(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())
