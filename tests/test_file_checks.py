"""Each check of a file alone, without photographs: a test makes it fail."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from support.checks import failing, lenient
from support.small_graphs import linear, packed

from swiftformer_tf import (
    RECIPES,
    LiteModel,
    Recipe,
    SwiftFormerForImageClassification,
    verify,
)
from swiftformer_tf.litert.packing import pack_model
from swiftformer_tf.quantization import Graph, Precision, rewrite
from swiftformer_tf.verification import check_file

Lite = Callable[..., LiteModel]
Model = SwiftFormerForImageClassification


def test_no_flex_fails_on_a_tensorflow_kernel(model: Model, pixels: np.ndarray) -> None:
    import tensorflow as tf

    flex = packed(lambda image: tf.math.atan(linear(image)), (1, 64, 64, 3), flex=True)
    report = verify(flex, reference=model, images=pixels[:8])
    assert failing(report.checks)["no_flex"] == "1: FlexAtan"
    assert not report.passed
    assert report.measured["partitions"] is None
    assert json.loads(json.dumps(report.to_dict()))["latency_ms"] is None


def test_static_shapes_fails_on_a_dynamic_batch() -> None:
    checks, _ = check_file(packed(linear, (None, 64, 64, 3)))
    assert "serving_default_image" in failing(checks)["static_shapes"]
    checks, _ = check_file(packed(linear, (1, 64, 64, 3)))
    assert "static_shapes" not in failing(checks)


def test_int4_inputs_fails_on_an_odd_number(monkeypatch: pytest.MonkeyPatch) -> None:
    floats = packed(linear, (1, 64, 64, 3))
    recipe = RECIPES["dynamic_int4"]
    how: dict[bool, Precision] = {True: "hybrid", False: "float32"}
    found = {}
    for claimed in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(Recipe, "stores_in_int4", lambda *_, claimed=claimed, **__: claimed)
            graph = Graph(floats.content)
            content = rewrite(graph, {op: how[op.name == "FULLY_CONNECTED"] for op in graph.operations}, recipe)
            file = LiteModel.pack(content, config=floats.config, recipe=recipe, outputs=floats.outputs)
            found[claimed] = failing(check_file(file)[0])
    assert found[True]["int4_inputs"].startswith("1: ")
    assert "int4_packing" not in found[True]
    assert "int4_inputs" not in found[False]


def test_int4_packing_fails_on_rows_that_are_filled_up(lite: Lite) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(lite("dynamic_int4").content))
    matrix = next(each for each in model.subgraphs[0].tensors if each.type == 17)  # INT4 in the schema
    rows = model.buffers[matrix.buffer].data.reshape(matrix.shape[0], -1)
    model.buffers[matrix.buffer].data = np.pad(rows, ((0, 0), (0, 4))).reshape(-1)
    padded = dataclasses.replace(lite("dynamic_int4"), content=pack_model(model))
    layer = matrix.name.decode().partition("/")[0]
    assert failing(check_file(padded)[0])["int4_packing"] == f"1: {layer}"
    assert "int4_packing" not in failing(check_file(lite("dynamic_int4"))[0])


@pytest.mark.parametrize("claimed", ["int8", "int16x8"])
def test_integer_fails_on_a_float_model_that_claims_a_recipe(claimed: str, lite: Lite) -> None:
    checks, _ = check_file(dataclasses.replace(lite("float32"), recipe=RECIPES[claimed]))
    bad = failing(checks)
    assert "CONV_2D" in bad["integer"]
    assert "float32" in bad["weights"]
    assert set(bad) == {"integer", "weights", "metadata"}  # which names the recipe that it was made by


def test_integer_fails_on_weights_only_quantization(lite: Lite) -> None:
    checks, _ = check_file(dataclasses.replace(lite("dynamic_int8"), recipe=RECIPES["int8"]))
    assert "CONV_2D" in failing(checks)["integer"]


@pytest.mark.parametrize(
    ("made", "claimed"),
    [
        *(("float32", "float16"), ("float16", "float32"), ("float32", "dynamic_int8"), ("int8", "float32")),
        *(("dynamic_int8", "dynamic_int4"), ("float32", "dynamic_int4"), ("dynamic_int4", "dynamic_int8")),
    ],
)
def test_weights_fails_on_another_type(made: str, claimed: str, lite: Lite) -> None:
    checks, _ = check_file(dataclasses.replace(lite(made), recipe=RECIPES[claimed]))
    stored = RECIPES[made].weights
    assert stored in failing(checks)["weights"]


def test_inference_types_fails_on_another_type(lite: Lite) -> None:
    recipe = RECIPES["int8"].replace(inference_input_type="uint8")
    checks, _ = check_file(dataclasses.replace(lite("int8"), recipe=recipe))
    told = {"inference_types": "float32 to float32", "metadata": "wrong: subgraph_metadata"}
    assert failing(checks) == told


def test_partitions_fails_on_a_graph_in_pieces(lite: Lite) -> None:
    checks, figures = check_file(dataclasses.replace(lite("int8"), recipe=lenient("int8").replace(max_partitions=1)))
    assert figures["partitions"] > 1
    assert failing(checks) == {"partitions": str(figures["partitions"])}
