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
from support.random_models import TWO_STAGES, random_images, tiny_config

from swiftformer_tf import (
    CheckpointError,
    ConfigError,
    DeployModel,
    LiteModel,
    ModelError,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    SwiftFormerModel,
    fuse,
    to_checkpoint,
)
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.info import describe_file
from swiftformer_tf.keras_file import open_keras_file
from swiftformer_tf.loading import open_any, open_checkpoint, open_model
from swiftformer_tf.segmentation import copy_backbone
from swiftformer_tf.segmentation_heads import SegmentationHead

Model = SwiftFormerForImageClassification

HEAD = SegmentationHead(name="all_mlp", head_dim=8)


def test_a_keras_model(saved: Path, model: Model) -> None:
    image = random_images(1, 64, 64, 3)
    for opened in (
        open_any(saved),
        open_keras_file(str(saved)),
        Model.from_pretrained(saved),
    ):
        assert isinstance(opened, SwiftFormerForImageClassification)
        np.testing.assert_array_equal(opened(image), model(image))


def test_a_checkpoint_is_ported(tmp_path: Path, model: Model) -> None:
    path, image = tmp_path / "tiny.safetensors", random_images(1, 64, 64, 3)
    to_checkpoint(model).save(path)
    assert isinstance(open_any(path), Checkpoint)
    np.testing.assert_array_equal(Model.from_pretrained(path)(image), model(image))
    assert Model.from_pretrained(path, token_weights="uniform").config.token_weights == "uniform"


def test_a_tflite_file(tmp_path: Path, lite: Callable[..., LiteModel]) -> None:
    path = tmp_path / "tiny.TFLITE"
    lite("float32").save(path)
    assert open_any(path) == lite("float32")
    with pytest.raises(ModelError, match=re.escape(f"{path}: a TFLite model; expected a .keras model or a checkpoint")):
        Model.from_pretrained(path)


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
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "x.keras")
    with pytest.raises(ModelError, match=r"x\.keras: a Sequential; expected one of SwiftFormerFor"):
        open_keras_file(tmp_path / "x.keras")


def test_a_fused_model_is_opened_where_it_can_be_used(tmp_path: Path, model: Model) -> None:
    path, deploy, image = tmp_path / "x.keras", fuse(model), random_images(1, 64, 64, 3)
    deploy.save(path)
    opened = open_any(path)
    assert isinstance(opened, DeployModel)
    np.testing.assert_array_equal(opened(image), deploy(image))
    assert describe_file(path)["heads"] == 2
    told = (
        r"x\.keras: a fused model, which only `evaluate`, `predict` and `info` open; expected the model that was fused"
    )
    for refuses in (open_model, open_checkpoint, Model.from_pretrained):
        with pytest.raises(ModelError, match=told):
            refuses(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda values: values["named_outputs"].append(values["named_outputs"][0]),
            "its named_outputs have the shapes",
        ),
        (
            lambda values: values["named_outputs"][0].update(shape=[1, 11]),
            r"its named_outputs have the shapes \[\(1, 11",
        ),
        (lambda values: values["layers"][3].update(module="os", registered_name="system"), "of os; expected Keras's"),
        (lambda values: values["layers"][3]["config"].update(filters=10**9), "which its [0-9,]+ bytes cannot hold"),
    ],
)
def test_a_fused_model_that_lies_is_refused(
    change: Callable[[Any], Any], message: str, tmp_path: Path, model: Model
) -> None:
    def changed(document: Any) -> Any:
        change(document["config"])
        return document

    fuse(model).save(tmp_path / "deploy.keras")
    with pytest.raises(ModelError, match=rf"x\.keras: .*({message})"):
        open_any(with_config(tmp_path / "deploy.keras", tmp_path / "x.keras", changed))


def test_a_cut_or_flipped_keras_model_is_refused(tmp_path: Path, saved: Path) -> None:
    content, path, rng = saved.read_bytes(), tmp_path / "x.keras", np.random.default_rng(0)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="or cut short"):
        open_keras_file(path)
    for position in rng.integers(200, len(content) - 600, 4):
        damaged = bytearray(content)
        damaged[int(position)] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"x\.keras: Keras cannot load it \(\w+: [^\n]{1,200}\)$"):
            open_keras_file(path)


def test_a_keras_model_that_would_run_code_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    outputs = keras.layers.Lambda(lambda x: x)(inputs)
    keras.Model(inputs, outputs).save(tmp_path / "x.keras")
    with pytest.raises(ModelError, match=r"x\.keras: a Functional; expected one of SwiftFormerFor"):
        open_keras_file(tmp_path / "x.keras")


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
            architecture(embed_dims=[4096] * 2, depths=[8, 8]),
            r"its configuration has [\d,]{13} parameters, which its [\d,]+ bytes cannot hold",
        ),
        (architecture(depths=[10**9, 1]), r"depths=\(1000000000, 1\): expected a positive int per stage"),
        (
            lambda document: {**document, "registered_name": "a>B", "class_name": "B"},
            "a B; expected one of",
        ),
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
        open_keras_file(path)


def test_an_archive_with_more_in_it_is_not_unpacked(tmp_path: Path, saved: Path) -> None:
    path = tmp_path / "x.keras"
    path.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/vocabulary.txt", "")
    with pytest.raises(ModelError, match=r"x\.keras: holds assets/vocabulary\.txt, but the archive of a Swift"):
        open_keras_file(path)


def test_what_keras_makes_is_looked_at(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: keras.Sequential())
    with pytest.raises(ModelError, match=r"\.keras: Keras loads it as a Sequential; the file may be malicious"):
        open_keras_file(saved)


def test_a_backbone_is_no_classifier(tmp_path: Path) -> None:
    backbone = SwiftFormerModel(tiny_config(**TWO_STAGES))
    backbone.save(tmp_path / "backbone.keras")
    to_checkpoint(backbone).save(tmp_path / "backbone.safetensors")
    for name in ("backbone.keras", "backbone.safetensors"):
        with pytest.raises(ModelError, match=rf"{name}: a backbone without the classifier's normalization; expected"):
            Model.from_pretrained(tmp_path / name)


def test_each_class_opens_what_it_saved(tmp_path: Path, model: Model) -> None:
    image = random_images(1, 64, 64, 3)
    config = tiny_config(token_weights="uniform", **TWO_STAGES)
    for each in (model, SwiftFormerModel(config), SwiftFormerForSemanticSegmentation(config, head=HEAD)):
        each.save(tmp_path / "x.keras")
        again = type(each).from_pretrained(tmp_path / "x.keras")
        assert type(again) is type(each) is type(open_any(tmp_path / "x.keras"))
        np.testing.assert_array_equal(again(image), each(image))
    for each in (model, SwiftFormerModel(config)):
        each.save_pretrained(tmp_path / "net")
        again = type(each).from_pretrained(tmp_path / "net")
        np.testing.assert_array_equal(again(image), each(image))


def test_a_backbone_comes_out_of_every_model(tmp_path: Path, saved: Path, model: Model) -> None:
    image = random_images(1, 64, 64, 3)
    expected = SwiftFormerModel(model.config, out_indices=(0, 1), share_layers_with=model)(image)
    to_checkpoint(model).save(tmp_path / "x.safetensors")
    segmenter = SwiftFormerForSemanticSegmentation(model.config, head=HEAD)
    copy_backbone(segmenter, model)
    segmenter.save(tmp_path / "segmenter.keras")
    for path in (saved, tmp_path / "x.safetensors", tmp_path / "segmenter.keras"):
        backbone = SwiftFormerModel.from_pretrained(path, out_indices=(0, 1))
        for mine, its in zip(backbone(image), expected, strict=True):
            np.testing.assert_array_equal(mine, its)
    with pytest.raises(ConfigError, match="num_labels and id2label: a SwiftFormerModel has no head; leave them out"):
        SwiftFormerModel.from_pretrained(saved, num_labels=3)


def test_a_segmenter_takes_the_backbone_of_any_model_and_says_what_is_new(tmp_path: Path, saved: Path) -> None:
    to_checkpoint(Model.from_pretrained(saved)).save(tmp_path / "x.safetensors")
    for path in (saved, tmp_path / "x.safetensors"):
        with pytest.warns(UserWarning, match=r"new in the head, .* \(11\): decode_head-"):
            segmenter = SwiftFormerForSemanticSegmentation.from_pretrained(path, num_labels=3, head=HEAD)
        assert segmenter.config.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
        assert segmenter.config.transform.crop is None
    segmenter.save(tmp_path / "segmenter.keras")
    names = {0: "road", 1: "sky", 2: "tree"}
    renamed = SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / "segmenter.keras", id2label=names)
    assert renamed.config.id2label == names
    image = random_images(1, 64, 64, 3)
    np.testing.assert_array_equal(renamed(image), segmenter(image))
    with pytest.warns(UserWarning, match=r"new in the head, .* \(2\): decode_head-conv_seg/kernel"):
        two = SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / "segmenter.keras", num_labels=2)
    assert two.head == segmenter.head
    assert two.output_shape[-1] == 2


def test_arguments_of_the_class_are_taken(saved: Path) -> None:
    model = Model.from_pretrained(saved, dtype="mixed_bfloat16", outputs="heads")
    assert (model.dtype_policy.name, len(model.outputs)) == ("mixed_bfloat16", 2)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    message = (
        f"{tmp_path / 'no.pth'}: no such file or folder; expected one, the name of weights that ship with the package "
        "(swiftformer_xs_imagenette), or an id on the Hugging Face hub (OWNER/NAME)"
    )
    functions: list[Callable[[Path], Any]] = [open_any, open_model, Model.from_pretrained, Checkpoint.open]
    for function in functions:
        with pytest.raises(CheckpointError, match=f"^{re.escape(message)}$"):
            function(tmp_path / "no.pth")
