"""Maps laid in rows: which matrices get one range for all pixels, and that nothing but the range changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import TWO_STAGES, pictures, seeded_model, tiny_config
from support.small_graphs import answers as outputs_of
from support.small_graphs import converted

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    LiteModel,
    LiteRunner,
    SwiftFormerForImageClassification,
    calibrate,
    debug_quantization,
    export,
    fuse,
    verify,
)
from swiftformer_tf.litert.profiling import profile_ops
from swiftformer_tf.quantization import Graph, operation_precisions, rewrite, rewriting
from swiftformer_tf.quantization.flattening import has_one_range
from swiftformer_tf.verification import signal_to_noise

DYNAMIC = RECIPES["dynamic_int8"]

# Wide enough for int8 matrices, which smaller ones are not worth.
WIDTHS = {"embed_dims": (32, 44)}


@pytest.fixture(scope="module")
def oblong() -> np.ndarray:
    """uint8 pictures whose last map has one row and two columns."""
    return pictures(24, 8, 16)


@pytest.fixture(scope="module")
def wide(oblong: np.ndarray) -> SwiftFormerForImageClassification:
    config = tiny_config(image_size=(8, 16), **TWO_STAGES | WIDTHS)
    return seeded_model(config, config.transform.normalize(oblong))


@pytest.fixture(scope="module")
def calibrated(wide: SwiftFormerForImageClassification, oblong: np.ndarray) -> tuple[DeployModel, Calibration]:
    deploy = fuse(wide)
    return deploy, calibrate(deploy, oblong)


@pytest.fixture(scope="module")
def exported(calibrated: tuple[DeployModel, Calibration]) -> LiteModel:
    deploy, calibration = calibrated
    return export(deploy, DYNAMIC, calibration=calibration)


def answers(model: LiteModel, inputs: np.ndarray) -> np.ndarray:
    runner = LiteRunner(model)
    return np.stack([runner(each[None]) for each in inputs]).astype(np.float64)


def dynamic(layer: Callable[[Any], Any], *shape: int) -> Graph:
    graph = Graph(converted(layer, *shape))
    return Graph(rewrite(graph, operation_precisions(graph, DYNAMIC), DYNAMIC))


CASES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], int]] = {
    "square": (lambda x: keras.layers.Conv2D(32, 1)(x), (8, 8, 32), 1),
    "wider": (lambda x: keras.layers.Conv2D(64, 1)(x), (8, 8, 32), 0),
    "narrower": (lambda x: keras.layers.Conv2D(32, 1)(x), (8, 8, 64), 0),
    "of neighbors": (lambda x: keras.layers.Conv2D(32, 3)(x), (8, 8, 32), 0),
    "of every second pixel": (lambda x: keras.layers.Conv2D(32, 1, strides=2)(x), (8, 8, 32), 0),
    "of one row": (lambda x: keras.layers.Conv2D(32, 1)(x), (1, 8, 32), 0),
    "too small for int8": (lambda x: keras.layers.Conv2D(16, 1)(x), (8, 8, 16), 0),
}


@pytest.mark.parametrize("case", CASES)
def test_square_matrices_of_maps_have_one_range(case: str) -> None:
    layer, shape, count = CASES[case]
    graph = dynamic(layer, *shape)
    rows = [op for op in graph.operations if op.name == "CONV_2D" and graph.shape(op.inputs[0])[1] == 1]
    strided = [op for op in rows if op.source.builtinOptions.strideH == 2]
    assert len(strided) == count
    assert [op.name for op in graph.operations].count("RESHAPE") == 2 * count
    assert not any(has_one_range(graph, op) for op in graph.operations)  # in a row there is nothing left to do
    for op in strided:
        assert graph.shape(op.inputs[0])[:2] == graph.shape(op.outputs[0])[:2] == (1, 1)


def test_a_row_is_kept_until_something_looks_at_neighbors() -> None:
    def attention_like(source: Any) -> Any:
        query, key = keras.layers.Conv2D(32, 1)(source), keras.layers.Conv2D(32, 1)(source)
        query = query * keras.ops.rsqrt(keras.ops.mean(query * query, axis=-1, keepdims=True))
        pooled = keras.ops.mean(query * key, axis=(1, 2), keepdims=True)
        hidden = source + keras.layers.Conv2D(32, 1)(pooled * key)
        return keras.layers.DepthwiseConv2D(3)(hidden)

    graph = dynamic(attention_like, 8, 8, 32)
    # Once into a row, for both matrices and the sum, and once out of it.
    assert [op.name for op in graph.operations].count("RESHAPE") == 2
    last = graph.operations[-1]
    assert last.name == "DEPTHWISE_CONV_2D"
    assert graph.shape(last.inputs[0]) == (1, 8, 8, 32)


def _drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


# What is made of a map (B, 8, 6, 32) that would lie in a row.
READERS: dict[str, Callable[[Any], Any]] = {
    "the mean of all": lambda x: x + keras.ops.mean(x, axis=(1, 2), keepdims=True),
    "of each pixel": lambda x: x + keras.ops.mean(x, axis=3, keepdims=True),
    "of each row": lambda x: x + keras.ops.mean(x, axis=2, keepdims=True),
    "of each column": lambda x: x + keras.ops.mean(x, axis=1, keepdims=True),
    "of each pixel, without the axis": lambda x: keras.ops.mean(x, axis=3),
    "of all, without the axes": lambda x: keras.ops.mean(x, axis=(1, 2)),
    "a constant for each channel": lambda x: x * _drawn(32),
    "for each place in a row": lambda x: x + _drawn(6, 32),
    "for each row": lambda x: x * _drawn(1, 8, 1, 1),
    "for each pixel": lambda x: x + _drawn(8, 6, 1),
    "a number": lambda x: keras.ops.maximum(x, 0.1),
}


@pytest.mark.parametrize("reader", READERS)
def test_rows_are_maps_again_where_something_has_places(reader: str) -> None:
    content = converted(lambda source: READERS[reader](source + keras.layers.Conv2D(32, 1)(source)), 8, 6, 32)
    graph = Graph(content)
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 6, 32)).astype(np.float32)
    found, wanted = (
        outputs_of(each, images) for each in (rewrite(graph, operation_precisions(graph, DYNAMIC), DYNAMIC), content)
    )
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


def test_a_constant_map_is_added_to_a_map() -> None:
    where = np.arange(48, dtype=np.float32).reshape(1, 8, 6, 1) * np.ones((1, 8, 6, 32), np.float32)
    content = converted(lambda source: keras.layers.Conv2D(32, 1)(source) + where, 8, 6, 32)
    graph = Graph(content)
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 6, 32)).astype(np.float32)
    found = outputs_of(rewrite(graph, operation_precisions(graph, DYNAMIC), DYNAMIC), images)
    assert np.abs(found - outputs_of(content, images)).max() < 0.5


@pytest.mark.parametrize(("size", "name"), [(1, "FULLY_CONNECTED"), (3, "CONV_2D")])
def test_a_matrix_of_one_pixel_keeps_its_activation(size: int, name: str) -> None:
    content = converted(keras.layers.Conv2D(40, size, padding="same", activation="relu"), 1, 1, 32)
    graph = Graph(content)
    made = rewrite(graph, operation_precisions(graph, DYNAMIC), DYNAMIC)
    assert name in [op.name for op in Graph(made).operations]
    images = np.random.default_rng(0).normal(size=(8, 1, 1, 1, 32)).astype(np.float32)
    found, wanted = outputs_of(made, images), outputs_of(content, images)
    assert (wanted == 0).mean() > 0.3
    assert np.abs(found - wanted).max() < 0.05 * wanted.max()


def test_other_recipes_have_no_rows(calibrated: tuple[DeployModel, Calibration]) -> None:
    deploy, calibration = calibrated
    for recipe in ("mixed_int8", "int8"):
        graph = Graph(export(deploy, RECIPES[recipe], calibration=calibration).content)
        assert [op.name for op in graph.operations].count("RESHAPE") == 1  # the logits


def test_answers_are_those_of_maps(
    wide: SwiftFormerForImageClassification,
    calibrated: tuple[DeployModel, Calibration],
    exported: LiteModel,
    oblong: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = wide.config.transform.normalize(oblong)
    expected = wide.predict(inputs, verbose=0).astype(np.float64)
    ratio = signal_to_noise(expected, answers(exported, inputs))
    monkeypatch.setattr(rewriting, "flatten", lambda _, operations, outputs: operations)
    deploy, calibration = calibrated
    plain = export(deploy, DYNAMIC, calibration=calibration)
    assert len(Graph(plain.content).operations) < len(Graph(exported.content).operations)
    best = signal_to_noise(expected, answers(plain, inputs))
    assert ratio is not None
    assert best is not None
    assert best - 3 < ratio < best + 3
    assert LiteRunner(exported).partitions == 1


def test_verify_and_debug_take_rows(
    wide: SwiftFormerForImageClassification, exported: LiteModel, oblong: np.ndarray
) -> None:
    assert any(op.name == "RESHAPE" for op in Graph(exported.content).operations[:-2])
    checks = {each.name: each.status for each in verify(exported, reference=wide, images=oblong).checks}
    assert {checks[name] for name in ("weights", "partitions", "no_flex", "static_shapes", "finite")} == {"passed"}
    report = debug_quantization(exported, reference=wide, images=oblong[:4])
    convolutions = [each for each in report.tensors if each.precision == "hybrid"]
    assert convolutions
    assert all(each.own_snr is not None and each.own_snr > 25 for each in convolutions)
    # What stays float loses nothing by itself, in a row or not.
    assert all((each.own_snr or 200) > 70 for each in report.tensors if each.precision == "float32")


def test_xnnpack_converts_such_inputs_in_a_pass_of_their_own(exported: LiteModel, tmp_path: Path) -> None:
    """That saves the time. For a fully connected layer, it measures a range for each pixel instead."""
    path = tmp_path / "wide.tflite"
    path.write_bytes(exported.content)
    graph = Graph(exported.content)
    hybrid = [op for op in graph.operations if op.name == "CONV_2D" and graph.kind(op.inputs[1]) == "int8"]
    rows = sum(graph.shape(op.inputs[0])[1] == 1 and op.source.builtinOptions.strideH == 2 for op in hybrid)
    neighbors = sum(graph.shape(op.inputs[1])[1] > 1 for op in hybrid)
    assert rows > 0
    counts = {op.name: op.count for op in profile_ops(path, repeats=3)}
    converted = sum(count for name, count in counts.items() if name.startswith("Convert ("))
    assert converted == rows + neighbors
