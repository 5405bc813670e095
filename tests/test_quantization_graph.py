"""The flatbuffer read, watched and written anew; what is measured in it; the scales that end up in an integer one."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from support.small_graphs import converted

from swiftformer_tf import RECIPES, LiteModel
from swiftformer_tf.litert.integers import Quantization
from swiftformer_tf.litert.ops import MATRIX_OPS
from swiftformer_tf.quantization import Graph, Statistics, equalize, measure, rewrite, rewriting
from swiftformer_tf.quantization.gelu import LEAST_OF_GELU, read_by_gelus
from swiftformer_tf.quantization.graph import Operation
from swiftformer_tf.quantization.ranges import ROWS_PER_IMAGE

Lite = Callable[..., LiteModel]


@pytest.fixture
def graph(lite: Lite) -> Graph:
    """The float graph of the tiny model."""
    return Graph(lite("float32").content)


@pytest.fixture(scope="module")
def images(pixels: np.ndarray, lite: Lite) -> list[np.ndarray]:
    return [lite("float32").config.transform.normalize(pixels[index : index + 1]) for index in range(3)]


@pytest.fixture(scope="module")
def statistics(lite: Lite, images: list[np.ndarray]) -> Statistics:
    return measure(Graph(lite("float32").content), images)


def interpreter(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    loaded = Interpreter(model_content=content)
    loaded.allocate_tensors()
    return loaded


def outputs(content: bytes, image: np.ndarray) -> list[np.ndarray]:
    loaded = interpreter(content)
    loaded.set_tensor(loaded.get_input_details()[0]["index"], image)
    loaded.invoke()
    return [loaded.get_tensor(details["index"]) for details in loaded.get_output_details()]


def copied(graph: Graph) -> bytes:
    return graph.rewritten([(op, op.version) for op in graph.operations], graph.inputs, graph.outputs)


# Reading and writing.


@pytest.mark.parametrize("recipe", ["float32", "dynamic_int8", "mixed_int8", "int8", "int16x8"])
def test_a_graph_written_as_it_was_read_answers_the_same(recipe: str, lite: Lite, images: list[np.ndarray]) -> None:
    content = lite(recipe).content
    again = copied(Graph(content))
    np.testing.assert_array_equal(outputs(again, images[0]), outputs(content, images[0]))
    assert interpreter(again).get_signature_list() == interpreter(content).get_signature_list()
    # Once written, nothing changes any more, whatever was left over in the first.
    assert copied(Graph(again)) == again


def test_operations_say_what_they_compute_on(graph: Graph) -> None:
    last = graph.operations[-1]
    assert last.outputs == graph.outputs
    assert graph.shape(graph.inputs[0]) == (1, 64, 64, 3)
    assert graph.shape(graph.outputs[0]) == (1, 10)
    assert graph.kind(graph.inputs[0]) == "float32"
    assert graph.constant(graph.inputs[0]) is None
    first = next(op for op in graph.operations if op.name == "CONV_2D")
    kernel = graph.constant(first.inputs[1])
    assert kernel is not None
    assert (kernel.dtype, kernel.shape) == (np.float32, (4, 3, 3, 3))
    assert "stem-0" in graph.label(first.outputs[0])
    made: set[int] = set(graph.inputs)
    for op in graph.operations:
        assert all(each in made or each < 0 or graph.constant(each) is not None for each in op.inputs)
        made.update(op.outputs)


def test_tensors_that_nothing_uses_are_left_out(graph: Graph, lite: Lite) -> None:
    like = graph.operations[0].outputs[0]
    graph.add_tensor(like, "float32", value=np.zeros(300_000))
    assert len(copied(graph)) < len(lite("float32").content)


@pytest.mark.parametrize("axis", [0, 3])
def test_what_is_added_is_read_back(axis: int, graph: Graph) -> None:
    first = next(op for op in graph.operations if op.name == "CONV_2D")
    kernel = np.arange(-54, 54).reshape(4, 3, 3, 3)
    scales = np.array([0.1, 0.2, 0.3, 0.4], np.float32)[: 4 if axis == 0 else 3]
    added = graph.add_tensor(
        first.inputs[1], "int8", value=kernel, quantization=Quantization(scales, zero_point=0, axis=axis)
    )
    activation = graph.add_tensor(first.outputs[0], "int8", quantization=Quantization(np.array([0.5], np.float32), -7))
    np.testing.assert_array_equal(graph.constant(added), kernel)
    assert graph.constant(activation) is None
    assert (graph.kind(added), graph.shape(activation)) == ("int8", graph.shape(first.outputs[0]))
    for tensor, zero_point, where, expected in ((added, 0, axis, scales), (activation, -7, 0, [0.5])):
        found = graph.quantization(tensor)
        assert found is not None
        assert (found.zero_point, found.axis) == (zero_point, where)
        np.testing.assert_array_equal(found.scale, np.asarray(expected, np.float32))
    assert graph.quantization(first.inputs[1]) is None


def test_watching_gives_what_flows_and_changes_nothing(graph: Graph, lite: Lite, images: list[np.ndarray]) -> None:
    watched = tuple(op.outputs[0] for op in graph.operations)
    values = dict(zip(watched, outputs(graph.watched(watched), images[0]), strict=True))
    np.testing.assert_array_equal(values[graph.outputs[0]], outputs(lite("float32").content, images[0])[0])
    for op in graph.operations:
        if op.name == "ADD":
            np.testing.assert_array_equal(
                values[op.outputs[0]], np.float32(values[op.inputs[0]] + values[op.inputs[1]])
            )
    assert interpreter(graph.watched(watched)).get_signature_list() == {}
    assert list(interpreter(copied(graph)).get_signature_list()) == ["serving_default"]


def test_an_operation_may_be_put_in_between(graph: Graph, images: list[np.ndarray], lite: Lite) -> None:
    (output,) = graph.outputs
    rounded = graph.add_tensor(output, "int8", quantization=Quantization(np.array([0.25], np.float32)))
    operations = [(op, op.version) for op in graph.operations]
    cast = Operation("QUANTIZE", (output,), (rounded,))
    (actual,) = outputs(graph.rewritten([*operations, (cast, 1)], graph.inputs, (rounded,)), images[0])
    (expected,) = outputs(lite("float32").content, images[0])
    assert actual.dtype == np.int8
    np.testing.assert_allclose(actual * 0.25, expected, atol=0.1251)


# Measuring.


def test_ranges_are_those_of_all_images(graph: Graph, statistics: Statistics, images: list[np.ndarray]) -> None:
    watched = tuple(op.outputs[0] for op in graph.operations)
    runs = [outputs(graph.watched(watched), image) for image in images]
    for tensor, *values in zip(watched, *runs, strict=True):
        pixels = np.concatenate([value.reshape(-1, value.shape[-1]) for value in values])
        np.testing.assert_array_equal(statistics.low[tensor], pixels.min(axis=0))
        np.testing.assert_array_equal(statistics.high[tensor], pixels.max(axis=0))
    np.testing.assert_array_equal(statistics.low[graph.inputs[0]], np.min(images, axis=(0, 1, 2, 3)))


def test_moments_are_of_what_each_matrix_multiplies(
    graph: Graph, statistics: Statistics, images: list[np.ndarray]
) -> None:
    """Mean inputs times weights and bias are the mean outputs: padding, strides and the order of a filter are right."""
    watched = tuple(op.outputs[0] for op in graph.operations)
    runs = [outputs(graph.watched(watched), image) for image in images]
    means = {
        tensor: np.mean([value.reshape(-1, value.shape[-1]).mean(axis=0) for value in values], axis=0)
        for tensor, *values in zip(watched, *runs, strict=True)
    }
    names = []
    for op in graph.operations:
        if op.name not in MATRIX_OPS:
            continue
        moment, kernel, bias = (
            statistics.moments[op.outputs[0]],
            graph.constant(op.inputs[1]),
            graph.constant(op.inputs[2]),
        )
        assert kernel is not None
        np.testing.assert_allclose(moment[..., -1, -1], 1)
        np.testing.assert_allclose(moment, np.swapaxes(moment, -1, -2), rtol=1e-5, atol=1e-5)
        assert np.linalg.eigvalsh(moment).min() > -1e-4 * moment.max()
        positions = int(np.prod(graph.shape(op.outputs[0])[1:3]))
        if positions > ROWS_PER_IMAGE or op.source.builtinOptions.fusedActivationFunction:
            continue  # not all rows were taken, or the outputs were bent
        if op.name == "DEPTHWISE_CONV_2D":
            expected = np.einsum("ck,kc->c", moment[:, -1, :-1], kernel.reshape(-1, kernel.shape[-1]))
        else:
            expected = kernel.reshape(len(kernel), -1) @ moment[0, -1, :-1]
        np.testing.assert_allclose(expected + bias, means[op.outputs[0]], rtol=1e-3, atol=1e-4, err_msg=op.name)
        names.append((op.name, kernel.shape[1]))
    assert {("DEPTHWISE_CONV_2D", 3), ("CONV_2D", 1), ("CONV_2D", 3)} <= set(names)


def test_measuring_counts_images(graph: Graph, images: list[np.ndarray]) -> None:
    seen: list[int] = []
    measure(graph, images[:2], seen.append)
    assert seen == [1, 2]


# Scales of an integer file.


@pytest.mark.parametrize(
    ("recipe", "kind", "of_sums"),
    [("mixed_int8", "int8", "int32"), ("int8", "int8", "int32"), ("int16x8", "int16", "int64")],
)
def test_weights_are_symmetric_by_channel_and_biases_have_the_products_scale(
    recipe: str, kind: str, of_sums: str, lite: Lite
) -> None:
    graph = Graph(lite(recipe).content)
    integer = [op for op in graph.operations if op.name in MATRIX_OPS and graph.kind(op.outputs[0]) == kind]
    assert len(integer) > 20
    for op in integer:
        source, weights, bias = (graph.quantization(each) for each in op.inputs)
        kernel, sums = graph.constant(op.inputs[1]), graph.constant(op.inputs[2])
        assert source is not None
        assert weights is not None
        assert bias is not None
        assert kernel is not None
        assert sums is not None
        assert (kernel.dtype, sums.dtype) == (np.int8, of_sums)
        assert weights.axis == (3 if op.name == "DEPTHWISE_CONV_2D" else 0)
        assert weights.scale.shape == bias.scale.shape == (graph.shape(op.outputs[0])[-1],)
        assert (weights.zero_point, bias.zero_point) == (0, 0)
        assert kernel.min() >= -127
        np.testing.assert_allclose(bias.scale, source.scale.astype(np.float64) * weights.scale, rtol=1e-6)


@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_operations_that_only_move_integers_keep_their_scale(recipe: str, lite: Lite) -> None:
    graph = Graph(lite(recipe).content)
    moving = [op for op in graph.operations if op.name in ("MAXIMUM", "PAD", "RESHAPE")]
    assert {op.name for op in moving} == {"MAXIMUM", "PAD", "RESHAPE"}
    for op in moving:
        before, after = graph.quantization(op.inputs[0]), graph.quantization(op.outputs[0])
        assert before is not None
        assert after is not None
        assert (before.scale, before.zero_point) == (after.scale, after.zero_point)


def test_activations_cover_what_the_images_reached(lite: Lite, statistics: Statistics) -> None:
    """Convolutions and GELUs whose channels are not scaled; other ranges are searched.

    What only a GELU reads need not reach further down than what it makes something of.
    """
    floats, graph = Graph(lite("float32").content), Graph(lite("int8").content)
    _, equalized = equalize(floats, statistics, 0.65)
    made_so = {floats.label(op.outputs[0]) for op in floats.operations if op.name in ("CONV_2D", "GELU")}
    reached = {
        floats.label(tensor): (
            max(low.min(), LEAST_OF_GELU if tensor in read_by_gelus(floats) else -np.inf),
            statistics.high[tensor].max(),
        )
        for tensor, low in statistics.low.items()
        if equalized.low[tensor] is low and floats.label(tensor) in made_so
    }
    assert len(reached) > 15
    for op in graph.operations:
        if op.name in ("CONV_2D", "GELU") and graph.label(op.outputs[0]) in reached:
            found = graph.quantization(op.outputs[0])
            assert found is not None
            step, zero = float(found.scale[0]), found.zero_point
            low, high = reached[graph.label(op.outputs[0])]
            assert step * (-128 - zero) <= low + step
            assert step * (127 - zero) >= high - step


def integers(content: bytes, seen: np.ndarray, recipe: str) -> bytes:
    graph, statistics = Graph(content), measure(Graph(content), [seen])
    return rewrite(graph, dict.fromkeys(graph.operations, "integer"), RECIPES[recipe], statistics)


def scale_of(name: str, content: bytes) -> float:
    """The quantization of the output of the only operation with that name."""
    graph = Graph(content)
    (output,) = (op.outputs[0] for op in graph.operations if op.name == name)
    found = graph.quantization(output)
    assert found is not None
    return float(found.scale[0])


def test_products_saturate_for_a_finer_step() -> None:
    seen = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 4)).astype(np.float32)
    seen[0, 0, 0, 0] = 1.5
    scale = scale_of("MUL", integers(converted(lambda source: source * source, 64, 64, 4), seen, "int8"))
    assert scale == pytest.approx(1 / 255, rel=0.1)


def test_int16_is_symmetric_and_covers_what_the_images_reached(lite: Lite, statistics: Statistics) -> None:
    floats, graph = Graph(lite("float32").content), Graph(lite("int16x8").content)
    _, equalized = equalize(floats, statistics, 0)
    reached = {
        floats.label(tensor): max(-low.min(), statistics.high[tensor].max())
        for tensor, low in statistics.low.items()
        if equalized.low[tensor] is low
    }
    assert len(reached) > 50
    integer = [op for op in graph.operations if op.name != "DEQUANTIZE"]
    assert len(integer) == len(floats.operations) + 1  # and the cast of the image
    for op in integer:
        found = graph.quantization(op.outputs[0])
        assert graph.kind(op.outputs[0]) == "int16"
        assert found is not None
        assert found.zero_point == 0
        # Those that are left out have the scale of their input, RSQRT that of its table.
        left_out = ("MAXIMUM", "PAD", "QUANTIZE", "RESHAPE", "RSQRT")
        if op.name not in left_out and graph.label(op.outputs[0]) in reached:
            assert found.scale[0] * 32767 >= 1.5 * reached[graph.label(op.outputs[0])] * (1 - 1e-6)


def test_int16_has_room_for_what_calibration_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    content = converted(keras.layers.Conv2D(1, 1, kernel_initializer="ones"), 8, 8, 3)
    seen = np.tile(np.array([1, 1, 0], np.float32), (1, 8, 8, 1))
    beyond = np.tile(np.array([1, 1, 0.8], np.float32), (1, 8, 8, 1))
    (sums,) = outputs(integers(content, seen, "int16x8"), beyond)
    np.testing.assert_allclose(sums, 2.8, rtol=1e-3)
    monkeypatch.setattr(rewriting, "HEADROOM", 1.0)
    (sums,) = outputs(integers(content, seen, "int16x8"), beyond)
    np.testing.assert_allclose(sums, 2, rtol=1e-3)


def test_an_int16_image_has_no_room_since_pixels_have_an_end() -> None:
    seen = np.random.default_rng(0).uniform(-2, 1, (1, 8, 8, 3)).astype(np.float32)
    scale = scale_of("QUANTIZE", integers(converted(keras.layers.Conv2D(1, 1), 8, 8, 3), seen, "int16x8"))
    assert scale * 32767 == pytest.approx(-seen.min(), rel=1e-6)


def test_roots_of_small_int16_are_not_far_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT interpolates from the greatest output, at zero, to the end of the first piece of its table."""
    content = converted(lambda source: keras.ops.rsqrt(source + 0.0), 8, 8, 3)
    values = np.geomspace(1e-3, 10, 192).reshape(1, 8, 8, 3).astype(np.float32)

    def furthest_off() -> float:
        (actual,) = outputs(integers(content, values, "int16x8"), values)
        return float(np.abs(actual * np.sqrt(values) - 1)[values > 0.4 * piece].max())

    piece = 1.5 * 10 / 256
    bounded = furthest_off()
    assert bounded < 0.1
    monkeypatch.setattr(rewriting, "RSQRT_REACH", np.inf)
    assert furthest_off() > 2 * bounded


INT8_VERSIONS = {
    "dynamic_int8": {"CONV_2D": {1, 5}, "DEPTHWISE_CONV_2D": {1}},
    "mixed_int8": {"CONV_2D": {1, 3}, "DEPTHWISE_CONV_2D": {1}, "DEQUANTIZE": {2}, "FULLY_CONNECTED": {12}}
    | {"PAD": {1, 2}},
    "int8": {"QUANTIZE": {1}, "RESHAPE": {1}}
    | {name: {3} for name in ("CONV_2D", "DEPTHWISE_CONV_2D")}
    | {name: {2} for name in ("ADD", "DEQUANTIZE", "EXP", "LOG", "LOGISTIC", "MAXIMUM", "MEAN", "MUL", "PAD")},
    "static_int8": {name: {2} for name in ("GELU", "MEAN", "RSQRT")} | {"CONV_2D": {3}},
}


@pytest.mark.parametrize("recipe", INT8_VERSIONS)
def test_kernels_for_int8_are_told_by_their_version(recipe: str, lite: Lite) -> None:
    """As by `GetBuiltinOperatorVersion` in LiteRT; some recipes keep floats beside the integers."""
    operations = Graph(lite(recipe).content).operations
    for name, versions in INT8_VERSIONS[recipe].items():
        assert {op.version for op in operations if op.name == name} == versions, name


def test_kernels_for_int16_are_told_what_they_compute(lite: Lite) -> None:
    """By version and options: a runtime that cannot do it refuses the file, and scales need not be powers of two."""
    graph = Graph(lite("int16x8", include_preprocessing=True, classifier_activation="softmax").content)
    versions = {op.name: op.version for op in graph.operations}
    # By `GetBuiltinOperatorVersion` in LiteRT, where GELU and RESHAPE are not told apart.
    wanted = {"ADD": 3, "CONV_2D": 8, "MAXIMUM": 4, "MEAN": 3, "MUL": 4, "PAD": 3, "RSQRT": 3, "SOFTMAX": 3, "SUB": 5}
    assert wanted.items() <= versions.items()
    for op in graph.operations:
        if op.name in ("ADD", "SUB"):
            assert not op.source.builtinOptions.potScaleInt16
        if op.name == "CONV_2D":
            # INT64 in the schema: sums of 16 bits times 8 do not fit into 32.
            assert (op.source.builtinOptions.quantizedBiasType, graph.kind(op.inputs[2])) == (4, "int64")
