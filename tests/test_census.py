"""What is read from a flatbuffer."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from swiftformer_tf import DeployModel, LiteModel, LiteRunner, ModelError
from swiftformer_tf.census import Census, Op, take_census

Lite = Callable[..., LiteModel]


def test_operations_are_those_that_the_interpreter_lists(lite: Lite) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for recipe in ("float32", "int8"):
        plain = Interpreter(
            model_content=lite(recipe).content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        expected = [operation["op_name"] for operation in plain._get_ops_details()]
        assert [operation.name for operation in take_census(lite(recipe)).ops] == expected


def test_a_float_file(lite: Lite, deploy: DeployModel) -> None:
    census = take_census(lite("float32"))
    assert census.counts["GELU"] == 10  # 6 in ConvEncoder or LocalRepresentation, 4 in an Mlp
    assert census.counts["DEPTHWISE_CONV_2D"] == 6
    assert list(census.counts.values()) == sorted(census.counts.values(), reverse=True)
    assert (census.input_type, census.output_type, census.max_rank) == ("FLOAT32", "FLOAT32", 4)
    assert census.flex == census.dynamic == ()
    assert set(census.float_ops) == set(census.counts)
    stored = sum(operation.weights_size for operation in census.ops)
    kernels = sum(int(np.prod(weight.shape)) for weight in deploy.weights if weight.path.endswith("kernel"))
    assert stored == kernels


def test_float16_matrices_are_known_by_how_they_are_stored(lite: Lite) -> None:
    float32, float16 = take_census(lite("float32")), take_census(lite("float16"))
    assert float16.weight_types(1) == {"FLOAT16": float32.weight_types(1)["FLOAT32"]}
    # The casts of constants are no operations of the graph.
    assert [each.name for each in float16.ops] == [each.name for each in float32.ops]


def test_small_matrices_may_stay_float_in_dynamic_int8(lite: Lite) -> None:
    census = take_census(lite("dynamic_int8"))
    assert set(census.weight_types(1024)) == {"INT8"}
    assert "FLOAT32" in census.weight_types(1)


def test_integer_files_compute_in_integers_between_casts(lite: Lite) -> None:
    for recipe, kind in (("int8", "INT8"), ("int16x8", "INT16")):
        census = take_census(lite(recipe))
        assert census.float_ops == ()
        assert [census.ops[0].name, census.ops[-1].name] == ["QUANTIZE", "DEQUANTIZE"]
        assert kind in census.ops[0].outputs


def test_what_counts_as_float_and_flex() -> None:
    ops = (
        Op("QUANTIZE", ("FLOAT32",), ("INT8",)),
        Op("CONV_2D", ("INT8", "INT8", "INT32"), ("INT8",), "INT8", 100),
        Op("MUL", ("FLOAT32", "FLOAT32"), ("FLOAT32",)),
        Op("FlexErf", ("INT8",), ("INT8",)),
        Op("CUSTOM TFLite_Detection", ("INT8",), ("INT8",)),
        Op("SUM", ("FLOAT16", "INT32"), ("INT8",)),
    )
    census = Census(ops, (), 4, "INT8", "INT8", {})
    assert census.float_ops == ("MUL", "SUM")
    assert census.flex == ("FlexErf", "CUSTOM TFLite_Detection")
    assert census.weight_types(100) == {"INT8": 1}
    assert census.weight_types(101) == {}


@pytest.mark.parametrize("cut", [16, 200, 5000])
def test_a_cut_flatbuffer_is_damaged(cut: int, lite: Lite) -> None:
    broken = dataclasses.replace(lite("float32"), content=lite("float32").content[:cut])
    with pytest.raises(ModelError, match=r"^the flatbuffer is damaged \(\w+: "):
        take_census(broken)


def test_a_damaged_flatbuffer_never_fails_otherwise(lite: Lite) -> None:
    """Read in Python: what is damaged fails there, and not in native code."""
    rng, content = np.random.default_rng(0), lite("float32").content
    for _ in range(40):
        damaged = bytearray(content)
        for position in rng.integers(8, 4000, 4):
            damaged[int(position)] = int(rng.integers(256))
        try:
            census = take_census(dataclasses.replace(lite("float32"), content=bytes(damaged)))
        except ModelError:
            continue
        assert census.max_rank >= 0


def test_partitions_are_xnnpacks(lite: Lite) -> None:
    assert LiteRunner(lite("float32")).partitions == 1
    assert LiteRunner(lite("int8")).partitions > 1
