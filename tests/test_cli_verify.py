"""verify: what is written, printed and returned."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import files, run

from swiftformer_tf import PRETRAINED, LiteModel, SwiftFormerForImageClassification, verification

Lite = Callable[..., LiteModel]


@pytest.fixture
def exported(tmp_path: Path, lite: Lite) -> Path:
    path = tmp_path / "model.tflite"
    lite("float32").save(path)
    return path


def test_verify_passes(exported: Path, saved: Path, few: Path) -> None:
    result = run("verify", exported, "--reference", saved, "--images", few, "--threads", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "passed"
    assert "on 2 threads, 1 XNNPACK partition, 12 images" in result.stdout
    (document,) = json.loads(run("verify", exported, "--reference", saved, "--images", few, "--json").stdout)
    assert (document["file"], document["passed"], document["images"]) == (str(exported), True, 12)
    assert document["verdict"] == "passed"
    assert [check["status"] for check in document["checks"]] == ["passed"] * len(document["checks"])


def test_several_files_are_verified_side_by_side(
    exported: Path, saved: Path, few: Path, tmp_path: Path, lite: Lite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = tmp_path / f"{'a_very_long_name_' * 3}float16.tflite"
    lite("float16").save(long)
    asked = []

    def answers(*arguments: Any, **options: Any) -> verification.ReferenceAnswers:
        asked.append(arguments)
        return verification.reference_answers(*arguments, **options)

    monkeypatch.setattr("swiftformer_tf.pipeline.reference_answers", answers)
    monkeypatch.setitem(PRETRAINED, "tiny", saved)
    result = run("verify", exported, long, "--reference", "tiny", "--images", few)
    assert result.exit_code == 0, result.output
    assert len(asked) == 1  # the reference answers once for both
    # Weights that ship are called what the user calls them, wherever they are installed.
    assert result.stdout.startswith("Compared with tiny on the photographs of ")
    heading, _, *lines = result.stdout[result.stdout.index("file  ") :].splitlines()
    assert heading.split() == ["file", "MB", "SNR", "dB", "agreement", "partitions", "ms", "verdict"]
    assert lines[0].startswith("model ")
    assert [line.split()[-1] for line in lines if "passed" in line] == ["passed", "passed"]
    assert "".join(line.split()[0] for line in lines[1:]) == long.stem  # folded, not cut
    assert max(map(len, lines)) <= 80


def test_several_files_fail_by_their_names(
    exported: Path, few: Path, saved: Path, tmp_path: Path, lite: Lite, model: SwiftFormerForImageClassification
) -> None:
    """Files of one recipe, which would not tell them apart; one with other outputs is named before anything runs."""
    other = SwiftFormerForImageClassification(model.config)
    other.set_weights([array + 0.01 * np.abs(array).max() for array in model.get_weights()])
    other.save(tmp_path / "other.keras")
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(exported.read_bytes())
    result = run("verify", exported, copy, "--reference", tmp_path / "other.keras", "--images", few)
    assert result.exit_code == 1
    assert [line.partition(" failed")[0] for line in result.stderr.splitlines() if "snr" in line] == [
        "model.tflite: snr",
        "copy.tflite: snr",
    ]
    SwiftFormerForImageClassification(model.config.replace(id2label={0: "a", 1: "b", 2: "c"})).save(
        tmp_path / "three.keras"
    )
    refused = run("verify", copy, exported, "--reference", tmp_path / "three.keras", "--images", few)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"Error: {copy}: the reference's output ")


def test_verify_fails_with_status_1(
    exported: Path, few: Path, tmp_path: Path, model: SwiftFormerForImageClassification
) -> None:
    other = SwiftFormerForImageClassification(model.config)
    other.set_weights([array + 0.01 * np.abs(array).max() for array in model.get_weights()])
    other.save(tmp_path / "other.keras")
    result = run("verify", exported, "--reference", tmp_path / "other.keras", "--images", few)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "FAILED"
    assert "float32: snr failed: " in result.stderr


def test_verify_calls_refused_what_the_photographs_cannot_answer(
    exported: Path, saved: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "one.png").write_bytes(min(folder.rglob("*.png")).read_bytes())
    result = run("verify", exported, "--reference", saved, "--images", tmp_path / "few")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "refused"
    assert "agreement refused: " in result.stderr
    assert "; give photographs of more classes\n" in result.stderr


def test_verify_refuses_misuse(exported: Path, saved: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases: list[tuple[Any, str]] = [
        ((exported, "--reference", saved, "--images", tmp_path / "empty"), "no photographs in this folder"),
        ((saved, "--reference", saved, "--images", folder), "not a TFLite model (no TFL3 at byte 4)"),
        ((exported, "--reference", exported, "--images", folder), "a TFLite model; expected a .keras model"),
        ((exported, "--images", folder), "Missing option '--reference'"),
    ]
    for arguments, message in cases:
        result = run("verify", *arguments)
        assert (result.exit_code, message in result.stderr) == (2, True), result.output


@pytest.mark.parametrize(
    ("command", "needed", "what"),
    [
        ("verify {tflite} --reference {keras} --images {images} --html {out}/page.html", "matplotlib", "a page"),
        ("export {keras} --recipe float32 -o {out}/models --html {out}/page.html", "jinja2", "a page"),
        ("export {keras} --recipe float32 -o {out}/models --android {out}/android", "jinja2", "the Android folder"),
        ("demo --images {images} -o {out}/demo", "jinja2", "a page"),
    ],
)
def test_a_package_that_is_missing_is_named_before_anything_runs(
    command: str,
    needed: str,
    what: str,
    saved: Path,
    exported: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == needed else find(name))
    places = {"tflite": exported, "keras": saved, "images": folder, "out": tmp_path / "out"}
    result = run(*(word.format(**places) for word in command.split()))
    assert (result.exit_code, result.stdout) == (2, "")
    said = f'Error: {what} needs {needed}: run pip install ".[report]" in your clone of swiftformer_tf'
    assert result.stderr.splitlines()[-1] == said
    assert not (tmp_path / "out").exists()


def test_a_page_for_no_folder_is_refused_before_anything_runs(
    saved: Path, exported: Path, folder: Path, tmp_path: Path
) -> None:
    page = tmp_path / "no" / "page.html"
    for arguments in (
        ("verify", exported, "--reference", saved, "--images", folder),
        ("export", saved, "--recipe", "float32", "-o", tmp_path / "out"),
    ):
        result = run(*arguments, "--html", page)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.splitlines()[-1] == f"Error: {page}: no such folder: {page.parent}; make it first"
    assert not (tmp_path / "out").exists()


def test_a_page_may_go_beside_the_files(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", saved, "--recipe", "float32", "-o", out, "--html", out / "page.html")
    assert result.exit_code == 0, result.output
    assert {"page.html", "tiny_float32.tflite"} < set(files(out))


def test_verify_of_a_file_with_a_flex_operation(saved: Path, folder: Path, tmp_path: Path) -> None:
    import tensorflow as tf
    from support.small_graphs import linear, packed

    packed(lambda image: tf.math.atan(linear(image)), (1, 64, 64, 3), flex=True).save(tmp_path / "flex.tflite")
    page = tmp_path / "report.html"
    result = run("verify", tmp_path / "flex.tflite", "--reference", saved, "--images", folder, "--html", page)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "FAILED"
    assert "FlexAtan" in page.read_text()
    assert "no_flex failed: 1: FlexAtan" in result.stderr


@pytest.mark.parametrize("flipped", [True, False])
def test_verify_of_a_damaged_file_never_reaches_the_interpreter(
    flipped: bool, exported: Path, saved: Path, folder: Path
) -> None:
    content = bytearray(exported.read_bytes())
    if flipped:
        content[len(content) // 3] ^= 0x40
    exported.write_bytes(content if flipped else content[: len(content) // 3])
    for arguments in (("info", exported), ("verify", exported, "--reference", saved, "--images", folder)):
        result = run(*arguments)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {exported}: ")
        assert "damaged" in line


# demo
