"""Rounding of weights: to nearest, by what they see, and what the bias takes over."""

import numpy as np
import pytest

from swiftformer_tf import ExportError
from swiftformer_tf.quantization import rounding
from swiftformer_tf.quantization.graph import Operation
from swiftformer_tf.quantization.rounding import LIMITS, round_weights, rounded_filter

LIMIT = LIMITS[8][1]


def moments_of(rows: np.ndarray) -> np.ndarray:
    """(G, rows, K) to (G, K + 1, K + 1): mean of x x' with a one at the end."""
    rows = np.concatenate([rows, np.ones((*rows.shape[:2], 1))], axis=2)
    return rows.transpose(0, 2, 1) @ rows / rows.shape[1]


def correlated(groups: int, rows: int, size: int, seed: int = 0) -> np.ndarray:
    """Inputs that a few directions explain, as those of a network are, with a mean that is not zero."""
    rng = np.random.default_rng(seed)
    mixture = rng.normal(size=(groups, size // 4, size))
    return rng.normal(size=(groups, rows, size // 4)) @ mixture + 0.1 * rng.normal(size=(groups, rows, size)) + 0.7


def loss(rows: np.ndarray, weights: np.ndarray, integers: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> float:
    """Mean square of what the outputs are off by."""
    return float(np.mean((rows @ weights - rows @ (integers * scale) - shift) ** 2))


def test_to_nearest_is_symmetric_with_a_scale_for_each_output() -> None:
    weights = np.random.default_rng(0).normal(size=(2, 12, 5)) * np.array([1, 10, 0.01, 3, 1])
    integers, scale, shift = round_weights(weights, None)
    assert (integers.dtype, integers.shape, scale.shape, shift.shape) == (np.int8, (2, 12, 5), (2, 1, 5), (2, 1, 5))
    np.testing.assert_allclose(scale, np.abs(weights).max(axis=1, keepdims=True) / LIMIT)
    np.testing.assert_array_equal(np.abs(integers.astype(int)).max(axis=1), LIMIT)  # never -128
    assert (np.abs(integers * scale - weights) <= scale / 2 * (1 + 1e-9)).all()
    assert not shift.any()


def test_an_output_without_weights_has_a_scale() -> None:
    integers, scale, shift = round_weights(np.zeros((1, 4, 2)), moments_of(correlated(1, 50, 4)))
    assert not integers.any()
    assert (scale > 0).all()
    assert np.isfinite(shift).all()


def test_inputs_that_say_nothing_of_each_other_round_to_nearest() -> None:
    weights = np.random.default_rng(1).normal(size=(3, 16, 8))
    moments = np.tile(np.eye(17), (3, 1, 1))  # variance one, mean zero, no covariance
    integers, scale, shift = round_weights(weights, moments)
    nearest, nearest_scale, _ = round_weights(weights, None)
    np.testing.assert_array_equal(integers, nearest)
    np.testing.assert_array_equal(scale, nearest_scale)
    np.testing.assert_allclose(shift, 0, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 6])
def test_correlated_inputs_lose_far_less_than_to_nearest(groups: int) -> None:
    """On rows that the moments did not see."""
    size = 32 if groups == 1 else 9
    weights = np.random.default_rng(2).normal(size=(groups, size, 20 if groups == 1 else 1))
    rows = correlated(groups, 4000, size)
    seen, others = rows[:, :2000], rows[:, 2000:]
    integers, scale, shift = round_weights(weights, moments_of(seen))
    nearest, nearest_scale, _ = round_weights(weights, None)
    by_moments = loss(others, weights, integers, scale, shift)
    assert by_moments < 0.5 * loss(others, weights, nearest, nearest_scale, np.zeros_like(scale))
    # The bias has its share of it, and what is left is still better without: the weights themselves are.
    centered = others - others.mean(axis=1, keepdims=True)
    nothing = np.zeros_like(shift)
    assert loss(centered, weights, integers, scale, nothing) < 0.7 * loss(
        centered, weights, nearest, nearest_scale, nothing
    )
    assert np.abs(integers.astype(int)).max() <= LIMIT


def test_integers_of_four_bits_are_gone_through_more_than_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = correlated(4, 2000, 32)
    weights = np.random.default_rng(5).normal(size=(4, 32, 20))

    def off_by() -> float:
        return loss(rows, weights, *round_weights(weights, moments_of(rows), bits=4))

    often = off_by()
    monkeypatch.setattr(rounding, "SWEEPS", 1)
    assert often < off_by()


def test_the_bias_takes_the_mean_of_what_is_left() -> None:
    weights = np.random.default_rng(3).normal(size=(2, 10, 6))
    rows = correlated(2, 500, 10)
    integers, scale, shift = round_weights(weights, moments_of(rows))
    off = rows @ weights - rows @ (integers * scale) - shift
    np.testing.assert_allclose(off.mean(axis=1), 0, atol=1e-9)
    assert np.abs((off + shift).mean(axis=1)).max() > 1e-3  # there was something to take


def test_noise_of_the_inputs_draws_towards_nearest() -> None:
    """Correlations far below the noise of rounded inputs are nothing to build on."""
    weights = np.random.default_rng(4).normal(size=(1, 16, 8))
    moments = moments_of(correlated(1, 2000, 16))
    nearest, *_ = round_weights(weights, None)
    changed = [np.mean(round_weights(weights, moments, noise)[0] != nearest) for noise in (0.0, 1e6)]
    assert changed[0] > 0.2
    assert changed[1] == 0


@pytest.mark.parametrize(("name", "shape"), [("CONV_2D", (8, 1, 1, 16)), ("DEPTHWISE_CONV_2D", (1, 4, 4, 8))])
def test_a_coarse_step_of_the_inputs_is_noise(name: str, shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    moments = moments_of(correlated(8, 2000, 16))
    groups = 8 if name == "DEPTHWISE_CONV_2D" else 1
    seen = moments[:groups]
    nearest, fine, coarse = (
        rounded_filter(Operation(name, (), ()), kernel, known, step, groups=groups)[0]
        for known, step in ((None, 0.0), (seen, 0.01), (seen, 1e4))
    )
    assert np.mean(fine != nearest) > 0.2
    np.testing.assert_array_equal(coarse, nearest)


def test_few_rows_are_not_believed_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave most directions out, and other rows have a share in all of them."""
    weights = np.random.default_rng(0).normal(size=(1, 64, 16))
    rows = correlated(1, 2000, 64)
    moments = moments_of(rows[:, :20])

    def lost() -> float:
        return loss(rows[:, 20:], weights, *round_weights(weights, moments))

    damped = lost()
    monkeypatch.setattr(rounding, "DAMPING", 1e-7)
    assert damped < 0.8 * lost()


def test_inputs_that_were_never_seen_do_not_divide_by_zero() -> None:
    rows = correlated(1, 300, 8)
    rows[:, :, 3] = 0
    rows[:, :, 5] = rows[:, :, 4]
    weights = np.random.default_rng(5).normal(size=(1, 8, 4))
    for moments in (moments_of(rows), moments_of(np.zeros((1, 10, 8)))):
        integers, scale, shift = round_weights(weights, moments)
        assert np.isfinite(shift).all()
        # An input that is always zero is rounded to nearest: others cannot gain by it.
        assert (np.abs(integers[0, 3] * scale[0, 0] - weights[0, 3]) <= scale[0, 0] * 2).all()


def test_a_single_position_says_nothing_of_correlations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variances are what sums in float32 are off by, of either sign."""
    row = np.random.default_rng(6).normal(loc=30, size=(1, 24)).astype(np.float32)
    rows = np.append(row, np.ones((1, 1), np.float32), axis=1)
    moments = (np.float32(1 / 3) * (rows.T @ rows)).astype(np.float64)[None]
    moments /= moments[:, -1:, -1:]
    weights = np.random.default_rng(7).normal(size=(1, 24, 4))
    integers, scale, shift = round_weights(weights, moments)
    np.testing.assert_allclose(row @ (integers * scale)[0] + shift[0], row @ weights[0], rtol=1e-5)
    monkeypatch.setattr(rounding, "FLOOR_FACTORS", [1.0])
    round_weights(weights, moments)  # at the first attempt
    monkeypatch.setattr(rounding, "SUMS_ERROR", 0.0)
    with pytest.raises(ExportError):
        round_weights(weights, moments)


@pytest.mark.parametrize("groups", [1, 6])
def test_four_bits_lose_less_by_their_sums_than_to_nearest(groups: int) -> None:
    """On rows that the moments did not see."""
    size = 32 if groups == 1 else 9
    rows = correlated(groups, 4000, size)
    weights = np.random.default_rng(5).normal(size=(groups, size, 12))
    seen, others = rows[:, :2000], rows[:, 2000:]
    integers, scale, shift = round_weights(weights, moments_of(seen), bits=4)
    assert (integers.min(), integers.max()) == (-8, 7)  # all sixteen steps
    nearest, nearest_scale, none = round_weights(weights, None, bits=4)
    assert np.abs(nearest).max() == 7
    assert not none.any()
    assert loss(others, weights, integers, scale, shift) < 0.2 * loss(others, weights, nearest, nearest_scale, none)


def test_the_range_of_four_bits_is_the_one_whose_sums_come_out_closest() -> None:
    """One large weight of an input that is next to nothing must not cost all others their steps."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(1, 3000, 16)) * np.append(np.full(15, 1.0), 1e-3)
    weights = rng.uniform(-1, 1, (1, 16, 4))
    weights[:, -1] = 3
    _, scale, _ = round_weights(weights, moments_of(rows), bits=4)
    assert (scale < 0.6 * 3 / 7).all()


def test_four_bits_go_through_their_integers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = correlated(1, 3000, 48)
    weights = np.random.default_rng(7).normal(size=(1, 48, 24))
    again = loss(rows, weights, *round_weights(weights, moments_of(rows), bits=4))
    monkeypatch.setattr(rounding, "SWEEPS", 0)
    once = loss(rows, weights, *round_weights(weights, moments_of(rows), bits=4))
    assert again < 0.98 * once


def test_blocks_change_nothing_but_the_order_of_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = correlated(1, 500, 40)
    weights = np.random.default_rng(8).normal(size=(1, 40, 6))
    for bits in (8, 4):
        blocked = round_weights(weights, moments_of(rows), bits=bits)
        monkeypatch.setattr(rounding, "BLOCK", 1)
        single = round_weights(weights, moments_of(rows), bits=bits)
        monkeypatch.undo()
        assert np.mean(blocked[0] == single[0]) > 0.99
