"""Scales and zero points: what an integer stands for, and the search for a better range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftformer_tf.litert.integers import dequantized, quantized
from swiftformer_tf.quantization.scales import best_range, from_range, rounded

ENDS = st.floats(-1e4, 1e4, allow_nan=False)


def restored(values: np.ndarray, low: float, high: float) -> np.ndarray:
    quantization = from_range(low, high)
    return (quantized(values, quantization).astype(float) - quantization.zero_point) * float(quantization.scale[0])


def error(values: np.ndarray, low: float, high: float) -> float:
    return float(np.mean((restored(values, low, high) - values) ** 2))


def test_the_ends_of_a_range_are_the_ends_of_a_byte() -> None:
    quantization = from_range(-1.0, 1.55)
    assert quantization.scale.dtype == np.float32
    assert quantization.scale == pytest.approx(0.01)
    assert quantization.zero_point == -28
    np.testing.assert_array_equal(quantized(np.array([-1.0, 0.0, 1.55]), quantization), [-128, -28, 127])
    np.testing.assert_array_equal(quantized(np.array([-9.0, 9.0]), quantization), [-128, 127])


@pytest.mark.parametrize(("low", "high", "zero_point"), [(0.0, 2.0, -128), (0.5, 2.0, -128), (-2.0, -0.5, 127)])
def test_zero_is_in_every_range(low: float, high: float, zero_point: int) -> None:
    quantization = from_range(low, high)
    assert quantization.zero_point == zero_point
    assert quantization.scale == pytest.approx(2 / 255)


@pytest.mark.parametrize(
    ("low", "high", "zero_point"),
    [(-0.706, 1.844, -57), (-0.704, 1.846, -58), (-1.844, 0.706, 56), (-1.846, 0.704, 57)],
)
def test_the_zero_point_is_the_nearest_integer(low: float, high: float, zero_point: int) -> None:
    """A step of 0.01: -57.4 and -57.6, then 56.4 and 56.6."""
    assert from_range(low, high).zero_point == zero_point


@given(low=ENDS, high=ENDS)
def test_zero_is_exact_and_no_value_of_the_range_is_further_than_a_step(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    step = float(from_range(low, high).scale[0])
    values = np.linspace(low, high, 50)
    assert restored(np.zeros(1), low, high) == 0
    # Half a step, and the other half where the zero point is rounded at an end.
    assert np.abs(restored(values, low, high) - values).max() <= 1.001 * step


def test_a_tensor_of_zeros_has_a_scale() -> None:
    quantization = from_range(0.0, 0.0)
    assert quantization.scale[0] > 0
    np.testing.assert_array_equal(quantized(np.zeros(3), quantization), quantization.zero_point)


@pytest.mark.parametrize("high", [1e-3, 1e-7])
def test_a_small_range_has_small_steps(high: float) -> None:
    """Products of eight bits are that small; only what reaches nowhere has the least range."""
    assert from_range(0.0, high).scale == pytest.approx(high / 255)
    assert from_range(-high, 0.0, "int16").scale == pytest.approx(high / 32767)


def test_uint8_starts_at_zero() -> None:
    assert from_range(0.0, 255.0, "uint8").zero_point == 0
    assert from_range(0.0, 255.0, "uint8").scale == 1


@pytest.mark.parametrize(("low", "high"), [(-2.0, 1.0), (0.5, 2.0), (-2.0, -1.0)])
def test_int16_is_as_wide_on_both_sides_of_zero(low: float, high: float) -> None:
    quantization = from_range(low, high, "int16")
    assert quantization.zero_point == 0
    assert quantization.scale == pytest.approx(2 / 32767)
    integers = quantized(np.array([-2.0, 0.0, 2.0, 9.0, -9.0]), quantization, "int16")
    assert integers.dtype == np.int16
    np.testing.assert_array_equal(integers, [-32767, 0, 32767, 32767, -32768])


@given(ENDS, ENDS)
def test_floats_are_rounded_to_what_the_integers_stand_for(low: float, high: float) -> None:
    quantization = from_range(low, high)
    # Beyond the range on both sides, and halfway between two steps.
    values = (np.arange(-700, 701, dtype=np.float32) / 2 - quantization.zero_point) * quantization.scale
    expected = dequantized(quantized(values, quantization), quantization)
    before, out = values.copy(), np.empty_like(values)
    np.testing.assert_array_equal(rounded(values, quantization), expected, strict=True)
    assert rounded(values, quantization, out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(values, before)


def test_the_search_gives_up_a_rare_large_value_for_a_finer_step() -> None:
    values = np.append(np.random.default_rng(0).uniform(-1, 1, 200_000), 1.5).astype(np.float32)
    low, high = best_range(-1.0, 1.5, values)
    assert 0.9 < high < 1.1
    assert -1.0 <= low < -0.9
    assert error(values, low, high) < 0.85 * error(values, -1.0, 1.5)


def test_the_search_looks_at_the_first_end_again_when_it_has_the_second() -> None:
    """Neither end alone can do better."""
    values = np.append(np.random.default_rng(1).uniform(-1, 1, 20_000), [1.5, -1.5]).astype(np.float32)
    low, high = best_range(-1.5, 1.5, values)
    least = error(values, low, high)
    for share in 1 - 0.03 * np.arange(1, 24):
        assert error(values, low, high * share) > least
        assert error(values, low * share, high) > least


def test_the_search_gives_up_no_more_than_nine_tenths_of_a_range() -> None:
    """A sample may lack the values that the range was seen for: each of two turns keeps 31 % at least."""
    values = np.linspace(0, 0.5, 1000).astype(np.float32)
    assert best_range(0.0, 10.0, values) == pytest.approx((0, 0.961))
    assert best_range(-10.0, 0.0, -values) == pytest.approx((-0.961, 0))


def test_the_search_leaves_an_even_spread_alone() -> None:
    values = np.linspace(-2, 2, 2001).astype(np.float32)
    assert best_range(-2.0, 2.0, values) == (-2.0, 2.0)


def test_the_search_never_ends_worse_than_it_starts() -> None:
    rng = np.random.default_rng(1)
    for values in (
        rng.normal(size=400),
        rng.standard_cauchy(400),
        np.abs(rng.normal(size=400)),
        rng.gamma(0.2, 1, 400),
    ):
        values = values.astype(np.float32)
        low, high = float(values.min()), float(values.max())
        found = best_range(low, high, values)
        assert low <= found[0] <= 0 or low > 0
        assert found[1] <= high
        assert error(values, *found) <= error(values, low, high) * (1 + 1e-6)
