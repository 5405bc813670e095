"""The Kotlin class for segmenters, compiled and run against stand-ins for Android and LiteRT.

The stand-in answers what LiteRT in Python answers to the same picture; the mask must be the one of `tasks`.
"""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.kotlin_app import STAND_INS, camera_screen, command, compile_kotlin, run_app, start
from support.random_models import pictures
from support.segmenters import LABELS, SIZE, deployed, lite, segmenter
from support.written_files import kotlin

from swiftformer_tf import RECIPES, ExportError, LiteModel, LiteRunner, export
from swiftformer_tf.deployment.android import write_android_folder
from swiftformer_tf.images.colors import class_colors
from swiftformer_tf.images.overlays import overlay
from swiftformer_tf.images.transform import open_image
from swiftformer_tf.pipeline import export_files
from swiftformer_tf.tasks import Activation, Output
from swiftformer_tf.tasks.semantic_segmentation import classes

MAIN = Path(__file__).with_name("kotlin") / "segmenter" / "Main.kt"
HEIGHT, WIDTH = SIZE

# Packages, each with the class of one kind of output; `cut` sees the middle of a picture only.
PACKAGES: dict[str, Activation | None] = {
    "swiftformer": "softmax",
    "masks": "argmax",
    "logits": None,
    "cut": "softmax",
}


@pytest.fixture(scope="session")
def files() -> dict[str, dict[str, LiteModel]]:
    """Files of each package by their names."""
    deploy, calibration = deployed("softmax")
    integer = RECIPES["int8"].replace(inference_input_type="uint8", inference_output_type="int8")
    made = {package: {"streets_float32.tflite": lite("float32", each)} for package, each in PACKAGES.items()}
    made["swiftformer"]["streets_int8.tflite"] = export(deploy, integer, calibration=calibration)
    whole = lite("float32", "softmax")
    transform = whole.config.transform.replace(crop=0.5, crop_mode="height_width")
    cut = dataclasses.replace(whole, config=whole.config.replace(transform=transform))
    return {**made, "cut": {"streets_float32.tflite": cut}}


@pytest.fixture(scope="session")
def folders(files: dict[str, dict[str, LiteModel]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Android folder of each package, with its page beside it."""
    root = tmp_path_factory.mktemp("segmenters")
    for package, models in files.items():
        write_android_folder(models, root / package, package=package, readme=root / f"{package}.md")
    return root


@pytest.fixture(scope="session")
def built(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them compiled at once, each with the app and with its page's camera screen."""
    folder = tmp_path_factory.mktemp("classes")
    sources = [*STAND_INS, *folders.rglob("*.kt")]
    for package in PACKAGES:
        main, camera = folder / package / "Main.kt", folder / package / "Camera.kt"
        main.parent.mkdir()
        main.write_text(MAIN.read_text().replace("package swiftformer\n", f"package {package}\n"))
        camera.write_text(camera_screen(folders / f"{package}.md"))
        sources += [main, camera]
    assert compile_kotlin(sources, folder) == ""
    return folder


def numbers(path: Path) -> np.ndarray:
    """What the app left: (height, width)."""
    width, height, *rest = np.frombuffer(path.read_bytes(), ">u4").tolist()
    return np.array(rest).reshape(height, width)


def colors(path: Path) -> np.ndarray:
    """The same as RGB."""
    return np.stack([numbers(path) >> shift & 0xFF for shift in (16, 8, 0)], axis=-1)


def answer(model: LiteModel, picture: Image.Image) -> tuple[bytes, np.ndarray]:
    """What LiteRT gives out, as it is stored, and the mask of that."""
    runner = LiteRunner(model)
    values = runner(model.config.transform(picture)[None])
    stored = runner.interpreter.get_tensor(runner.interpreter.get_output_details()[0]["index"])
    return stored.tobytes(), classes(values[None], model.classifier_activation, model.config)[0]


def test_colors_are_not_boxed(folders: Path) -> None:
    """One is read for each pixel of each mask."""
    assert "        val COLORS = intArrayOf(\n" in kotlin(folders / "swiftformer")


@pytest.mark.parametrize(
    ("package", "kind"),
    [("swiftformer", "FLOAT32"), ("swiftformer", "INT8"), ("masks", "FLOAT32"), ("logits", "FLOAT32")],
)
def test_the_mask_is_that_of_python(
    built: Path, folders: Path, files: dict[str, dict[str, LiteModel]], tmp_path: Path, package: str, kind: str
) -> None:
    """A picture as large as the model's, so that nothing is scaled."""
    (picture,) = pictures(1, *SIZE, seed=3)
    model = files[package][f"streets_{kind.lower()}.tflite"]
    stored, mask = answer(model, Image.fromarray(picture))
    shutil.copytree(folders / package / "assets", tmp_path / "assets")
    lines, given = run_app(command(built, package), tmp_path, kind, picture, stored, stem="streets")
    np.testing.assert_array_equal(numbers(tmp_path / "mask"), mask)
    assert len(np.unique(mask)) > 1
    assert f"at 1, 2: {mask[2, 1]}" in lines
    if kind == "FLOAT32":
        inputs = np.frombuffer(given, np.float32).reshape(*SIZE, 3)
        np.testing.assert_allclose(inputs, model.config.transform(Image.fromarray(picture)), atol=1e-6)
    palette = class_colors(len(LABELS))
    np.testing.assert_array_equal(colors(tmp_path / "colors"), np.array(palette)[mask])
    expected = np.asarray(overlay(Image.fromarray(picture), mask, palette))
    np.testing.assert_allclose(colors(tmp_path / "overlay"), expected, atol=1)
    shares = np.bincount(mask.ravel(), minlength=len(LABELS)) / mask.size
    legend = [line.split(maxsplit=3) for line in lines if line[0].isdigit()]
    order = [index for index in np.argsort(-shares, kind="stable") if shares[index]]
    assert [(int(index), text) for index, _, _, text in legend] == [(index, LABELS[index]) for index in order]
    np.testing.assert_allclose([float(share) for _, share, _, _ in legend], shares[order], rtol=1e-5)
    assert lines[-4:] == ["closed an output", "closed an input", "closed the model", "closed the environment"]


@pytest.mark.parametrize("orientation", [3, 5, 6])
def test_pictures_of_the_gallery_and_their_masks_are_upright(
    built: Path, folders: Path, files: dict[str, dict[str, LiteModel]], tmp_path: Path, orientation: int
) -> None:
    size = SIZE if orientation < 5 else SIZE[::-1]
    (picture,) = pictures(1, *size, seed=4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "same.png", exif=exif)
    upright = open_image(tmp_path / "same.png")
    assert upright.size == (WIDTH, HEIGHT)
    stored, mask = answer(files["swiftformer"]["streets_float32.tflite"], upright)
    shutil.copytree(folders / "swiftformer" / "assets", tmp_path / "assets")
    app = command(built, "swiftformer")
    run_app(app, tmp_path, "FLOAT32", picture, stored, stem="streets", task="gallery", orientation=orientation)
    expected = np.asarray(overlay(upright, mask, class_colors(len(LABELS))))
    np.testing.assert_allclose(colors(tmp_path / "overlay"), expected, atol=1)


def test_the_overlay_has_the_size_of_the_picture(
    built: Path, folders: Path, files: dict[str, dict[str, LiteModel]], tmp_path: Path
) -> None:
    """Twice as wide and three times as high as the model sees it, and lying: each class fills a block of pixels."""
    (picture,) = pictures(1, 3 * HEIGHT, 2 * WIDTH, seed=5)
    stored, mask = answer(files["masks"]["streets_float32.tflite"], Image.fromarray(picture))
    shutil.copytree(folders / "masks" / "assets", tmp_path / "assets")
    lying = np.ascontiguousarray(np.rot90(picture))
    run_app(command(built, "masks"), tmp_path, "FLOAT32", lying, stored, stem="streets", task="90")
    large = mask.repeat(3, axis=0).repeat(2, axis=1)
    expected = np.asarray(overlay(Image.fromarray(picture), large, class_colors(len(LABELS))))
    np.testing.assert_allclose(colors(tmp_path / "overlay"), expected, atol=1)


def test_what_the_model_did_not_see_has_no_mask(
    built: Path, folders: Path, files: dict[str, dict[str, LiteModel]], tmp_path: Path
) -> None:
    """A model that sees the middle half of a picture in each direction."""
    (picture,) = pictures(1, 2 * HEIGHT, 2 * WIDTH, seed=6)
    stored, mask = answer(files["cut"]["streets_float32.tflite"], Image.fromarray(picture))
    shutil.copytree(folders / "cut" / "assets", tmp_path / "assets")
    run_app(command(built, "cut"), tmp_path, "FLOAT32", picture, stored, stem="streets")
    seen = (slice(HEIGHT // 2, HEIGHT // 2 + HEIGHT), slice(WIDTH // 2, WIDTH // 2 + WIDTH))
    expected = picture.copy()
    expected[seen] = np.asarray(overlay(Image.fromarray(picture[seen]), mask, class_colors(len(LABELS))))
    np.testing.assert_allclose(colors(tmp_path / "overlay"), expected, atol=1)


def test_a_mask_of_another_size_and_a_closed_segmenter_say_so(built: Path, folders: Path, tmp_path: Path) -> None:
    (picture,) = pictures(1, *SIZE)
    for package, text in (
        ("masks", f"the model gave 7 classes for {HEIGHT * WIDTH} pixels"),
        ("logits", f"the model gave 7 numbers, not {18 * 23 * len(LABELS)}"),
    ):
        shutil.copytree(folders / package / "assets", tmp_path / package / "assets")
        stored = bytes(7 if package == "masks" else 28)
        app = command(built, package)
        result = start(app, tmp_path / package, "FLOAT32", picture, stored, stem="streets")
        assert text in result.stderr
        assert result.stdout.splitlines()[-1] == "closed the environment"
        result = start(app, tmp_path / package, "FLOAT32", picture, stored, stem="streets", task="late")
        assert "IllegalStateException: the segmenter is closed" in result.stderr


def test_the_page_speaks_of_mediapipe_where_the_file_is_for_it(folders: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        text = (folders / f"{package}.md").read_text()
        assert "ImageSegmenter" not in text  # they take normalized pixels
        assert "segmenter.segment(context.contentResolver, uri)" in text
    export_files(segmenter(), ["float32"], tmp_path, stem="streets", target="mediapipe", android=tmp_path / "app")
    text = (tmp_path / "streets_android.md").read_text()
    assert "`streets_float32.tflite` can also be run by MediaPipe's `ImageSegmenter`" in text
    assert 'setModelAssetPath("streets_float32.tflite")' in text


def test_a_mask_is_made_before_the_next_picture_takes_its_turn(folders: Path) -> None:
    """From answers in an array that the next picture fills again."""
    for package in PACKAGES:
        text = kotlin(folders / package)
        (before,) = re.findall(r"(.*)\n    private fun \w+\([^)]*\).*\brun\(bitmap, turn\)", text)
        assert before == "    @Synchronized"


def test_there_is_no_kotlin_class_for_features(tmp_path: Path) -> None:
    features = dataclasses.replace(lite("float32"), outputs=(Output("features", (1, 220), "features"),))
    message = (
        r"^the Android folder: Kotlin classes exist for classification and semantic-segmentation, not for "
        r"features; export without it$"
    )
    with pytest.raises(ExportError, match=message):
        write_android_folder({"streets_float32.tflite": features}, tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_a_picture_in_android_has_one_channel_or_three(tmp_path: Path) -> None:
    model = lite("float32")
    transform = model.config.transform.replace(mean=(0.5, 0.5), std=(0.5, 0.5))
    of_two = dataclasses.replace(model, config=model.config.replace(num_channels=2, transform=transform))
    with pytest.raises(ExportError, match="expected a model for RGB or gray images, not for 2 channels; export"):
        write_android_folder({"streets_float32.tflite": of_two}, tmp_path / "app")
    assert not (tmp_path / "app").exists()
