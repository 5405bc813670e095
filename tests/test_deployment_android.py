"""The Android folder: what is in it, and what its page says."""

import dataclasses
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.written_files import KOTLIN, files_in, kotlin

from swiftformer_tf import (
    RECIPES,
    ExportError,
    LiteModel,
    LiteRunner,
    SwiftFormerForImageClassification,
    export,
    fuse,
)
from swiftformer_tf.deployment.android import write_android_folder
from swiftformer_tf.deployment.chips import ADVICE, FASTEST_ON_CPU, WHICH_RECIPE

Lite = Callable[..., LiteModel]

ROOT = Path(__file__).parents[1]


def test_what_is_in_the_folder(folder_of_app: Path, models: dict[str, LiteModel]) -> None:
    """Sources of an app, and nothing else: the page lies where it was asked for."""
    assets = {"assets/tiny_labels.txt", *(f"assets/{name}" for name in models)}
    assert set(files_in(folder_of_app)) == {"kotlin/swiftformer/Tiny.kt", *assets}
    for name, model in models.items():
        assert (folder_of_app / "assets" / name).read_bytes() == model.content
    labels = next(iter(models.values())).labels
    assert (folder_of_app / "assets" / "tiny_labels.txt").read_text().splitlines() == list(labels)


def test_the_page_is_not_among_the_sources(lite: Lite, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected a folder outside of the Android folder"):
        write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path / "x", readme=tmp_path / "x" / "page.md")
    assert not (tmp_path / "x").exists()


def test_the_page_says_what_to_do(folder_of_app: Path) -> None:
    text = (folder_of_app.parent / "page.md").read_text()
    for said in (
        "com.google.ai.edge.litert:litert:2.3.0",
        "minSdk = 24",
        f"Kotlin {KOTLIN}",
        "16 KB",
        "run on a phone",
        "an OpenGL\n  context belongs to one thread",
        "They were not compared with the\n  library 2.3.0 itself",
    ):
        assert said in text
    # A screen that is left before the first frame opens no model to close it.
    assert "if (opened.isInitialized()) opened.value.close()" in text
    assert "| `INT8` | `tiny_int8.tflite` | " in text
    assert "| INT8 | UINT8 | " in text
    assert "ImageClassifier" not in text  # of MediaPipe, which takes neither


def test_the_page_calls_verified_only_what_was(lite: Lite, tmp_path: Path) -> None:
    said, page = "The models were verified against Keras", tmp_path / "page.md"
    for verified in (True, False):
        write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path / "x", readme=page, verified=verified)
        text = page.read_text()
        assert (said in text) is verified
        assert ("Not every model was compared with Keras and passed" in text) is not verified
        assert "## What was tried, and what was not\n\n* " in text


def test_one_advice_everywhere(folder_of_app: Path) -> None:
    ours = [ROOT / "README.md", ROOT / "docs" / "npu.md", ROOT / "docs" / "tutorials" / "quantization.md"]
    for page in [*ours, folder_of_app.parent / "page.md"]:
        text = " ".join(page.read_text().split())
        assert WHICH_RECIPE in text, page
        assert text.count("Take `mixed_int8`") == 1, page


def test_the_models_chips_are_those_of_the_advice(lite: Lite, tmp_path: Path) -> None:
    models = {f"x_{name}.tflite": lite(name) for name in RECIPES}
    own = dataclasses.replace(lite("float32"), recipe=RECIPES["float32"].replace(name="own"))
    write_android_folder({**models, "x_own.tflite": own}, tmp_path / "app", readme=tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    chips = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| .* \| ([^|]+) \|$", text, re.MULTILINE))
    assert chips.pop("OWN") == "not known of a recipe of your own"
    assert sorted(name.lower() for name in chips) == sorted(RECIPES)
    (advice,) = re.findall(r"^Take .*?\.", text, re.MULTILINE)
    advised = dict(re.findall(r"`(\w+)` for ([^,.]+)", advice))
    assert advised.keys() == {"mixed_int8", "float16", "static_int8"}
    assert {name: chips[name.upper()] for name in advised} == advised
    assert len(set(chips.values())) == len(chips)  # none claims what is another's


def test_descriptions_follow_the_advice() -> None:
    """They stand beside it, on the page and in the class."""
    on_npus = {name: recipe.description for name, recipe in RECIPES.items() if "NPU" in recipe.description}
    assert on_npus.keys() == {"mixed_int8", "static_int8"}
    assert on_npus["mixed_int8"].startswith(f"for {ADVICE['mixed_int8']}: ")
    assert on_npus["static_int8"].endswith("; for NPUs other than Qualcomm's")
    assert ADVICE["static_int8"] == "other NPUs"


def test_one_caution_everywhere(lite: Lite, tmp_path: Path) -> None:
    caution = RECIPES["int16x8"].caution
    assert [name for name, recipe in RECIPES.items() if recipe.caution] == ["int16x8"]
    for page in (ROOT / "README.md", ROOT / "docs" / "tutorials" / "quantization.md"):
        assert f"`int16x8` is {caution}" in " ".join(page.read_text().split()), page
    models = {"x_int16x8.tflite": lite("int16x8")}
    write_android_folder(models, tmp_path / "x", readme=tmp_path / "page.md", verified=True)
    assert caution in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    ("recipes", "default"),
    [
        (("float32", "mixed_int8"), "MIXED_INT8"),
        (("float16", "dynamic_int8"), "DYNAMIC_INT8"),
        (("int16x8", "float32", "float16"), "FLOAT16"),
    ],
)
def test_the_default_is_what_is_advised(lite: Lite, tmp_path: Path, recipes: tuple[str, ...], default: str) -> None:
    models = {f"x_{name}.tflite": lite(name) for name in recipes}
    write_android_folder(models, tmp_path / "app", readme=tmp_path / "page.md")
    assert f"private val model: Model = Model.{default}," in kotlin(tmp_path / "app")
    page = (tmp_path / "page.md").read_text()
    assert f"The default of `X` is `Model.{default}`." in page
    assert set(re.findall(r"x_\w+\.tflite(?=$| -)", page, re.MULTILINE)) == {f"x_{default.lower()}.tflite"}  # by adb


def test_the_order_of_advice_is_that_of_the_benchmark() -> None:
    """Equal ones, within a tenth, may stand either way round."""
    assert sorted(FASTEST_ON_CPU) == sorted(RECIPES)
    page = (ROOT / "tflite" / "README.md").read_text()
    section = page.partition("### SwiftFormer-XS at 224")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| \*\*ours (\w+)\*\* \| ([\d.]+) \|", section, re.MULTILINE)
    milliseconds = {recipe: float(number) for recipe, number in rows}
    for faster, slower in itertools.pairwise(FASTEST_ON_CPU):
        assert milliseconds[faster] < 1.1 * milliseconds[slower], (faster, slower)


def test_a_recipe_of_ones_own_comes_last(lite: Lite, tmp_path: Path) -> None:
    own = dataclasses.replace(lite("float32"), recipe=RECIPES["float32"].replace(name="own"))
    write_android_folder({"x_own.tflite": own, "x_float32.tflite": lite("float32")}, tmp_path)
    assert re.findall(r'^        (\w+)\("x_', kotlin(tmp_path), re.MULTILINE) == ["FLOAT32", "OWN"]


def test_the_page_speaks_of_mediapipe_where_the_file_is_for_it(lite: Lite, tmp_path: Path) -> None:
    inside = lite("float32", include_preprocessing=True, classifier_activation="softmax")
    write_android_folder({"x_float32.tflite": inside}, tmp_path / "app", readme=tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert 'setModelAssetPath("x_float32.tflite")' in text
    assert "`x_float32.tflite` can also be run by MediaPipe's `ImageClassifier`" in text


def test_the_class_has_the_models_own_numbers(folder_of_app: Path, models: dict[str, LiteModel]) -> None:
    text = kotlin(folder_of_app)
    (scale, zero_point) = LiteRunner(models["tiny_int8.tflite"]).input_quantization
    assert f"Storage.INT8, {scale}f, {zero_point}, Storage.UINT8" in text
    assert "WIDTH = 64" in text
    assert "MEAN = floatArrayOf(123.675f, 116.28f, 103.53f)" in text
    assert "RESIZED_HEIGHT = 73" in text  # 64 / 0.875


def test_normalization_inside_leaves_the_pixels_alone(lite: Lite, tmp_path: Path) -> None:
    inside = lite("float32", include_preprocessing=True, classifier_activation="softmax")
    write_android_folder({"x_float32.tflite": inside}, tmp_path)
    text = kotlin(tmp_path)
    assert "MEAN = floatArrayOf(0.0f, 0.0f, 0.0f)" in text
    assert "STD = floatArrayOf(1.0f, 1.0f, 1.0f)" in text
    assert "val scores = run(bitmap, turn)" in text


def test_what_cannot_be_put_together_writes_nothing(
    lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray, tmp_path: Path
) -> None:
    inside = lite("float32", include_preprocessing=True)
    with pytest.raises(
        ExportError,
        match=r"^a_float32\.tflite: expected the same Keras model and options as a_float16\.tflite; "
        "export one of them under another name$",
    ):
        write_android_folder({"a_float16.tflite": lite("float16"), "a_float32.tflite": inside}, tmp_path / "x")
    with pytest.raises(ExportError, match=r"expected files NAME_RECIPE\.tflite with one NAME, not \['a', 'b'\]"):
        write_android_folder(dict.fromkeys(("a_float32.tflite", "b_float32.tflite"), inside), tmp_path / "x")
    with pytest.raises(ExportError, match="no models to put into it"):
        write_android_folder({}, tmp_path / "x")
    wide = export(fuse(model), RECIPES["int16x8"].replace(inference_input_type="int16"), calibration=pixels[:4])
    message = (
        r"^c_int16x8\.tflite: an input of type int16: LiteRT's Kotlin library supports only float32 or int8 or uint8"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({"c_int16x8.tflite": wide}, tmp_path / "x")
    assert not (tmp_path / "x").exists()
