"""Norms in eight bits: their ranges serve the normalized vectors, and logarithms stand for the reciprocal roots."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import pictures, seeded_model, tiny_config
from support.small_graphs import answers, converted

from swiftformer_tf import RECIPES, LiteModel, export, fuse
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, Statistics, fit_norm_ranges, lower_rsqrt, measure, rewrite

Lite = Callable[..., LiteModel]

CHANNELS = 16


def rms_norm(values: Any, axis: int | tuple[int, ...] = -1) -> Any:
    mean_square = keras.ops.mean(values * values, axis=axis, keepdims=True)
    return values * keras.ops.rsqrt(keras.ops.maximum(mean_square, 1e-12))


@pytest.fixture(scope="module")
def content() -> bytes:
    return converted(rms_norm, 12, 12, CHANNELS)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Vectors of very different lengths: most are a seventh of the longest."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.normal(0, 0.7, (40, 1, 12, 12, 1)))
    return (lengths * rng.normal(size=(40, 1, 12, 12, CHANNELS))).astype(np.float32)


def measured(graph: Graph, images: np.ndarray) -> Statistics:
    with native_stderr_silenced():
        return measure(graph, images)


def in_bytes(content: bytes, images: np.ndarray) -> bytes:
    graph = Graph(content)
    graph, statistics = lower_rsqrt(*fit_norm_ranges(graph, measured(graph, images)))
    return rewrite(graph, dict.fromkeys(graph.operations, "integer"), RECIPES["int8"], statistics)


def roots(values: Any) -> Any:
    """What a norm is multiplied by."""
    return keras.ops.rsqrt(keras.ops.maximum(keras.ops.mean(values * values, axis=-1, keepdims=True), 1e-12))


@pytest.mark.parametrize(("spread", "stays"), [(0.0, False), (2.0, True)])
def test_a_floor_goes_where_the_root_of_zero_is_that_of_one_step(spread: float, stays: bool) -> None:
    """Bit for bit, zeros among them; it stays where a single step has a root of its own."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 1, 12, 12, CHANNELS)) * np.exp(rng.normal(0, spread, (40, 1, 12, 12, 1)))
    vectors = np.concatenate([vectors, vectors[:1] * 0]).astype(np.float32)
    graph = Graph(converted(roots, 12, 12, CHANNELS))
    statistics = measured(graph, vectors[:-1])

    def file(**precisions: str) -> bytes:
        how: Any = {op: precisions.get(op.name, "integer") for op in graph.operations}
        return rewrite(graph, how, RECIPES["static_int8"], statistics)

    def names(content: bytes) -> list[str]:
        return [op.name for op in Graph(content).operations]

    assert ("MAXIMUM" in names(file())) is stays
    assert "MAXIMUM" in names(file(RSQRT="float32"))  # a float root of zero is infinite
    without = file()
    (floor,) = (op for op in graph.operations if op.name == "MAXIMUM")
    graph = Graph(graph.watched((*graph.outputs, *floor.outputs)))  # it stays where something else reads it, too
    assert "MAXIMUM" in names(file())
    np.testing.assert_array_equal(answers(without, vectors), answers(file(), vectors))


def test_integers_throughout_have_them_and_no_other_recipe() -> None:
    assert [name for name, recipe in RECIPES.items() if recipe.lower_rsqrt] == ["int8"]


def test_the_float_graph_computes_what_it_did(content: bytes, vectors: np.ndarray) -> None:
    graph = Graph(content)
    statistics = measured(graph, vectors[:4])
    kept = {name: dict(getattr(statistics, name)) for name in ("low", "high", "pixels")}
    graph, _ = lower_rsqrt(graph, statistics)
    assert [op.name for op in graph.operations] == ["MUL", "MEAN", "MAXIMUM", "LOG", "MUL", "EXP", "MUL"]
    np.testing.assert_allclose(
        answers(graph.watched(graph.outputs), vectors), answers(content, vectors), rtol=1e-5, atol=1e-6
    )
    assert all(getattr(statistics, name) == values for name, values in kept.items())  # what was given stays
    assert not statistics.fixed_ranges


def test_short_vectors_come_out_as_long_as_the_others(
    content: bytes, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = float(vectors.max() - vectors.min()) / 255
    wanted = answers(content, np.rint(vectors / step) * np.float32(step))  # what the input loses is not the norm's loss

    def ratio() -> float:
        noise = answers(in_bytes(content, vectors), vectors) - wanted
        return float(10 * np.log10(np.square(wanted).sum() / np.square(noise).sum()))

    chosen = ratio()
    assert chosen > 20
    monkeypatch.setattr("swiftformer_tf.quantization.rsqrt.SHARES", np.ones(1))  # the whole range, and no other
    assert ratio() < chosen - 4


def test_the_choice_beats_its_neighbors(content: bytes, vectors: np.ndarray) -> None:
    """By hand: squares of integers, their rounded mean, and how long the vectors are then."""
    graph = Graph(content)
    statistics = measured(graph, vectors)
    square, mean = graph.operations[:2]
    _, found = fit_norm_ranges(graph, statistics)
    highs = [float(found.high[op.outputs[0]].max()) for op in (square, mean)]
    pixels = statistics.pixels[square.inputs[0]]
    low, high = pixels.min(), pixels.max()

    def rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
        step = (high - low) / 255
        return np.asarray(np.clip(np.rint(values / step), np.rint(low / step), np.rint(high / step)) * step)

    def error(of_squares: float, of_means: float) -> float:
        squares = rounded(rounded(pixels, low, high) ** 2, 0, of_squares)
        means = np.maximum(rounded(squares.mean(axis=1), 0, of_means), of_means / 255)
        return float(np.mean((np.sqrt(np.square(pixels).mean(axis=1) / means) - 1) ** 2))

    best = error(*highs)
    for factor in (0.5, 2):
        assert error(highs[0] * factor, highs[1]) > best
        assert error(highs[0], highs[1] * factor) > best
    whole = [float(statistics.high[op.outputs[0]].max()) for op in (square, mean)]
    assert best < error(*whole) / 4


@pytest.mark.parametrize("channels", [1, CHANNELS])
def test_norms_over_pixels_keep_what_was_measured(channels: int, vectors: np.ndarray) -> None:
    """They are one number for all, and none is much shorter."""
    graph = Graph(converted(functools.partial(rms_norm, axis=(1, 2)), 12, 12, channels))
    statistics = measured(graph, vectors[..., :channels])
    made = [op.outputs[0] for op in graph.operations if op.name in ("MUL", "MEAN", "MAXIMUM")]
    _, found = fit_norm_ranges(graph, statistics)
    assert len(made) == 4
    for tensor in made:
        assert found.high[tensor] is statistics.high[tensor]


def test_a_logarithm_is_halved_without_rounding(lite: Lite) -> None:
    graph = Graph(lite("int8").content)
    names = [op.name for op in graph.operations]
    assert "RSQRT" not in names
    assert names.count("LOG") == names.count("EXP") > 0
    producers = {op.outputs[0]: op for op in graph.operations}
    for exp in (op for op in graph.operations if op.name == "EXP"):
        half = producers[exp.inputs[0]]
        log, halved = (graph.quantization(tensor) for tensor in (half.inputs[0], half.outputs[0]))
        assert log is not None
        assert halved is not None
        assert float(halved.scale[0]) == pytest.approx(float(log.scale[0]) / 2, rel=1e-6)
        # The ends change places: what -128 was is 127 now.
        assert abs(halved.zero_point - (-1 - log.zero_point)) <= 1


def test_vectors_of_zeros_do_no_harm(content: bytes) -> None:
    zeros = np.zeros((2, 1, 12, 12, CHANNELS), np.float32)
    found = answers(in_bytes(content, zeros), zeros)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 1e-3


def test_tiny_vectors_are_normalized_too(content: bytes) -> None:
    """As in a network that was just initialized: their mean squares are less than the least range of a tensor."""
    vectors = 1e-5 * np.random.default_rng(0).normal(size=(8, 1, 12, 12, CHANNELS)).astype(np.float32)
    wanted = answers(content, vectors)
    noise = answers(in_bytes(content, vectors), vectors) - wanted
    assert 10 * np.log10(np.square(wanted).sum() / np.square(noise).sum()) > 20


def test_one_pixel_has_no_mean_to_choose_a_range_for() -> None:
    """The converter leaves out a mean over one number: the token weights of a map of one pixel."""
    pictured = pictures(12, 32, 32)
    config = tiny_config(image_size=32)
    model = seeded_model(config, config.transform.normalize(pictured))
    content = export(fuse(model), RECIPES["int8"], calibration=pictured).content
    names = [op.name for op in Graph(content).operations]
    assert names.count("EXP") == 3 * len(config.depths)  # of queries, keys and scores


def test_other_recipes_keep_their_roots(lite: Lite) -> None:
    for recipe in ("dynamic_int8", "mixed_int8", "int16x8"):
        names = {op.name for op in Graph(lite(recipe).content).operations}
        assert "RSQRT" in names
        assert not names & {"LOG", "EXP"}
