"""Rounds weights to integers so as to minimize the error of the outputs, not of the weights themselves."""

import contextlib
import math

import numpy as np

from swiftformer_tf.errors import ExportError
from swiftformer_tf.litert.integers import Quantization
from swiftformer_tf.quantization.graph import Operation

__all__ = ["round_weights", "rounded_filter"]

# The integers of each width. -128 is left out, since LiteRT requires it of weights.
LIMITS = {8: (-127, 127), 4: (-8, 7)}

# Share of the mean variance that is added to every variance: directions that the images never showed are not free.
DAMPING = 0.01

# Error of sums in float32, relative to the mean square: the variance of constant inputs is nothing else.
SUMS_ERROR = 1e-6

# Multiples of that floor, tried in turn until the covariance is positive definite.
FLOOR_FACTORS = 10.0 ** np.arange(16)

# Shares of the whole range that are tried where there are few steps, and how often the integers are gone through again.
SHARES = 1 - 0.07 * np.arange(8)
SWEEPS = 4

# Rows that are rounded before the others are updated, in a single product.
BLOCK = 32


def round_weights(
    weights: np.ndarray,
    moments: np.ndarray | None,
    noise: float = 0.0,
    least_scale: float | np.ndarray = 0.0,
    bits: int = 8,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rounds weights; returns the integers, their scales, and the correction of the bias.

    Weights are rounded one after the other, and the error of each is compensated by the following ones, based on the
    covariance of their inputs (Frantar et al., "GPTQ", arXiv:2210.17323; Hassibi and Stork's optimal brain surgeon).
    The mean of the remaining error is added to the bias, which has 32 bits. For four bits, the scale with the smallest
    output error is chosen, and each integer is then revised with all others fixed (Behdin et al., "QuantEase",
    arXiv:2309.01885).

    Args:
        weights: (G, K, N): G matrices from K inputs to N outputs; one for a convolution, one per channel for a
            depthwise convolution.
        moments: (G, K + 1, K + 1), the mean of x x', where x ends with a one; None rounds each weight to the nearest
            integer.
        noise: Variance that the quantization of the inputs adds to each of them.
        least_scale: Lower bound of the scales, for all or (G, 1, N).
        bits: Number of bits per integer, 8 or 4.

    Returns:
        int8 (G, K, N), float64 scales (G, 1, N), and the float64 correction of the bias (G, 1, N).
    """
    lowest, highest = LIMITS[bits]
    scale = np.maximum(np.maximum(np.abs(weights).max(axis=1, keepdims=True), 1e-12) / highest, least_scale)
    if moments is None:
        return np.rint(weights / scale).astype(np.int8), scale, np.zeros_like(scale)
    mean = moments[:, :-1, -1:]
    covariance = moments[:, :-1, :-1] - mean * mean.transpose(0, 2, 1)
    diagonal = np.einsum("gkk->gk", covariance)
    squares = np.einsum("gkk->gk", moments)[:, :-1].mean(axis=1, keepdims=True)
    floor = DAMPING * np.maximum(diagonal.mean(axis=1, keepdims=True), 0) + noise + SUMS_ERROR * squares + 1e-12
    # The inputs that matter most are rounded first, while there are others left to make up for it.
    order = np.argsort(-diagonal, axis=1, kind="stable")
    covariance = np.take_along_axis(np.take_along_axis(covariance, order[:, :, None], 1), order[:, None, :], 2)
    factor, covariance = _inverse_factor(covariance, floor)
    ordered = np.take_along_axis(weights, order[:, :, None], 1)
    if bits == 8:
        integers = _compensated(ordered, scale, factor, (lowest, highest))
    else:
        integers, scale = _closest(ordered, scale, factor, covariance, (lowest, highest))
    integers = np.take_along_axis(integers, np.argsort(order, axis=1)[:, :, None], 1)
    shift = np.einsum("gk,gkn->gn", mean[:, :, 0], weights - integers * scale)[:, None]
    return integers.astype(np.int8), scale, shift


def _compensated(weights: np.ndarray, scale: np.ndarray, factor: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    """Integers (G, K, N) from GPTQ, from the first input to the last."""
    left, integers = weights.copy(), np.zeros_like(weights)
    for start in range(0, weights.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        errors = np.zeros_like(left[:, block])
        for place, index in enumerate(range(start, start + errors.shape[1])):
            integers[:, index] = np.clip(np.rint(left[:, index] / scale[:, 0]), *limits)
            error = (left[:, index] - integers[:, index] * scale[:, 0]) / factor[:, index, index, None]
            left[:, index + 1 : start + BLOCK] -= factor[:, index, index + 1 : start + BLOCK, None] * error[:, None]
            errors[:, place] = error
        left[:, start + BLOCK :] -= factor[:, block, start + BLOCK :].transpose(0, 2, 1) @ errors
    return integers


def _closest(
    weights: np.ndarray, scale: np.ndarray, factor: np.ndarray, covariance: np.ndarray, limits: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Integers (G, K, N) and scales (G, 1, N) with the smallest output error."""

    count, repeats = weights.shape[2], len(SHARES)
    tried = np.repeat(weights, repeats, axis=2)
    scales = np.tile(SHARES, count) * np.repeat(scale, repeats, axis=2)
    candidates = _compensated(tried, scales, factor, limits)
    errors = tried - candidates * scales
    losses = np.einsum("gkn,gkn->gn", errors, covariance @ errors).reshape(-1, count, repeats)
    best = losses.argmin(axis=2)[:, None] + np.arange(count) * repeats
    integers, chosen = np.take_along_axis(candidates, best, 2), np.take_along_axis(scales, best, 2)
    for _ in range(SWEEPS):
        sums = covariance @ integers
        power = np.einsum("gkn,gkn->gn", integers, sums)[:, None]
        fitted = np.einsum("gkn,gkn->gn", weights, sums)[:, None] / np.where(power > 0, power, 1)
        chosen = np.where(fitted > 0, fitted, chosen)
        integers = _revised(weights, integers, chosen, covariance, limits)
    return integers, chosen


def _revised(
    weights: np.ndarray, integers: np.ndarray, scale: np.ndarray, covariance: np.ndarray, limits: tuple[int, int]
) -> np.ndarray:
    """Revises the integers one after the other, each to the best value with all others fixed."""
    integers = integers.copy()
    diagonal = np.einsum("gkk->gk", covariance)
    for start in range(0, weights.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        slopes = covariance[:, block] @ (weights - integers * scale)
        for place, index in enumerate(range(start, start + slopes.shape[1])):
            step = slopes[:, place] / (diagonal[:, index, None] * scale[:, 0])
            better = np.clip(np.rint(integers[:, index] + step), *limits)
            change = (better - integers[:, index]) * scale[:, 0]
            slopes -= covariance[:, block, index, None] * change[:, None]
            integers[:, index] = better
    return integers


def _inverse_factor(covariance: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper triangular U with inverse(covariance + floor) = U' U, and the sum, all (G, K, K); floor is (G, 1)."""
    # If all images are the same, the covariance is nothing but rounding errors, some of them negative.
    for factor in FLOOR_FACTORS:
        with contextlib.suppress(np.linalg.LinAlgError):
            raised = covariance + factor * floor[:, :, None] * np.eye(covariance.shape[1])
            found = np.linalg.cholesky(np.linalg.inv(raised)).transpose(0, 2, 1)
            if np.isfinite(found).all():
                return found, raised
    raise ExportError(
        "the inputs of a matrix are not finite on the calibration images; use other images or another model"
    )


def rounded_filter(
    op: Operation,
    kernel: np.ndarray,
    moments: np.ndarray | None,
    step: float = 0.0,
    least_scale: float | np.ndarray = 0.0,
    *,
    groups: int = 1,
    bits: int = 8,
) -> tuple[np.ndarray, Quantization, np.ndarray]:
    """Applies `round_weights` to a filter in TFLite's layout, (N, height, width, C) or depthwise (1, height, width, C).

    Args:
        op: The operation to which the filter belongs.
        kernel: The value of the filter.
        moments: See `measure`; None rounds to the nearest integer.
        step: Scale of the input's integers.
        least_scale: Lower bound of the scales, for all output channels or (N,).
        groups: Number of groups of the operation, see `Graph.groups`.
        bits: Number of bits per integer, 8 or 4.

    Returns:
        int8 of the same shape, scales by output channel, and float64 corrections of the bias.
    """
    depthwise, transposed = op.name == "DEPTHWISE_CONV_2D", op.name == "TRANSPOSE_CONV"
    size = kernel.shape[-1] if depthwise else len(kernel)
    least = np.broadcast_to(least_scale, (size,))
    taps = math.prod(kernel.shape[1:-1]) if transposed else 1
    if transposed:
        # Each of its taps is a matrix to another pixel; they have one scale, and no bias of their own for a mean.
        least = np.maximum(least, np.abs(kernel).reshape(size, -1).max(axis=1) / LIMITS[bits][1]).repeat(taps)
        moments = None if moments is None else moments * _uncentered(moments.shape[-1])
    if depthwise:
        weights = kernel.astype(np.float64).reshape(-1, groups, size // groups).swapaxes(0, 1)
    else:
        weights = kernel.astype(np.float64).reshape(groups, size * taps // groups, -1).swapaxes(1, 2)
    least = least.reshape(groups, 1, -1)
    integers, scale, shift = round_weights(weights, moments, noise=step**2 / 12, least_scale=least, bits=bits)
    restored = integers.swapaxes(0, 1) if depthwise else integers.swapaxes(1, 2)
    quantization = Quantization(scale.reshape(-1)[::taps].astype(np.float32), axis=3 if depthwise else 0)
    return restored.reshape(kernel.shape), quantization, shift.reshape(-1)[::taps]


def _uncentered(size: int) -> np.ndarray:
    """Returns a mask that removes the means from moments, as if all inputs had a mean of zero."""
    mask = np.ones((size, size))
    mask[-1, :-1] = mask[:-1, -1] = 0
    return mask
