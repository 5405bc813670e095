"""What LiteRT's kernels want of operations whose activations are integers of one width."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from swiftformer_tf.litert.integers import Kind, Quantization

__all__ = ["HYBRID_VERSIONS", "KERNELS", "Kernels"]


@dataclasses.dataclass(frozen=True, eq=False)
class Kernels:
    """The rules for one width.

    Args:
        bias: Type of biases, and of the sums that they are added to.
        outputs: What the integers stand for that an operation makes, where LiteRT fixes it, by name.
        versions: Of operations in LiteRT's registry, by name.
        widened: Type in which operations take their inputs that have no form for this width, by name.
        options: Fields of operations' options that differ from those of the float operation, by name.
    """

    bias: Kind
    outputs: Mapping[str, Quantization]
    versions: Mapping[str, int]
    widened: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)


def _steps(in_one: int, zero_point: int = 0) -> Quantization:
    return Quantization(np.array([1 / in_one], np.float32), zero_point)


KERNELS: dict[Kind, Kernels] = {
    "int8": Kernels(
        bias="int32",
        outputs={
            "LOGISTIC": _steps(256, -128),
            "LOG_SOFTMAX": _steps(16, 127),
            "SOFTMAX": _steps(256, -128),
            "TANH": _steps(128),
        },
        versions={
            "ABS": 2,
            "ADD": 2,
            "ARG_MAX": 2,
            "AVERAGE_POOL_2D": 2,
            "BATCH_MATMUL": 2,
            "BROADCAST_TO": 3,
            "CONCATENATION": 2,
            "CONV_2D": 3,
            "DEPTHWISE_CONV_2D": 3,
            "DEPTH_TO_SPACE": 2,
            "DEQUANTIZE": 2,
            "DIV": 1,
            "ELU": 1,
            "EXP": 2,
            "FULLY_CONNECTED": 4,
            "GATHER": 2,
            "GELU": 2,
            "HARD_SWISH": 1,
            "LEAKY_RELU": 2,
            "LOG": 2,
            "LOGISTIC": 2,
            "LOG_SOFTMAX": 2,
            "MAXIMUM": 2,
            "MAX_POOL_2D": 2,
            "MEAN": 2,
            "MINIMUM": 2,
            "MIRROR_PAD": 2,
            "MUL": 2,
            "PACK": 2,
            "PAD": 2,
            "PRELU": 1,
            "QUANTIZE": 1,
            "REDUCE_MAX": 2,
            "REDUCE_MIN": 2,
            "RELU": 2,
            "RELU6": 2,
            "RESHAPE": 1,
            "RESIZE_BILINEAR": 3,
            "RESIZE_NEAREST_NEIGHBOR": 3,
            "REVERSE_V2": 3,
            "RSQRT": 2,
            "SLICE": 2,
            "SOFTMAX": 2,
            "SPACE_TO_DEPTH": 2,
            "SPLIT": 2,
            "SPLIT_V": 2,
            "SQRT": 2,
            "STRIDED_SLICE": 2,
            "SUB": 2,
            "SUM": 2,
            "TANH": 2,
            "TILE": 3,
            "TRANSPOSE": 2,
            "TRANSPOSE_CONV": 3,
            "UNPACK": 2,
        },
    ),
    "int16": Kernels(
        bias="int64",
        outputs=dict.fromkeys(("LOGISTIC", "SOFTMAX", "TANH"), _steps(32768)),
        versions={
            "ABS": 2,
            "ADD": 3,
            "ARG_MAX": 2,
            "AVERAGE_POOL_2D": 3,
            "BATCH_MATMUL": 3,
            "BROADCAST_TO": 3,
            "CAST": 1,
            "CONCATENATION": 3,
            "CONV_2D": 8,
            "DEPTHWISE_CONV_2D": 5,
            "DEPTH_TO_SPACE": 2,
            "DEQUANTIZE": 3,
            "DIV": 1,
            "EXP": 2,
            "FULLY_CONNECTED": 11,
            "GATHER": 4,
            "GELU": 2,
            "LEAKY_RELU": 2,
            "LOG": 2,
            "LOGISTIC": 3,
            "MAXIMUM": 4,
            "MAX_POOL_2D": 3,
            "MEAN": 3,
            "MINIMUM": 4,
            "MIRROR_PAD": 3,
            "MUL": 4,
            "PACK": 3,
            "PAD": 3,
            "QUANTIZE": 2,
            "REDUCE_MAX": 3,
            "REDUCE_MIN": 3,
            "RELU": 3,
            "RELU6": 3,
            "RESHAPE": 1,
            "RESIZE_BILINEAR": 4,
            "RESIZE_NEAREST_NEIGHBOR": 4,
            "REVERSE_V2": 3,
            "RSQRT": 3,
            "SLICE": 4,
            "SOFTMAX": 3,
            "SPLIT": 4,
            "SPLIT_V": 3,
            "SQRT": 2,
            "STRIDED_SLICE": 4,
            "SUB": 5,
            "SUM": 2,
            "TANH": 3,
            "TILE": 3,
            "TRANSPOSE": 5,
            "TRANSPOSE_CONV": 5,
            "UNPACK": 4,
        },
        widened={"ARG_MAX": "int32"},
        options={
            # Scales that need not be powers of two.
            "ADD": {"potScaleInt16": False},
            "SUB": {"potScaleInt16": False},
            "CONV_2D": {"quantizedBiasType": 4},  # INT64 in the schema
            "FULLY_CONNECTED": {"quantizedBiasType": 4},
            "TRANSPOSE_CONV": {"quantizedBiasType": 4},
        },
    ),
}

# Of float activations and an int8 matrix with a scale a row: an older runtime that is not told by the version reads the
# first alone, and answers.
HYBRID_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12}
