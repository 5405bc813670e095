"""The Android folder: what is in it, and what its page says."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.random_models import seeded_model
from support.written_files import KOTLIN, kotlin

from swiftformer_tf import (
    RECIPES,
    DeployModel,
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


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture(scope="module")
def trained(model: SwiftFormerForImageClassification, pixels: np.ndarray) -> Lite:
    """`trained(recipe)` is `model` exported with other weights, as after more training."""
    deploy = fuse(seeded_model(model.config, model.config.transform.normalize(pixels), seed=1))
    return functools.cache(lambda recipe: export(deploy, RECIPES[recipe]))


def test_what_is_in_the_folder(folder_of_app: Path, models: dict[str, LiteModel]) -> None:
    """Sources of an app, and nothing else: the page lies where it was asked for."""
    assets = {"assets/tiny_labels.txt", *(f"assets/{name}" for name in models)}
    assert files(folder_of_app) == {"kotlin/swiftformer/Tiny.kt", *assets}
    for name, model in models.items():
        assert (folder_of_app / "assets" / name).read_bytes() == model.content
    labels = next(iter(models.values())).labels
    assert (folder_of_app / "assets" / "tiny_labels.txt").read_text().splitlines() == list(labels)


def test_a_second_model_leaves_the_first_whole(lite: Lite, tmp_path: Path) -> None:
    write_android_folder({"cats_float32.tflite": lite("float32")}, tmp_path, package="org.example.app")
    before = contents(tmp_path)
    inside = lite("float32", include_preprocessing=True)
    write_android_folder({"dogs_float32.tflite": inside}, tmp_path, package="org.example.app", class_name="DogNamer")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    added = {"kotlin/org/example/app/DogNamer.kt", "assets/dogs_labels.txt", "assets/dogs_float32.tflite"}
    assert files(tmp_path) - set(before) == added
    text = (tmp_path / "kotlin" / "org" / "example" / "app" / "DogNamer.kt").read_text()
    assert text.startswith("package org.example.app\n")
    # All its types are inside of it: two classes of one package share no name.
    assert re.findall(r"^(?:\w+ )*(?:class|object|interface|fun|val) (\w+)", text, re.MULTILINE) == ["DogNamer"]


def test_a_second_recipe_joins_the_first(lite: Lite, tmp_path: Path) -> None:
    """The class lists both files, whichever came first, and no file that is not of this model."""
    for recipe in ("float32", "int8", "float32"):
        write_android_folder(
            {f"x_{recipe}.tflite": lite(recipe)}, tmp_path / "app", readme=tmp_path / "page.md", verified=True
        )
        (tmp_path / "app" / "assets" / "x_detector.tflite").write_bytes(b"of the app's own")
        write_android_folder({"x_small_float32.tflite": lite("float32")}, tmp_path / "app")
    text = (tmp_path / "app" / "kotlin" / "swiftformer" / "X.kt").read_text()
    assert re.findall(r'^        (\w+)\("(\w+\.tflite)"', text, re.MULTILINE) == [
        ("INT8", "x_int8.tflite"),
        ("FLOAT32", "x_float32.tflite"),
    ]
    page = (tmp_path / "page.md").read_text()
    assert "| `INT8` | `x_int8.tflite` | " in page
    assert "Not every model was compared with Keras and passed in this export" in page  # of INT8 nothing is known


@pytest.mark.parametrize("new", ["float32", "int8"])
@pytest.mark.parametrize("field", ["id2label", "transform", "include_preprocessing"])
def test_files_of_another_model_are_refused(lite: Lite, tmp_path: Path, field: str, new: str) -> None:
    """Whether they would replace a file or join it: labels are never exchanged silently."""
    folder = tmp_path / "app"
    write_android_folder({"x_float32.tflite": lite("float32")}, folder)
    before = contents(folder)
    other = lite(new, include_preprocessing=field == "include_preprocessing")
    fields: dict[str, Any] = {
        "id2label": {index: f"bird {index}" for index in range(10)},
        "transform": other.config.transform.replace(crop_mode="squash"),
    }
    config = other.config.replace(**{name: value for name, value in fields.items() if name == field})
    birds = dataclasses.replace(other, config=config)
    message = (
        rf"x_float32\.tflite: expected the same Keras model and options as the new x_{new}\.tflite, since "
        r"kotlin/swiftformer/X\.kt runs both with the same labels; choose another name for the new files \(`--name`\) "
        r"or another folder, or delete the earlier files first: x_float32\.tflite$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({f"x_{new}.tflite": birds}, folder, readme=tmp_path / "page.md")
    assert contents(folder) == before
    assert not (tmp_path / "page.md").exists()
    # The cures.
    write_android_folder({f"birds_{new}.tflite": birds}, folder)
    write_android_folder({f"x_{new}.tflite": birds}, tmp_path / "another")
    assert contents(folder).items() >= before.items()
    (folder / "assets" / "x_float32.tflite").unlink()
    write_android_folder({f"x_{new}.tflite": birds}, folder)
    assert (folder / "assets" / "x_labels.txt").read_text().splitlines() == list(birds.labels)
    assert re.findall(r'"(x_\w+\.tflite)"', (folder / "kotlin" / "swiftformer" / "X.kt").read_text()) == [
        f"x_{new}.tflite"
    ]


def test_a_damaged_file_of_the_class_is_refused(lite: Lite, tmp_path: Path) -> None:
    """Nobody knows which model it was."""
    write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path)
    (tmp_path / "assets" / "x_float32.tflite").write_bytes(lite("float32").content[:-100])
    before = contents(tmp_path)
    message = (
        r"x_float32\.tflite: no readable swiftformer\.json .*; kotlin/swiftformer/X\.kt lists it: restore it, or "
        "delete it$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({"x_float16.tflite": lite("float16")}, tmp_path)
    assert contents(tmp_path) == before
    (tmp_path / "assets" / "x_float32.tflite").unlink()
    write_android_folder({"x_float16.tflite": lite("float16")}, tmp_path)


def test_a_file_that_the_class_does_not_list_stays_out_of_it(lite: Lite, tmp_path: Path) -> None:
    write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path)
    lite("float16", include_preprocessing=True).save(tmp_path / "assets" / "x_float16.tflite")
    write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path)
    assert "x_float16" not in kotlin(tmp_path)


def test_a_class_of_other_models_is_not_written_over(lite: Lite, tmp_path: Path) -> None:
    write_android_folder({"my-cats_float32.tflite": lite("float32")}, tmp_path)
    write_android_folder({"my-cats_float32.tflite": lite("float32")}, tmp_path)  # its own is
    before = contents(tmp_path)
    message = (
        r"MyCats\.kt: expected no file or the class of my_cats, and there is another one; choose another class name"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({"my_cats_float32.tflite": lite("float32")}, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("recipe", ["float32", "float16"])
def test_files_of_another_class_are_not_written_over(lite: Lite, tmp_path: Path, recipe: str) -> None:
    """Two models of one name: neither the files of the first are replaced nor its labels, which both would share."""
    write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path, class_name="Cats")
    before = contents(tmp_path)
    other = lite(recipe)
    config = other.config.replace(id2label={index: f"dog {index}" for index in range(10)})
    dogs = {f"x_{recipe}.tflite": dataclasses.replace(other, config=config)}
    names: dict[str, Any] = {"package": "org.example", "class_name": "Dogs"}
    message = (
        r"x_labels\.txt: expected no file or one that kotlin/org/example/Dogs\.kt lists; choose another name for the "
        r"files \(`--name`\) or another folder, or delete it if no class uses it$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder(dogs, tmp_path, **names)
    assert contents(tmp_path) == before
    write_android_folder({f"dogs_{recipe}.tflite": next(iter(dogs.values()))}, tmp_path, **names)  # the cure
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_file_of_the_apps_own_is_not_written_over(lite: Lite, tmp_path: Path) -> None:
    write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path)
    (tmp_path / "assets" / "x_float16.tflite").write_bytes(b"of the app's own")
    with pytest.raises(ExportError, match=r"x_float16\.tflite: expected no file or one that kotlin/swiftformer/X\.kt"):
        write_android_folder({"x_float16.tflite": lite("float16")}, tmp_path)
    assert (tmp_path / "assets" / "x_float16.tflite").read_bytes() == b"of the app's own"


def test_a_class_replaces_its_own_files_after_more_training(lite: Lite, trained: Lite, tmp_path: Path) -> None:
    before = {f"x_{recipe}.tflite": lite(recipe) for recipe in ("float16", "float32")}
    after = {f"x_{recipe}.tflite": trained(recipe) for recipe in ("float16", "float32")}
    for models in (before, after):
        write_android_folder(models, tmp_path)
        for name, model in models.items():
            assert (tmp_path / "assets" / name).read_bytes() == model.content
    assert all(before[name].content != after[name].content for name in before)


@pytest.mark.parametrize("new", ["float32", "dynamic_int8"])
def test_a_class_runs_no_files_before_and_after_more_training(
    lite: Lite, trained: Lite, tmp_path: Path, new: str
) -> None:
    """Neither where a file of the class would be replaced nor where a recipe would join it."""
    write_android_folder({"x_float16.tflite": lite("float16"), "x_float32.tflite": lite("float32")}, tmp_path)
    before = contents(tmp_path)
    stay = [recipe for recipe in ("float16", "float32") if recipe != new]
    names = ", ".join(f"x_{recipe}.tflite" for recipe in stay)
    together = " ".join(f"--recipe {recipe}" for recipe in dict.fromkeys(("float16", "float32", new)))
    message = (
        f"{names} in {tmp_path}: expected the same weights as in the new x_{new}.tflite, since "
        f"kotlin/swiftformer/X.kt would run both; export all recipes of this class together ({together}), or delete "
        f"{names} first"
    )
    with pytest.raises(ExportError, match=f"^{re.escape(message)}$"):
        write_android_folder({f"x_{new}.tflite": trained(new)}, tmp_path)
    assert contents(tmp_path) == before
    for recipe in stay:
        (tmp_path / "assets" / f"x_{recipe}.tflite").unlink()
    write_android_folder({f"x_{new}.tflite": trained(new)}, tmp_path)
    assert "x_float16" not in kotlin(tmp_path)


def test_a_file_calibrated_anew_replaces_its_own(
    lite: Lite, deploy: DeployModel, pixels: np.ndarray, tmp_path: Path
) -> None:
    """Its weights are those of the file that stays, whatever its photographs were."""
    write_android_folder({f"x_{recipe}.tflite": lite(recipe) for recipe in ("float32", "int8")}, tmp_path)
    again = export(deploy, RECIPES["int8"], calibration=pixels[:16])
    assert again.content != lite("int8").content
    write_android_folder({"x_int8.tflite": again}, tmp_path)
    assert (tmp_path / "assets" / "x_int8.tflite").read_bytes() == again.content
    assert "x_float32" in kotlin(tmp_path)


def test_strings_of_kotlin_hold_any_name(lite: Lite, tmp_path: Path) -> None:
    write_android_folder({'a$b"_float32.tflite': lite("float32")}, tmp_path)
    assert r'FLOAT32("a\$b\"_float32.tflite", ' in kotlin(tmp_path)
    assert r'LABELS = "a\$b\"_labels.txt"' in kotlin(tmp_path)


@pytest.mark.parametrize(
    ("field", "name", "example"),
    [
        ("class_name", "Dog Namer", "FlowerClassifier"),
        ("class_name", "2Dogs", "FlowerClassifier"),
        ("class_name", "object", "FlowerClassifier"),
        ("package", "org.in.app", "com.example.app"),
        ("package", "org..app", "com.example.app"),
        ("package", "../app", "com.example.app"),
    ],
)
def test_names_are_what_kotlin_takes(lite: Lite, tmp_path: Path, field: str, name: str, example: str) -> None:
    names: dict[str, Any] = {field: name}
    message = f"^{field} '{re.escape(name)}': expected a valid name in Kotlin, such as {example}$"
    with pytest.raises(ExportError, match=message):
        write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path / "new", **names)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("stem", "name"),
    [("swiftformer_xs_imagenette", "SwiftformerXsImagenette"), ("2 cats", "Model2Cats"), ("é", "Model")],
)
def test_the_class_is_called_after_the_model(lite: Lite, tmp_path: Path, stem: str, name: str) -> None:
    write_android_folder({f"{stem}_float32.tflite": lite("float32")}, tmp_path)
    assert f"\nclass {name}(" in kotlin(tmp_path)


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
    page = ROOT / "docs" / "tutorials" / "quantization.md"
    assert f"`int16x8` is {caution}" in " ".join(page.read_text().split())
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
