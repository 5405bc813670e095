"""The main job in one call: files, reports, and nothing half done."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.random_models import TWO_STAGES, seeded_model, tiny_config

from swiftformer_tf import (
    RECIPES,
    ConfigError,
    ExportError,
    ImageError,
    LiteModel,
    SwiftFormerError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
)
from swiftformer_tf.demonstration import demonstrate
from swiftformer_tf.pipeline import export_files, verify_files

Model = SwiftFormerForImageClassification


@pytest.fixture(scope="module")
def small(pixels: np.ndarray) -> Model:
    """A classifier of two stages that tells `pixels` apart. Shared: do not change it."""
    config = tiny_config(**TWO_STAGES)
    return seeded_model(config, config.transform.normalize(pixels[:24]))


def test_a_file_and_a_report_for_each_recipe(tmp_path: Path, small: Model, pixels: np.ndarray) -> None:
    steps: list[tuple[str, int | None, list[int]]] = []

    @contextmanager
    def shown(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        steps.append((title, total, []))
        yield steps[-1][2].append

    results = export_files(
        small,
        [RECIPES["float32"], RECIPES["int8"]],
        tmp_path / "new" / "models",
        stem="tiny",
        calibration=list(pixels[:24]),
        images=list(pixels[24:]),
        progress=shown,
    )
    folder = tmp_path / "new" / "models"
    names = [f"tiny_{recipe}.{suffix}" for recipe in ("float32", "int8") for suffix in ("json", "tflite")]
    assert sorted(path.name for path in folder.iterdir()) == names
    for result in results:
        assert LiteModel.open(result.path) == result.model
        report = json.loads(result.path.with_suffix(".json").read_text())
        assert report == json.loads(json.dumps(result.report.to_dict()))
        assert (report["file"], report["verified_on"], report["images"]) == (result.path.name, "images", 24)
    assert [title for title, _, _ in steps] == [
        "calibrate",
        "reference",
        *(f"{r}: {step}" for r in ("float32", "int8") for step in ("export", "verify")),
    ]
    assert [total for _, total, _ in steps] == [24, 24, None, 24, None, 24]
    assert [counts[-1:] for _, _, counts in steps] == [[24], [24], [], [24], [], [24]]


def test_without_other_images_the_report_says_so(tmp_path: Path, small: Model, pixels: np.ndarray) -> None:
    (calibrated,) = export_files(small, [RECIPES["float16"]], tmp_path, stem="a", calibration=list(pixels))
    assert calibrated.report.measured["verified_on"] == "calibration images"
    assert (calibrated.report.is_compared, calibrated.report.saw_calibration) == (True, True)
    assert calibrated.report.measured["verdict"] == "passed"
    assert "snr" in {check.name for check in calibrated.report.checks}
    (alone,) = export_files(small, [RECIPES["float16"]], tmp_path, stem="b")
    assert alone.report.measured["verified_on"] == "nothing"
    assert (alone.report.is_compared, alone.report.saw_calibration) == (False, False)
    assert "snr" not in {check.name for check in alone.report.checks}
    assert (alone.report.passed, alone.report.measured["verdict"]) == (True, "not compared")


def test_options_reach_the_graph(tmp_path: Path, small: Model) -> None:
    (result,) = export_files(
        small,
        [RECIPES["float32"]],
        tmp_path,
        stem="x",
        image_size=(32, 96),
        include_preprocessing=True,
        classifier_activation="softmax",
    )
    opened = LiteModel.open(result.path)
    assert (opened.config.input_size, opened.include_preprocessing, opened.classifier_activation) == (
        (32, 96),
        True,
        "softmax",
    )


def test_missing_calibration_is_found_out_before_anything_is_written(tmp_path: Path, small: Model) -> None:
    with pytest.raises(ExportError, match="recipe int8 needs calibration: give images"):
        export_files(small, [RECIPES["float32"], RECIPES["int8"]], tmp_path / "out", stem="x")
    assert not (tmp_path / "out").exists()


def test_an_unreadable_picture_leaves_no_file(tmp_path: Path, small: Model, folder: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    good = sorted(folder.rglob("*.png"))[:4]
    with pytest.raises(ImageError, match=r"broken\.png: cannot be read as a picture"):
        export_files(small, [RECIPES["int8"]], tmp_path / "out", stem="x", calibration=[*good, broken])
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_no_empty_folder_and_removes_none_of_yours(tmp_path: Path, small: Model) -> None:
    (tmp_path / "yours").mkdir()
    for folder in ("new/models", "yours"):
        with pytest.raises(ConfigError, match="expected labels of one line each"):
            export_files(small, [RECIPES["float32"]], tmp_path / folder, stem="x", labels=["two\nlines"])
    assert [path.name for path in tmp_path.iterdir()] == ["yours"]


@pytest.mark.parametrize("stem", ["a/b", "/a", "a/"])
def test_a_folder_in_the_name_is_refused(stem: str, tmp_path: Path, small: Model) -> None:
    with pytest.raises(ExportError) as caught:
        export_files(small, [RECIPES["float32"]], tmp_path / "out", stem=stem)
    said = "expected the start of a file name; give its folder as the output folder"
    assert str(caught.value) == f"name {stem!r}: {said}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["file/below", "file", pytest.param("/proc/self", marks=pytest.mark.linux)])
def test_a_folder_that_cannot_be_written_to_is_found_out_first(
    target: str, tmp_path: Path, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed before the folder was looked at")

    monkeypatch.setattr("swiftformer_tf.pipeline.fuse", never)
    with pytest.raises(OSError, match=r".") as caught:
        export_files(small, [RECIPES["float32"]], tmp_path / target, stem="x")
    assert caught.value.filename


# What the commands decide, by arguments.


def test_paths_and_names_of_recipes_are_enough(small: Model, tmp_path: Path, folder: Path) -> None:
    small.save(tmp_path / "tiny.keras")
    exported = export_files(
        tmp_path / "tiny.keras",
        ["float32", "int8", "float32"],
        tmp_path / "out",
        calibration=folder,
        calibration_count=12,
        target="mediapipe",
        android=tmp_path / "app",
        android_class="Namer",
        html=tmp_path / "out" / "page.html",
        command="in a test",
    )
    assert [each.path.name for each in exported] == ["tiny_float32.tflite", "tiny_int8.tflite"]
    for each in exported:
        assert (each.model.include_preprocessing, each.model.classifier_activation) == (True, "softmax")
        assert (each.report.measured["images"], each.report.measured["verified_on"]) == (12, "calibration images")
    assert (tmp_path / "app" / "kotlin" / "swiftformer" / "Namer.kt").is_file()
    assert (tmp_path / "out" / "tiny_android.md").is_file()
    assert "in a test" in (tmp_path / "out" / "page.html").read_text()


def test_a_file_of_another_class_is_found_before_the_work(
    tmp_path: Path, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "app" / "assets" / "x_float32.tflite"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    monkeypatch.setattr("swiftformer_tf.pipeline.fuse", lambda *_, **__: pytest.fail("computed before it was found"))
    message = r"x_float32\.tflite: expected no file or one that kotlin/swiftformer/X\.kt lists; choose another start"
    with pytest.raises(ExportError, match=message):
        export_files(small, ["float32"], tmp_path / "out", stem="x", android=tmp_path / "app")
    assert list(tmp_path.iterdir()) == [tmp_path / "app"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipes": ["int4"]}, "recipe 'int4': expected one of float32, float16, "),
        (
            {"recipes": ["float32"], "inference_input_type": "int8"},
            "inference input type int8: recipe float32 supports float32",
        ),
        ({"recipes": ["float32"], "target": "ios"}, "target 'ios': expected one of mediapipe"),
        (
            {"recipes": ["float32"], "android": "app", "android_class": "object"},
            "class_name='object': expected a valid name",
        ),
        (
            {"recipes": ["float32"], "android": "app", "android_package": "a.in"},
            "package='a.in': expected a valid name",
        ),
        *(
            (
                {"recipes": ["float32"], "android": "app/../main", "folder": folder},
                f"{folder}: expected a folder outside of the Android folder app/../main, whose files are an app's "
                "sources; choose another output folder (`-o`)",
            )
            for folder in ("main", "main/assets")
        ),
        ({"recipes": ["float32"], "html": "no/page.html"}, "no/page.html: no such folder: no"),
        ({"recipes": ["float32"], "labels": "no.txt"}, "no.txt: cannot be read as a list of labels"),
        ({"recipes": ["float32"], "images": "no"}, "no: no such folder"),
        ({"recipes": ["float32"], "model": "no.keras"}, "no.keras: no such file"),
    ],
)
def test_what_is_known_to_go_wrong_goes_wrong_first(
    arguments: dict[str, Any], message: str, tmp_path: Path, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "swiftformer_tf.pipeline.fuse", lambda *_, **__: pytest.fail("computed before it was looked at")
    )
    with pytest.raises(SwiftFormerError, match=re.escape(message)):
        export_files(**{"model": small, "folder": "out", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_probabilities_are_what_the_problem_type_makes(tmp_path: Path) -> None:
    for problem_type, expected in (
        ("single_label_classification", "softmax"),
        ("multi_label_classification", "sigmoid"),
    ):
        model = Model(tiny_config(problem_type=problem_type, **TWO_STAGES))
        options: Any = {"stem": problem_type, "classifier_activation": "probabilities"}
        (exported,) = export_files(model, ["float32"], tmp_path, **options)
        assert exported.model.classifier_activation == expected
    regression = Model(tiny_config(problem_type="regression", **TWO_STAGES))
    with pytest.raises(
        ConfigError, match="`classifier_activation='probabilities'`: problem_type='regression' has no probabilities"
    ):
        export_files(regression, ["float32"], tmp_path, classifier_activation="probabilities")


@pytest.fixture
def two_heads() -> keras.Model:
    """A plain Keras model, which says nothing of its tasks."""
    backbone = SwiftFormerModel(tiny_config(id2label={}, **TWO_STAGES))
    row = keras.layers.GlobalAveragePooling2D(name="row")(backbone.output)
    outputs = {"scores": keras.layers.Dense(3, name="scores")(row), "vector": row}
    return keras.Model(backbone.input, outputs, name="two")


def test_each_output_has_its_task(tmp_path: Path, two_heads: keras.Model) -> None:
    (exported,) = export_files(
        two_heads,
        ["float32"],
        tmp_path,
        config=tiny_config(id2label={}, **TWO_STAGES),
        tasks={"scores": "classification", "vector": "features"},
        labels=["red", "green", "blue"],
        classifier_activation="probabilities",
    )
    told = {each.name: (each.task, each.activation) for each in exported.model.outputs}
    assert told == {"scores": ("classification", "softmax"), "vector": ("features", None)}


def test_a_model_that_names_no_task_gives_features(tmp_path: Path, two_heads: keras.Model) -> None:
    options: Any = {"config": tiny_config(id2label={}, **TWO_STAGES), "target": "mediapipe"}
    (exported,) = export_files(two_heads, ["float32"], tmp_path, **options)
    assert {(each.task, each.activation) for each in exported.model.outputs} == {("features", None)}
    assert exported.model.include_preprocessing
    with pytest.raises(ConfigError, match="`classifier_activation='probabilities'`: a model without labels"):
        export_files(two_heads, ["float32"], tmp_path, classifier_activation="probabilities", **options)
    with pytest.raises(ConfigError, match="`tasks`: no output is called 'color'; expected one of scores, vector"):
        export_files(two_heads, ["float32"], tmp_path, tasks={"color": "features"}, **options)


def test_a_file_is_verified_by_its_path(
    saved: Path, tmp_path: Path, folder: Path, lite: Callable[..., LiteModel]
) -> None:
    lite("float32").save(tmp_path / "x.tflite")
    page = tmp_path / "page.html"
    (report,) = verify_files([tmp_path / "x.tflite"], reference=saved, images=folder, html=page, command="in a test")
    assert (report.verdict, report.measured["file"]) == ("passed", str(tmp_path / "x.tflite"))
    assert "in a test" in page.read_text()
    with pytest.raises(ConfigError, match="no such folder"):
        verify_files([tmp_path / "x.tflite"], reference=saved, images=folder, html=tmp_path / "no" / "page.html")


def photographs_of(kind: str, pixels: np.ndarray) -> Any:
    """The pixels as a source that gives others, or none, the second time."""
    labeled = tf.data.Dataset.from_tensor_slices((pixels, np.arange(len(pixels))))
    return labeled.shuffle(len(pixels)).batch(5) if kind == "shuffled" else (each for each in pixels)


@pytest.mark.parametrize("kind", ["shuffled", "generator"])
def test_each_file_is_verified_on_the_same_images(kind: str, tmp_path: Path, small: Model, pixels: np.ndarray) -> None:
    """The reference sees them before the files do, and a shuffled dataset has another order each time."""
    options = {"calibration": photographs_of(kind, pixels[:8]), "stem": "x"}
    exported = export_files(
        small, ["float32", "dynamic_int8"], tmp_path, images=photographs_of(kind, pixels), **options
    )
    paths = [each.path for each in exported]
    again = verify_files(paths, reference=small, images=photographs_of(kind, pixels))
    for report in (*(each.report for each in exported), *again):
        assert report.measured["images"] == len(pixels)
        assert report.measured["snr_db"] > 20, "of other images it would be below 0"


def test_images_are_read_when_they_are_needed(tmp_path: Path, model: Model, pixels: np.ndarray) -> None:
    """Not before what is known to go wrong, nor where no recipe looks at them."""
    read: list[int] = []
    calibration = (read.append(place) or each for place, each in enumerate(pixels[:8]))  # type: ignore[func-returns-value]
    with pytest.raises(ConfigError, match="image_size=0"):
        export_files(model, ["dynamic_int8"], tmp_path, calibration=calibration, image_size=0)
    export_files(model, ["float32"], tmp_path, calibration=calibration, images=pixels[:8])
    assert read == []
    (exported,) = export_files(model, ["dynamic_int8"], tmp_path, calibration=calibration, images=calibration)
    assert (read, exported.report.measured["images"]) == ([*range(8)], 8)


def test_calibration_images_of_a_generator_are_verified_on_too(
    tmp_path: Path, small: Model, pixels: np.ndarray
) -> None:
    (exported,) = export_files(small, ["dynamic_int8"], tmp_path, calibration=photographs_of("generator", pixels[:8]))
    assert (exported.report.measured["images"], exported.report.measured["verified_on"]) == (8, "calibration images")


def test_a_demonstration_names_its_last_step(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    @contextmanager
    def shown(name: str, total: int | None) -> Iterator[Any]:
        seen.append((name, total))
        yield lambda done: None

    monkeypatch.setattr("swiftformer_tf.demonstration.export_files", lambda *_, **__: [])
    monkeypatch.setattr("swiftformer_tf.demonstration.save_page", lambda *_, **__: seen.append("saved"))
    demonstrate(tmp_path / "out", images=folder, progress=shown)
    assert seen == [("report page", None), "saved"]


def test_a_demonstration_needs_photographs_for_both(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes(min(folder.rglob("*.png")).read_bytes())
    with pytest.raises(ImageError, match=r"one: 1 photograph; expected two or more, to calibrate and to verify on"):
        demonstrate(tmp_path / "out", images=tmp_path / "one")
    assert not (tmp_path / "out").exists()
