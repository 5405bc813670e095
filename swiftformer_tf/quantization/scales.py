"""Chooses the scale and zero point of a tensor from a sample of its values."""

import numpy as np

from swiftformer_tf.litert.integers import Kind, Quantization

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


def rounded(values: np.ndarray, quantization: Quantization, out: np.ndarray | None = None) -> np.ndarray:
    """Rounds float32 values to those that int8 with a single scale can represent.

    The result is that of `dequantized(quantized(...))`, in fewer steps and in place.

    Args:
        values: float32.
        quantization: With a single scale.
        out: Where the result goes; a new array by default.
    """
    limits = np.iinfo(np.int8)
    steps = np.divide(values, quantization.scale, out=out)
    np.rint(steps, out=steps)
    np.clip(steps, limits.min - quantization.zero_point, limits.max - quantization.zero_point, out=steps)
    return np.asarray(np.multiply(steps, quantization.scale, out=steps))


def best_range(low: float, high: float, sample: np.ndarray) -> tuple[float, float]:
    """Returns the ends of the range with the smallest mean square quantization error on a sample of the values.

    Rare large values then saturate, and all others get finer steps.
    """

    # One array for all ranges: to allocate one each time would take as long as the arithmetic.
    error = np.empty_like(sample)

    def loss(low: float, high: float) -> float:
        np.subtract(sample, rounded(sample, from_range(low, high), out=error), out=error)
        return float(np.multiply(error, error, out=error).mean())

    for _ in range(2):
        high = min((high * share for share in SHARES), key=lambda each: loss(low, each))
        low = min((low * share for share in SHARES), key=lambda each: loss(each, high))
    return low, high
