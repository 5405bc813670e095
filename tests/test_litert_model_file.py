"""The file as a value: what it carries, what happens to it, and running it."""

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swiftformer_tf import RECIPES, LiteModel, LiteRunner, ModelError, SwiftFormerForImageClassification, export, fuse

Lite = Callable[..., LiteModel]


def flatbuffer_size(model: LiteModel) -> int:
    with zipfile.ZipFile(io.BytesIO(model.content)) as archive:
        return int(json.loads(archive.read("swiftformer.json"))["flatbuffer"]["bytes"])


@pytest.fixture
def path(lite: Lite, tmp_path: Path) -> Path:
    path = tmp_path / "tiny_int8.tflite"
    lite("int8").save(path)
    return path


def test_a_renamed_file_still_says_what_it_is(path: Path, lite: Lite, model: SwiftFormerForImageClassification) -> None:
    renamed = path.rename(path.with_name("download (1)"))
    opened = LiteModel.open(renamed)
    assert opened == lite("int8")
    assert opened.config == model.config
    assert opened.labels == model.config.labels
    assert opened.config.transform == model.config.transform
    assert opened.recipe == RECIPES["int8"]
    assert opened.sha256 == lite("int8").sha256
    assert opened.content == renamed.read_bytes()


@pytest.mark.parametrize("options", [{"include_preprocessing": True}, {"classifier_activation": "softmax"}])
def test_the_file_says_how_it_is_used(options: dict[str, Any], lite: Lite, tmp_path: Path) -> None:
    lite("float32", **options).save(tmp_path / "x.tflite")
    opened = LiteModel.open(tmp_path / "x.tflite")
    assert {name: getattr(opened, name) for name in options} == options


def test_the_file_says_which_weights_it_was_made_of(model: SwiftFormerForImageClassification, lite: Lite) -> None:
    """The same in each recipe, and on a processor that rounds the last bit of a folded number differently."""
    told = lite("float32").weights_sha256
    assert told == lite("int8").weights_sha256 == lite("float16").weights_sha256
    for factor, same in ((1 + 2**-23, True), (1.01, False)):
        deploy = fuse(model)
        first, *others = deploy.get_weights()
        first.flat[0] *= np.float32(factor)
        deploy.set_weights([first, *others])
        assert (export(deploy, RECIPES["float32"]).weights_sha256 == told) is same


def test_the_file_is_a_zip_with_a_label_file(path: Path, model: SwiftFormerForImageClassification) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["swiftformer.json", "labels.txt"]
        assert archive.read("labels.txt").decode().splitlines() == list(model.config.labels)
        config_json = json.loads(archive.read("swiftformer.json"))
    assert config_json["config"] == model.config.to_dict()
    assert config_json["recipe"]["name"] == "int8"


def test_labels_of_any_language(lite: Lite, tmp_path: Path) -> None:
    flatbuffer = lite("float32").content[: flatbuffer_size(lite("float32"))]
    config = lite("float32").config.replace(id2label={i: f"猫 {i} ü" for i in range(10)})
    packed = LiteModel.pack(flatbuffer, config=config, recipe=RECIPES["float32"], outputs=lite("float32").outputs)
    packed.save(tmp_path / "x.tflite")
    assert LiteModel.open(tmp_path / "x.tflite").labels[3] == "猫 3 ü"
    with zipfile.ZipFile(tmp_path / "x.tflite") as archive:
        assert archive.read("labels.txt").decode("utf-8").splitlines()[3] == "猫 3 ü"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TFLite model (no TFL3 at byte 4)"),
        (b"PK\x03\x04 a zip", "not a TFLite model (no TFL3 at byte 4)"),
        (
            b"\x1c\x00\x00\x00TFL3" + bytes(100),
            "no readable swiftformer.json at its end (BadZipFile: File is not a zip",
        ),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(f"{path}: {message}")):
        LiteModel.open(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'no.tflite'}: no such file")):
        LiteModel.open(tmp_path / "no.tflite")


def test_the_file_of_another_converter_is_refused(path: Path, lite: Lite) -> None:
    path.write_bytes(lite("int8").content[: flatbuffer_size(lite("int8"))])
    with pytest.raises(ModelError, match=r"no readable swiftformer\.json .*or was not written by swiftformer_tf"):
        LiteModel.open(path)


@pytest.mark.parametrize("change", [{"config": {"model_type": "vit"}}, {"recipe": {}}, {"recipe": None}, {"config": 3}])
def test_a_configuration_of_something_else_is_refused(change: dict[str, Any], path: Path, lite: Lite) -> None:
    with zipfile.ZipFile(path) as archive:
        config_json = {**json.loads(archive.read("swiftformer.json")), **change}
    archive_bytes = io.BytesIO(lite("int8").content[: config_json["flatbuffer"]["bytes"]])
    with zipfile.ZipFile(archive_bytes, "a") as archive:
        archive.writestr("swiftformer.json", json.dumps(config_json))
    path.write_bytes(archive_bytes.getvalue())
    with pytest.raises(ModelError, match=r"no readable swiftformer\.json at its end \(.+\); it is damaged"):
        LiteModel.open(path)


def test_any_flipped_bit_is_found_out(path: Path, lite: Lite) -> None:
    """LiteRT itself would run a file with a flipped weight, and may crash on a flipped offset."""
    content, rng = lite("int8").content, np.random.default_rng(0)
    end = flatbuffer_size(lite("int8"))
    with zipfile.ZipFile(path) as archive:
        labels = archive.getinfo("labels.txt")
    # The flatbuffer, and the configuration behind it; not the zip directory's dates and flags, which mean nothing here.
    positions = [*rng.integers(8, end, 60), *rng.integers(end + 64, labels.header_offset, 60)]
    for position in map(int, positions):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="damaged"):
            LiteModel.open(path)


def test_whatever_the_damage_the_error_is_ours(path: Path, lite: Lite) -> None:
    content, rng = lite("int8").content, np.random.default_rng(1)
    intact = lite("int8")
    for round_ in range(150):
        damaged = bytearray(content)
        for position in len(content) - 1 - rng.integers(0, 400, 3):
            damaged[int(position)] = int(rng.integers(256))
        if round_ % 5 == 0:
            del damaged[int(rng.integers(len(damaged))) :]
        path.write_bytes(damaged)
        try:
            opened = LiteModel.open(path)
        except ModelError:
            continue
        assert opened.config == intact.config  # where only a date or a comment was hit


# Running.


def test_a_runner_gives_the_same_answer_every_time(lite: Lite) -> None:
    runner = LiteRunner(lite("int8"), num_threads=2)
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    first = runner(image).copy()
    runner(np.zeros_like(image))
    for _ in range(20):
        np.testing.assert_array_equal(runner(image), first)


@pytest.mark.parametrize("shape", [(64, 64, 3), (2, 64, 64, 3), (1, 32, 64, 3), (1, 64, 64, 1)])
def test_another_input_shape_is_named(shape: tuple[int, ...], lite: Lite) -> None:
    with pytest.raises(ModelError, match=re.escape(f"an input of shape {shape}: the model takes (1, 64, 64, 3)")):
        LiteRunner(lite("float32"))(np.zeros(shape, np.float32))


def test_integers_in_and_out_are_rounded_clipped_and_restored(
    model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    recipe = RECIPES["int8"].replace(inference_input_type="int8", inference_output_type="int8")
    runner = LiteRunner(export(fuse(model), recipe, calibration=pixels))
    (source,), (output,) = runner.interpreter.get_input_details(), runner.interpreter.get_output_details()
    scale, zero_point = runner.input_quantization
    image = np.zeros((1, 64, 64, 3), np.float32)
    image[0, 0, :2] = np.array([[0.0, 0.49, 0.51], [-1.52, 1e6, -1e6]]) * scale
    runner.set_input(image)
    found = runner.interpreter.get_tensor(source["index"])[0, 0, :2].astype(int)
    np.testing.assert_array_equal(found, [[zero_point, zero_point, zero_point + 1], [zero_point - 2, 127, -128]])
    runner.invoke()
    integers = runner.interpreter.get_tensor(output["index"])[0].astype(int)
    scale, zero_point = runner.output_quantization
    assert len(set(integers)) > 3
    np.testing.assert_allclose(runner.outputs()["logits"], (integers - zero_point) * scale, rtol=1e-6)


def test_content_that_litert_cannot_load_is_refused(lite: Lite) -> None:
    empty = dataclasses.replace(lite("int8"), content=b"\x1c\x00\x00\x00TFL3" + bytes(64))
    with pytest.raises(ModelError, match=r"^LiteRT cannot load the model: \S"):
        LiteRunner(empty)
