"""Every command that reads photographs takes what a viewer shows; of the rest nothing is run, printed or written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from support.commands import run
from support.photographs import PHOTOGRAPH, SHOWN, encoded
from support.random_models import TWO_STAGES, random_classifier

from swiftformer_tf import LiteModel

COMMANDS = {
    "evaluate": "evaluate {keras} {photographs} --labels {labels} --confusion {out}/matrix.png",
    "export --calibration": "export {keras} --recipe float32 --recipe int8 --calibration {photographs} -o {out}/models",
    "export --images": "export {keras} --recipe float32 --images {photographs} -o {out}/models --html {out}/page.html",
    "verify": "verify {float32} --reference {keras} --images {photographs} --html {out}/page.html",
    "debug-quantization": "debug-quantization {int8} --reference {keras} --images {photographs} --plot {out}/plot.png",
    "demo": "demo --images {photographs} -o {out}/demo",
    "predict": "predict {float32} {photographs}/a.png {photographs}/holiday.jpg",
}
NO_PICTURES = {"text": b"<html>404</html>", "empty": b""}
CUT = encoded(PHOTOGRAPH.resize((64, 64)), "jpeg")[:700]


@pytest.fixture
def run_on(saved: Path, lite: Callable[..., LiteModel], tmp_path: Path) -> Callable[[str], Result]:
    """Runs a command on a folder with one good photograph, beside which a test puts others."""
    (tmp_path / "out").mkdir()
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.png").write_bytes(encoded(PHOTOGRAPH, "png"))

    def invoke(command: str) -> Result:
        names = sorted(path.stem for path in (tmp_path / "photographs").rglob("*.*") if path.is_file())
        (tmp_path / "labels.txt").write_text("".join(f"{name} 0\n" for name in names))
        places = {name: tmp_path / name for name in ("out", "photographs")}
        for recipe in ("float32", "int8"):
            if f"{{{recipe}}}" in command:
                places[recipe] = tmp_path / f"{recipe}.tflite"
                lite(recipe).save(places[recipe])
        words = [word.format(keras=saved, labels=tmp_path / "labels.txt", **places) for word in command.split()]
        return run(*words)

    return invoke


def assert_refused(result: Result, tmp_path: Path, said: str) -> None:
    assert result.exit_code == 2, result.output
    path = tmp_path / "photographs" / "holiday.jpg"
    assert result.stderr.splitlines()[-1].startswith(f"Error: {path}: cannot be read as a picture{said}")
    assert result.stdout == ""
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", NO_PICTURES)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_no_picture_is_named_before_anything_runs(
    name: str, kind: str, run_on: Callable[[str], Result], tmp_path: Path
) -> None:
    (tmp_path / "photographs" / "holiday.jpg").write_bytes(NO_PICTURES[kind])
    # `predict` opens its few photographs whole, and knows why one cannot be.
    said = " (it is empty)" if kind == "empty" else " (not a format that Pillow knows"
    assert_refused(run_on(COMMANDS[name]), tmp_path, said if name == "predict" else "; remove or replace this file")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_a_photograph_that_breaks_off_is_named_and_nothing_is_written(
    name: str, run_on: Callable[[str], Result], tmp_path: Path
) -> None:
    (tmp_path / "photographs" / "holiday.jpg").write_bytes(CUT)
    assert_refused(run_on(COMMANDS[name]), tmp_path, " (image file is truncated")


@pytest.mark.parametrize("name", ["evaluate", "export --calibration", "verify"])
def test_what_a_viewer_shows_is_taken(name: str, run_on: Callable[[str], Result], tmp_path: Path) -> None:
    """Also from a folder with the name of a picture."""
    album = tmp_path / "photographs" / "album.jpg"
    album.mkdir()
    for index, (data, _, _) in enumerate(SHOWN.values()):
        (album / f"{index}.jpg").write_bytes(data)
    result = run_on(f"{COMMANDS[name]} --json")
    # On pictures this small, a random model may give too few answers for a verdict, which is status 1.
    assert result.exit_code in (0, 1), result.output
    report = json.loads(result.stdout)
    for each in report if isinstance(report, list) else [report]:
        assert each["images"] == 1 + len(SHOWN)


def test_models_of_gray_photographs_go_through_every_command(
    tmp_path: Path, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each had a traceback."""
    monkeypatch.chdir(tmp_path)
    random_classifier(num_channels=1, id2label={0: "left", 1: "right"}, **TWO_STAGES).save("gray.keras")
    for line in (
        "export gray.keras -o . --recipe float32 --recipe int8 --calibration {} --images {} --html page.html",
        "verify gray_float32.tflite --reference gray.keras --images {}",
        "debug-quantization gray_int8.tflite --reference gray.keras --images {}",
        "evaluate gray_float32.tflite {}",
        "train {} -o run --from gray.keras --epochs 1 --batch-size 4",
        "evaluate run/model.keras {}",
    ):
        result = run(*(word.format(few) for word in line.split()))
        assert result.exit_code in (0, 1), (line, result.output)  # random weights do not pass in integers
        assert result.exception is None or isinstance(result.exception, SystemExit), line
    report = run("evaluate", "run/model.keras", few, "--json")
    assert json.loads(report.stdout)["transform"]["mean"] == pytest.approx(
        [0.449]
    )  # of ImageNet's three, as timm has it
