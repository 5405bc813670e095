"""What an Android folder has already: what joins it, what is replaced, and what is refused."""

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.random_models import seeded_model
from support.written_files import files_in, kotlin

from swiftformer_tf import (
    RECIPES,
    DeployModel,
    ExportError,
    LiteModel,
    SwiftFormerForImageClassification,
    export,
    fuse,
)
from swiftformer_tf.deployment.android import write_android_folder

Lite = Callable[..., LiteModel]


@pytest.fixture(scope="module")
def trained(model: SwiftFormerForImageClassification, pixels: np.ndarray) -> Lite:
    """`trained(recipe)` is `model` exported with other weights, as after more training."""
    deploy = fuse(seeded_model(model.config, model.config.transform.normalize(pixels), seed=1))
    return functools.cache(lambda recipe: export(deploy, RECIPES[recipe]))


def test_a_second_model_leaves_the_first_whole(lite: Lite, tmp_path: Path) -> None:
    write_android_folder({"cats_float32.tflite": lite("float32")}, tmp_path, package="org.example.app")
    before = files_in(tmp_path)
    inside = lite("float32", include_preprocessing=True)
    write_android_folder({"dogs_float32.tflite": inside}, tmp_path, package="org.example.app", class_name="DogNamer")
    assert files_in(tmp_path).items() >= before.items()
    added = {"kotlin/org/example/app/DogNamer.kt", "assets/dogs_labels.txt", "assets/dogs_float32.tflite"}
    assert set(files_in(tmp_path)) - set(before) == added
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
    before = files_in(folder)
    other = lite(new, include_preprocessing=field == "include_preprocessing")
    fields: dict[str, Any] = {
        "id2label": {index: f"bird {index}" for index in range(10)},
        "transform": other.config.transform.replace(crop_mode="squash"),
    }
    config = other.config.replace(**{name: value for name, value in fields.items() if name == field})
    birds = dataclasses.replace(other, config=config)
    message = (
        rf"x_float32\.tflite: expected the same Keras model and options as the new x_{new}\.tflite, since "
        r"kotlin/swiftformer/X\.kt runs both with the same labels; choose another start of the new file names "
        r"or another folder, or delete the earlier files first: x_float32\.tflite$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({f"x_{new}.tflite": birds}, folder, readme=tmp_path / "page.md")
    assert files_in(folder) == before
    assert not (tmp_path / "page.md").exists()
    # The cures.
    write_android_folder({f"birds_{new}.tflite": birds}, folder)
    write_android_folder({f"x_{new}.tflite": birds}, tmp_path / "another")
    assert files_in(folder).items() >= before.items()
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
    before = files_in(tmp_path)
    message = (
        r"x_float32\.tflite: no readable swiftformer\.json .*; kotlin/swiftformer/X\.kt lists it: restore it, or "
        "delete it$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({"x_float16.tflite": lite("float16")}, tmp_path)
    assert files_in(tmp_path) == before
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
    before = files_in(tmp_path)
    message = (
        r"MyCats\.kt: expected no file or the class of my_cats, and there is another one; choose another class name"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({"my_cats_float32.tflite": lite("float32")}, tmp_path)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("recipe", ["float32", "float16"])
def test_files_of_another_class_are_not_written_over(lite: Lite, tmp_path: Path, recipe: str) -> None:
    """Two models of one name: neither the files of the first are replaced nor its labels, which both would share."""
    write_android_folder({"x_float32.tflite": lite("float32")}, tmp_path, class_name="Cats")
    before = files_in(tmp_path)
    other = lite(recipe)
    config = other.config.replace(id2label={index: f"dog {index}" for index in range(10)})
    dogs = {f"x_{recipe}.tflite": dataclasses.replace(other, config=config)}
    names: dict[str, Any] = {"package": "org.example", "class_name": "Dogs"}
    message = (
        r"x_labels\.txt: expected no file or one that kotlin/org/example/Dogs\.kt lists; choose another start of the "
        r"file names or another folder, or delete it if no class uses it$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder(dogs, tmp_path, **names)
    assert files_in(tmp_path) == before
    write_android_folder({f"dogs_{recipe}.tflite": next(iter(dogs.values()))}, tmp_path, **names)  # the cure
    assert files_in(tmp_path).items() >= before.items()


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
    before = files_in(tmp_path)
    stay = [recipe for recipe in ("float16", "float32") if recipe != new]
    names = ", ".join(f"x_{recipe}.tflite" for recipe in stay)
    together = ", ".join(dict.fromkeys(("float16", "float32", new)))
    message = (
        f"{names} in {tmp_path}: expected the same weights as in the new x_{new}.tflite, since "
        f"kotlin/swiftformer/X.kt would run both; export all recipes of this class together ({together}), or delete "
        f"{names} first"
    )
    with pytest.raises(ExportError, match=f"^{re.escape(message)}$"):
        write_android_folder({f"x_{new}.tflite": trained(new)}, tmp_path)
    assert files_in(tmp_path) == before
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
    message = f"^{field}='{re.escape(name)}': expected a valid name in Kotlin, such as {example}$"
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
