"""Resizes pixels exactly as torchvision does, whose results differ from Pillow's by at most 1 of 255.

Both weight the pixels that an output covers with the same filters, along the rows and then along the columns. Pillow
(13.0) rounds the weights to 22 bits; PyTorch (2.15, on processors with AVX2) rounds them to 16 bits, and the
intermediate result to 8 bits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["FILTERS", "torchvision_resize"]

# PyTorch keeps a weight in 16 bits with its sign, and shifts it by no more than this.
_LARGEST, _MOST_BITS = 2**15, 22

# Rows at a time: float64 copies of a whole photograph would be hundreds of megabytes.
_ROWS = 128


class _Filter(NamedTuple):
    """The weight of a pixel as a function of its distance, in pixels of the output.

    Args:
        reach: Distance beyond which the weight is zero.
        weigh: Function from an array of distances to weights.
    """

    reach: int
    weigh: Callable[[np.ndarray], np.ndarray]


def _cubic(distances: np.ndarray) -> np.ndarray:
    """Keys's kernel with a = -0.5, as used by antialiased resizing."""
    x = np.abs(distances)
    inner, outer = (1.5 * x - 2.5) * x * x + 1, ((x - 5) * x + 8) * x - 4
    return np.where(x < 1, inner, np.where(x < 2, -0.5 * outer, 0.0))


FILTERS: dict[str, _Filter] = {
    "bilinear": _Filter(1, lambda distances: np.maximum(1 - np.abs(distances), 0)),
    "bicubic": _Filter(2, _cubic),
}


class _Weights(NamedTuple):
    """The inputs and weights of every output along one axis.

    Args:
        starts: The first pixel that each output covers.
        rows: Integer weights stored as float64, so that every sum is exact.
        bits: Number of bits by which the sums are shifted.
    """

    starts: list[int]
    rows: list[np.ndarray]
    bits: int


def _weights(source: int, target: int, interpolation: str) -> _Weights:
    reach, weigh = FILTERS[interpolation]
    scale = source / target
    wide = max(scale, 1.0)
    centers = scale * (np.arange(target) + 0.5)
    starts = np.maximum((centers - reach * wide + 0.5).astype(int), 0)
    stops = np.minimum((centers + reach * wide + 0.5).astype(int), source)
    pixels = starts[:, None] + np.arange((stops - starts).max())
    rows = np.where(pixels < stops[:, None], weigh((pixels - centers[:, None] + 0.5) * (1 / wide)), 0.0)
    rows /= rows.sum(axis=1, keepdims=True)
    largest, bits = float(rows.max()), 0
    while bits < _MOST_BITS and int(0.5 + largest * 2 ** (bits + 1)) < _LARGEST:
        bits += 1
    whole = np.trunc(rows * 2**bits + np.where(rows < 0, -0.5, 0.5))
    lengths = (stops - starts).tolist()
    return _Weights(starts.tolist(), [row[:length] for row, length in zip(whole, lengths, strict=True)], bits)


def _along_rows(pixels: np.ndarray, width: int, interpolation: str) -> np.ndarray:
    weights = _weights(pixels.shape[1], width, interpolation)
    out = np.empty((len(pixels), width, pixels.shape[2]), np.uint8)
    for top in range(0, len(pixels), _ROWS):
        # (columns, channels x rows): every sum below is one product of a matrix.
        band = pixels[top : top + _ROWS].transpose(1, 2, 0).astype(np.float64)
        flat = band.reshape(len(band), -1)
        sums = np.stack(
            [row @ flat[start : start + len(row)] for start, row in zip(weights.starts, weights.rows, strict=True)]
        )
        rounded = np.floor((sums + 2 ** (weights.bits - 1)) / 2**weights.bits).clip(0, 255)
        out[top : top + _ROWS] = rounded.reshape(width, *band.shape[1:]).transpose(2, 0, 1)
    return out


def torchvision_resize(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Computes the result of `torchvision.transforms.v2.functional.resize` with `antialias=True` for uint8 on a CPU.

    Args:
        pixels: uint8 (height, width, channels).
        size: (height, width) of the result.
        interpolation: A key of `FILTERS`.

    Returns:
        uint8 array (*size, channels).

    Examples:
        >>> torchvision_resize(np.array([[[0], [255]]], np.uint8), (1, 4), "bilinear").ravel().tolist()
        [0, 64, 191, 255]
    """
    height, width = size
    if pixels.shape[1] != width:
        pixels = _along_rows(pixels, width, interpolation)
    if pixels.shape[0] != height:
        pixels = _along_rows(pixels.transpose(1, 0, 2), height, interpolation).transpose(1, 0, 2)
    return pixels
