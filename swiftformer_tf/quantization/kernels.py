"""The requirements of LiteRT's kernels for operations whose activations are integers of one width."""

import dataclasses
from collections.abc import Mapping

from swiftformer_tf.litert.integers import FIXED_OUTPUTS, Kind, Quantization

__all__ = ["HYBRID_VERSIONS", "KERNELS", "PLAIN_VERSIONS", "Kernels", "integer_kind"]


@dataclasses.dataclass(frozen=True, eq=False)
class Kernels:
    """The rules for one integer width.

    Args:
        bias: Type of biases and of the sums to which they are added.
        outputs: Quantization of the output of operations for which LiteRT fixes it, by name.
        versions: First versions of operations in LiteRT's registry for this width, by name. Shapes and options may need
            a newer one, see `litert.versions`.
        widened: Input type of operations that do not support this width, by name.
        options: Fields of operations' options that differ from those of the float operation, by name.
    """

    bias: Kind
    outputs: Mapping[str, Quantization]
    versions: Mapping[str, int]
    widened: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)


def _versions(names: Mapping[int, str]) -> dict[str, int]:
    """Converts names by version to versions by name."""
    return {name: version for version, listed in names.items() for name in listed.split()}


KERNELS: dict[Kind, Kernels] = {
    "int8": Kernels(
        bias="int32",
        outputs=FIXED_OUTPUTS["int8"],
        versions=_versions(
            {
                1: "DIV ELU HARD_SWISH PRELU QUANTIZE RESHAPE",
                2: "ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION DEPTH_TO_SPACE DEQUANTIZE "
                "EXP GATHER GELU LEAKY_RELU LOG LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM "
                "MIRROR_PAD MUL PACK PAD REDUCE_MAX REDUCE_MIN RELU RELU6 RESIZE_BILINEAR "
                "RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT STRIDED_SLICE "
                "SUB SUM TANH TRANSPOSE TRANSPOSE_CONV UNPACK",
                3: "BROADCAST_TO CONV_2D DEPTHWISE_CONV_2D REVERSE_V2 TILE",
                4: "FULLY_CONNECTED",
            }
        ),
    ),
    "int16": Kernels(
        bias="int64",
        outputs=FIXED_OUTPUTS["int16"],
        versions=_versions(
            {
                1: "ARG_MAX CAST DIV RESHAPE",
                2: "ABS DEPTH_TO_SPACE EXP GELU LEAKY_RELU LOG QUANTIZE SQRT SUM",
                3: "ADD AVERAGE_POOL_2D BATCH_MATMUL BROADCAST_TO CONCATENATION DEQUANTIZE LOGISTIC "
                "MAX_POOL_2D MEAN MIRROR_PAD PACK PAD REDUCE_MAX REDUCE_MIN RELU RELU6 REVERSE_V2 "
                "RSQRT SOFTMAX SPLIT_V TANH TILE",
                4: "GATHER MAXIMUM MINIMUM MUL RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SLICE SPLIT "
                "STRIDED_SLICE UNPACK",
                5: "DEPTHWISE_CONV_2D SUB TRANSPOSE TRANSPOSE_CONV",
                8: "CONV_2D",
                11: "FULLY_CONNECTED",
            }
        ),
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


def integer_kind(activations: Kind) -> Kind:
    """Returns the key in `KERNELS` for a recipe's integers between operations; `"int8"` if it has floats there.

    Args:
        activations: Activation type of the recipe.

    Examples:
        >>> [integer_kind(each) for each in ("int16", "int8", "float32")]
        ['int16', 'int8', 'int8']
    """
    return activations if activations in KERNELS else "int8"


# For float activations and an int8 matrix with one scale per row: an older runtime that the version does not stop reads
# only the first scale, and answers. LiteRT and XNNPACK compute a transposed convolution stored this way in floats.
HYBRID_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12, "TRANSPOSE_CONV": 4}

# First versions for types that are not in `KERNELS`, by the type of the first output, where they are not 1. Those of
# FLOAT32 include casts of float16 constants.
PLAIN_VERSIONS: dict[str, dict[str, int]] = {
    "BOOL": _versions({2: "BROADCAST_TO FILL REVERSE_V2", 3: "GATHER STRIDED_SLICE TRANSPOSE UNPACK", 5: "PAD PADV2"}),
    "FLOAT32": _versions({2: "BROADCAST_TO FLOOR_DIV", 3: "DEQUANTIZE"}),
    "INT32": _versions({2: "BROADCAST_TO SIGN", 3: "SPLIT", 5: "ABS"}),
    "INT64": _versions({2: "BROADCAST_TO RANGE SPARSE_TO_DENSE", 4: "ADD SUB", 5: "MUL"}),
    "UINT8": _versions({2: "ABS BROADCAST_TO GELU RELU UNPACK"}),
}
