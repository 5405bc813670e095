"""What is read from a flatbuffer."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import pytest
from support.checks import stored_types

from swiftformer_tf import DeployModel, LiteModel, LiteRunner, ModelError
from swiftformer_tf.debugging import debug_quantization
from swiftformer_tf.litert.inspection import Inspection, Matrix, Op, inspect_model
from swiftformer_tf.litert.metadata import min_runtime_version
from swiftformer_tf.litert.metadata_schema import decode, encode

Lite = Callable[..., LiteModel]


def test_operations_are_those_that_the_interpreter_lists(lite: Lite) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for recipe in ("float32", "int8"):
        plain = Interpreter(
            model_content=lite(recipe).content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        expected = [operation["op_name"] for operation in plain._get_ops_details()]
        assert [operation.name for operation in inspect_model(lite(recipe)).ops] == expected


def test_a_float_file(lite: Lite, deploy: DeployModel) -> None:
    inspection = inspect_model(lite("float32"))
    assert inspection.counts["GELU"] == 5  # 3 in ConvEncoder or LocalRepresentation, 2 in an Mlp
    assert inspection.counts["DEPTHWISE_CONV_2D"] == 3
    assert list(inspection.counts.values()) == sorted(inspection.counts.values(), reverse=True)
    assert (inspection.input_type, inspection.output_type) == ("FLOAT32", "FLOAT32")
    assert inspection.flex == inspection.dynamic == ()
    assert set(inspection.float_ops) == set(inspection.counts)
    stored = sum(each.size for each in inspection.matrices())
    kernels = sum(int(np.prod(weight.shape)) for weight in deploy.weights if weight.path.endswith("kernel"))
    assert stored == kernels


def test_float16_matrices_are_known_by_how_they_are_stored(lite: Lite) -> None:
    float32, float16 = inspect_model(lite("float32")), inspect_model(lite("float16"))
    assert stored_types(lite("float16")) == {"FLOAT16": stored_types(lite("float32"))["FLOAT32"]}
    # The casts of constants are no operations of the graph.
    assert [each.name for each in float16.ops] == [each.name for each in float32.ops]


def test_small_matrices_may_stay_float_in_dynamic_int8(lite: Lite) -> None:
    assert set(stored_types(lite("dynamic_int8"), 1024)) == {"INT8"}
    assert "FLOAT32" in stored_types(lite("dynamic_int8"))


def test_integer_files_compute_in_integers_between_casts(lite: Lite) -> None:
    for recipe, kind in (("int8", "INT8"), ("int16x8", "INT16")):
        inspection = inspect_model(lite(recipe))
        assert inspection.float_ops == ()
        assert [inspection.ops[0].name, inspection.ops[-1].name] == ["QUANTIZE", "DEQUANTIZE"]
        assert kind in inspection.ops[0].outputs


def test_what_counts_as_float_and_flex() -> None:
    ops = (
        Op("QUANTIZE", ("FLOAT32",), ("INT8",)),
        Op("CONV_2D", ("INT8", "INT8", "INT32"), ("INT8",), Matrix("stem", "INT8", (4, 1, 1, 25), 100, True)),
        Op("MUL", ("FLOAT32", "FLOAT32"), ("FLOAT32",)),
        Op("FlexErf", ("INT8",), ("INT8",)),
        Op("CUSTOM TFLite_Detection", ("INT8",), ("INT8",)),
        Op("SUM", ("FLOAT16", "INT32"), ("INT8",)),
    )
    nothing: tuple[str, ...] = ()
    inspection = Inspection(ops, nothing, nothing, nothing, nothing, "INT8", "INT8", {})
    assert inspection.float_ops == ("MUL", "SUM")
    assert inspection.flex == ("FlexErf", "CUSTOM TFLite_Detection")
    assert [each.kind for each in inspection.matrices(100)] == ["INT8"]
    assert inspection.matrices(101) == ()


@pytest.mark.parametrize("cut", [16, 200, 5000])
def test_a_cut_flatbuffer_is_damaged(cut: int, lite: Lite) -> None:
    broken = dataclasses.replace(lite("float32"), content=lite("float32").content[:cut])
    with pytest.raises(ModelError, match=r"^the flatbuffer is damaged \(\w+: "):
        inspect_model(broken)


@pytest.mark.parametrize(
    ("reader", "function"),
    [
        ("ai_edge_litert.tools.flatbuffer_utils.read_model_from_bytearray", lambda lite, _: inspect_model(lite)),
        ("ai_edge_litert.schema_py_generated.Model.GetRootAs", lambda lite, _: min_runtime_version(lite.content)),
        ("swiftformer_tf.litert.metadata_schema.Table", lambda lite, _: decode(encode(lite.metadata))),
        (
            "swiftformer_tf.debugging.debugger.Graph",
            lambda lite, model: debug_quantization(lite, reference=model, images=np.zeros((1, 64, 64, 3), np.float32)),
        ),
    ],
)
def test_damage_is_told_in_one_line(
    reader: str,
    function: Callable[[LiteModel, keras.Model], object],
    lite: Lite,
    model: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the reader quotes of the file, and also of a model that has no path."""
    opened = lite("int8")

    def fail(*_: object) -> None:
        raise ValueError("first\nsecond\x1b[2J")

    monkeypatch.setattr(reader, fail)
    with pytest.raises(ModelError, match=r"is damaged \(ValueError: first\\nsecond\\x1b\[2J\)$"):
        function(opened, model)


def test_a_damaged_flatbuffer_never_fails_otherwise(lite: Lite) -> None:
    """Read in Python: what is damaged fails there, and not in native code."""
    rng, content = np.random.default_rng(0), lite("float32").content
    for _ in range(40):
        damaged = bytearray(content)
        for position in rng.integers(8, 4000, 4):
            damaged[int(position)] = int(rng.integers(256))
        try:
            inspection = inspect_model(dataclasses.replace(lite("float32"), content=bytes(damaged)))
        except ModelError:
            continue
        assert isinstance(inspection.counts, dict)


def test_partitions_are_xnnpacks(lite: Lite) -> None:
    assert LiteRunner(lite("float32")).partitions == 1
    assert LiteRunner(lite("int8")).partitions > 1
