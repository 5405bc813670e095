"""What two models answer, compared: by hand, without a file."""

import math
from typing import Any

import numpy as np
import pytest
from support.random_models import tiny_config, uncentered

from swiftformer_tf import (
    RECIPES,
    Recipe,
)
from swiftformer_tf.tasks import Output
from swiftformer_tf.verification import VerificationCheck, signal_to_noise
from swiftformer_tf.verification.comparison import Comparison


def test_a_model_that_answers_the_mean_has_no_signal() -> None:
    """Most of a logit is common to all photographs: uncentered, the mean alone would pass for a float model."""
    rng = np.random.default_rng(0)
    expected = rng.normal(0, 5, 10) + rng.normal(0, 0.01, (200, 10))
    actual = np.tile(expected.mean(axis=0), (200, 1))
    assert uncentered(expected, actual) > 50
    assert signal_to_noise(expected, actual) == pytest.approx(0, abs=1e-9)


def compared(
    recipe: Recipe, expected: np.ndarray, actual: np.ndarray, task: str = "classification", **fields: Any
) -> tuple[list[VerificationCheck], dict[str, Any]]:
    """The checks of outputs (images, labels or features)."""
    output = Output("outputs", (1, expected.shape[1]), task)
    comparison = Comparison(output, tiny_config(**fields))
    for one, other in zip(expected, actual, strict=True):
        comparison.add(one, other)
    return comparison.judged(recipe)


def test_agreement_fails_on_few_other_answers() -> None:
    expected = np.eye(10)[np.arange(100) % 10]
    actual = expected.copy()
    actual[:2] = actual[1::-1]
    for recipe, passes in (("float32", "failed"), ("float16", "failed"), ("dynamic_int8", "passed")):
        checks, figures = compared(RECIPES[recipe], expected, actual)
        assert {check.name: check.status for check in checks}["agreement"] == passes
        assert figures["agreement"] == 0.98


@pytest.mark.parametrize(
    ("recipe", "images", "wrong", "status"),
    [
        ("float32", 98, 1, "failed"),  # all of them means all
        ("float16", 98, 1, "passed"),  # 1 % of 98 is less than one image: one may differ
        ("float16", 98, 2, "failed"),
        ("dynamic_int8", 98, 3, "passed"),
        ("dynamic_int8", 98, 4, "failed"),
        ("float16", 300, 3, "passed"),
        ("float16", 300, 4, "failed"),
    ],
)
def test_a_share_of_few_images_is_rounded_up_to_a_whole_one(recipe: str, images: int, wrong: int, status: str) -> None:
    expected = np.eye(10)[np.arange(images) % 10]
    actual = expected.copy()
    actual[:wrong] = np.roll(actual[:wrong], 1, axis=1)
    checks, _ = compared(RECIPES[recipe], expected, actual)
    assert {check.name: check.status for check in checks}["agreement"] == status


@pytest.mark.parametrize(("share", "status"), [(0.99, "passed"), (1.01, "failed")])
@pytest.mark.parametrize("recipe", RECIPES)
def test_cosine_fails_just_below_its_threshold(recipe: str, share: float, status: str) -> None:
    """By noise at right angles, whose amplitude is a share of what the recipe's SNR allows."""
    expected = np.random.default_rng(0).normal(size=(20, 16))
    amplitude = share * 10 ** (-RECIPES[recipe].min_snr / 20)
    across = np.stack([-expected[:, 1::2], expected[:, ::2]], axis=-1).reshape(expected.shape)
    checks, figures = compared(RECIPES[recipe], expected, expected + amplitude * across, "features")
    cosine = {check.name: check for check in checks}["cosine"]
    assert cosine.status == status
    assert figures["cosine"] == pytest.approx(1 / np.sqrt(1 + amplitude**2), abs=1e-12)
    assert (cosine.measured, cosine.expected[:13]) == (f"1 - {1 - figures['cosine']:.1e}", "at least 1 - ")


@pytest.mark.parametrize(("share", "status"), [(0.99, "passed"), (1.01, "failed")])
@pytest.mark.parametrize("recipe", RECIPES)
def test_largest_error_fails_just_above_its_threshold(recipe: str, share: float, status: str) -> None:
    """By one number on one photograph: at most 4/3 of what noise of the recipe's SNR is on all of them."""
    expected = np.random.default_rng(0).normal(20, 5, (400, 2))
    noise = 10 ** (-RECIPES[recipe].min_snr / 20)
    actual = expected.copy()
    actual[7, 1] -= share * 4 / 3 * noise * 3 * expected[:, 1].std()
    labels = {0: "age", 1: "height"}
    checks, figures = compared(RECIPES[recipe], expected, actual, id2label=labels, problem_type="regression")
    assert {check.name: check.status for check in checks} == {
        "finite": "passed",
        "snr": "passed",
        "largest_error": status,
    }
    assert figures["largest_error"] == pytest.approx(share * 4 / 3 * noise)
    assert checks[-1].measured == f"{share * 4 / 3 * noise:.2%}"
    assert checks[-1].expected == f"at most {4 / 3 * noise:.2%} of three standard deviations"


def test_large_vectors_do_not_hide_wrong_directions_of_small_ones() -> None:
    expected = np.random.default_rng(0).normal(size=(20, 16))
    expected[10:] *= 1e-4
    actual = expected.copy()
    actual[10:] *= -1
    checks, figures = compared(RECIPES["float16"], expected, actual, "features")
    found = {check.name: check.status for check in checks}
    assert (found["snr"], found["cosine"]) == ("passed", "failed")
    assert figures["cosine"] == pytest.approx(0, abs=1e-12)


def test_two_labels_are_enough_where_there_are_no_more() -> None:
    expected = np.eye(2)[np.arange(10) % 2]
    checks, figures = compared(RECIPES["float32"], expected, expected)
    assert figures["distinct"] == 2
    assert {check.name: check.status for check in checks}["agreement"] == "passed"
    checks, _ = compared(RECIPES["float32"], expected[:1], expected[:1])
    assert {check.name: check.status for check in checks} == {
        "finite": "passed",
        "snr": "refused",
        "agreement": "refused",
    }


def test_an_unfit_reference_is_not_passed_over() -> None:
    constant, nan = np.ones((8, 10)), np.full((8, 10), np.nan)
    checks, _ = compared(RECIPES["float32"], constant, constant)
    assert {check.name: check.status for check in checks} == {
        "finite": "passed",
        "snr": "refused",
        "agreement": "refused",
    }
    checks, _ = compared(RECIPES["float32"], nan, constant)
    assert "passed" not in {check.name: check.status for check in checks if check.name != "finite"}.values()


def test_signal_to_noise_by_hand() -> None:
    expected = np.array([[1.0, 2.0], [3.0, 0.0]])  # mean (2, 1), deviations of 1: signal 4
    assert signal_to_noise(expected, expected) == math.inf
    assert signal_to_noise(expected, expected + np.array([[0.1, 0], [0, 0]])) == pytest.approx(
        10 * math.log10(4 / 0.01)
    )
    assert signal_to_noise(expected, expected * np.nan) is None
    for constant in (1.0, 0.1):  # the mean of three tenths is not a tenth
        assert signal_to_noise(np.full((3, 2), constant), np.full((3, 2), constant)) is None
    # An error that all images share counts: the center is the reference's, not each side's own.
    assert signal_to_noise(expected, expected + 1) == pytest.approx(0)
