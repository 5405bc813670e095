"""export and demo: what is written, printed and returned."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands import files, run
from support.random_models import TWO_STAGES, tiny_config

from swiftformer_tf import (
    RECIPES,
    ExportError,
    LiteModel,
    SwiftFormerForImageClassification,
    pipeline,
    verification,
)
from swiftformer_tf.cli import console
from swiftformer_tf.progress import Progress
from swiftformer_tf.recipes import choose_recipes

Lite = Callable[..., LiteModel]


def test_export_writes_prints_and_passes(saved: Path, tmp_path: Path, few: Path) -> None:
    out = tmp_path / "out"
    arguments = ("export", saved, "-o", out, "--recipe", "float32", "--recipe", "float16", "--images", few)
    result = run(*arguments, "--recipe", "float32")  # twice is once
    assert result.exit_code == 0, result.output
    assert files(out) == [f"tiny_{r}.{suffix}" for r in ("float16", "float32") for suffix in ("json", "tflite")]
    said, _, table = result.stdout.partition("recipe ")
    assert "".join(said.split()) == f"{out / 'tiny_RECIPE.tflite'},comparedwithKerason12images"
    rows = table.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["float32", "float16"]
    assert all("passed" in row and "100.0%" in row for row in rows)
    report = json.loads((out / "tiny_float32.json").read_text())
    assert (report["verified_on"], report["verdict"]) == ("images", "passed")
    assert "--calibration" not in result.output


def test_all_stands_for_every_recipe(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def exported(model: Path, names: Any, *_: Any, progress: Progress, **__: Any) -> None:
        asked.append(names)
        for step in ("calibrate", "reference"):
            with progress(step, None):
                pass
        raise ExportError("enough")

    monkeypatch.setattr(pipeline, "export_files", exported)
    for recipes in (("all",), ("int8", "all")):
        options: list[str | Path] = [
            "--calibration",
            tmp_path,
            *(word for name in recipes for word in ("--recipe", name)),
        ]
        result = run("export", saved, "-o", tmp_path, *options)
        # What is slow on a CPU is said once, before anything is made and measured.
        assert result.stderr.splitlines() == [f"int16x8 is {RECIPES['int16x8'].caution}", "Error: enough"]
    chosen = [[each.name for each in choose_recipes(names)] for names in asked]
    assert chosen == [[*RECIPES], ["int8", *(name for name in RECIPES if name != "int8")]]  # each once


def test_export_without_photographs_is_no_pass(saved: Path, tmp_path: Path) -> None:
    options = ("--recipe", "float32", "--android", tmp_path / "android", "--html", tmp_path / "page.html")
    result = run("export", saved, "-o", tmp_path, *options)
    assert result.exit_code == 0, result.output
    row = result.stdout.splitlines()[-1]
    assert row.startswith("float32 ")
    assert "not compared" in row
    assert "passed" not in row
    assert "give --images FOLDER to compare with Keras" in result.stderr
    assert json.loads((tmp_path / "tiny_float32.json").read_text())["verdict"] == "not compared"
    assert "not compared with Keras" in (tmp_path / "page.html").read_text()
    assert "The models were verified" not in (tmp_path / "tiny_android.md").read_text()


def test_export_says_that_it_verified_on_the_calibration(saved: Path, tmp_path: Path, few: Path) -> None:
    options = ("--recipe", "float32", "--calibration", few, "--android", tmp_path / "android")
    result = run("export", saved, "-o", tmp_path, *options)
    assert result.exit_code == 0, result.output
    said = "Verified on the calibration photographs; to verify on others, give --images FOLDER"
    assert said in result.stderr
    assert "The models were verified against Keras" in (tmp_path / "tiny_android.md").read_text()


def test_export_names_the_kotlin_class(saved: Path, tmp_path: Path) -> None:
    options = ("--recipe", "float32", "--android", tmp_path / "app", "--android-package", "org.example")
    result = run("export", saved, "-o", tmp_path, *options, "--android-class", "object")
    assert result.exit_code
    assert "--android-class object: expected a valid name in Kotlin, such as FlowerClassifier" in result.stderr
    assert not list(tmp_path.glob("*.tflite"))  # said before anything is computed
    result = run("export", saved, "-o", tmp_path, *options, "--android-class", "Namer")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "app" / "kotlin" / "org" / "example" / "Namer.kt").is_file()
    result = run("export", saved, "-o", tmp_path, *options, "--android-class", "Namer", "--name", "other")
    assert result.exit_code
    assert "Namer.kt: expected no file or the class of other, and there is another one" in result.stderr
    assert not list(tmp_path.glob("other*"))


def test_export_as_json_and_under_another_name(saved: Path, tmp_path: Path) -> None:
    options = ("--name", "mine", "--image-size", "32x96", "--include-preprocessing", "--probabilities", "--json")
    result = run("export", saved, "-o", tmp_path, "--recipe", "float32", *options)
    assert result.exit_code == 0
    (report,) = json.loads(result.stdout)
    assert (report["file"], report["image_size"], report["passed"]) == ("mine_float32.tflite", [32, 96], True)
    opened = LiteModel.open(tmp_path / "mine_float32.tflite")
    assert (opened.include_preprocessing, opened.classifier_activation) == (True, "softmax")


def test_export_of_integers(saved: Path, tmp_path: Path, folder: Path) -> None:
    options = ("--calibration", folder, "--calibration-count", "12", "--include-preprocessing", "--input-type", "uint8")
    result = run("export", saved, "-o", tmp_path, "--recipe", "int8", "--json", *options)
    (report,) = json.loads(result.stdout)
    assert (report["images"], report["verified_on"]) == (12, "calibration images")
    # Random weights on 8 channels do not reach what the recipe asks of the real variants: written, and said.
    assert result.exit_code == (0 if report["passed"] else 1)
    assert LiteModel.open(tmp_path / "tiny_int8.tflite").recipe.inference_input_type == "uint8"


def test_export_returns_1_where_a_check_fails(saved: Path, tmp_path: Path, folder: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    (few / "one.png").write_bytes(min(folder.rglob("*.png")).read_bytes())
    result = run("export", saved, "-o", tmp_path / "out", "--recipe", "float32", "--images", few)
    assert result.exit_code == 1
    assert "refused" in result.stdout
    assert "FAILED" not in result.stdout
    assert "float32: agreement refused: the reference gives 1 distinct answer on 1 image, 5 are needed" in result.stderr
    assert result.stderr.rstrip().endswith("; give photographs of more classes")
    assert files(tmp_path / "out") == ["tiny_float32.json", "tiny_float32.tflite"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "int4"), "'int4' is not one of 'float32'"),
        ((), "Missing option '--recipe'"),
        (
            ("--recipe", "int8"),
            "Error: recipe int8 needs calibration: give images as --calibration, such as a folder\n",
        ),
        (
            ("--recipe", "all"),
            "Error: recipes dynamic_int4, mixed_int8, int8, static_int8, int16x8 need calibration: give images as --c",
        ),
        (
            ("--recipe", "int16x8", "--calibration", "{broken}"),
            "cannot be read as a picture",
        ),
        (
            ("--recipe", "int8", "--recipe", "float32", "--input-type", "uint8", "--calibration", "{broken}"),
            "inference input type uint8: recipe float32 supports float32; leave it out, or use it only with "
            "mixed_int8, int8, static_int8",
        ),
        (
            ("--recipe", "int16x8", "--output-type", "int8", "--calibration", "{broken}"),
            "inference output type int8: recipe int16x8 supports float32 or int16; leave",
        ),
        (
            ("--recipe", "float32", "--mask", "--probabilities"),
            "--mask and --probabilities exclude each other",
        ),
        (("--recipe", "float32", "--labels", "{labels}"), "2 labels for the 10 outputs of the model"),
        (("--recipe", "float32", "--name", "a/b"), "name 'a/b': expected the start of a file name; give its folder"),
        (("--recipe", "float32", "--image-size", "0"), "'0': expected pixels such as 224, or height x width"),
        (("--recipe", "float32", "--image-size", "64x"), "expected pixels such as 224"),
        (("--recipe", "float32", "--image-size", "1x2x3"), "expected pixels such as 224"),
        (("--recipe", "int8", "--calibration", "{empty}"), "no photographs in this folder; expected .jpg, .png or"),
        (("--recipe", "float32", "--images", "{empty}"), "no photographs in this folder"),
        (("--recipe", "int8", "--calibration", "{broken}"), "cannot be read as a picture"),
    ],
)
def test_misuse_of_export_writes_nothing(
    arguments: tuple[str, ...], message: str, saved: Path, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    (tmp_path / "broken").mkdir()
    for index, path in enumerate(sorted(folder.rglob("*.png"))[:3]):
        (tmp_path / "broken" / f"{index}.png").write_bytes(path.read_bytes())
    (tmp_path / "broken" / "9.png").write_bytes(b"\x89PNG")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    places = {"empty": tmp_path / "empty", "broken": tmp_path / "broken", "labels": tmp_path / "labels.txt"}
    filled = [each.format(**places) for each in arguments]
    result = run("export", saved, "-o", tmp_path / "out", *filled)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "int16x8 is" not in result.stderr  # no caution of what will not be made
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_a_model_without_labels_is_told_which_option_to_leave_out(tmp_path: Path) -> None:
    SwiftFormerForImageClassification(tiny_config(id2label={}, **TWO_STAGES)).save(tmp_path / "pooled.keras")
    arguments = ("-o", tmp_path / "out", "--recipe", "float32", "--probabilities")
    result = run("export", tmp_path / "pooled.keras", *arguments)
    assert result.exit_code == 2
    said = "Error: --probabilities: a model without labels has no probabilities; leave it out\n"
    assert result.stderr == said
    assert not (tmp_path / "out").exists()


def test_in_a_pipe_export_says_what_it_does(
    saved: Path, tmp_path: Path, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifying waits until it was said."""
    monkeypatch.setattr(console, "NOTE_SECONDS", 0.005)
    told: list[str] = []
    news = threading.Condition()

    def note(message: str) -> None:
        with news:
            told.append(message)
            news.notify_all()

    def verify(*arguments: Any, **options: Any) -> Any:
        with news:
            assert news.wait_for(lambda: "float16: verify" in told, timeout=600), told
        return verification.verify(*arguments, **options)

    monkeypatch.setattr(console, "note", note)
    monkeypatch.setattr(pipeline, "verify", verify)
    result = run("export", saved, "-o", tmp_path / "out", "--recipe", "float16", "--images", few)
    assert result.exit_code == 0, result.output
    assert "float16: verify" in told
    assert "regular notes" not in {thread.name for thread in threading.enumerate()}


def test_export_of_a_tflite_file_says_what_is_wanted(tmp_path: Path, lite: Lite) -> None:
    lite("float32").save(tmp_path / "x.tflite")
    result = run("export", tmp_path / "x.tflite", "-o", tmp_path / "out", "--recipe", "float16")
    assert result.exit_code == 2
    assert result.stderr == f"Error: {tmp_path / 'x.tflite'}: a TFLite model; expected a .keras model or a checkpoint\n"


@pytest.mark.parametrize("target", [pytest.param("/proc/self", marks=pytest.mark.linux), "file/out"])
def test_export_to_where_nothing_can_be_written(target: str, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("export", saved, "-o", tmp_path / target, "--recipe", "float32")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert str(Path(tmp_path / target).parent) in line


# verify


def test_demo_runs_the_main_job(
    tmp_path: Path, few: Path, model: SwiftFormerForImageClassification, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a small model: the real one is what `make demo` runs."""
    from swiftformer_tf import to_checkpoint
    from swiftformer_tf.checkpoints import pretrained

    to_checkpoint(model).save(tmp_path / "tiny.safetensors")
    monkeypatch.setitem(pretrained.PRETRAINED, "swiftformer_xs_imagenette", tmp_path / "tiny.safetensors")
    served: list[str] = []

    class Page:
        url = "http://127.0.0.1:1/"

        def __init__(self, models: Any, **_: Any) -> None:
            served.extend(path.name for path in models)

        def __enter__(self) -> "Page":
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def serve_forever(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("swiftformer_tf.deployment.serving.PageServer", Page)
    monkeypatch.setattr("swiftformer_tf.demonstration.runtime_folder", lambda folder: folder)
    monkeypatch.setattr("click.launch", served.append)
    result = run("demo", "--images", few, "-o", tmp_path / "out", "--json", "--serve")
    reports = json.loads(result.stdout)
    assert served == [*(f"swiftformer_xs_imagenette_{recipe}.tflite" for recipe in RECIPES), Page.url]
    assert [report["recipe"] for report in reports] == list(RECIPES)
    assert all(report["images"] == 6 for report in reports)
    assert result.exit_code == (0 if all(report["passed"] for report in reports) else 1)
    written = files(tmp_path / "out")
    assert {f"swiftformer_xs_imagenette_{recipe}.tflite" for recipe in RECIPES} < set(written)
    assert {"swiftformer_xs_imagenette.keras", "report.html"} < set(written)
    made = LiteModel.open(tmp_path / "out" / "swiftformer_xs_imagenette_float32.tflite")
    assert (made.license, made.metadata["license"]) == ("Apache-2.0", "Apache-2.0")
