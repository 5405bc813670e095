"""GELUs as products with a sigmoid: where they are close, and that all around them stays what it was."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_models import seeded_model, tiny_config

from swiftformer_tf import RECIPES, DeployModel, LiteModel, LiteRunner, SwiftFormerForImageClassification, export, fuse
from swiftformer_tf.quantization import Graph, Statistics, gate, gating, is_gated, measure
from swiftformer_tf.quantization.gating import SLOPE, gates, ungated
from swiftformer_tf.quantization.pairing import pair
from swiftformer_tf.quiet import native_stderr_silenced
from swiftformer_tf.verification import signal_to_noise

Lite = Callable[..., LiteModel]


def measured(graph: Graph, images: np.ndarray) -> Statistics:
    with native_stderr_silenced():
        return measure(graph, (image[None] for image in images))


@pytest.fixture(scope="module")
def images(deploy: DeployModel, pixels: np.ndarray) -> np.ndarray:
    return deploy.config.transform.normalize(pixels[:16])


@pytest.fixture(scope="module")
def content(lite: Lite) -> bytes:
    return lite("float32").content


@pytest.fixture(scope="module")
def plain(content: bytes, images: np.ndarray) -> Statistics:
    return measured(Graph(content), images)


def test_integers_throughout_are_gated_and_no_other_recipe() -> None:
    assert [name for name, recipe in RECIPES.items() if is_gated(recipe)] == ["int8"]


def test_the_graph_computes_nearly_what_it_did(content: bytes, plain: Statistics, images: np.ndarray) -> None:
    graph = Graph(content)
    before = len(graph.operations)
    said = gate(graph, plain)
    count = len(gates(graph))
    assert 0 < count <= sum(op.name == "GELU" for op in Graph(content).operations)
    assert len(graph.operations) == before + count
    found = measured(graph, images)
    (logits,) = graph.outputs
    ratio = signal_to_noise(plain.pixels[logits].astype(np.float64), found.pixels[logits].astype(np.float64))
    assert ratio is not None
    assert 22 < ratio < 100
    # Before the first gate nothing differs but a factor, and behind it no more than a gate differs from a GELU.
    first = gates(graph)[0]
    (source,), (output,) = first.sigmoid.inputs, first.product.outputs
    np.testing.assert_allclose(found.pixels[source], SLOPE * plain.pixels[source], rtol=1e-4, atol=1e-4)
    for tensor in (source, output):
        np.testing.assert_allclose(said.low[tensor], found.low[tensor], atol=0.04)
        np.testing.assert_allclose(said.high[tensor], found.high[tensor], atol=0.04)
        np.testing.assert_allclose(said.pixels[tensor], found.pixels[tensor], atol=0.04)
    moments = said.moments[first.reader.outputs[0]]
    np.testing.assert_allclose(moments, found.moments[first.reader.outputs[0]], atol=0.04 * np.abs(moments).max())


@pytest.mark.parametrize(("least", "share"), [(-np.inf, 1), (np.inf, 0)])
def test_only_those_that_are_close_enough(
    least: float, share: int, content: bytes, plain: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gating, "MIN_SNR", least)
    graph = Graph(content)
    gelus = sum(op.name == "GELU" for op in graph.operations)
    gate(graph, plain)
    assert len(gates(graph)) == share * gelus
    assert sum(op.name == "GELU" for op in graph.operations) == (1 - share) * gelus


def test_close_is_measured_without_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=(4096, 1)).astype(np.float32)
    narrow, wide = 0.2 * values - 0.2, 3 * values

    def gelu(inputs: np.ndarray) -> np.ndarray:
        return np.asarray(keras.ops.gelu(inputs, approximate=False))

    # By hand: the errors are at most 0.0203, and their mean over these values is taken back.
    for inputs in (narrow, wide):
        outputs = gelu(inputs)
        noise = inputs / (1 + np.exp(-1.702 * inputs)) - outputs
        expected = 10 * np.log10(outputs.var() / noise.var())
        assert gating._snr(inputs, outputs) == pytest.approx(expected, abs=1e-3)
        assert gating._snr(inputs, outputs + 1) == pytest.approx(expected, abs=1e-3)
    assert gating._snr(values, values / (1 + np.exp(-1.702 * values.astype(np.float64)))) == np.inf


def converted(layer: Callable[[Any], Any]) -> Graph:
    source = keras.Input((8, 8, 3), batch_size=1)
    with native_stderr_silenced():
        return Graph(bytes(tf.lite.TFLiteConverter.from_keras_model(keras.Model(source, layer(source))).convert()))


def gelu(values: Any) -> Any:
    return keras.ops.gelu(values, approximate=False)


def test_a_gelu_that_no_matrix_surrounds_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its factor could not be taken back."""
    monkeypatch.setattr(gating, "MIN_SNR", -np.inf)
    convolution = keras.layers.Conv2D

    def twice(source: Any) -> Any:
        inner = convolution(4, 1)(source)
        return convolution(4, 1)(gelu(inner)) + inner

    cases: dict[str, tuple[int, Callable[[Any], Any]]] = {
        "surrounded": (1, lambda source: convolution(4, 1)(gelu(convolution(4, 1)(source)))),
        "of the image": (0, lambda source: convolution(4, 1)(gelu(source))),
        "at the end": (0, lambda source: gelu(convolution(4, 1)(source))),
        "input read twice": (0, twice),
    }
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    for name, (count, layer) in cases.items():
        graph = converted(layer)
        gate(graph, measured(graph, image))
        assert len(gates(graph)) == count, name


def test_a_file_says_what_its_integers_would_be_around_a_gelu(lite: Lite) -> None:
    graph, reference = Graph(lite("int8").content), Graph(lite("float32").content)
    found = gates(graph)
    assert found
    quantization_of = ungated(graph)
    _, same = pair(graph, reference)
    for each in found:
        (source,), (output,) = each.sigmoid.inputs, each.product.outputs
        assert {source, output} <= set(same)
        for tensor, factor in ((source, 1 / SLOPE), (output, 1 / SLOPE), (each.reader.inputs[1], SLOPE)):
            stored = graph.quantization(tensor)
            assert stored is not None
            told = quantization_of(tensor)
            assert told is not None
            np.testing.assert_allclose(told.scale, stored.scale * factor, rtol=1e-6)
            assert (told.zero_point, told.axis) == (stored.zero_point, stored.axis)
        sigmoid = graph.quantization(each.sigmoid.outputs[0])
        assert sigmoid is not None
        assert (float(sigmoid.scale[0]), sigmoid.zero_point) == (1 / 256, -128)  # as LiteRT wants it
    # Elsewhere the file's own word holds.
    plain = next(op for op in graph.operations if op.name == "ADD").outputs[0]
    stored, told = graph.quantization(plain), quantization_of(plain)
    assert stored is not None
    assert told is not None
    assert told.scale == stored.scale
    assert gates(Graph(lite("int16x8").content)) == []


def test_fewer_cuts_of_the_graph_and_the_same_answers(
    deploy: DeployModel, lite: Lite, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = deploy.config.transform.normalize(pixels)
    right = LiteRunner(lite("float32"))

    def judged(model: LiteModel) -> tuple[int, float]:
        runner = LiteRunner(model)
        answers = [np.stack([run(image[None]) for image in images]).astype(np.float64) for run in (right, runner)]
        return runner.partitions, signal_to_noise(*answers) or 0.0

    partitions, ratio = judged(lite("int8"))
    monkeypatch.setattr(gating, "MIN_SNR", np.inf)
    more_partitions, best = judged(export(deploy, RECIPES["int8"], calibration=pixels))
    assert partitions < more_partitions
    assert ratio > best - 2


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8", "int16x8"])
@pytest.mark.parametrize("hidden_act", ["silu", "sigmoid", "tanh", "relu"])
def test_every_activation_has_integers(hidden_act: str, recipe: str, pixels: np.ndarray) -> None:
    config = tiny_config(hidden_act=hidden_act)
    images = config.transform.normalize(pixels[:12])
    model: SwiftFormerForImageClassification = seeded_model(config, images)
    runner = LiteRunner(export(fuse(model), RECIPES[recipe], calibration=images))
    actual = np.stack([runner(image[None]) for image in images]).reshape(len(images), -1).astype(np.float64)
    ratio = signal_to_noise(model.predict(images, verbose=0).astype(np.float64), actual)
    assert ratio is not None
    assert ratio > {"mixed_int8": 14, "int8": 9, "int16x8": 22}[recipe]
