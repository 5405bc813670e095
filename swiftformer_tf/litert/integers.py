"""What the integers of a tensor stand for, the same for what writes a file and for what runs it."""

import dataclasses
from typing import Literal

import numpy as np

__all__ = ["Kind", "Quantization", "dequantized", "quantized"]

Kind = Literal["float32", "int4", "int8", "uint8", "int16", "int32", "int64"]


@dataclasses.dataclass(frozen=True, eq=False)
class Quantization:
    """What the integers of a tensor stand for: `scale * (integer - zero_point)`.

    Args:
        scale: float32 (1,) for the whole tensor, or one per entry of `axis`.
        zero_point: An integer; zero where there are many scales.
        axis: Axis of the scales, where there are many.
    """

    scale: np.ndarray
    zero_point: int = 0
    axis: int = 0


def quantized(values: np.ndarray, quantization: Quantization, kind: Kind = "int8") -> np.ndarray:
    """Integers of floats, with one scale for all of them.

    Examples:
        >>> quantized(np.array([-9.0, 0.0, 0.4]), Quantization(np.array([0.5], "float32"), 3)).tolist()
        [-15, 3, 4]
    """
    limits = np.iinfo(kind)
    integers = np.rint(values / quantization.scale) + quantization.zero_point
    return np.asarray(np.clip(integers, limits.min, limits.max), kind)


def dequantized(integers: np.ndarray, quantization: Quantization) -> np.ndarray:
    """float32 of integers with one scale for all of them.

    Examples:
        >>> dequantized(np.array([-15, 3, 4], "int8"), Quantization(np.array([0.5], "float32"), 3)).tolist()
        [-9.0, 0.0, 0.5]
    """
    return np.asarray((integers.astype(np.float32) - np.float32(quantization.zero_point)) * quantization.scale)
