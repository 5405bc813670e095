"""Whatever stands on the backbone: folded, converted, quantized and verified, or refused by name."""

import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.heads import CONFIG, HEADS, SIZE, TASKS_OF, head_config, seeded
from support.random_models import pictures, relative_error

from swiftformer_tf import (
    RECIPES,
    ConfigError,
    DeployModel,
    ExportError,
    LiteModel,
    ModelError,
    Recipe,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    export,
    fuse,
    verify,
)
from swiftformer_tf.exporting import Calibration, calibrate
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.verification import check_file, signal_to_noise

BOUND = 1e-5

# Least SNR in dB of any output of a tiny model with random weights, on its calibration pictures; a wrong scale leaves
# less than 5. Measured: 113, 47, 31, 14, 12 and 24 at least.
BOUNDS = {"float32": 100, "float16": 44, "dynamic_int8": 28, "mixed_int8": 9, "int8": 8, "int16x8": 20}


@functools.cache
def made(name: str) -> tuple[keras.Model, DeployModel, np.ndarray]:
    """A head, its deploy graph, and pictures uint8 (24, height, width, 3) that gave it its statistics."""
    model = HEADS[name]()
    config = head_config(model)
    pixels = pictures(24, *config.input_size)
    seeded(model, config.transform.normalize(pixels))
    return model, fuse(model, config=config, tasks=TASKS_OF.get(name)), pixels


@functools.cache
def calibrated(name: str) -> Calibration:
    _, deploy, pixels = made(name)
    return calibrate(deploy, pixels)


@pytest.mark.parametrize("name", HEADS)
def test_folded_is_unfolded(name: str) -> None:
    model, deploy, pixels = made(name)
    images = deploy.config.transform.normalize(pixels[:3])
    expected = keras.tree.flatten(model.predict_on_batch(images))
    actual = [keras.tree.flatten(deploy(image[None])) for image in images]
    assert len(expected) == len(deploy.named_outputs)
    for index, output in enumerate(deploy.named_outputs):
        found = np.concatenate([each[index] for each in actual])
        assert relative_error(found, expected[index]) < BOUND
        assert output.shape == (1, *found.shape[1:])
    kinds = {type(layer).__name__ for layer in deploy.layers}
    assert not kinds & {"Stem", "Downsample", "ConvEncoder", "Encoder", "LayerScale"}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", HEADS)
def test_every_recipe(name: str, recipe: str) -> None:
    model, deploy, pixels = made(name)
    lite = export(deploy, RECIPES[recipe], calibration=calibrated(name))
    report = verify(lite, reference=model, images=pixels[:8])
    measured = report.measured.get("outputs", {"": report.measured})
    assert min(each["snr_db"] for each in measured.values()) > BOUNDS[recipe]
    failed = {check.name.partition(" of ")[0] for check in report.checks if check.status != "passed"}
    assert failed <= {"snr", "agreement", "partitions"}  # whose thresholds are for trained models of full width
    if recipe in ("float32", "float16", "dynamic_int8"):
        assert report.measured["partitions"] == 1


def test_what_has_no_integers_is_refused_before_an_image_is_read() -> None:
    backbone = SwiftFormerModel(CONFIG)
    greatest, _ = ops.top_k(layers.GlobalAveragePooling2D()(backbone.output), 3)
    deploy = fuse(keras.Model(backbone.input, greatest), config=CONFIG)

    def images() -> Iterator[np.ndarray]:
        pytest.fail("an image was read")
        yield

    for recipe in ("int8", "int16x8"):
        with pytest.raises(
            ExportError, match=rf"^recipe {recipe}: TOPK_V2 \(.*\) has no form in int\d+; take mixed_int8"
        ):
            export(deploy, RECIPES[recipe], calibration=images())
    mixed = export(deploy, RECIPES["mixed_int8"], calibration=pictures(8, SIZE, SIZE))
    assert "TOPK_V2" in inspect_model(mixed).float_ops
    told = {check.name: check.status for check in check_file(mixed)[0]}
    assert told["integer"] == "passed"


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8"])
def test_several_images_at_once(recipe: str) -> None:
    """Of 10 pictures, the last two of three batches come once more."""
    model, _, pixels = made("labels_and_embedding")
    deploy = fuse(model, config=CONFIG, batch_size=4, tasks=TASKS_OF["labels_and_embedding"])
    lite = export(deploy, RECIPES[recipe], calibration=pixels[:10])
    images = CONFIG.transform.normalize(pixels[:4])
    expected, runner = model.predict_on_batch(images), LiteRunner(lite)
    for name, value in runner.run(images).items():
        assert value.shape == expected[name].shape
        snr = signal_to_noise(expected[name], value)
        assert snr is not None
        assert snr > BOUNDS[recipe]


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8"])
def test_the_mean_of_each_output_is_corrected(recipe: str) -> None:
    _, deploy, pixels = made("labels_and_embedding")
    images = deploy.config.transform.normalize(pixels)
    chosen = RECIPES[recipe]

    def means(recipe: Recipe) -> dict[str, np.ndarray]:
        runner = LiteRunner(export(deploy, recipe, calibration=calibrated("labels_and_embedding")))
        answers = [runner.run(image[None]) for image in images]
        return {name: np.mean([each[name] for each in answers], axis=0) for name in answers[0]}

    expected, corrected = means(RECIPES["float32"]), means(chosen)
    uncorrected = means(chosen.replace(correct_output_bias=False))
    for name, value in expected.items():
        assert np.abs(corrected[name] - value).max() < np.abs(uncorrected[name] - value).max() / 4


def test_outputs_are_told_by_the_file(tmp_path: Any) -> None:
    model, deploy, pixels = made("labels_and_embedding")
    export(deploy, RECIPES["float32"]).save(tmp_path / "renamed.bin")
    lite = LiteModel.open(tmp_path / "renamed.bin")
    told = [(each.name, each.shape, each.task) for each in lite.outputs]
    assert told == [("embedding", (1, 12), "features"), ("labels", (1, 10), "classification")]
    assert [each["name"] for each in lite.metadata["subgraph_metadata"][0]["output_tensor_metadata"]] == [
        "embedding",
        "labels",
    ]
    image = deploy.config.transform.normalize(pixels[:1])
    results = LiteRunner(lite).run(image)
    expected = model.predict_on_batch(image)
    for name, value in results.items():
        assert relative_error(value[None], expected[name]) < BOUND


def test_one_wrong_output_of_two_fails() -> None:
    model, deploy, pixels = made("labels_and_embedding")
    other = keras.models.clone_model(model)
    other.set_weights([each * (2 if each.shape == (20, 12) else 1) for each in model.get_weights()])
    report = verify(export(deploy, RECIPES["float32"]), reference=other, images=pixels[:8])
    assert {check.name for check in report.checks if check.status == "failed"} == {"snr of embedding"}


def test_a_deploy_graph_never_trains() -> None:
    """Keras puts batch normalizations behind a Resizing into training mode where nobody says otherwise."""
    model, deploy, pixels = made("resized")
    image = deploy.config.transform.normalize(pixels[:1])
    before = deploy.get_weights()
    assert relative_error(deploy(image, training=True), model.predict_on_batch(image)) < BOUND
    for mine, its in zip(deploy.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_preprocessing_inside_a_head_whose_picture_is_resized_first() -> None:
    model, deploy, pixels = made("resized")
    inside = fuse(model, config=deploy.config, tasks="classification", include_preprocessing=True)
    expected = model.predict_on_batch(deploy.config.transform.normalize(pixels[:1]))
    assert relative_error(inside(pixels[:1].astype(np.float32)), expected) < BOUND


def test_another_batch() -> None:
    model, _, pixels = made("embedding")
    deploy = fuse(model, config=CONFIG, batch_size=4)
    images = CONFIG.transform.normalize(pixels[:4])
    assert deploy.named_outputs[0].shape == (4, 16)
    assert relative_error(deploy(images), model.predict_on_batch(images)) < BOUND


@keras.saving.register_keras_serializable("tests")
class Wrapped(keras.layers.Layer):
    """A layer of a user's with a backbone inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = SwiftFormerModel(CONFIG)

    def call(self, inputs: Any) -> Any:
        return self.backbone(inputs)


class Subclassed(keras.Model):
    """A model without a graph."""

    def call(self, inputs: Any) -> Any:
        return inputs


def _on_image(function: Any) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, function(image))


def _two_pictures() -> keras.Model:
    images = [keras.Input((SIZE, SIZE, 3)) for _ in range(2)]
    backbone = SwiftFormerModel(CONFIG)
    return keras.Model(images, [backbone(each) for each in images])


def _half_a_block() -> keras.Model:
    attention = SwiftFormerModel(CONFIG).layers[-1].attn
    return _on_image(lambda image: attention(layers.Conv2D(20, 3)(image)))


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (
            lambda: _on_image(Wrapped(name="mine")),
            {},
            ModelError,
            r"mine \(Wrapped\) has a SwiftFormer inside \(",
        ),
        (lambda: Subclassed(name="loose"), {}, ModelError, r"loose is a subclassed model \(Subclassed\), which has no"),
        (_half_a_block, {}, ModelError, r"attn is a part of a block \(EfficientAdditiveAttention\); expected whole"),
        (
            _two_pictures,
            {},
            ModelError,
            r"64, 3\), \(None, 64, 64, 3\); expected one image",
        ),
        (lambda: _on_image(layers.Conv2D(2, 1)), {}, ModelError, "holds no block of a SwiftFormer"),
        (HEADS["gate"], {"config": None}, ModelError, r"no configuration, .*: config=backbone.config$"),
        (HEADS["gate"], {"tasks": "poetry"}, ConfigError, "unknown task 'poetry'; expected one of classification, "),
        (HEADS["gate"], {"tasks": {"x": "features"}}, ConfigError, "no output is called 'x'; expected one of "),
        (HEADS["resized"], {"image_size": 64}, ConfigError, r"image_size=64: the model is made for \(80, 72\) alone"),
        (
            HEADS["embedding"],
            {"tasks": "classification"},
            ConfigError,
            r"has the shape \(1, 16\), and there are 10",
        ),
        (HEADS["gate"], {"classifier_activation": "softmax"}, ConfigError, "expected a model with labels"),
    ],
)
def test_what_cannot_be_folded_is_named(make: Any, options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        fuse(make(), **{"config": CONFIG, **options})


def test_labels_are_an_argument() -> None:
    model = SwiftFormerForImageClassification(CONFIG)
    names = [f"kind {index}" for index in range(10)]
    assert fuse(model, labels=names).config.labels == tuple(names)
    assert model.config.labels != tuple(names)
