"""Every form of calibration images, what recipes need of them, and what is refused."""

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
from support.random_models import TWO_STAGES, tiny_config

from swiftformer_tf import (
    RECIPES,
    DeployModel,
    ExportError,
    ImageError,
    LiteModel,
    SwiftFormerForImageClassification,
    calibrate,
    export,
    exporting,
    fuse,
)
from swiftformer_tf.conversion import convert
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.recipes import require_calibration

Lite = Callable[..., LiteModel]


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
        lambda statistics: statistics.low.update({min(statistics.low): np.zeros(1, np.float32)}),
        lambda statistics: statistics.outputs.update({"another": np.zeros(1)}),
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
    require_calibration([RECIPES[recipe]], [])  # what is in it is looked at where it is used
    message = f"^recipe {recipe} needs calibration: give images as `calibration`, such as a folder$"
    needed = pytest.raises(ExportError, match=message) if RECIPES[recipe].needs_calibration else nullcontext()
    with needed:
        require_calibration([RECIPES[recipe]], None)


def test_every_recipe_that_needs_calibration_is_named() -> None:
    with pytest.raises(ExportError, match=r"^recipes int8, int16x8 need calibration: give images"):
        require_calibration([RECIPES[name] for name in ("int8", "float16", "int16x8")], None)


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
