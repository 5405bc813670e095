"""The factors by which a file's channels were scaled are found again from its weights."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from support.small_graphs import converted

from swiftformer_tf import RECIPES, LiteModel, export
from swiftformer_tf.debugging.pairing import pair
from swiftformer_tf.debugging.recover_equalization import equalize_alike
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.litert.ops import MATRIX_OPS
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, equalize, measure, operation_precisions, rewrite


def weights(graph: Graph) -> list[np.ndarray]:
    return [
        value
        for op in graph.operations
        if op.name in MATRIX_OPS
        for each in op.inputs[1:]
        if (value := graph.constant(each)) is not None
    ]


def furthest(first: Graph, second: Graph) -> float:
    return max(
        float(np.linalg.norm(one - other) / (np.linalg.norm(other) or 1.0))  # some have no bias
        for one, other in zip(weights(first), weights(second), strict=True)
    )


# Where weights are float in the file, the factors are exact; elsewhere they are as good as rounded weights let them be.
@pytest.mark.parametrize(("recipe", "error"), [("dynamic_int8", 1e-6), ("mixed_int8", 2e-3), ("int8", 2e-3)])
def test_factors_are_found(
    recipe: str, error: float, lite: Callable[..., LiteModel], deploy: DeployModel, pixels: np.ndarray
) -> None:
    plain, scaled, found = (Graph(lite("float32").content) for _ in range(3))
    images = (deploy.config.transform.normalize(image[None]) for image in pixels)
    with native_stderr_silenced():
        scaled, _ = equalize(scaled, measure(scaled, images), 0.65)
    assert furthest(plain, scaled) > 0.1
    graph = Graph(lite(recipe).content)
    pairs, _ = pair(graph, found)
    found = equalize_alike(graph, found, pairs)
    assert furthest(found, scaled) < error


def test_a_channel_that_is_always_zero_was_enlarged_by_no_more_than_any() -> None:
    """Its weights are half a step then: most are stored as zero, and the rest would say that it was by far more."""
    first, second = keras.layers.Conv2D(2, 1), keras.layers.Conv2D(64, 1)
    first.build((None, 8, 8, 3))
    second.build((None, 8, 8, 2))
    first.set_weights([np.ones((1, 1, 3, 2)) * [1, 0], np.zeros(2)])
    read = np.stack([np.ones(64), np.linspace(-0.033, 0.033, 64)]).astype(np.float32)
    second.set_weights([read[None, None], np.zeros(64)])
    content = converted(lambda source: second(first(source)), 8, 8, 3)
    scaled, found = Graph(content), Graph(content)
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 8, 3)).astype(np.float32)
    scaled, statistics = equalize(scaled, measure(scaled, images), 0.65)
    graph = Graph(rewrite(scaled, operation_precisions(scaled, RECIPES["int8"]), RECIPES["int8"], statistics))
    found = equalize_alike(graph, found, pair(graph, found)[0])
    columns = weights(found)[2][:, 0, 0] / read.T
    np.testing.assert_allclose(columns / weights(scaled)[2][:, 0, 0] * read.T, 1, rtol=0.01)


def test_a_file_that_was_not_equalised_leaves_the_float_graph_as_it_is(
    lite: Callable[..., LiteModel], deploy: DeployModel
) -> None:
    plain = RECIPES["dynamic_int8"].replace(equalize=None)
    graph, reference = Graph(export(deploy, plain).content), Graph(lite("float32").content)
    pairs, _ = pair(graph, reference)
    assert equalize_alike(graph, reference, pairs) is reference
