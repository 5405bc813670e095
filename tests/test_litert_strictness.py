"""What strict readers refuse in a file: each check of `verify` fails on it, and on no file of ours."""

import copy
import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import QuantizationParametersT
from ai_edge_litert.tools import flatbuffer_utils
from support import segmenters
from support.checks import failing

from swiftformer_tf import RECIPES, LiteModel
from swiftformer_tf.litert.ops import operation_name
from swiftformer_tf.litert.packing import pack_model
from swiftformer_tf.verification import check_file

Lite = Callable[..., LiteModel]

STRICT = ("unique_names", "unused_parts", "quantization", "versions")


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT may crash on what is wrong here: the checks read the file alone."""
    monkeypatch.setattr("swiftformer_tf.file_checks.LiteRunner", lambda *_, **__: None)


def changed(lite: LiteModel, change: Callable[[Any], None]) -> dict[str, str]:
    """The checks that a file fails whose flatbuffer was changed."""
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(lite.content))
    change(graph)
    return failing(check_file(dataclasses.replace(lite, content=pack_model(graph)))[0])


def test_unique_names_fails_on_a_name_twice(lite: Lite) -> None:
    def named(graph: Any, name: bytes | None) -> None:
        first, second, *_ = (each for each in graph.subgraphs[0].tensors if each.name.startswith(b"head/"))
        second.name = first.name if name is None else name

    assert changed(lite("int8"), lambda graph: named(graph, None))["unique_names"].startswith("1: head/")
    assert changed(lite("int8"), lambda graph: named(graph, b""))["unique_names"] == "1: no name"
    assert "unique_names" not in failing(check_file(lite("int8"))[0])


def test_unused_parts_fails_on_each_of_them(lite: Lite) -> None:
    def change(graph: Any) -> None:
        (subgraph,) = graph.subgraphs
        subgraph.tensors.append(copy.copy(subgraph.tensors[0]))
        subgraph.tensors[-1].name = b"left/over"
        graph.operatorCodes.append(copy.copy(graph.operatorCodes[0]))
        graph.operatorCodes[-1].version = 7
        graph.operatorCodes.append(copy.copy(graph.operatorCodes[0]))
        subgraph.operators[0].opcodeIndex = len(graph.operatorCodes) - 1
        graph.buffers.append(copy.copy(graph.buffers[-1]))

    said = changed(lite("int8"), change)["unused_parts"]
    assert said.startswith("5: buffer ")
    for part in ("duplicate operation code QUANTIZE 1", "operation code QUANTIZE 7", "tensor left/over"):
        assert part in said


def tensor_of(graph: Any, name: str) -> Any:
    return next(each for each in graph.subgraphs[0].tensors if each.name == name.encode())


KERNEL, BIAS, MADE = (f"stages-0-blocks-0-pwconv1/{part}" for part in ("kernel", "bias", "conv_2d"))


def _scales(graph: Any, name: str, scales: list[float] | None, zero_points: list[int] | None = None) -> None:
    tensor = tensor_of(graph, name)
    tensor.quantization = copy.copy(tensor.quantization) or QuantizationParametersT()
    tensor.quantization.scale = scales
    zeros = None if scales is None else [0] * len(scales)
    tensor.quantization.zeroPoint = zeros if zero_points is None else zero_points


def _least(graph: Any) -> None:
    buffer = graph.buffers[tensor_of(graph, KERNEL).buffer]
    buffer.data = np.array(buffer.data)
    buffer.data[0] = 0x80


@pytest.mark.parametrize(
    ("change", "tensor", "fault"),
    [
        (lambda graph: _scales(graph, MADE, None), MADE, "integers without a scale"),
        (lambda graph: _scales(graph, MADE, [0.1], [0, 0]), MADE, "1 scales and 2 zero points"),
        (lambda graph: _scales(graph, MADE, [0.0]), MADE, "a scale that is not a positive number"),
        (lambda graph: _scales(graph, MADE, [float("nan")]), MADE, "a scale that is not a positive number"),
        (lambda graph: _scales(graph, KERNEL, [0.1, 0.1]), KERNEL, "2 scales on axis 0"),
        (lambda graph: _scales(graph, KERNEL, [0.1], [3]), KERNEL, "a matrix with a zero point"),
        (_least, KERNEL, "a matrix with -128"),
        (lambda graph: _scales(graph, BIAS, [0.1]), BIAS, "a bias with another scale than its sums"),
    ],
)
def test_quantization_fails_on_what_strict_readers_refuse(
    lite: Lite, change: Callable[[Any], None], tensor: str, fault: str
) -> None:
    assert f"{tensor} ({fault})" in changed(lite("int8"), change)["quantization"]


def test_quantization_fails_on_floats_with_a_scale_and_on_zero_points_of_16_bits(lite: Lite) -> None:
    def change(graph: Any) -> None:
        _scales(graph, MADE, [0.1], [1])

    assert changed(lite("float32"), change)["quantization"] == f"1: {MADE} (floats with a scale)"
    assert f"{MADE} (a zero point of 16 bits)" in changed(lite("int16x8"), change)["quantization"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_versions_fails_on_a_newer_one(recipe: str, lite: Lite) -> None:
    def change(graph: Any) -> None:
        newest = max((each for each in graph.operatorCodes if each.builtinCode == 3), key=lambda each: each.version)
        newest.version += 10

    said = changed(lite(recipe), change)["versions"]
    assert re.fullmatch(r"\d+: CONV_2D 1\d for \d", said)
    assert "versions" not in failing(check_file(lite(recipe))[0])


@pytest.mark.parametrize("recipe", ["float32", "float16", "mixed_int8"])
def test_versions_fails_on_a_newer_one_of_floats_alone(recipe: str, lite: Lite) -> None:
    def change(graph: Any) -> None:
        for code in graph.operatorCodes:
            code.version += operation_name(code) in ("GELU", "RSQRT")

    said = changed(lite(recipe), change)["versions"]
    assert re.fullmatch(r"\d+: (GELU|RSQRT) 2 for 1, .*", said)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("options", [{}, {"include_preprocessing": True, "classifier_activation": "softmax"}])
def test_no_file_of_ours_has_any_of_it(recipe: str, options: dict[str, Any], lite: Lite) -> None:
    assert not {*failing(check_file(lite(recipe, **options))[0])} & {*STRICT}


@pytest.mark.parametrize("recipe", ["static_int8", "dynamic_int4", "int16x8"])
def test_no_mask_of_ours_has_any_of_it(recipe: str) -> None:
    """Its bytes are classes, which have no scale."""
    assert not {*failing(check_file(segmenters.lite(recipe, "argmax"))[0])} & {*STRICT}
