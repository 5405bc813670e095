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
        options: Fields of operations' options that differ from those of the float operation, by name.
    """

    bias: Kind
    outputs: Mapping[str, Quantization]
    versions: Mapping[str, int]
    options: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)


def _steps(in_one: int, zero_point: int = 0) -> Quantization:
    return Quantization(np.array([1 / in_one], np.float32), zero_point)


KERNELS: dict[Kind, Kernels] = {
    "int8": Kernels(
        bias="int32",
        outputs={"LOGISTIC": _steps(256, -128), "SOFTMAX": _steps(256, -128), "TANH": _steps(128)},
        versions={
            "ADD": 2,
            "AVERAGE_POOL_2D": 2,
            "CONCATENATION": 2,
            "CONV_2D": 3,
            "DEPTHWISE_CONV_2D": 3,
            "DEQUANTIZE": 2,
            "EXP": 2,
            "FULLY_CONNECTED": 4,
            "GELU": 2,
            "HARD_SWISH": 1,
            "LEAKY_RELU": 2,
            "LOG": 2,
            "LOGISTIC": 2,
            "MAXIMUM": 2,
            "MAX_POOL_2D": 2,
            "MEAN": 2,
            "MUL": 2,
            "PAD": 2,
            "QUANTIZE": 1,
            "REDUCE_MAX": 2,
            "RESHAPE": 1,
            "RESIZE_BILINEAR": 3,
            "RESIZE_NEAREST_NEIGHBOR": 3,
            "SOFTMAX": 2,
            "STRIDED_SLICE": 2,
            "SUB": 2,
            "TANH": 2,
        },
    ),
    "int16": Kernels(
        bias="int64",
        outputs=dict.fromkeys(("LOGISTIC", "SOFTMAX", "TANH"), _steps(32768)),
        versions={
            "ADD": 3,
            "AVERAGE_POOL_2D": 3,
            "CONCATENATION": 3,
            "CONV_2D": 8,
            "DEPTHWISE_CONV_2D": 5,
            "DEQUANTIZE": 3,
            "FULLY_CONNECTED": 11,
            "GELU": 2,
            "LEAKY_RELU": 2,
            "LOGISTIC": 3,
            "MAXIMUM": 4,
            "MAX_POOL_2D": 3,
            "MEAN": 3,
            "MUL": 4,
            "PAD": 3,
            "QUANTIZE": 2,
            "REDUCE_MAX": 3,
            "RESHAPE": 1,
            "RESIZE_BILINEAR": 4,
            "RESIZE_NEAREST_NEIGHBOR": 4,
            "RSQRT": 3,
            "SOFTMAX": 3,
            "STRIDED_SLICE": 4,
            "SUB": 5,
            "TANH": 3,
        },
        options={
            # Scales that need not be powers of two.
            "ADD": {"potScaleInt16": False},
            "SUB": {"potScaleInt16": False},
            "CONV_2D": {"quantizedBiasType": 4},  # INT64 in the schema
            "FULLY_CONNECTED": {"quantizedBiasType": 4},
        },
    ),
}

# Of float activations and an int8 matrix with a scale a row: an older runtime that is not told by the version reads the
# first alone, and answers.
HYBRID_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12}
