"""Every recipe through the converter, every form of calibration, and what is refused."""

import copy
import dataclasses
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
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
    ImageError,
    LiteModel,
    LiteRunner,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    calibrate,
    export,
    exporting,
    fuse,
)
from swiftformer_tf.conversion import convert
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


def test_recipes_share_a_calibration_and_none_writes_into_it(
    deploy: DeployModel, pixels: np.ndarray, lite: Lite, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = calibrate(deploy, pixels)
    before = copy.deepcopy(calibration)
    expected = {recipe: lite(recipe).content for recipe in RECIPES}
    monkeypatch.delattr(exporting, "measure")
    for recipe in RECIPES:
        assert export(deploy, RECIPES[recipe], calibration=calibration).content == expected[recipe]
        assert same_values(calibration, before), recipe


def test_a_calibration_is_for_its_own_weights(pixels: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    deploy = fuse(SwiftFormerForImageClassification(tiny_config(**TWO_STAGES)))
    calibration = calibrate(deploy, pixels[:2])
    deploy.set_weights([2 * each for each in deploy.get_weights()])
    with pytest.raises(
        ExportError, match=r"^the calibration was made with another deploy graph: run calibrate\(deploy, "
    ):
        export(deploy, RECIPES["int8"], calibration=calibration)


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


# Calibration.


def same_values(one: Any, other: Any) -> bool:
    """Whether all that a value holds is equal: its fields and items, and each number of its arrays."""
    if dataclasses.is_dataclass(one):
        return same_values(vars(one), vars(other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same_values(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_values, one, other))
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)


@pytest.mark.parametrize(
    "write",
    [
        lambda statistics: statistics.fix_range(min(statistics.low), 0, 1),
        lambda statistics: statistics.fixed_ranges.add(-1),
        lambda statistics: np.multiply(first := next(iter(statistics.moments.values())), 2, out=first),
        lambda statistics: statistics.images.pop(),
    ],
)
def test_a_written_calibration_is_noticed(write: Callable[[Any], object], deploy: DeployModel) -> None:
    calibration = calibrate(deploy, np.zeros((2, 64, 64, 3), np.uint8))
    before = copy.deepcopy(calibration)
    assert same_values(calibration, before)
    write(calibration.statistics)
    assert not same_values(calibration, before)


@pytest.fixture(scope="session")
def forms(folder: Path, pixels: np.ndarray, deploy: DeployModel) -> dict[str, Any]:
    """The same twelve pictures, in the same order, in every form."""
    import tensorflow as tf

    pixels = pixels[:12]
    normalized = deploy.config.transform.replace(crop=None).normalize(pixels)
    return {
        "uint8 array": pixels,
        "float array": normalized,
        "list of paths": [folder / ("left", "right")[index % 2] / f"{index:02}.png" for index in range(len(pixels))],
        "dataset of images": tf.data.Dataset.from_tensor_slices(pixels),
        "dataset of batches with labels": tf.data.Dataset.from_tensor_slices((normalized, np.arange(12))).batch(7),
        "generator": (picture for picture in pixels),
    }


@pytest.fixture(scope="session")
def uncropped(model: SwiftFormerForImageClassification) -> DeployModel:
    """The same graph whose transform leaves a picture of its size as it is."""
    transform = model.config.transform.replace(crop=None)
    return fuse(model, config=model.config.replace(transform=transform))


@pytest.fixture(scope="session")
def calibrated(uncropped: DeployModel, forms: dict[str, Any]) -> LiteModel:
    return export(uncropped, RECIPES["int8"], calibration=forms["uint8 array"])


@pytest.mark.parametrize(
    "form", ["list of paths", "float array", "dataset of images", "dataset of batches with labels", "generator"]
)
def test_every_form_of_calibration_gives_the_same_file(
    form: str, forms: dict[str, Any], uncropped: DeployModel, calibrated: LiteModel
) -> None:
    seen: list[int] = []
    exported = export(uncropped, RECIPES["int8"], calibration=forms[form], progress=seen.append)
    assert seen == list(range(1, 13))
    assert exported.content == calibrated.content


def test_a_folder_calibrates(few: Path, deploy: DeployModel) -> None:
    seen: list[int] = []
    exported = export(deploy, RECIPES["int16x8"], calibration=few, progress=seen.append)
    assert len(seen) == 12
    assert not inspect_model(exported).float_ops


def test_calibration_counts(deploy: DeployModel, pixels: np.ndarray, lite: Lite) -> None:
    darker = export(deploy, RECIPES["int8"], calibration=pixels // 4)
    assert darker.content != lite("int8").content


def test_calibration_is_passed_over_where_it_is_not_needed(deploy: DeployModel, lite: Lite) -> None:
    exported = export(deploy, RECIPES["float16"], calibration="no such folder")
    assert exported.content == lite("float16").content


def test_floats_are_converted_once_for_all_recipes_that_start_from_them(
    deploy: DeployModel, lite: Lite, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[str] = []

    def noting(deploy: DeployModel, weights: Any = "float32") -> bytes:
        converted.append(weights)
        return convert(deploy, weights)

    monkeypatch.setattr(exporting, "convert", noting)
    names = ["float32", "float16", "dynamic_int8"]
    files = list(exporting.export_each(deploy, [RECIPES[name] for name in names]))
    assert converted == ["float32", "float16"]
    assert [file.recipe.name for file in files] == names
    for file in files[:2]:
        assert file.content == lite(file.recipe.name).content
    assert files[2].content == export(deploy, RECIPES["dynamic_int8"]).content


@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_no_calibration_is_refused(recipe: str, deploy: DeployModel) -> None:
    with pytest.raises(ExportError, match=f"^recipe {recipe} needs calibration: give images as `calibration`, such as"):
        export(deploy, RECIPES[recipe])


@pytest.mark.parametrize("recipe", RECIPES)
def test_calibration_is_required_of_the_recipes_that_need_it(recipe: str) -> None:
    exporting.require_calibration([RECIPES[recipe]], [])  # what is in it is looked at where it is used
    message = f"^recipe {recipe} needs calibration: give images as `calibration`, such as a folder$"
    needed = pytest.raises(ExportError, match=message) if RECIPES[recipe].needs_calibration else nullcontext()
    with needed:
        exporting.require_calibration([RECIPES[recipe]], None)


def test_every_recipe_that_needs_calibration_is_named() -> None:
    with pytest.raises(ExportError, match=r"^recipes int8, int16x8 need calibration: give images"):
        exporting.require_calibration([RECIPES[name] for name in ("int8", "float16", "int16x8")], None)


def test_an_unreadable_picture_among_good_ones_is_named(folder: Path, deploy: DeployModel, tmp_path: Path) -> None:
    broken = tmp_path / "holiday.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 cut short")
    good = sorted(folder.rglob("*.png"))
    with pytest.raises(ImageError, match=rf"^{re.escape(str(broken))}: cannot be read as a picture"):
        export(deploy, RECIPES["int8"], calibration=[*good[:3], broken, *good[3:]])


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (np.zeros((0, 64, 64, 3), np.uint8), "no images"),
        (np.zeros((4, 32, 32, 3), np.uint8), r"an image of shape \(32, 32, 3\): expected \(64, 64, 3\)"),
        ("no such folder", "no such folder: no such folder"),
    ],
)
def test_what_cannot_calibrate_is_refused(calibration: Any, message: str, deploy: DeployModel) -> None:
    with pytest.raises(ImageError, match=message):
        export(deploy, RECIPES["int8"], calibration=calibration)


@pytest.fixture(scope="module")
def of_pixels(model: SwiftFormerForImageClassification, pixels: np.ndarray) -> tuple[DeployModel, Calibration]:
    """A graph that normalizes, and its calibration."""
    graph = fuse(model, include_preprocessing=True)
    return graph, calibrate(graph, pixels)


@pytest.mark.parametrize(
    ("recipe", "kind", "zero"), [("int8", "int8", -128), ("int8", "uint8", 0), ("int16x8", "int16", 0)]
)
def test_integer_inference_types(
    recipe: str, kind: Any, zero: int, of_pixels: tuple[DeployModel, Calibration], pixels: np.ndarray, lite: Lite
) -> None:
    """What lies between input and output is the graph of float ones, so the answers are the same steps of a scale."""
    graph, calibration = of_pixels
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


@pytest.mark.parametrize("recipe", BOUNDS)
def test_two_exports_are_the_same_bytes(
    recipe: str, lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    again = export(fuse(model), RECIPES[recipe], calibration=pixels)
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
