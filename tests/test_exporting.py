"""Every recipe through the converter, and what is refused."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from support.checks import stored_types
from support.random_models import TWO_STAGES, relative_error, tiny_config
from support.small_graphs import max_rank

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    ExportError,
    LiteModel,
    LiteRunner,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.quantization import Graph
from swiftformer_tf.verification import signal_to_noise

Lite = Callable[..., LiteModel]

# Least signal-to-noise ratio in dB of a tiny model on its calibration pictures: integers are harder on 8 channels with
# random weights (measured: 114.7, 54.5, 33.1, 10.9, 9.7, 25.5) than on the variants that the thresholds are for.
BOUNDS = {
    "float32": 80,
    "float16": 50,
    "dynamic_int8": 30,
    "dynamic_int4": 9,
    "mixed_int8": 9,
    "int8": 8,
    "static_int8": 8,
    "int16x8": 22,
}

# Bytes of a stored weight.
WIDTHS = {
    **{"float32": 4, "float16": 2, "dynamic_int4": 0.5},
    **dict.fromkeys(("dynamic_int8", "mixed_int8", "int8", "static_int8", "int16x8"), 1),
}


def test_every_recipe_is_exported_here() -> None:
    assert set(BOUNDS) == set(WIDTHS) == set(RECIPES)


@pytest.mark.parametrize("recipe", BOUNDS)
def test_a_recipe_converts_and_computes(
    recipe: str, lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    exported = lite(recipe)
    assert exported.recipe == RECIPES[recipe]
    runner, images = LiteRunner(exported), model.config.transform.normalize(pixels)
    outputs = np.stack([runner(image[None]) for image in images])
    assert outputs.shape == (48, 10)
    assert outputs.dtype == np.float32
    assert (signal_to_noise(np.asarray(model(images)), outputs) or 0) > BOUNDS[recipe]


def test_float16_is_the_float32_graph_with_its_constants_in_halves(lite: Lite) -> None:
    """Operation by operation, by what each one reads.

    Which of several equal constants it is does not count: in halves all floors of norms are zero, and the converter
    writes those in an order of its own.
    """

    def operations(content: bytes) -> list[Any]:
        graph = Graph(content)
        stored = {op.outputs[0]: op.inputs[0] for op in graph.operations if op.name == "DEQUANTIZE"}

        def told(tensor: int) -> Any:
            value = graph.constant(stored.get(tensor, tensor))
            if value is None:
                return graph.label(tensor)
            return value.shape, value.astype(np.float16 if value.dtype.kind == "f" else value.dtype).tobytes()

        return [
            (op.name, op.version, graph.activation(op), *map(told, op.inputs), *map(graph.label, op.outputs))
            for op in graph.operations
            if op.outputs[0] not in stored
        ]

    floats, halves = (operations(lite(recipe).content) for recipe in ("float32", "float16"))
    assert len(floats) > 70
    assert halves == floats


@pytest.mark.parametrize("recipe", BOUNDS)
def test_the_signature_speaks(recipe: str, lite: Lite) -> None:
    inspection = inspect_model(lite(recipe))
    assert inspection.signatures == {"serving_default": (("image",), ("logits",))}
    assert (inspection.input_type, inspection.output_type) == ("FLOAT32", "FLOAT32")


def test_the_signature_says_probabilities_and_features(lite: Lite, pixels: np.ndarray) -> None:
    exported = lite("float32", classifier_activation="softmax", include_preprocessing=True)
    assert inspect_model(exported).signatures == {"serving_default": (("image",), ("probabilities",))}
    assert (exported.classifier_activation, exported.include_preprocessing) == ("softmax", True)
    assert LiteRunner(exported)(pixels[:1].astype(np.float32)).sum() == pytest.approx(1, abs=1e-5)
    headless = SwiftFormerForImageClassification(tiny_config(image_size=32, id2label={}, **TWO_STAGES))
    features = export(fuse(headless), RECIPES["float32"])
    assert inspect_model(features).signatures == {"serving_default": (("image",), ("features",))}
    assert LiteRunner(features)(np.zeros((1, 32, 32, 3), np.float32)).shape == (12,)


def test_the_signature_runs_by_name(lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray) -> None:
    runner = LiteRunner(lite("float32"))
    image = model.config.transform.normalize(pixels[:1])
    outputs = runner.interpreter.get_signature_runner("serving_default")(image=image)
    assert list(outputs) == ["logits"]
    assert relative_error(outputs["logits"], model(image)) < 1e-5


def test_normalization_inside_takes_pixels(
    lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    outputs = LiteRunner(lite("float32", include_preprocessing=True))(pixels[:1].astype(np.float32))
    assert relative_error(outputs[None], model(model.config.transform.normalize(pixels[:1]))) < 1e-5


def test_weights_are_stored_as_the_recipe_says(lite: Lite) -> None:
    sizes = {recipe: len(lite(recipe).content) for recipe in BOUNDS}
    elements = sum(each.size for each in inspect_model(lite("float32")).matrices())
    for recipe, width in WIDTHS.items():
        stored = elements * width
        # 383 tensors and 209 operations by name, casts, metadata and our own JSON; int8 has six for a GELU.
        assert stored < sizes[recipe] < stored + (110_000 if recipe == "int8" else 95_000), recipe
    assert stored_types(lite("float16")) == {"FLOAT16": stored_types(lite("float32"))["FLOAT32"]}
    assert set(stored_types(lite("int8"))) == {"INT8"}
    assert set(stored_types(lite("int16x8"))) == {"INT8"}
    assert set(stored_types(lite("dynamic_int8"), 1024)) == {"INT8"}


@pytest.mark.parametrize(
    ("recipe", "kind", "zero"), [("int8", "int8", -128), ("int8", "uint8", 0), ("int16x8", "int16", 0)]
)
def test_integer_inference_types(
    recipe: str,
    kind: Any,
    zero: int,
    calibrated_deploy: Callable[..., tuple[DeployModel, Calibration]],
    pixels: np.ndarray,
    lite: Lite,
) -> None:
    """What lies between input and output is the graph of float ones, so the answers are the same steps of a scale."""
    graph, calibration = calibrated_deploy(include_preprocessing=True)
    wanted = RECIPES[recipe].replace(inference_input_type=kind, inference_output_type=kind)
    exported = export(graph, wanted, calibration=calibration)
    inspection, runner = inspect_model(exported), LiteRunner(exported)
    assert (inspection.input_type, inspection.output_type) == (kind.upper(), kind.upper())
    (into,), (out,) = runner.interpreter.get_input_details(), runner.interpreter.get_output_details()
    assert into["quantization"][0] == pytest.approx(255 / 65534 * 2 if kind == "int16" else 1, rel=0.02)
    assert into["quantization"][1] == zero
    floats = LiteRunner(lite(recipe, include_preprocessing=True))
    for picture in pixels[:8]:
        expected = floats(picture[None].astype(np.float32))
        np.testing.assert_allclose(
            runner(picture[None].astype(np.float32)), expected, atol=1.01 * out["quantization"][0]
        )


@pytest.fixture(scope="module")
def made_again(model: SwiftFormerForImageClassification, pixels: np.ndarray) -> tuple[DeployModel, Calibration]:
    """What `lite` is made of, made once more from the start."""
    graph = fuse(model)
    return graph, calibrate(graph, pixels)


@pytest.mark.parametrize("recipe", BOUNDS)
def test_two_exports_are_the_same_bytes(recipe: str, lite: Lite, made_again: tuple[DeployModel, Calibration]) -> None:
    graph, calibration = made_again
    again = export(graph, RECIPES[recipe], calibration=calibration)
    assert again.content == lite(recipe).content
    assert again.sha256 == lite(recipe).sha256


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            keras.layers.UpSampling2D(2, interpolation="bicubic", name="larger"),
            'float32: layer larger: LiteRT has no operation ResizeBicubic; use interpolation="bilinear"',
        ),
        (
            keras.layers.Resizing(8, 8, interpolation="bicubic", name="resized"),
            'float32: layer resized: LiteRT has no operation ResizeBicubic; use interpolation="bilinear"',
        ),
        (
            keras.layers.Lambda(keras.ops.erfinv, output_shape=(4, 4, 12), name="inverse"),
            "float32: layer inverse: LiteRT has no operation Erfinv; use operations that LiteRT has",
        ),
    ],
    ids=["UpSampling2D", "Resizing", "Lambda"],
)
def test_a_layer_without_a_form_in_litert_is_named_with_a_cure(layer: keras.layers.Layer, message: str) -> None:
    backbone = SwiftFormerModel(tiny_config(image_size=32, **TWO_STAGES))
    model = keras.Model(backbone.input, layer(backbone.output))
    with pytest.raises(ExportError) as caught:
        export(fuse(model, config=backbone.config), RECIPES["float32"])
    assert str(caught.value) == message


def test_bicubic_resizing_in_an_operation_is_named_by_what_it_is() -> None:
    backbone = SwiftFormerModel(tiny_config(image_size=32, **TWO_STAGES))
    resized = keras.ops.image.resize(backbone.output, (8, 8), interpolation="bicubic", data_format="channels_last")
    with pytest.raises(ExportError, match=r'LiteRT has no operation ResizeBicubic; use interpolation="bilinear"$'):
        export(fuse(keras.Model(backbone.input, resized), config=backbone.config), RECIPES["float32"])


def test_a_failure_of_the_converter_is_one_line(
    model: SwiftFormerForImageClassification, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    def fail(self: Any) -> bytes:
        raise RuntimeError("\nthe pass that failed\nand a page of its graph")

    monkeypatch.setattr(tf.lite.TFLiteConverter, "convert", fail)
    with pytest.raises(ExportError, match=r"^float32: the TFLite converter failed: the pass that failed$"):
        export(fuse(model), RECIPES["float32"])


@pytest.mark.parametrize("variant", ["xs", "s", "l1", "l3"])
def test_the_float32_graph_is_one_xnnpack_partition(variant: str) -> None:
    """With the widths of each variant, and one or two of its blocks, which are alike, in a stage."""
    config = SwiftFormerConfig.from_variant(variant, depths=(2, 1, 1, 1), image_size=64)
    exported = export(fuse(SwiftFormerForImageClassification(config)), RECIPES["float32"])
    assert LiteRunner(exported).partitions == 1
    inspection = inspect_model(exported)
    assert not inspection.flex
    assert not inspection.dynamic
    assert max_rank(exported) == 4


def test_at_full_size_too(variant_model: Callable[[str], SwiftFormerForImageClassification]) -> None:
    exported = export(fuse(variant_model("xs"), include_preprocessing=True), RECIPES["float32"])
    runner = LiteRunner(exported)
    assert runner.partitions == 1
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    model = variant_model("xs")
    assert relative_error(runner(pixels)[None], model(model.config.transform.normalize(pixels))) < 1e-4


def test_a_model_in_half_precision_does_not_reach_the_converter(model: SwiftFormerForImageClassification) -> None:
    """The deploy graph is float32 whatever Keras's global policy is; recipes alone decide what is stored."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        copy = fuse(model)
    finally:
        keras.config.set_dtype_policy(before)
    assert {variable.dtype for variable in copy.weights} == {"float32"}
    outputs = [tensor for operation in copy.operations for tensor in keras.tree.flatten(operation.output)]
    assert {tensor.dtype for tensor in outputs} == {"float32"}
