"""Channels are made alike, and the graph computes what it did."""

from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import TWO_STAGES, relative_error
from support.small_graphs import answers, converted

from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, Statistics, equalize, equalize_by_weights, measure
from swiftformer_tf.quantization.equalization import channel_groups, rescale, scale_channels

IMAGES = np.random.default_rng(0).normal(size=(6, 1, 32, 32, 3)).astype("float32")

UNEVEN = "stages-0-blocks-0-dwconv"


def uneven(token_weights: str) -> DeployModel:
    """Half of the channels of the first depthwise output are a hundredth of the others, and one is always zero."""
    keras.utils.set_random_seed(0)
    config = SwiftFormerConfig.from_variant(
        "tiny", image_size=32, token_weights=token_weights, layer_scale_init_value=1.0, **TWO_STAGES
    )
    deploy = fuse(SwiftFormerForImageClassification(config))
    kernel, bias = deploy.get_layer(UNEVEN).get_weights()
    kernel[:, :, ::2] /= 100
    kernel[:, :, 1] = 0
    deploy.get_layer(UNEVEN).set_weights([kernel, 0 * bias])
    return deploy


@pytest.fixture(scope="module", params=["l2", "uniform"])
def content(request: pytest.FixtureRequest) -> bytes:
    lite = export(uneven(request.param), RECIPES["float32"])
    return lite.content


def test_the_function_and_what_is_said_of_it_stay_true(content: bytes) -> None:
    graph = Graph(content)
    expected = measured(graph)
    graph, said = equalize(graph, expected, 0.65)
    found = measured(graph)
    (output,) = graph.outputs
    assert relative_error(expected.pixels[output], found.pixels[output]) < 1e-4
    for tensor, low in said.low.items():
        np.testing.assert_allclose(found.low[tensor], low, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.high[tensor], said.high[tensor], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.pixels[tensor], said.pixels[tensor], rtol=1e-3, atol=1e-4)
    for tensor, moments in said.moments.items():
        scale = np.abs(moments).max()
        np.testing.assert_allclose(found.moments[tensor], moments, atol=1e-4 * scale)


def test_channels_come_closer(content: bytes) -> None:
    graph = Graph(content)
    before = measured(graph)
    graph, after = equalize(graph, before, 0.65)
    (tensor,) = (op.outputs[0] for op in graph.operations if UNEVEN in graph.label(op.outputs[0]))
    assert spread(after, tensor) < spread(before, tensor) / 3


@pytest.mark.parametrize("deviation", [1, 4])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_how_channels_were_scaled_before_says_nothing(content: bytes, deviation: float, share: float) -> None:
    """Also where some are scaled alone, and one is always zero."""
    plain, rng = Graph(content), np.random.default_rng(0)
    scaled = []
    for group in channel_groups(plain):
        factors = 2.0 ** rng.normal(0, deviation, plain.shape(next(iter(group.tensors)))[-1])
        scaled.append((group, np.where(rng.random(len(factors)) < share, factors, 1)))
    statistics = measured(plain)
    (once, _), (twice, _) = equalize(plain, statistics, 0.65), equalize(*rescale(plain, statistics, scaled), 0.65)
    for alike in (
        (once, twice),
        (equalize_by_weights(plain, 0.65), equalize_by_weights(scale_channels(plain, scaled), 0.65)),
    ):
        for one, other in zip(*(graph.operations for graph in alike), strict=True):
            if one.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                expected, found = (graph.constant(op.inputs[1]) for graph, op in zip(alike, (one, other), strict=True))
                assert expected is not None
                assert found is not None
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_the_guess_from_weights_keeps_the_function(content: bytes) -> None:
    graphs = (Graph(content), equalize_by_weights(Graph(content), 0.65))
    expected, found = (answers(graph.watched(graph.outputs), IMAGES) for graph in graphs)
    assert relative_error(found, expected) < 1e-4


def test_what_a_gelu_a_product_or_the_output_sees_stays(content: bytes) -> None:
    graph = Graph(content)
    before = measured(graph)
    graph, after = equalize(graph, before, 0.65)
    seen = {tensor for op in graph.operations if op.name in ("GELU", "MUL") for tensor in op.inputs} & set(before.low)
    assert len(seen) > 10
    for tensor in seen | {*graph.inputs, *graph.outputs}:
        assert after.low[tensor] is before.low[tensor]


@pytest.mark.parametrize(("activation", "passes"), [("relu", True), ("relu6", False)])
def test_factors_pass_through_relu_and_not_through_relu6(activation: str, passes: bool) -> None:
    graph = Graph(two_convolutions(activation))
    before = measured(graph)
    graph, after = equalize(graph, before, 0.65)
    (between,) = (op.outputs[0] for op in graph.operations if graph.activation(op) == activation.upper())
    assert (after.high[between] is not before.high[between]) == passes
    output = graph.outputs[0]
    assert relative_error(measured(graph).pixels[output], before.pixels[output]) < 1e-5


def test_most_of_what_a_channel_lacks_is_made_up_for() -> None:
    """Beside what it adds to the outputs: all read it with weights as large in the mean."""
    graph = Graph(two_convolutions("relu"))
    before = measured(graph)
    graph, after = equalize(graph, before, 0.65)
    between = graph.operations[0].outputs[0]
    lacks = before.high[between].max() / before.high[between]
    assert 2 < lacks.max() < 20
    grown = after.high[between] / before.high[between]
    np.testing.assert_allclose(grown / grown[lacks == 1], lacks**0.65, rtol=0.01)


def two_convolutions(activation: str) -> bytes:
    """The channels between them have sizes from 1 to 16."""
    first = keras.layers.Conv2D(4, 1, activation=activation, use_bias=False)
    second = keras.layers.Conv2D(3, 1, use_bias=False)
    first.build((None, 32, 32, 3))
    first.set_weights([np.ones((1, 1, 3, 4), "float32") * [1, 2, 4, 16]])
    second.build((None, 32, 32, 4))
    second.set_weights([np.ones((1, 1, 4, 3), "float32") * [1, -1, 1]])
    return converted(lambda source: second(first(source)), 32, 32, 3)


def test_what_a_constant_is_added_to_stays() -> None:
    def layer(source: Any) -> Any:
        hidden = keras.layers.Conv2D(8, 1, kernel_initializer=spreading)(source)
        # Behind the padding, or the converter would add it to the bias.
        hidden = keras.ops.pad(hidden, ((0, 0), (1, 1), (1, 1), (0, 0))) + np.full(8, 3, np.float32)
        return keras.layers.Conv2D(8, 3)(hidden)

    images = np.random.default_rng(0).normal(size=(4, 1, 6, 6, 8)).astype(np.float32)
    graph = Graph(converted(layer, 6, 6, 8))
    assert "ADD" in [op.name for op in graph.operations]
    before = answers(graph.watched(graph.outputs), images)
    with native_stderr_silenced():
        graph, _ = equalize(graph, measure(graph, images), 0.65)
    assert relative_error(answers(graph.watched(graph.outputs), images), before) < 1e-5


def spreading(shape: Any, dtype: Any = None) -> Any:
    """Channels a hundredth to once as large."""
    return keras.random.normal(shape, dtype=dtype, seed=0) * np.geomspace(0.01, 1, shape[-1])


def measured(graph: Graph) -> Statistics:
    with native_stderr_silenced():
        return measure(graph, IMAGES)


def spread(statistics: Statistics, tensor: int) -> float:
    sizes = np.abs(statistics.pixels[tensor]).max(axis=0)
    return float(sizes.max() / np.median(sizes[sizes > 0]))
