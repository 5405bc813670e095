"""What strict readers refuse in a file: each check of `verify` fails on it, and on no file of ours."""

import copy
import dataclasses
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import QuantizationParametersT
from ai_edge_litert.tools import flatbuffer_utils
from support import segmenters
from support.checks import failing

from swiftformer_tf import RECIPES, DeployModel, LiteModel, export
from swiftformer_tf.litert.integers import FIXED_OUTPUTS
from swiftformer_tf.litert.ops import SAME_SCALE, operation_name
from swiftformer_tf.litert.packing import pack_model
from swiftformer_tf.litert.strictness import find_misquantized
from swiftformer_tf.tasks import Activation
from swiftformer_tf.verification import check_file

Lite = Callable[..., LiteModel]

STRICT = ("unique_names", "unused_parts", "quantization", "versions")


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT may crash on what is wrong here: the checks read the file alone."""
    monkeypatch.setattr("swiftformer_tf.verification.file_checks.LiteRunner", lambda *_, **__: None)


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


def test_unused_parts_fails_on_operations_that_nothing_depends_on(lite: Lite) -> None:
    """A chain of two: the first is read, but only by the second."""

    def change(graph: Any) -> None:
        (subgraph,) = graph.subgraphs
        chain = [copy.copy(subgraph.operators[0]) for _ in range(2)]
        for op, source, name in zip(
            chain, (subgraph.inputs[0], len(subgraph.tensors)), ("first", "second"), strict=True
        ):
            subgraph.tensors.append(copy.copy(subgraph.tensors[op.outputs[0]]))
            subgraph.tensors[-1].name = name.encode()
            op.inputs, op.outputs = [source], [len(subgraph.tensors) - 1]
        subgraph.operators[1:1] = chain

    assert changed(lite("int8"), change)["unused_parts"] == "2: operation QUANTIZE (first), operation QUANTIZE (second)"


def tensor_of(graph: Any, name: str) -> Any:
    return next(each for each in graph.subgraphs[0].tensors if each.name == name.encode())


KERNEL, BIAS, MADE = (f"stages-0-blocks-0-pwconv1/{part}" for part in ("kernel", "bias", "conv_2d"))
DEPTHWISE = "stages-0-blocks-0-dwconv/kernel"


def _scales(graph: Any, name: str, scales: list[float] | None, zero_points: list[int] | None = None) -> None:
    tensor = tensor_of(graph, name)
    tensor.quantization = copy.copy(tensor.quantization) or QuantizationParametersT()
    tensor.quantization.scale = scales
    zeros = None if scales is None else [0] * len(scales)
    tensor.quantization.zeroPoint = zeros if zero_points is None else zero_points


def _zero_point(graph: Any, name: str, value: int) -> None:
    scales = tensor_of(graph, name).quantization.scale
    _scales(graph, name, scales, [value] * len(scales))


def _axis(graph: Any, name: str, axis: int) -> None:
    tensor_of(graph, name).quantization.quantizedDimension = axis


def _by_channel(graph: Any, name: str) -> None:
    """A scale for each channel of what an operation makes."""
    channels = int(tensor_of(graph, name).shape[-1])
    _scales(graph, name, [0.1] * channels)
    _axis(graph, name, 3)


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
        (lambda graph: _by_channel(graph, MADE), MADE, "32 scales, one expected"),
        (lambda graph: _axis(graph, KERNEL, 3), KERNEL, "32 scales on axis 3, axis 0 expected"),
        (lambda graph: _axis(graph, DEPTHWISE, 0), DEPTHWISE, "8 scales on axis 0, axis 3 expected"),
        (lambda graph: _scales(graph, KERNEL, [0.1], [3]), KERNEL, "a matrix with a zero point"),
        (_least, KERNEL, "a matrix with -128"),
        (lambda graph: _scales(graph, BIAS, [0.1]), BIAS, "a bias with another scale than its sums"),
        (lambda graph: _zero_point(graph, BIAS, 3), BIAS, "a bias with a zero point"),
        (lambda graph: _zero_point(graph, MADE, 300), MADE, "a zero point outside -128 to 127"),
        (lambda graph: _zero_point(graph, MADE, -129), MADE, "a zero point outside -128 to 127"),
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


# Operations in files of ours of which LiteRT copies or compares integers, or fixes the scale.
TIED = {
    "int8": {"LOGISTIC", "MAXIMUM", "PAD", "RESHAPE", "SOFTMAX"},
    "static_int8": {"MAXIMUM", "PAD", "RESHAPE", "SOFTMAX"},
    "int16x8": {"MAXIMUM", "PAD", "RESHAPE", "SOFTMAX"},
}


@pytest.mark.parametrize("recipe", TIED)
def test_quantization_fails_on_every_output_that_takes_another_scale_or_zero_point(recipe: str, lite: Lite) -> None:
    """Each by itself. LiteRT copies integers as they are; OpenVINO rescales them from one scale to the other."""
    content, found = bytearray(lite(recipe, classifier_activation="softmax").content), set()
    graph = flatbuffer_utils.read_model_from_bytearray(content)
    fixed = FIXED_OUTPUTS["int16" if recipe == "int16x8" else "int8"]
    types = [flatbuffer_utils.type_to_name(tensor.type) for tensor in graph.subgraphs[0].tensors]
    assert find_misquantized(graph, types) == ()
    for op in graph.subgraphs[0].operators:
        name, made = operation_name(graph.operatorCodes[op.opcodeIndex]), graph.subgraphs[0].tensors[op.outputs[0]]
        if name not in (*SAME_SCALE, *fixed) or types[op.outputs[0]] not in ("INT8", "INT16"):
            continue
        than = f"1/{1 / fixed[name].scale[0]:.0f} and {fixed[name].zero_point}" if name in fixed else "its inputs"
        kept = made.quantization
        for scale, zero_point in ((1.01, 0), (1, 1)):
            made.quantization = copy.copy(kept)
            made.quantization.scale = [kept.scale[0] * scale]
            made.quantization.zeroPoint = [kept.zeroPoint[0] + zero_point]
            fault = f"{made.name.decode()} ({name} with another scale or zero point than {than})"
            # In 16 bits, no zero point is allowed at all.
            assert any(
                said in (fault, f"{made.name.decode()} (a zero point of 16 bits)")
                for said in find_misquantized(graph, types)
            )
        made.quantization = kept
        found.add(name)
    assert found == TIED[recipe]


def test_quantization_fails_on_one_of_several_inputs_in_another_scale() -> None:
    """A made-up CONCATENATION, and one whose indices have no scale."""

    def tensor(name: str, *scales: float) -> SimpleNamespace:
        quantization = SimpleNamespace(scale=[*scales], zeroPoint=[0] * len(scales), quantizedDimension=0)
        return SimpleNamespace(name=name.encode(), quantization=quantization, buffer=0, shape=[1, 4])

    tensors = [tensor("one", 0.5), tensor("two", 0.25), tensor("made", 0.5), tensor("indices"), tensor("taken", 0.25)]
    operators = [
        SimpleNamespace(opcodeIndex=0, inputs=[0, 1], outputs=[2]),
        SimpleNamespace(opcodeIndex=1, inputs=[1, 3], outputs=[4]),
    ]
    subgraph = SimpleNamespace(tensors=tensors, operators=operators)
    codes = [SimpleNamespace(builtinCode=code, deprecatedBuiltinCode=0) for code in (2, 36)]  # CONCATENATION, GATHER
    graph = SimpleNamespace(subgraphs=[subgraph], operatorCodes=codes, buffers=[SimpleNamespace(data=None)])
    types = ["INT8", "INT8", "INT8", "INT32", "INT8"]
    assert find_misquantized(graph, types) == ("made (CONCATENATION with another scale or zero point than its inputs)",)


@pytest.mark.parametrize(("value", "is_right"), [(0, True), (255, True), (-1, False), (256, False)])
def test_the_zero_point_of_an_input_of_bytes_is_a_byte(
    value: int, is_right: bool, deploy: DeployModel, pixels: np.ndarray
) -> None:
    lite = export(deploy, RECIPES["int8"].replace(inference_input_type="uint8"), calibration=pixels[:2])
    said = changed(lite, lambda graph: _zero_point(graph, "image", value)).get("quantization")
    assert said == (None if is_right else "1: image (a zero point outside 0 to 255)")


def all_of_another_version(lite: LiteModel, by: int) -> str:
    """What the check says when every version is another; that it names every operation is asserted here."""
    operators: list[Any] = []

    def change(graph: Any) -> None:
        operators.extend(graph.subgraphs[0].operators)
        for code in graph.operatorCodes:
            code.version += by

    said = changed(lite, change)["versions"]
    assert said.startswith(f"{len(operators)}: ")
    return said


@pytest.mark.parametrize("by", [-1, 1, 10])
@pytest.mark.parametrize("recipe", RECIPES)
def test_versions_fails_on_every_operation_of_another_version(recipe: str, by: int, lite: Lite) -> None:
    assert re.search(r": ADD (\d+) for \d, ", all_of_another_version(lite(recipe), by))


@pytest.mark.parametrize("activation", [None, "softmax", "argmax"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_versions_fails_on_every_operation_of_a_segmenter(recipe: str, activation: Activation | None) -> None:
    all_of_another_version(segmenters.lite(recipe, activation), 1)


@pytest.mark.parametrize(
    ("recipe", "name", "version", "newer"),
    [
        ("float16", "DEQUANTIZE", 3, 13),
        ("float32", "PAD", 1, 4),
        ("float32", "DEPTHWISE_CONV_2D", 1, 2),
        ("float32", "MAXIMUM", 1, 3),
        ("static_int8", "CONV_2D", 3, 6),
        ("mixed_int8", "GELU", 1, 2),
    ],
)
def test_versions_fails_on_one_that_other_types_shapes_or_options_need(
    recipe: str, name: str, version: int, newer: int, lite: Lite
) -> None:
    def change(graph: Any) -> None:
        for code in graph.operatorCodes:
            if (operation_name(code), code.version) == (name, version):
                code.version = newer

    assert re.fullmatch(rf"\d+: {name} {newer} for {version}", changed(lite(recipe), change)["versions"])


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("options", [{}, {"include_preprocessing": True, "classifier_activation": "softmax"}])
def test_no_file_of_ours_has_any_of_it(recipe: str, options: dict[str, Any], lite: Lite) -> None:
    assert not {*failing(check_file(lite(recipe, **options))[0])} & {*STRICT}


@pytest.mark.parametrize("activation", [None, "softmax", "argmax"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_no_segmenter_of_ours_has_any_of_it(recipe: str, activation: Activation | None) -> None:
    """The bytes of a mask are classes, which have no scale."""
    assert not {*failing(check_file(segmenters.lite(recipe, activation))[0])} & {*STRICT}
