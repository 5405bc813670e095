"""Whatever holds a classifier is opened for what it is."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import random_images, tiny_config

from swiftformer_tf import (
    CheckpointError,
    LiteModel,
    ModelError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    fuse,
    open_model,
    to_checkpoint,
)
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.loading import open_any, open_keras

Model = SwiftFormerForImageClassification


def test_a_keras_model(saved: Path, model: Model) -> None:
    image = random_images(1, 64, 64, 3)
    for opened in (open_any(saved), open_keras(str(saved)), open_model(saved)):
        assert isinstance(opened, SwiftFormerForImageClassification)
        np.testing.assert_array_equal(opened(image), model(image))


def test_a_checkpoint_is_ported(tmp_path: Path, model: Model) -> None:
    path, image = tmp_path / "tiny.safetensors", random_images(1, 64, 64, 3)
    to_checkpoint(model).save(path)
    assert isinstance(open_any(path), Checkpoint)
    np.testing.assert_array_equal(open_model(path)(image), model(image))
    assert open_model(path, token_weights="uniform").config.token_weights == "uniform"


def test_a_tflite_file(tmp_path: Path, lite: Callable[..., LiteModel]) -> None:
    path = tmp_path / "tiny.TFLITE"
    lite("float32").save(path)
    assert open_any(path) == lite("float32")
    with pytest.raises(ModelError, match=re.escape(f"{path}: a TFLite model; expected a .keras model or a checkpoint")):
        open_model(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"not a Keras model \(not a zip archive\), or cut short"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), r"not a Keras model \(not a zip archive\), or cut short"),
        (b"PK\x05\x06" + bytes(18), r"Keras cannot load it \(\w+: "),
    ],
)
def test_what_is_no_keras_model_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {message}"):
        open_any(path)


def test_a_missing_keras_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path / 'no.keras'}: no such file")):
        open_any(tmp_path / "no.keras")


def test_other_keras_models_are_refused(tmp_path: Path, model: Model) -> None:
    others = {
        "Sequential": keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
        "SwiftFormerModel": SwiftFormerModel(tiny_config()),
        "DeployModel": fuse(model),
    }
    for kind, other in others.items():
        other.save(tmp_path / "x.keras")
        with pytest.raises(ModelError, match=rf"x\.keras: a {kind}; expected a SwiftFormerForImageClassification"):
            open_keras(tmp_path / "x.keras")


def test_a_cut_or_flipped_keras_model_is_refused(tmp_path: Path, saved: Path) -> None:
    content, path, rng = saved.read_bytes(), tmp_path / "x.keras", np.random.default_rng(0)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="or cut short"):
        open_keras(path)
    for position in rng.integers(200, len(content) - 600, 4):
        damaged = bytearray(content)
        damaged[int(position)] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"x\.keras: Keras cannot load it \(\w+: [^\n]{1,200}\)$"):
            open_keras(path)


def test_a_keras_model_that_would_run_code_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    outputs = keras.layers.Lambda(lambda x: x)(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "x.keras")
    with pytest.raises(ModelError, match=r"x\.keras: a Functional; expected a SwiftFormerForImageClassification"):
        open_keras(tmp_path / "x.keras")


def with_config(saved: Path, path: Path, change: Callable[[Any], Any]) -> Path:
    """A `.keras` file whose `config.json` was changed."""
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(path, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                content = json.dumps(change(json.loads(content))).encode()
            changed.writestr(name, content)
    return path


def architecture(**fields: Any) -> Callable[[Any], Any]:
    def change(document: Any) -> Any:
        document["config"]["config"] |= fields
        return document

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            architecture(embed_dims=[4096] * 4),
            r"its configuration has [\d,]{13} parameters, which its [\d,]+ bytes cannot hold",
        ),
        (architecture(depths=[10**9, 1, 1, 1]), r"depths=\(1000000000, 1, 1, 1\): expected a positive int per stage"),
        (lambda document: {**document, "registered_name": "a>B", "class_name": "B"}, "a B; expected a SwiftFormerFor"),
        (lambda document: {**document, "config": {}}, r"Keras cannot load it \(KeyError: 'config'\)"),
        (lambda document: [document], r"Keras cannot load it \(AttributeError: "),
        (
            lambda document: {**document, "more": "a" * 2**26},
            "its config.json is larger than the 67,108,864 bytes that",
        ),
    ],
)
def test_keras_makes_nothing_of_a_strange_configuration(
    change: Callable[[Any], Any], message: str, tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_config(saved, tmp_path / "x.keras", change)
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {message}"):
        open_keras(path)


def test_an_archive_with_more_in_it_is_not_unpacked(tmp_path: Path, saved: Path) -> None:
    path = tmp_path / "x.keras"
    path.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/vocabulary.txt", "")
    with pytest.raises(ModelError, match=r"x\.keras: holds assets/vocabulary\.txt, and the archive of a Swift"):
        open_keras(path)


def test_what_keras_makes_is_looked_at(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: keras.Sequential())
    with pytest.raises(ModelError, match=r"\.keras: Keras makes a Sequential of it; the file was made to do harm"):
        open_keras(saved)


def test_a_backbone_is_no_classifier(tmp_path: Path) -> None:
    path = tmp_path / "backbone.safetensors"
    to_checkpoint(SwiftFormerModel(tiny_config())).save(path)
    with pytest.raises(ModelError, match=r"backbone\.safetensors: a backbone without the classifier's normalisation"):
        open_model(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path / 'no.pth'}: no such file")):
        open_any(tmp_path / "no.pth")
