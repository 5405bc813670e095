"""Chooses the scale and zero point of a tensor from a sample of its values."""

import numpy as np

from swiftformer_tf.litert.integers import Kind, Quantization, dequantized, quantized

__all__ = ["LEAST_RANGE", "best_range", "from_range", "rounded"]

# Minimum range of a tensor, whatever its values were: a scale must not be zero.
LEAST_RANGE = 1e-9

# Shares of the range that are tried.
SHARES = 1 - 0.03 * np.arange(24)


def from_range(low: float, high: float, kind: Kind = "int8") -> Quantization:
    """Returns the quantization that spreads the integers of a type over a range; zero is always represented exactly.

    For int16, the range is symmetric around zero, as LiteRT requires.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if kind == "int16":
        return Quantization(np.array([max(-low, high, LEAST_RANGE) / 32767], np.float32))
    scale = max(high - low, LEAST_RANGE) / 255
    lowest = int(np.iinfo(kind).min)
    # The range is no narrower than its low end is far from zero, so that the zero point is within the 256 integers.
    return Quantization(np.array([scale], np.float32), int(np.rint(lowest - low / scale)))


def rounded(values: np.ndarray, quantization: Quantization) -> np.ndarray:
    """Rounds floats to float32 values that int8 with a single scale can represent."""
    return dequantized(quantized(values, quantization), quantization)


def best_range(low: float, high: float, sample: np.ndarray) -> tuple[float, float]:
    """Returns the ends of the range with the smallest mean square quantization error on a sample of the values.

    Rare large values then saturate, and all others get finer steps.
    """

    def loss(low: float, high: float) -> float:
        return float(np.mean((sample - rounded(sample, from_range(low, high))) ** 2))

    for _ in range(2):
        high = min((high * share for share in SHARES), key=lambda each: loss(low, each))
        low = min((low * share for share in SHARES), key=lambda each: loss(each, high))
    return low, high
