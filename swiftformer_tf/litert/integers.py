"""Quantization of tensors, shared by the code that writes files and the code that runs them."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

__all__ = ["FIXED_OUTPUTS", "Kind", "Quantization", "dequantized", "quantized"]

Kind = Literal["float32", "int4", "int8", "uint8", "int16", "int32", "int64"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quantization:
    """The quantization of a tensor, whose real values are `scale * (integer - zero_point)`.

    Args:
        scale: float32 (1,) for the whole tensor, or one scale per entry of `axis`.
        zero_point: The zero point; zero if there are several scales.
        axis: Axis of the scales if there are several.
    """

    scale: np.ndarray
    zero_point: int = 0
    axis: int = 0


def _steps(in_one: int, zero_point: int = 0) -> Quantization:
    return Quantization(np.array([1 / in_one], np.float32), zero_point)


# Quantization of the output of operations for which LiteRT fixes it, by type and name. From `restricted_value_int8` and
# `restricted_value_int16` in TensorFlow's tensorflow/lite/tools/optimize/operator_property.cc.
FIXED_OUTPUTS: Mapping[Kind, Mapping[str, Quantization]] = {
    "int8": {
        "L2_NORMALIZATION": _steps(128),
        "LOGISTIC": _steps(256, -128),
        "LOG_SOFTMAX": _steps(16, 127),
        "SOFTMAX": _steps(256, -128),
        "TANH": _steps(128),
    },
    "int16": dict.fromkeys(("LOGISTIC", "SOFTMAX", "TANH"), _steps(32768)),
}


def quantized(values: np.ndarray, quantization: Quantization, kind: Kind = "int8") -> np.ndarray:
    """Quantizes floats with a single scale.

    Examples:
        >>> quantized(np.array([-9.0, 0.0, 0.4]), Quantization(np.array([0.5], "float32"), 3)).tolist()
        [-15, 3, 4]
    """
    limits = np.iinfo(kind)
    integers = np.rint(values / quantization.scale) + quantization.zero_point
    return np.asarray(np.clip(integers, limits.min, limits.max), kind)


def dequantized(integers: np.ndarray, quantization: Quantization) -> np.ndarray:
    """Dequantizes integers with a single scale to float32.

    Examples:
        >>> dequantized(np.array([-15, 3, 4], "int8"), Quantization(np.array([0.5], "float32"), 3)).tolist()
        [-9.0, 0.0, 0.5]
    """
    return np.asarray((integers.astype(np.float32) - np.float32(quantization.zero_point)) * quantization.scale)
