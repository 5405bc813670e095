"""A head that somebody put on a backbone, from `.keras` to a benchmark: in Python and by the commands."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image
from support.commands import run
from support.heads import BACKBONES, HEADS, ONE_STAGE, SIZE, TASKS_OF, answered, exported, made, seeded
from support.random_models import pictures

from swiftformer_tf import (
    RECIPES,
    Calibration,
    CheckpointError,
    DeployModel,
    LiteModel,
    ModelError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    calibrate,
    debug_quantization,
    export,
    export_files,
    fuse,
    port,
    to_checkpoint,
    verify,
)
from swiftformer_tf.litert.benchmarking import benchmark_files
from swiftformer_tf.loading import open_any, open_model
from swiftformer_tf.quantization import Graph
from swiftformer_tf.report import save_page

HEAD = "nested_labels_and_embedding"


def nested_labels_and_embedding() -> keras.Model:
    """As `labels_and_embedding`, with the backbone as one layer, which keeps its configuration."""
    image = keras.Input((SIZE, SIZE, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(SwiftFormerModel(ONE_STAGE)(image)))
    return keras.Model(image, {"labels": layers.Dense(10)(pooled), "embedding": layers.Dense(12)(pooled)}, name="mine")


HEADS = {**HEADS, HEAD: nested_labels_and_embedding}
BACKBONES = {**BACKBONES, HEAD: ONE_STAGE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mine.keras` and a folder of photographs."""
    root = tmp_path_factory.mktemp("heads")
    keras.utils.set_random_seed(0)
    nested_labels_and_embedding().save(root / "mine.keras")
    (root / "photos").mkdir()
    for index, pixels in enumerate(made("labels_and_embedding")[2][:8]):
        Image.fromarray(pixels).save(root / "photos" / f"{index}.png")
    return root


def printed(*words: Any, code: int = 0) -> str:
    outcome = run(*words)
    assert outcome.exit_code == code, outcome.output
    return outcome.output


# Files of Keras.


@pytest.mark.parametrize("name", ["labels_and_embedding", "transposed", "siamese", "nested", "slices"])
def test_a_keras_file_and_back(name: str, tmp_path: Path) -> None:
    model, deploy, pixels = made(name)
    model.save(tmp_path / "head.keras")
    images = deploy.config.transform.normalize(pixels[:2])
    again = open_model(tmp_path / "head.keras")
    for mine, its in zip(*(keras.tree.flatten(each.predict_on_batch(images)) for each in (model, again)), strict=True):
        np.testing.assert_array_equal(mine, its)
    folded = [keras.tree.flatten(fuse(each, config=deploy.config)(images[:1])) for each in (model, again)]
    for mine, its in zip(*folded, strict=True):
        np.testing.assert_array_equal(mine, its)


@keras.saving.register_keras_serializable("strangers")
class Strange(layers.Layer):
    """A layer of somebody else's."""

    def call(self, inputs: Any) -> Any:
        return inputs


def test_keras_files_of_others_are_refused_before_keras_makes_anything_of_them(tmp_path: Path) -> None:
    image, path = keras.Input((8, 8, 3)), tmp_path / "head.keras"
    cases = [
        (
            layers.Conv2D(2, 1)(image),
            "a Functional; expected one of SwiftFormerForImageClassification, .*, or Keras",
        ),
        (
            Strange()(SwiftFormerModel(ONE_STAGE)(image)),
            "holds a Strange of .*; expected Keras's layers on a SwiftFormer",
        ),
    ]
    for output, message in cases:
        keras.Model(image, output).save(path)
        with pytest.raises(ModelError, match=message):
            open_any(path)


def test_a_keras_file_that_claims_more_than_it_holds_is_refused(folder: Path, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "large.keras"
    with zipfile.ZipFile(folder / "mine.keras") as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                content = content.replace(b'"units": 12', b'"units": 999999999999')
            target.writestr(name, content)
    with pytest.raises(ModelError, match=r"large.keras: its configuration has units=999,999,999,999, which its"):
        open_any(path)


# Checkpoints.


@pytest.mark.parametrize("name", ["labels_and_embedding", "all_mlp", "siamese", "nested", HEAD])
def test_a_checkpoint_of_the_backbones_part(name: str, tmp_path: Path) -> None:
    model = HEADS[name]()
    checkpoint = to_checkpoint(model, config=BACKBONES[name])
    assert {key.partition(".")[0] for key in checkpoint.tensors} == {"stem", "stages"}
    assert checkpoint.config.num_labels == 0
    backbone = port(checkpoint).model
    assert isinstance(backbone, SwiftFormerModel)
    assert len(checkpoint.tensors) == len(backbone.weights)
    its = {each.path: each for each in model.weights}
    for variable in backbone.weights:
        np.testing.assert_array_equal(variable, its[variable.path])


def test_a_checkpoint_needs_a_backbone_and_a_configuration() -> None:
    assert to_checkpoint(nested_labels_and_embedding()).config.embed_dims == ONE_STAGE.embed_dims
    with pytest.raises(ModelError, match=r"no configuration .* head\(backbone\(image\)\), which keeps it, or pass"):
        to_checkpoint(HEADS["gate"]())
    image = keras.Input((SIZE, SIZE, 3))
    with pytest.raises(ModelError, match="expected a SwiftFormerForImageClassification or SwiftFormerModel, or lay"):
        to_checkpoint(keras.Model(image, layers.Conv2D(2, 1)(image)))
    two = keras.Model(image, [SwiftFormerModel(ONE_STAGE)(image), SwiftFormerForImageClassification(ONE_STAGE)(image)])
    with pytest.raises(CheckpointError, match="would both be stem"):
        to_checkpoint(two)


def test_port_takes_the_backbone_of_a_keras_file(folder: Path, tmp_path: Path) -> None:
    printed("port", folder / "mine.keras", "--to", "original", "-o", tmp_path / "mine.pth")
    backbone = SwiftFormerModel.from_pretrained(tmp_path / "mine.pth")
    mine = {each.path: each for each in open_model(folder / "mine.keras").weights}
    for variable in backbone.weights:
        np.testing.assert_array_equal(variable, mine[variable.path])


# Files, where they lose, how fast they are, and the page.


@pytest.mark.parametrize("recipe", ["dynamic_int8", "mixed_int8", "int8", "int16x8"])
@pytest.mark.parametrize("name", ["labels_and_embedding", "transposed", "fpn", "maps"])
def test_where_an_integer_file_loses(name: str, recipe: str) -> None:
    model, _, pixels = made(name)
    lite = exported(name, recipe)
    report = debug_quantization(lite, reference=model, images=pixels[:2])
    # A tensor for each operation of the float file, at least.
    assert len(report.tensors) >= len(Graph(exported(name, "float32").content).operations)
    *_, last = report.tensors
    assert last.snr is not None
    assert last.snr > 5
    assert last.own_snr is not None
    assert last.own_snr > 20
    assert (last.part == "head") == (name != "maps")


def test_files_for_several_images_at_once_are_verified_and_looked_into() -> None:
    """Six photographs fill two batches of four only if the last two come once more; they count once."""
    model, folded, pixels = made("labels_and_embedding")
    ratios = []
    for batch_size in (1, 4):
        deploy = fuse(model, config=folded.config, batch_size=batch_size, tasks=TASKS_OF["labels_and_embedding"])
        lite = export(deploy, RECIPES["int8"], calibration=pixels[:12])
        assert lite.batch_size == batch_size
        report = verify(lite, reference=model, images=pixels[:6])
        assert report.measured["images"] == 6
        assert report.outputs is not None
        assert len(report.outputs.actual) == 6
        ratios.append(report.measured["outputs"])
        assert debug_quantization(lite, reference=model, images=pixels[:6]).images == 6
    alone, together = ratios
    for name, measured in alone.items():
        assert abs(together[name]["snr_db"] - measured["snr_db"]) < 1.5


@pytest.fixture(scope="module")
def splitting() -> tuple[keras.Model, DeployModel, Calibration]:
    """A head with an operation of two outputs, its deploy graph and its calibration."""
    pixels = pictures(8, SIZE, SIZE)
    backbone = SwiftFormerModel(ONE_STAGE)
    first, second = ops.split(layers.Conv2D(8, 1)(backbone.output), 2, axis=-1)
    outputs = {"first": first, "second": second, "mixed": layers.Conv2D(4, 1)(layers.ReLU()(second))}
    model = seeded(keras.Model(backbone.input, outputs), ONE_STAGE.transform.normalize(pixels))
    deploy = fuse(model, config=ONE_STAGE)
    return model, deploy, calibrate(deploy, pixels)


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8"])
def test_each_output_of_an_operation_is_looked_into(
    recipe: str, splitting: tuple[keras.Model, DeployModel, Calibration]
) -> None:
    model, deploy, calibration = splitting
    lite = export(deploy, RECIPES[recipe], calibration=calibration)
    report = debug_quantization(lite, reference=model, images=pictures(4, SIZE, SIZE))
    ratios = {each.name: each.snr for each in report.tensors if each.name in model.output}
    assert ratios.keys() == model.output.keys()
    assert all(ratio is not None and ratio > 8 for ratio in ratios.values())
    assert "SPLIT" in {op.name for op in Graph(lite.content).operations}


def test_speed_of_a_file_with_two_outputs(tmp_path: Path) -> None:
    exported("labels_and_embedding", "float32").save(tmp_path / "two.tflite")
    (measured,) = benchmark_files([tmp_path / "two.tflite"], repeats=2)
    assert measured.partitions == 1
    assert measured.timing.median > 0


def test_the_page_of_outputs_without_labels(tmp_path: Path) -> None:
    for name in ("labels_and_embedding", "maps"):
        _, deploy, pixels = made(name)
        lite = exported(name, "float32")
        report = verify(lite, reference=answered(name), images=pixels[:8])
        save_page(tmp_path / f"{name}.html", [(lite, report)], images=pixels[:8], command="here")
        page = (tmp_path / f"{name}.html").read_text()
        for output in deploy.named_outputs:
            assert f"snr of {output.name}" in page
            assert f"{output.name} ({' x '.join(map(str, output.shape[1:]))})" in page


def test_the_page_shows_the_output_that_failed(tmp_path: Path) -> None:
    model, _, pixels = made("labels_and_embedding")
    other = keras.models.clone_model(model)
    other.set_weights([each * (2 if each.shape == (20, 12) else 1) for each in model.get_weights()])
    lite = exported("labels_and_embedding", "float32")
    report = verify(lite, reference=other, images=pixels[:8])
    save_page(tmp_path / "page.html", [(lite, report)])
    failed, passed = (report.measured["outputs"][name]["snr_db"] for name in ("embedding", "labels"))
    assert report.least("snr_db") == failed < 10 < 100 < passed
    assert f'data-name="SNR, dB" class="failed"><span>{failed:.1f}<' in (tmp_path / "page.html").read_text()


def test_export_files_of_a_head(tmp_path: Path) -> None:
    model, deploy, pixels = made("labels_and_embedding")
    (exported,) = export_files(
        model,
        ["float32"],
        tmp_path,
        stem="two",
        config=deploy.config,
        tasks=TASKS_OF["labels_and_embedding"],
        images=pixels[:8],
    )
    assert {each.name: each.task for each in exported.model.outputs} == {
        "embedding": "features",
        "labels": "classification",
    }
    assert json.loads(exported.path.with_suffix(".json").read_text())["outputs"].keys() == {"embedding", "labels"}


def test_the_commands_take_a_head_from_its_file_to_its_speed(folder: Path, tmp_path: Path) -> None:
    photos, keras_file, files = folder / "photos", folder / "mine.keras", tmp_path / "files"
    words = ("export", keras_file, "-o", files, "--recipe", "float32", "--recipe", "int8", "--calibration", photos)
    # Random weights of a tiny width do not reach what is asked of trained ones in eight bits.
    printed(*words, "--task", "labels=classification", "--html", tmp_path / "page.html", code=1)
    assert "embedding" in (tmp_path / "page.html").read_text()
    lite = LiteModel.open(files / "mine_int8.tflite")
    assert {each.name: each.task for each in lite.outputs} == {"embedding": "features", "labels": "classification"}
    printed("verify", files / "mine_float32.tflite", "--reference", keras_file, "--images", photos, code=1)
    told = printed(
        "debug-quantization", files / "mine_int8.tflite", "--reference", keras_file, "--images", photos, "--json"
    )
    assert json.loads(told)["recipe"] == "int8"
    assert "mine_int8.tflite" in printed("benchmark", files / "mine_int8.tflite", "--repeats", 1)
    assert "variant non-standard depths 2 embed dims 20" in " ".join(printed("info", keras_file).split())
    facts = json.loads(printed("info", files / "mine_float32.tflite", "--json"))
    assert facts["outputs"] == {"embedding": "features 1 x 12", "labels": "classification 1 x 10"}
    assert (facts["metadata"]["output_name"], facts["metadata"]["label_file"]) == (
        ["embedding", "labels"],
        "labels.txt",
    )
    assert "embedding features 1 x 12, labels classification 1 x 10" in " ".join(
        printed("info", files / "mine_float32.tflite").split()
    )
    for command in (("predict", keras_file, *photos.iterdir()), ("evaluate", keras_file, photos)):
        said = " ".join(printed(*command, code=2).split())
        assert (
            "has a custom head, so the meaning of its outputs is unknown; export it with --task for its outputs" in said
        )
    refused = printed(*words, "--task", "labels", code=2)
    assert "labels: expected OUTPUT=TASK, such as scores=classification" in refused.replace("\n", " ")
    shutil.rmtree(files)
