"""Rounding must not shift the mean of what a matrix makes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_graphs import answers

from swiftformer_tf.quantization import Graph, arithmetic, gate, gating, measure, rewrite
from swiftformer_tf.quantization.rewriting import _Rewriter
from swiftformer_tf.quiet import native_stderr_silenced
from swiftformer_tf.recipes import RECIPES

CHANNELS = 16


@pytest.mark.parametrize("gated", [False, True])
def test_the_mean_of_each_output_is_the_float_graphs(gated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    content, images = float_graph(), np.random.default_rng(1).normal(size=(24, 1, 12, 12, CHANNELS)).astype("float32")
    expected = means(content, images)

    def largest_shift() -> float:
        graph, statistics = Graph(content), measure(Graph(content), images)
        if gated:
            statistics = gate(graph, statistics)
        assert len(gating.gates(graph)) == gated
        integers = rewrite(graph, arithmetic(graph, RECIPES["int8"]), RECIPES["int8"], statistics)
        return float(np.abs(means(integers, images) - expected).max())

    corrected = largest_shift()
    monkeypatch.setattr(_Rewriter, "_drift", lambda self, tensor: np.zeros(self.graph.shape(tensor)[-1]))
    left_alone = largest_shift()
    assert corrected < left_alone / 4


def float_graph() -> bytes:
    """Wide, most of its GELUs a little below zero, and one large: a step is then coarse for all others."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, CHANNELS), batch_size=1)
    hidden = keras.layers.DepthwiseConv2D(3, padding="same")(image)
    hidden = keras.ops.gelu(keras.layers.Conv2D(256, 1)(hidden), approximate=False)
    model = keras.Model(image, keras.layers.Conv2D(CHANNELS, 1)(hidden))
    first, second = model.layers[2], model.layers[-1]
    first.set_weights([first.get_weights()[0], np.array([8.0] + [-1.0] * 255)])
    second.set_weights([np.abs(second.get_weights()[0]), np.zeros(CHANNELS)])
    with native_stderr_silenced():
        return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def means(content: bytes, images: np.ndarray) -> np.ndarray:
    return np.asarray(answers(content, images).mean(axis=(0, 1, 2, 3), dtype=np.float64))
