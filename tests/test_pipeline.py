"""The main job in one call: files, reports, and nothing half done."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swiftformer_tf import RECIPES, ConfigError, ExportError, ImageError, LiteModel, SwiftFormerForImageClassification
from swiftformer_tf.pipeline import export_files

Model = SwiftFormerForImageClassification


def test_a_file_and_a_report_for_each_recipe(tmp_path: Path, model: Model, pixels: np.ndarray) -> None:
    steps: list[tuple[str, list[int]]] = []

    @contextmanager
    def shown(title: str) -> Iterator[Callable[[int], None]]:
        steps.append((title, []))
        yield steps[-1][1].append

    results = export_files(
        model,
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
    assert [title for title, _ in steps] == [
        "calibrate",
        "reference",
        *(f"{r}: {step}" for r in ("float32", "int8") for step in ("export", "verify")),
    ]
    assert [counts[-1:] for _, counts in steps] == [[24], [24], [], [24], [], [24]]


def test_without_other_images_the_report_says_so(tmp_path: Path, model: Model, pixels: np.ndarray) -> None:
    (calibrated,) = export_files(model, [RECIPES["float16"]], tmp_path, stem="a", calibration=list(pixels))
    assert calibrated.report.measured["verified_on"] == "calibration images"
    assert calibrated.report.measured["verdict"] == "passed"
    assert "snr" in {check.name for check in calibrated.report.checks}
    (alone,) = export_files(model, [RECIPES["float16"]], tmp_path, stem="b")
    assert alone.report.measured["verified_on"] == "nothing"
    assert "snr" not in {check.name for check in alone.report.checks}
    assert (alone.report.passed, alone.report.measured["verdict"]) == (True, "not compared")


def test_options_reach_the_graph(tmp_path: Path, model: Model) -> None:
    (result,) = export_files(
        model,
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


def test_missing_calibration_is_found_out_before_anything_is_written(tmp_path: Path, model: Model) -> None:
    with pytest.raises(ExportError, match="recipe int8 needs calibration images"):
        export_files(model, [RECIPES["float32"], RECIPES["int8"]], tmp_path / "out", stem="x")
    assert not (tmp_path / "out").exists()


def test_an_unreadable_picture_leaves_no_file(tmp_path: Path, model: Model, folder: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG")
    good = sorted(folder.rglob("*.png"))[:4]
    with pytest.raises(ImageError, match=r"broken\.png: cannot be read as a picture"):
        export_files(model, [RECIPES["int8"]], tmp_path / "out", stem="x", calibration=[*good, broken])
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_no_empty_folder_and_removes_none_of_yours(tmp_path: Path, model: Model) -> None:
    (tmp_path / "yours").mkdir()
    for folder in ("new/models", "yours"):
        with pytest.raises(ConfigError, match="labels of one line of text"):
            export_files(model, [RECIPES["float32"]], tmp_path / folder, stem="x", labels=["two\nlines"])
    assert [path.name for path in tmp_path.iterdir()] == ["yours"]


@pytest.mark.parametrize("stem", ["a/b", "/a", "a/"])
def test_a_folder_in_the_name_is_refused(stem: str, tmp_path: Path, model: Model) -> None:
    with pytest.raises(ExportError) as caught:
        export_files(model, [RECIPES["float32"]], tmp_path / "out", stem=stem)
    said = "expected the start of a file name, without a folder; give that as the output folder"
    assert str(caught.value) == f"name {stem!r}: {said}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["file/below", "file", "/proc/self"])
def test_a_folder_that_cannot_be_written_to_is_found_out_first(
    target: str, tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed before the folder was looked at")

    monkeypatch.setattr("swiftformer_tf.pipeline.fuse", never)
    with pytest.raises(OSError, match=r".") as caught:
        export_files(model, [RECIPES["float32"]], tmp_path / target, stem="x")
    assert caught.value.filename
