"""Rounding must not shift the mean of what a matrix makes."""

import dataclasses

import keras
import numpy as np
import pytest
from support.small_graphs import answers, converted, converted_model

from swiftformer_tf.quantization import Graph, lower_gelu, measure, operation_precisions, rewrite
from swiftformer_tf.quantization.gelu import lowered_gelus
from swiftformer_tf.recipes import RECIPES

CHANNELS = 16


@pytest.mark.parametrize("lowered", [False, True])
@pytest.mark.parametrize("depthwise", [False, True])
def test_the_mean_of_each_output_is_the_float_graphs(depthwise: bool, lowered: bool) -> None:
    content, images = depthwise_graph() if depthwise else matrix_graph()
    expected = means(content, images)

    def largest_shift(*, sees_values: bool) -> float:
        """Rounding the zeros of a tensor, which are exact, adds nothing to their mean."""
        graph, statistics = Graph(content), measure(Graph(content), images)
        if lowered:
            graph, statistics = lower_gelu(graph, statistics)
        assert len(lowered_gelus(graph)) == lowered
        statistics = statistics.with_fixed_ranges(statistics.low)
        if not sees_values:
            zeros = {tensor: np.zeros_like(values) for tensor, values in statistics.pixels.items()}
            statistics = dataclasses.replace(statistics, pixels=zeros)
        integers = rewrite(graph, operation_precisions(graph, RECIPES["int8"]), RECIPES["int8"], statistics)
        return float(np.abs(means(integers, images) - expected).max())

    assert largest_shift(sees_values=True) < largest_shift(sees_values=False) / 4


def test_the_mean_behind_an_int8_matrix_of_floats_is_the_float_graphs() -> None:
    keras.utils.set_random_seed(0)
    content, images = converted(keras.layers.Conv2D(32, 3), 8, 8, 32), normal(8, 8, 8, 32, mean=10)
    recipe, graph = RECIPES["dynamic_int8"], Graph(content)
    integers = rewrite(graph, operation_precisions(graph, recipe), recipe, measure(Graph(content), images))
    np.testing.assert_allclose(means(integers, images), means(content, images), atol=0.01)


def normal(count: int, *shape: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(1).normal(mean, size=(count, 1, *shape)).astype(np.float32)


def depthwise_graph() -> tuple[bytes, np.ndarray]:
    """GELUs a little below zero, and one large."""
    layer = keras.layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="ones")
    images = normal(24, 12, 12, 2, mean=-1)
    images[0, 0, 0, 0, 0] = 8
    return converted(lambda source: layer(keras.ops.gelu(source, approximate=False)), 12, 12, 2), images


def matrix_graph() -> tuple[bytes, np.ndarray]:
    """Wide, most of its GELUs a little below zero, and one large: a step is then coarse for all others."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, CHANNELS), batch_size=1)
    hidden = keras.layers.DepthwiseConv2D(3, padding="same")(image)
    hidden = keras.ops.gelu(keras.layers.Conv2D(256, 1)(hidden), approximate=False)
    model = keras.Model(image, keras.layers.Conv2D(CHANNELS, 1)(hidden))
    first, second = model.layers[2], model.layers[-1]
    first.set_weights([first.get_weights()[0], np.array([8.0] + [-1.0] * 255)])
    second.set_weights([np.abs(second.get_weights()[0]), np.zeros(CHANNELS)])
    return converted_model(model), normal(24, 12, 12, CHANNELS)


def means(content: bytes, images: np.ndarray) -> np.ndarray:
    return np.asarray(answers(content, images).mean(axis=(0, 1, 2, 3), dtype=np.float64))
