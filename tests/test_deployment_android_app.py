"""The Kotlin class for classifiers, compiled and run against stand-ins for Android and LiteRT."""

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.kotlin_app import ROOT, STAND_INS, camera_screen, command, compile_kotlin, run_app, start
from support.random_models import pictures
from support.written_files import KOTLIN, kotlin

from swiftformer_tf import LiteModel, LiteRunner
from swiftformer_tf.deployment.android import write_android_folder
from swiftformer_tf.images.transform import open_image

Lite = Callable[..., LiteModel]

MAIN = Path(__file__).with_name("kotlin") / "classifier" / "Main.kt"
LOGITS = np.linspace(-2, 2, 10, dtype=np.float32)[::-1].tobytes()


# What makes scores, by the word of the file, each with another way to cut a picture.
SCORES = {
    "single_label_classification": ("softmax(run(bitmap, turn))", "squash"),
    "multi_label_classification": ("sigmoid(run(bitmap, turn))", "shortest_edge"),
    "regression": ("run(bitmap, turn)", "height_width"),
}


def in_package(source: str, package: str) -> str:
    return source.replace("package swiftformer\n", f"package {package}\n")


@pytest.fixture(scope="session")
def scoring(lite: Lite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The Android folder of a class for each row of `SCORES`, in a package of that name."""
    model, root = lite("float32"), tmp_path_factory.mktemp("scores")
    for problem_type, (_, crop_mode) in SCORES.items():
        transform = model.config.transform.replace(crop_mode=crop_mode)
        config = model.config.replace(problem_type=problem_type, transform=transform)
        changed = dataclasses.replace(model, config=config)
        write_android_folder({"tiny_float32.tflite": changed}, root / problem_type, package=problem_type)
    return {problem_type: root / problem_type for problem_type in SCORES}


@pytest.fixture(scope="session")
def classes(folder_of_app: Path, scoring: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled at once, since the compiler takes long to start: a class and the stand-in app in each package.

    The generated class is in `swiftformer`, with the page's camera screen; in `without`, the class has no environment
    of its own.
    """
    folder = tmp_path_factory.mktemp("classes")
    camera = folder / "TinyActivity.kt"
    camera.write_text(camera_screen(folder_of_app.parent / "page.md"))
    own = "val environment = Environment.create().also { opened.addFirst(it) }"
    without = kotlin(folder_of_app).replace("options, environment)", "options)").replace(own, "")
    (folder / "without.kt").write_text(in_package(without, "without"))
    sources = [MAIN, *folder_of_app.rglob("*.kt"), camera, folder / "without.kt"]
    sources += (source for each in scoring.values() for source in each.rglob("*.kt"))
    for package in ("without", *scoring):
        sources.append(folder / package / "Main.kt")
        sources[-1].parent.mkdir()
        sources[-1].write_text(in_package(MAIN.read_text(), package))
    assert compile_kotlin([*STAND_INS, *sources], folder) == ""
    return folder


@pytest.fixture(scope="session")
def app(classes: Path) -> list[str]:
    """A command that runs the generated class in the stand-in app."""
    return command(classes, "swiftformer")


def inputs(given: bytes) -> np.ndarray:
    return np.frombuffer(given, np.float32).reshape(64, 64, 3)


@pytest.fixture
def working(folder_of_app: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder_of_app / "assets", tmp_path / "assets")
    return tmp_path


def test_the_app_gives_the_model_what_python_would(app: list[str], working: Path, models: dict[str, LiteModel]) -> None:
    """A picture as large as what is cut from, so that nothing is scaled: 73 pixels, of which the middle 64."""
    (picture,) = pictures(1, 73, 73)
    lines, given = run_app(app, working, "FLOAT32", picture, LOGITS)
    transform = models["tiny_float32.tflite"].config.transform
    np.testing.assert_allclose(inputs(given), transform(Image.fromarray(picture)), atol=1e-6)
    assert lines[0] == "created tiny_float32.tflite on GPU with null threads"
    logits = np.frombuffer(LOGITS, np.float32)
    scores = np.exp(logits) / np.exp(logits).sum()
    best = [line.split(maxsplit=2) for line in lines if line[0].isdigit()]
    assert [(int(index), text) for index, _, text in best] == [(0, "class 0"), (1, "class 1"), (2, "class 2")]
    np.testing.assert_allclose([float(score) for _, score, _ in best], scores[:3], rtol=1e-5)
    assert lines[-4:] == ["closed an output", "closed an input", "closed the model", "closed the environment"]


def test_integers_are_quantized_as_the_interpreter_wants_them(
    app: list[str], working: Path, models: dict[str, LiteModel]
) -> None:
    (picture,) = pictures(1, 73, 73, seed=1)
    stored = np.array([0, 255, 200, 3, 4, 5, 6, 7, 8, 9], np.uint8)
    lines, given = run_app(app, working, "INT8", picture, stored.tobytes())
    runner = LiteRunner(models["tiny_int8.tflite"])
    runner.set_input(models["tiny_int8.tflite"].config.transform(Image.fromarray(picture))[None])
    wanted = runner.interpreter.get_tensor(runner.interpreter.get_input_details()[0]["index"])
    difference = np.frombuffer(given, np.int8).astype(int) - wanted.ravel()
    # A value in the middle between two steps may fall to either side.
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.005
    scale, zero_point = runner.output_quantization
    logits = (stored.astype(float) - zero_point) * scale
    scores = np.exp(logits - logits.max())
    best = [line.split(maxsplit=2) for line in lines if line[0].isdigit()]
    assert [int(index) for index, _, _ in best[:2]] == [1, 2]
    assert float(best[0][1]) == pytest.approx((scores / scores.sum()).max(), rel=1e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_of_the_gallery_are_upright(
    app: list[str], working: Path, models: dict[str, LiteModel], orientation: int
) -> None:
    """As `open_image` turns them, which follows EXIF's eight orientations."""
    (picture,) = pictures(1, 73, 73)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(working / "same.png", exif=exif)
    _, given = run_app(app, working, "FLOAT32", picture, LOGITS, task="gallery", orientation=orientation)
    transform = models["tiny_float32.tflite"].config.transform
    np.testing.assert_allclose(inputs(given), transform(open_image(working / "same.png")), atol=1e-6)


@pytest.mark.parametrize("degrees", [90, 180, 270, -90, 360])
def test_frames_of_the_camera_are_turned_clockwise(
    app: list[str], working: Path, models: dict[str, LiteModel], degrees: int
) -> None:
    (picture,) = pictures(1, 73, 73)
    _, given = run_app(app, working, "FLOAT32", picture, LOGITS, task=str(degrees))
    transform = models["tiny_float32.tflite"].config.transform
    upright = np.rot90(picture, -degrees // 90)
    np.testing.assert_allclose(inputs(given), transform(Image.fromarray(np.ascontiguousarray(upright))), atol=1e-6)


def test_a_frame_is_not_turned_askew(app: list[str], working: Path) -> None:
    result = start(app, working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS, task="45")
    assert "rotationDegrees = 45: expected a multiple of 90" in result.stderr
    assert result.stdout.splitlines()[-1] == "closed the environment"


def test_a_wide_picture_that_lies_is_cut_as_the_upright_one(app: list[str], working: Path) -> None:
    """Columns of one color each: 146 x 73 lying down is 73 x 146 upright, of which the middle is seen."""
    picture = np.zeros((73, 146, 3), np.uint8)
    picture[..., 0] = np.arange(146)
    _, given = run_app(app, working, "FLOAT32", picture, LOGITS, task="90")
    red = np.rint(inputs(given)[..., 0] * 0.229 * 255 + 0.485 * 255)
    assert (red == red[:, :1]).all()  # what were columns are rows
    np.testing.assert_array_equal(red[:, 0], np.arange(41, 105))


def test_what_is_transparent_is_white(app: list[str], working: Path, models: dict[str, LiteModel]) -> None:
    picture = np.concatenate([pictures(1, 73, 73)[0], np.full((73, 73, 1), 255, np.uint8)], axis=-1)
    picture[20:40, :, 3] = 0
    Image.fromarray(picture).save(working / "same.png")
    _, given = run_app(app, working, "FLOAT32", picture, LOGITS)
    transform = models["tiny_float32.tflite"].config.transform
    np.testing.assert_allclose(inputs(given), transform(open_image(working / "same.png")), atol=1e-6)


def test_large_pictures_are_halved_before_they_are_scaled(app: list[str], working: Path) -> None:
    lines, _ = run_app(app, working, "FLOAT32", pictures(1, 300, 400)[0], LOGITS)
    assert [line for line in lines if line.startswith(("scaled", "drawn"))] == [
        "scaled 400x300 to 200x150",
        "scaled 200x150 to 100x75",
        "drawn 100x75",
    ]


def test_large_pictures_of_the_gallery_are_decoded_small(app: list[str], working: Path) -> None:
    lines, _ = run_app(app, working, "FLOAT32", pictures(1, 600, 800)[0], LOGITS, task="gallery")
    assert [line for line in lines if line.startswith(("decoded", "scaled", "drawn"))] == [
        "decoded 800x600 by 4",
        "scaled 200x150 to 100x75",
        "drawn 100x75",
    ]


def test_where_there_is_no_gpu_the_cpu_takes_over_and_it_is_told(app: list[str], working: Path) -> None:
    """And nothing that was opened for the GPU stays open."""
    (working / "no GPU").touch()
    lines, _ = run_app(app, working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS)
    on_cpu = "created tiny_float32.tflite on CPU with 2 threads"
    assert lines[:3] == ["closed the environment", on_cpu, "fallback: no GPU here"]


def test_an_environment_that_litert_creates_itself_stays_open_where_it_refuses_the_model(
    classes: Path, working: Path
) -> None:
    """The stand-in follows LiteRT in that, and a class without an environment of its own fails the test above."""
    (working / "no GPU").touch()
    lines, _ = run_app(command(classes, "without"), working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS)
    assert lines[0] == "created tiny_float32.tflite on CPU with 2 threads"
    assert lines.count("closed the environment") == 1  # of the two


def test_where_there_is_no_cpu_either_it_fails(app: list[str], working: Path) -> None:
    for chip in ("no GPU", "no CPU"):
        (working / chip).touch()
    result = start(app, working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS)
    assert result.returncode
    assert "LiteRtException: no CPU here" in result.stderr
    assert result.stdout.splitlines() == ["closed the environment"] * 2


@pytest.mark.parametrize("accelerator", ["NPU", "NONE"])
def test_other_processors_are_refused(app: list[str], working: Path, accelerator: str) -> None:
    """Where there is no NPU, LiteRT itself would run on the CPU, and nobody would know."""
    result = start(app, working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS, accelerator=accelerator)
    assert result.returncode
    assert (
        f"IllegalArgumentException: accelerator = {accelerator}: expected CPU or GPU; for an NPU, create LiteRT's "
        "CompiledModel in your own code, with an Environment that has an NpuAcceleratorProvider (docs/npu.md of "
        "swiftformer_tf)"
    ) in result.stderr
    assert result.stdout == ""  # nothing was created


def test_what_was_opened_is_closed_when_the_rest_fails(app: list[str], working: Path) -> None:
    """On the GPU, and then on the CPU."""
    (working / "no output buffers").touch()
    result = start(app, working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS)
    assert result.returncode
    assert "LiteRtException: no memory" in result.stderr
    closed = ["closed an input", "closed the model", "closed the environment"]
    on_gpu, on_cpu = (f"created tiny_float32.tflite on {chip} threads" for chip in ("GPU with null", "CPU with 2"))
    assert result.stdout.splitlines() == [on_gpu, *closed, on_cpu, *closed]


@pytest.mark.parametrize("kind", ["FLOAT32", "INT8"])
def test_many_threads_take_turns_and_share_one_array(app: list[str], working: Path, kind: str) -> None:
    """LiteRT's stand-in refuses two runs at once, and tells which array it was given."""
    lines, _ = run_app(
        app, working, kind, pictures(1, 73, 73)[0], LOGITS if kind == "FLOAT32" else bytes(10), task="crowd"
    )
    assert "40 answered" in lines
    wrote = [line for line in lines if line.startswith("wrote array")]
    assert (len(wrote), len(set(wrote))) == (40, 1)


def test_integer_answers_share_one_array_too(app: list[str], working: Path, folder_of_app: Path) -> None:
    """Only LiteRT makes a new one; and nobody reads it while the next picture fills it."""
    lines, _ = run_app(app, working, "INT8", pictures(1, 73, 73)[0], bytes(10), task="arrays")
    arrays = [line for line in lines if line.startswith("10 answers in array")]
    assert (len(arrays), len(set(arrays))) == (5, 1)
    (before,) = re.findall(
        r"(.*)\n    private fun \w+\([^)]*\)[^\n]*\{\n.*\brun\(bitmap, turn\)", kotlin(folder_of_app)
    )
    assert before == "    @Synchronized"


def test_a_closed_classifier_says_so(app: list[str], working: Path) -> None:
    result = start(app, working, "FLOAT32", pictures(1, 73, 73)[0], LOGITS, task="late")
    assert "IllegalStateException: the classifier is closed" in result.stderr
    assert result.stdout.count("closed the model") == 1


@pytest.mark.parametrize(
    ("version", "source", "said"),
    [
        (
            KOTLIN,
            "context(names: List<String>)\nfun first(): String = names.first()\n",
            "only available since language",
        ),
        ("2.1", "fun first(): String = String()\n", "language version 2.1 is deprecated"),
    ],
)
def test_sources_are_compiled_in_the_oldest_kotlin(tmp_path: Path, version: str, source: str, said: str) -> None:
    """What is newer than the page promises is refused, and the compiler takes no older version without a warning."""
    (tmp_path / "Source.kt").write_text(source)
    assert said in compile_kotlin([tmp_path / "Source.kt"], tmp_path / "classes", version)


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_a_compiler_tests_are_skipped_and_fail_in_ci(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.kotlin_app.COMPILER", tmp_path / "none")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no Kotlin compiler: needs Java, and npm and its registry"):
        compile_kotlin([], tmp_path)


@pytest.mark.posix
@pytest.mark.parametrize(
    ("npm", "said"),
    [
        ("exit 0", ""),
        ("exit 1", "npm could not install kotlin-compiler: the Kotlin class will not be compiled\n"),
        (None, "no npm: the Kotlin class will not be compiled\n"),
    ],
)
def test_make_goes_on_without_npm_or_its_registry(npm: str | None, said: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "mkdir", "touch"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if npm:
        (programs / "npm").write_text(f"#!/bin/sh\n{npm}\n")
        (programs / "npm").chmod(0o755)
    make = [str(shutil.which("make")), ".kotlin/installed", "SHELL=/bin/sh"]
    result = subprocess.run(make, cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == (said, "")
    assert (tmp_path / ".kotlin" / "installed").exists() is not bool(said)  # or it would not be tried again


def test_each_stand_in_says_which_file_it_follows() -> None:
    """The address ends with the type, or with the file and the types that it declares."""
    types = 0
    for path in STAND_INS:
        text = path.read_text()
        head = text.partition("\npackage ")[0]
        for name in re.findall(r"^(?:\w+ )*(?:class|interface|object) (\w+)", text, re.MULTILINE):
            types += 1
            assert re.search(rf"https://\S+(?:/{name}(?:\.html|\.kt)?\b|\.kt \(.*\b{name}\b)", head), (path.name, name)
    assert types > len(STAND_INS)


def test_what_makes_scores_is_the_files_word(scoring: dict[str, Path], classes: Path) -> None:
    """And each of them compiles."""
    for problem_type, (scores, _) in SCORES.items():
        assert f"val scores = {scores}\n" in kotlin(scoring[problem_type])
        assert (classes / problem_type / "Tiny.class").is_file()
