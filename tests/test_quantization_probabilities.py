"""Probabilities of a segmenter in int8: made in float, by operations that are fast for few classes."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from support.segmenters import PIXELS, SIZE, deployed, lite
from support.small_graphs import answers, converted

from swiftformer_tf import RECIPES, export
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, lower_softmax, measure, operation_precisions, rewrite
from swiftformer_tf.quantization.probabilities import MOST_DISTANCE
from swiftformer_tf.verification import check_file

LOWERED = ["REDUCE_MAX", "SUB", "RESIZE_BILINEAR", "EXP", "CONV_2D", "DIV"]


def probabilities(size: tuple[int, int]) -> Any:
    def of(logits: Any) -> Any:
        return keras.ops.softmax(keras.ops.image.resize(logits * 2.0, size, interpolation="bilinear"))

    return of


def in_bytes(activation: Any, images: np.ndarray) -> bytes:
    """An int8 graph of an activation that reads logits of 6 by 7 pixels and 5 classes."""
    graph = Graph(converted(activation, 6, 7, 5))
    with native_stderr_silenced():
        statistics = measure(graph, images)
    return rewrite(graph, operation_precisions(graph, RECIPES["int8"]), RECIPES["int8"], statistics)


def names(content: bytes) -> list[str]:
    return [op.name for op in Graph(content).operations]


def test_the_recipe_that_has_them() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.float_probabilities] == ["int8"]


def test_a_segmenter_in_int8() -> None:
    file = lite("int8", "softmax", stages=4)
    inspection = inspect_model(file)
    assert [op.name for op in inspection.ops][-len(LOWERED) :] == LOWERED
    in_float = [op.name for op in inspection.ops if op.is_last]
    assert in_float[-len(LOWERED) :] == LOWERED
    # Logits of four maps, which are resized and added up.
    assert (in_float.count("ADD"), in_float.count("RESIZE_BILINEAR")) == (3, 7)
    assert len(in_float) == 3 + 7 + len(LOWERED) - 1
    assert [matrix.is_sum for matrix in inspection.matrices()].count(True) == 1
    # Not rounded to steps of 1 / 256, as they are where the softmax has integers.
    images = file.config.transform.normalize(PIXELS)[:3, None]
    ours = answers(file.content, images)[:, 0]
    deploy, calibration = deployed("softmax", stages=4)
    row = RECIPES["int8"].replace(float_probabilities=False)
    theirs = answers(export(deploy, row, calibration=calibration).content, images)[:, 0]
    assert ours.shape == theirs.shape == (3, *SIZE, 5)
    np.testing.assert_allclose(ours.sum(axis=-1), 1, atol=1e-5)
    assert np.all(theirs * 256 == np.rint(theirs * 256))
    assert len(np.unique(ours)) > 100 * len(np.unique(theirs))
    expected = answers(calibration.content, images)[:, 0]
    errors = [float(np.sqrt(np.mean((each - expected) ** 2))) for each in (ours, theirs)]
    assert errors[0] < errors[1] < 0.1


def test_verify_takes_them_by_the_recipe_alone() -> None:
    file = lite("int8", "softmax")
    checks = {check.name: check for check in check_file(file)[0]}
    assert {checks[name].status for name in ("integer", "weights", "versions", "unique_names")} == {"passed"}
    strict = dataclasses.replace(file, recipe=RECIPES["int8"].replace(float_probabilities=False))
    failed = {check.name: check.measured for check in check_file(strict)[0] if check.status == "failed"}
    assert set(failed) == {"integer", "weights"}
    assert "EXP" in failed["integer"]


@pytest.mark.parametrize("activation", ["softmax", None])
def test_verify_takes_no_other_operation_in_float(activation: Any) -> None:
    """Such as the last matrix, or all of them."""
    for recipe in ("mixed_int8", "float32"):
        other = dataclasses.replace(lite(recipe, activation), recipe=RECIPES["int8"])
        failed = {check.name for check in check_file(other)[0] if check.status == "failed"}
        assert "integer" in failed


def test_integer_outputs_keep_an_integer_softmax() -> None:
    deploy, calibration = deployed("softmax")
    ends = RECIPES["int8"].replace(inference_input_type="int8", inference_output_type="int8")
    inspection = inspect_model(export(deploy, ends, calibration=calibration))
    assert (inspection.ops[-1].name, inspection.float_ops) == ("SOFTMAX", ())


@pytest.mark.parametrize(
    ("size", "largest", "is_lowered"),
    [
        ((24, 28), MOST_DISTANCE * 0.97, True),
        ((24, 28), MOST_DISTANCE * 1.01, False),  # an exponential could vanish in all classes of a pixel
        ((3, 4), 10.0, False),  # fewer pixels than the logits have: the maxima would be what takes long
    ],
)
def test_what_is_lowered(size: tuple[int, int], largest: float, is_lowered: bool) -> None:
    rng = np.random.default_rng(0)
    logits = rng.uniform(0, 1, (20, 1, 6, 7, 5))
    logits = (largest * (logits - logits.min()) / np.ptp(logits)).astype(np.float32)
    content = in_bytes(probabilities(size), logits / 2)
    lowered = lower_softmax(content)
    assert names(lowered)[-len(LOWERED) :] == LOWERED if is_lowered else lowered == content
    plain, found = (answers(each, logits[:4] / 2) for each in (content, lowered))
    np.testing.assert_allclose(found, plain, atol=1e-5)  # what float32 holds of a logit of 97
    assert np.ptp(plain) > 0.5


def test_logits_of_any_size_and_sign_answer_alike() -> None:
    """Far from zero, and of one class only: nothing overflows, and no pixel loses all of its classes."""
    halves = np.full((8, 1, 6, 7, 5), -20.0, np.float32)
    halves[::2, ..., 3] = 25.0
    halves[1::2, :, ::2, :, 1] = 25.0
    halves[1::2, :, 1::2, :, 2] = 25.0
    content = in_bytes(probabilities((24, 28)), halves)
    lowered = lower_softmax(content)
    assert names(lowered)[-len(LOWERED) :] == LOWERED
    found = answers(lowered, halves)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, answers(content, halves), atol=1e-5)


@pytest.mark.parametrize(("spread", "is_lowered"), [(MOST_DISTANCE / 4, True), (MOST_DISTANCE, False)])
def test_constants_count_in_how_far_logits_can_be_apart(spread: float, is_lowered: bool) -> None:
    constant = np.linspace(0, spread, 5, dtype=np.float32)

    def of(logits: Any) -> Any:
        resized = keras.ops.image.resize(logits * 2.0 + constant, (24, 28), interpolation="bilinear")
        return keras.ops.softmax(resized)

    images = np.random.default_rng(0).uniform(0, MOST_DISTANCE / 4, (20, 1, 6, 7, 5)).astype(np.float32)
    lowered = lower_softmax(in_bytes(of, images))
    assert (names(lowered)[-1] == "DIV") == is_lowered


def test_a_sum_that_others_read_stays_an_integer() -> None:
    """A head without a matrix of its own reads what the rest of the graph does."""

    def of(maps: Any) -> Any:
        summed = keras.ops.tanh(maps) + keras.ops.relu(maps)
        resized = keras.ops.image.resize(summed, (24, 28), interpolation="bilinear")
        return [keras.ops.softmax(resized), keras.ops.tanh(summed)]

    graph = Graph(converted(of, 6, 7, 5))
    how = {op.name: precision for op, precision in operation_precisions(graph, RECIPES["int8"]).items()}
    assert (how["ADD"], how["RESIZE_BILINEAR"], how["SOFTMAX"]) == ("integer", "float32", "float32")
