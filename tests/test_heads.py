"""Whatever stands on the backbone: folded, converted, quantized and verified."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.heads import HEADS, ONE_STAGE, SIZE, TASKS_OF, answered, calibrated, exported, made
from support.random_models import pictures, relative_error
from support.small_graphs import activations, answers, with_other_scale

from swiftformer_tf import (
    RECIPES,
    ExportError,
    LiteModel,
    Recipe,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    export,
    fuse,
    verify,
)
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.litert.ops import CASTS, SAME_SCALE
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.quantization import Graph
from swiftformer_tf.verification import check_file, signal_to_noise

BOUND = 1e-5

# Least SNR in dB of floats: sums of float32 in another order leave 113 to 128, by the head and the processor's kernels.
FLOATS = 106

# Least SNR in dB of any output, by the recipes in the order of `RECIPES`: what was measured, docs/results/heads.md,
# less two. The heads' models are tiny and have random weights; a wrong scale in a head leaves less, see below.
LEAST: dict[str, tuple[int, ...]] = {
    "several_labels": (FLOATS, 53, 41, 26, 30, 18, 17, 38),
    "regression": (FLOATS, 55, 44, 28, 32, 15, 15, 35),
    "embedding": (FLOATS, 51, 30, 19, 16, 10, 10, 32),
    "labels_and_embedding": (FLOATS, 49, 42, 23, 24, 19, 19, 27),
    "all_mlp": (FLOATS, 48, 35, 18, 15, 11, 12, 26),
    "fpn": (FLOATS, 46, 33, 18, 13, 10, 11, 24),
    "transposed": (FLOATS, 53, 31, 21, 18, 15, 15, 32),
    "gate": (FLOATS, 53, 32, 23, 20, 18, 18, 33),
    "slices": (FLOATS, 50, FLOATS, FLOATS, 19, 16, 16, 26),
    "siamese": (FLOATS, 56, 45, 23, 30, 22, 21, 40),
    "resized": (FLOATS, 61, 43, 29, 36, 22, 21, 39),
    "flipped": (FLOATS, 60, 45, 28, 35, 21, 21, 39),
    "cropped": (FLOATS, 58, 44, 25, 35, 23, 23, 39),
    "nested": (FLOATS, 59, 48, 30, 32, 25, 24, 41),
    "maps": (FLOATS, 48, 31, 17, 16, 11, 12, 26),
}

# Most XNNPACK partitions by the recipes in their order, where they are not these: a cast between an integer selection
# and what is float in the backbone, a second picture, a softmax in bytes, more stages.
PARTITIONS = (1, 1, 1, 1, 1, 5, 6, 0)
OTHER_PARTITIONS = {
    "labels_and_embedding": (1, 1, 1, 1, 1, 9, 10, 0),
    **dict.fromkeys(("all_mlp", "fpn", "maps"), (1, 1, 1, 1, 1, 17, 19, 0)),
    "slices": (1, 1, 1, 1, 2, 6, 7, 0),
    **dict.fromkeys(("siamese", "nested"), (1, 1, 1, 1, 1, 6, 7, 0)),
}

# What heads leave in float in `mixed_int8`, beside the backbone's own.
BACKBONE = {"ADD", "DEPTHWISE_CONV_2D", "GELU", "MAXIMUM", "MEAN", "MUL", "RSQRT"}
FLOAT: dict[str, set[str]] = {
    "several_labels": {"FULLY_CONNECTED", "RESHAPE"},
    "nested": {"FULLY_CONNECTED", "SOFTMAX"},
    "regression": {"FULLY_CONNECTED"},
    "fpn": {"RESHAPE"},
    "all_mlp": {"FULLY_CONNECTED", "RESIZE_BILINEAR"},
    "gate": {"FULLY_CONNECTED"},
    "maps": {"FULLY_CONNECTED"},
    **{
        name: {"FULLY_CONNECTED", "RESHAPE"}
        for name in ("embedding", "labels_and_embedding", "siamese", "resized", "flipped", "cropped")
    },
}


def least(name: str, recipe: str) -> int:
    return LEAST[name][list(RECIPES).index(recipe)]


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
    lite, (*_, pixels) = exported(name, recipe), made(name)
    report = verify(lite, reference=answered(name), images=pixels[:8])
    measured = report.measured.get("outputs", {"": report.measured})
    assert min(each["snr_db"] for each in measured.values()) > least(name, recipe)
    failed = {check.name.partition(" of ")[0] for check in report.checks if check.status != "passed"}
    assert failed <= {
        "snr",
        "cosine",
        "agreement",
        "partitions",
    }  # whose thresholds are for trained models of full width
    assert report.measured["partitions"] <= OTHER_PARTITIONS.get(name, PARTITIONS)[list(RECIPES).index(recipe)]
    inspection, of_pixels = inspect_model(lite), RECIPES[recipe].float_pixels
    behind = tuple(op for op in inspection.ops if not (of_pixels and op.is_first))
    floats = set(dataclasses.replace(inspection, ops=behind).float_ops) - BACKBONE
    if RECIPES[recipe].activations != "float32":
        assert floats == (FLOAT.get(name, set()) if recipe == "mixed_int8" else set())


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8", "static_int8", "int16x8"])
@pytest.mark.parametrize("name", ["transposed", "fpn", "gate"])
def test_a_wrong_scale_fails(name: str, recipe: str) -> None:
    """A scale of a head's own tensor that is an eighth of what it is to be: values saturate."""
    model, deploy, pixels = made(name)
    lite = exported(name, recipe)
    graph = Graph(lite.content)
    made_by = {op.outputs[0]: op.name for op in graph.operations}
    tensors = [
        each
        for each in activations(lite.content)
        if made_by[each] not in (*SAME_SCALE, *CASTS) and not graph.label(each).startswith(("stages", "stem"))
    ]
    images = deploy.config.transform.normalize(pixels[:8])[:, None]
    expected, compared = model.predict_on_batch(images[:, 0]), 0
    for tensor in tensors:
        content = with_other_scale(lite.content, tensor, 1 / 8)
        try:
            snr = signal_to_noise(expected, answers(content, images)[:, 0])
        except RuntimeError:  # LiteRT fixes the scale, or it has to be that of another tensor
            continue
        compared += 1
        assert snr is not None
        assert snr < least(name, recipe), graph.label(tensor)
    assert compared > 0


@pytest.mark.parametrize("name", ["resized", "flipped", "cropped"])
def test_nothing_is_assigned_behind_a_layer_that_augments(name: str) -> None:
    """`predict`, the folded graph and the file agree (above), and none of them moves a mean."""
    model, deploy, pixels = made(name)
    image = deploy.config.transform.normalize(pixels[:1])
    before = [each.copy() for each in (*model.get_weights(), *deploy.get_weights())]
    expected = model.predict_on_batch(image)
    lite = exported(name, "float32")
    assert relative_error(deploy(image), expected) < BOUND
    assert relative_error(LiteRunner(lite)(image)[None], expected) < BOUND
    for mine, its in zip((*model.get_weights(), *deploy.get_weights()), before, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert not {"ASSIGN_VARIABLE", "READ_VARIABLE"} & set(inspect_model(lite).counts)


def test_what_has_no_integers_is_refused_before_an_image_is_read() -> None:
    backbone = SwiftFormerModel(ONE_STAGE)
    greatest, _ = ops.top_k(layers.GlobalAveragePooling2D()(backbone.output), 3)
    deploy = fuse(keras.Model(backbone.input, greatest), config=ONE_STAGE)

    def images() -> Iterator[np.ndarray]:
        pytest.fail("an image was read")
        yield

    for recipe in ("int8", "int16x8"):
        with pytest.raises(
            ExportError, match=rf"^recipe {recipe}: TOPK_V2 \(.*\) is not supported in int\d+; use mixed_int8"
        ):
            export(deploy, RECIPES[recipe], calibration=images())
    mixed = export(deploy, RECIPES["mixed_int8"], calibration=pictures(8, SIZE, SIZE))
    assert "TOPK_V2" in inspect_model(mixed).float_ops
    told = {check.name: check.status for check in check_file(mixed)[0]}
    assert told["integer"] == "passed"


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8"])
def test_several_images_at_once(recipe: str) -> None:
    """Of 10 pictures, the last two of three batches come once more: as good as one at a time."""
    model, folded, pixels = made("labels_and_embedding")
    config = folded.config
    images = config.transform.normalize(pixels[: len(pixels) // 4 * 4])
    expected = model.predict_on_batch(images)
    ratios = []
    for batch_size in (1, 4):
        deploy = fuse(model, config=config, batch_size=batch_size, tasks=TASKS_OF["labels_and_embedding"])
        runner = LiteRunner(export(deploy, RECIPES[recipe], calibration=pixels[:10]))
        answers = [runner.run(batch) for batch in np.split(images, len(images) // batch_size)]
        values = {name: np.stack([each[name] for each in answers]).reshape(expected[name].shape) for name in expected}
        ratios.append({name: signal_to_noise(expected[name], value) or 0.0 for name, value in values.items()})
    alone, together = ratios
    assert all(together[name] > alone[name] - 1 for name in expected), ratios


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
    exported("labels_and_embedding", "float32").save(tmp_path / "renamed.bin")
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
    model, _, pixels = made("labels_and_embedding")
    other = keras.models.clone_model(model)
    other.set_weights([each * (2 if each.shape == (20, 12) else 1) for each in model.get_weights()])
    report = verify(exported("labels_and_embedding", "float32"), reference=other, images=pixels[:8])
    assert {check.name for check in report.checks if check.status == "failed"} == {"snr of embedding"}
    figures = report.measured["outputs"]
    assert figures.keys() == {"embedding", "labels"}
    assert figures["embedding"]["snr_db"] < 10 < RECIPES["float32"].min_snr < figures["labels"]["snr_db"]
    # Those of the main output are the file's.
    assert report.measured["snr_db"] == figures["labels"]["snr_db"]
    assert report.least("snr_db") == figures["embedding"]["snr_db"]


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
    deploy = fuse(model, config=ONE_STAGE, batch_size=4)
    images = ONE_STAGE.transform.normalize(pixels[:4])
    assert deploy.named_outputs[0].shape == (4, 16)
    assert relative_error(deploy(images), model.predict_on_batch(images)) < BOUND


def test_labels_are_an_argument() -> None:
    model = SwiftFormerForImageClassification(ONE_STAGE)
    names = [f"kind {index}" for index in range(10)]
    assert fuse(model, labels=names).config.labels == tuple(names)
    assert model.config.labels != tuple(names)
