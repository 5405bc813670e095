"""The Android folder: what is in it, and its Kotlin class compiled and run against stand-ins for Android and LiteRT.

The stand-ins in tests/kotlin/ have the signatures of LiteRT 2's Kotlin library; the compiler is npm's
`kotlin-compiler`, which `make test` installs into .kotlin/ where there is npm.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.random_models import pictures

from swiftformer_tf import RECIPES, ExportError, LiteModel, LiteRunner, SwiftFormerForImageClassification, export, fuse
from swiftformer_tf.deployment.android import write_android_folder

Lite = Callable[..., LiteModel]

ROOT = Path(__file__).parents[1]
COMPILER = ROOT / ".kotlin" / "node_modules" / "kotlin-compiler" / "lib"


@pytest.fixture(scope="session")
def models(model: SwiftFormerForImageClassification, lite: Lite, pixels: np.ndarray) -> dict[str, LiteModel]:
    integer = RECIPES["int8"].replace(inference_input_type="int8", inference_output_type="uint8")
    quantised = export(fuse(model), integer, calibration=pixels[:8])
    return {"tiny_float32.tflite": lite("float32"), "tiny_int8.tflite": quantised}


@pytest.fixture(scope="session")
def folder_of_app(models: dict[str, LiteModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("android")
    write_android_folder(models, folder)
    return folder


def test_what_is_in_the_folder(folder_of_app: Path, models: dict[str, LiteModel]) -> None:
    found = {str(path.relative_to(folder_of_app)) for path in folder_of_app.rglob("*") if path.is_file()}
    assets = {"assets/labels.txt", *(f"assets/{name}" for name in models)}
    assert found == {"README.md", "kotlin/swiftformer/SwiftFormerClassifier.kt", *assets}
    for name, model in models.items():
        assert (folder_of_app / "assets" / name).read_bytes() == model.content
    labels = next(iter(models.values())).labels
    assert (folder_of_app / "assets" / "labels.txt").read_text().splitlines() == list(labels)


def test_the_readme_says_what_to_do(folder_of_app: Path) -> None:
    text = (folder_of_app / "README.md").read_text()
    for said in ("com.google.ai.edge.litert:litert:2.3.0", "minSdk = 23", "16 KB", "benchmark_model", "run on a phone"):
        assert said in text
    assert "| `INT8` | `tiny_int8.tflite` | " in text
    assert "| INT8 | UINT8 | " in text


def test_the_readme_calls_verified_only_what_was(lite: Lite, tmp_path: Path) -> None:
    said = "The models were verified against Keras"
    for verified in (True, False):
        write_android_folder({"x.tflite": lite("float32")}, tmp_path, verified=verified)
        text = (tmp_path / "README.md").read_text()
        assert (said in text) is verified
        assert ("Not every model was compared with Keras and passed" in text) is not verified
        assert "## What was tried, and what was not\n\n* " in text


def test_the_class_has_the_models_own_numbers(folder_of_app: Path, models: dict[str, LiteModel]) -> None:
    text = (folder_of_app / "kotlin" / "swiftformer" / "SwiftFormerClassifier.kt").read_text()
    (scale, zero_point) = LiteRunner(models["tiny_int8.tflite"]).input_quantization
    assert f"Storage.INT8, {scale}f, {zero_point}, Storage.UINT8" in text
    assert "WIDTH = 64" in text
    assert "MEAN = floatArrayOf(123.675f, 116.28f, 103.53f)" in text
    assert "COVER_HEIGHT = 73" in text  # 64 / 0.875


def test_normalisation_inside_leaves_the_pixels_alone(lite: Lite, tmp_path: Path) -> None:
    inside = lite("float32", include_preprocessing=True, classifier_activation="softmax")
    write_android_folder({"x.tflite": inside}, tmp_path)
    text = (tmp_path / "kotlin" / "swiftformer" / "SwiftFormerClassifier.kt").read_text()
    assert "MEAN = floatArrayOf(0.0f, 0.0f, 0.0f)" in text
    assert "STD = floatArrayOf(1.0f, 1.0f, 1.0f)" in text
    assert "val scores = read()" in text


def test_what_cannot_be_put_together_writes_nothing(
    lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray, tmp_path: Path
) -> None:
    inside = lite("float32", include_preprocessing=True)
    with pytest.raises(ExportError, match=r"^b\.tflite: expected the same Keras model and options as the first"):
        write_android_folder({"a.tflite": lite("float32"), "b.tflite": inside}, tmp_path / "x")
    with pytest.raises(ExportError, match="no models to put into it"):
        write_android_folder({}, tmp_path / "x")
    wide = export(fuse(model), RECIPES["int16x8"].replace(inference_input_type="int16"), calibration=pixels[:4])
    message = r"^c\.tflite: an input of type int16: LiteRT's Kotlin library takes float32 or int8 or uint8"
    with pytest.raises(ExportError, match=message):
        write_android_folder({"c.tflite": wide}, tmp_path / "x")
    assert not (tmp_path / "x").exists()


# Compiled and run.


@pytest.fixture(scope="session")
def app(folder_of_app: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A command that runs the generated class in the stand-in app."""
    if not COMPILER.is_dir() or not shutil.which("java"):
        message = "no Kotlin compiler: needs Java, and npm for `make .kotlin/installed`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    classes = tmp_path_factory.mktemp("classes")
    sources = [*sorted((ROOT / "tests" / "kotlin").glob("*.kt")), *folder_of_app.rglob("*.kt")]
    jars = os.pathsep.join(str(COMPILER / f"{name}.jar") for name in ("kotlin-compiler", "kotlin-stdlib"))
    compiler = ["java", "-cp", os.pathsep.join(map(str, COMPILER.glob("*.jar")))]
    arguments = ["-Werror", "-no-stdlib", "-no-reflect", "-cp", str(COMPILER / "kotlin-stdlib.jar"), "-d", str(classes)]
    command = [*compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *arguments, *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return ["java", "-cp", os.pathsep.join([str(classes), jars]), "MainKt"]


def run(app: list[str], folder: Path, model: str, picture: np.ndarray, answer: bytes) -> tuple[list[str], bytes]:
    """What the app prints, and what it wrote into the model's input."""
    red, green, blue = picture.astype(np.int64).transpose(2, 0, 1)
    words = (255 << 24) | (red << 16) | (green << 8) | blue
    (folder / "pixels").write_bytes(words.astype(">u4").tobytes())
    asset = f"tiny_{model.lower()}.tflite"
    (folder / f"{asset}.output").write_bytes(answer)
    height, width = picture.shape[:2]
    arguments = [model, "GPU", str(width), str(height)]
    result = subprocess.run([*app, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines(), (folder / f"{asset}.input").read_bytes()


@pytest.fixture
def working(folder_of_app: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder_of_app / "assets", tmp_path / "assets")
    return tmp_path


def test_the_app_gives_the_model_what_python_would(app: list[str], working: Path, models: dict[str, LiteModel]) -> None:
    """A picture as large as what is cut from, so that nothing is scaled: 73 pixels, of which the middle 64."""
    (picture,) = pictures(1, 73, 73)
    logits = np.linspace(-2, 2, 10, dtype=np.float32)[::-1].copy()
    lines, given = run(app, working, "FLOAT32", picture, logits.tobytes())
    transform = models["tiny_float32.tflite"].config.transform
    expected = transform.normalize(picture[4:68, 4:68])
    np.testing.assert_allclose(np.frombuffer(given, np.float32).reshape(64, 64, 3), expected, atol=1e-6)
    assert lines[0] == "created tiny_float32.tflite on [GPU]"
    assert "cut 64x64 at 4,4" in lines
    scores = np.exp(logits) / np.exp(logits).sum()
    best = [line.split(maxsplit=2) for line in lines if line[0].isdigit()]
    assert [(int(index), text) for index, _, text in best] == [(0, "class 0"), (1, "class 1"), (2, "class 2")]
    np.testing.assert_allclose([float(score) for _, score, _ in best], scores[:3], rtol=1e-5)
    assert lines[-3:] == ["closed a buffer", "closed a buffer", "closed the model"]


def test_integers_are_quantised_as_the_interpreter_wants_them(
    app: list[str], working: Path, models: dict[str, LiteModel]
) -> None:
    (picture,) = pictures(1, 73, 73, seed=1)
    stored = np.array([0, 255, 200, 3, 4, 5, 6, 7, 8, 9], np.uint8)
    lines, given = run(app, working, "INT8", picture, stored.tobytes())
    runner = LiteRunner(models["tiny_int8.tflite"])
    runner.set_input(models["tiny_int8.tflite"].config.transform.normalize(picture[4:68, 4:68])[None])
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


def test_large_pictures_are_scaled_to_cover(app: list[str], working: Path) -> None:
    lines, _ = run(app, working, "FLOAT32", pictures(1, 300, 400)[0], bytes(40))
    assert [line for line in lines if line.startswith(("scaled", "cut"))] == [
        "scaled 400x300 to 200x150",
        "scaled 200x150 to 100x75",
        "scaled 100x75 to 97x73",
        "cut 64x64 at 16,4",
    ]
