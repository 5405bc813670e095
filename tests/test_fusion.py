"""The deploy graph computes what the classifier does, in fewer operations and with static shapes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.architectures import architectures
from support.random_models import (
    LABELS,
    TWO_STAGES,
    pictures,
    random_classifier,
    random_images,
    randomized,
    relative_error,
    tiny_config,
)
from support.small_graphs import max_rank

from swiftformer_tf import (
    RECIPES,
    VARIANTS,
    ConfigError,
    DeployModel,
    LiteModel,
    LiteRunner,
    ModelError,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    Transform,
    export,
    fuse,
)
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.tasks import Output

BOUND = 1e-5

CASES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "l2": ({**VARIANTS["tiny"], "downsamples": (True,) * 4}, (64, 64)),
    "uniform": ({"token_weights": "uniform"}, (64, 64)),
    "l2, not square": ({}, (32, 96)),
    "uniform, odd": ({"token_weights": "uniform"}, (95, 33)),
    "l2, odd": ({}, (45, 71)),
    "one pixel": ({}, (1, 1)),
    "one head": ({"distillation": False}, (64, 64)),
    "no labels": ({"id2label": {}}, (64, 64)),
    "one label": ({"id2label": {0: "a"}}, (32, 32)),
    "no layer scale": ({"use_layer_scale": False}, (64, 64)),
    "no downsampling": ({"depths": (1, 1, 1), "embed_dims": (8, 8, 8), "downsamples": (False, False, True)}, (32, 32)),
    "other kernel": ({"down_patch_size": 5, "down_stride": 3, "down_pad": 2}, (64, 64)),
    "no padding": ({"down_patch_size": 2, "down_pad": 0}, (64, 64)),
    "relu, ratio, epsilon": ({"hidden_act": "relu", "mlp_ratio": 2.5, "batch_norm_eps": 1e-3}, (32, 32)),
    "gray": ({"num_channels": 1, "transform": Transform(mean=(0.4,), std=(0.2,))}, (32, 32)),
}


def classifier(**fields: Any) -> SwiftFormerForImageClassification:
    """Two stages with random weights, where nothing else is asked for."""
    return random_classifier(**{**TWO_STAGES, **fields})


@pytest.mark.parametrize("case", CASES)
def test_the_same_function(case: str) -> None:
    fields, (height, width) = CASES[case]
    model = classifier(**fields)
    image = random_images(1, height, width, model.config.num_channels)
    assert relative_error(fuse(model, image_size=(height, width))(image), model(image)) < BOUND


@settings(max_examples=8)
@given(
    config=architectures(max_stages=3, max_depth=2, widths=(4, 6)),
    seed=st.integers(0, 99),
    height=st.integers(1, 80),
    width=st.integers(1, 80),
)
def test_the_same_function_for_whatever_architecture_and_size(
    config: SwiftFormerConfig, seed: int, height: int, width: int
) -> None:
    model = randomized(SwiftFormerForImageClassification(config), seed)
    image = random_images(1, height, width, config.num_channels, seed=seed)
    assert relative_error(fuse(model, image_size=(height, width))(image), model(image)) < 2 * BOUND


def test_the_wrong_attention_type_would_be_noticed() -> None:
    """The control of the tests above: the weights are such that the two attention types differ."""
    model = classifier()
    other = SwiftFormerForImageClassification(model.config.replace(token_weights="uniform"))
    for variable in other.weights:
        variable.assign({each.path: each for each in model.weights}[variable.path])
    image = random_images(1, 64, 64, 3)
    assert relative_error(fuse(other)(image), model(image)) > 1000 * BOUND


def test_the_graph_is_bound_to_its_size() -> None:
    """The number of tokens is in the matrices: another size needs another graph, even with the same weights."""
    model, image = classifier(), random_images(1, 32, 32, 3)
    small, large = fuse(model, image_size=32), fuse(model, image_size=64)
    wrong = fuse(model, image_size=32)
    wrong.set_weights(large.get_weights())
    assert relative_error(small(image), model(image)) < BOUND
    assert relative_error(wrong(image), model(image)) > 1e-3


@pytest.mark.parametrize("size", [(64, 64), (37, 51)])
def test_normalization_inside(size: tuple[int, int]) -> None:
    model = classifier(image_size=size)
    pixels = pictures(1, *size)
    fused = fuse(model, include_preprocessing=True)
    expected = model(model.config.transform.normalize(pixels))
    assert relative_error(fused(pixels.astype(np.float32)), expected) < BOUND


def test_the_mean_in_the_bias_would_be_wrong_along_the_border() -> None:
    """The stem pads with zeros after normalization, so what is folded away before it must not move the zero."""
    model = classifier()
    transform, pixels = model.config.transform, pictures(1, 64, 64).astype(np.float32)
    inside = fuse(model, include_preprocessing=True)
    outside = fuse(model)
    first = keras.Model(outside.input, outside.get_layer("stem-0").output)
    expected = np.asarray(first(transform.normalize(pixels)))

    right = keras.Model(inside.input, inside.get_layer("stem-0").output)(pixels)
    assert relative_error(right, expected) < BOUND

    kernel, bias = outside.get_layer("stem-0").get_weights()
    scaled = kernel / (255 * np.array(transform.std))[:, None]
    shift = np.tensordot(255 * np.array(transform.mean), scaled.sum(axis=(0, 1)), 1)
    first.get_layer("stem-0").set_weights([scaled, bias - shift])
    naive = np.asarray(first(pixels))
    error = np.abs(naive - expected).max(axis=(0, 3))
    assert error[1:, 1:].max() < 1e-4 * np.abs(expected).max()
    assert min(error[0].min(), error[:, 0].min()) > 1e-2 * np.abs(expected).max()


def test_probabilities() -> None:
    model, image = classifier(), random_images(1, 64, 64, 3)
    outputs = np.asarray(fuse(model, classifier_activation="softmax")(image), np.float64)
    logits = np.asarray(model(image), np.float64)
    np.testing.assert_allclose(outputs, np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)
    assert outputs.sum() == pytest.approx(1, abs=1e-6)


def test_tiny_tokens_meet_pytorchs_clamp() -> None:
    """Below a norm of 1e-12 a token is not brought to length one; a clamp elsewhere would answer otherwise."""
    model = classifier()
    for stage, depth in enumerate(model.config.depths):
        attention = model.get_layer(f"stages-{stage}-blocks-{depth - 1}").attn
        for name in ("to_query", "to_key"):
            layer = getattr(attention, name)
            layer.set_weights([array * 1e-13 for array in layer.get_weights()])
    image = random_images(1, 64, 64, 3)
    assert relative_error(fuse(model)(image), model(image)) < BOUND


def test_the_input_model_is_untouched() -> None:
    model, image = classifier(), random_images(1, 64, 64, 3)
    weights, config, before = model.get_weights(), model.get_config(), np.asarray(model(image))
    fused = fuse(model, image_size=32, include_preprocessing=True)
    fused.set_weights([np.zeros_like(array) for array in fused.get_weights()])
    assert model.get_config() == config
    for mine, its in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, its)
    np.testing.assert_array_equal(model(image), before)


def test_both_heads_are_two_outputs() -> None:
    model, image = classifier(), random_images(1, 64, 64, 3)
    student = SwiftFormerForImageClassification(model.config, outputs="heads", share_layers_with=model)
    deploy = fuse(student)
    assert [(each.name, each.task) for each in deploy.named_outputs] == [
        ("head", "classification"),
        ("head_dist", "classification"),
    ]
    heads = [np.asarray(each) for each in deploy(image)]
    assert max(relative_error(*each) for each in zip(heads, student(image), strict=True)) < BOUND
    assert relative_error(np.mean(heads, axis=0), fuse(model)(image)) < BOUND


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_static_shapes_batch_one_and_four_dimensions(token_weights: str) -> None:
    fused = fuse(classifier(token_weights=token_weights), image_size=(64, 96), include_preprocessing=True)
    assert fused.input_shape == (1, 64, 96, 3)
    assert fused.output_shape == (1, 10)
    shapes = [tensor.shape for operation in fused.operations for tensor in keras.tree.flatten(operation.output)]
    assert all(None not in shape for shape in shapes)
    assert {len(shape) for shape in shapes[:-1]} == {4}
    assert fused.name == "swiftformer_deploy"
    assert [tensor.name for tensor in fused.inputs] == ["image"]


def unfused(model: SwiftFormerForImageClassification) -> LiteModel:
    """The classifier itself through the converter, at batch 1, its variables made constants as `export` does."""
    import tensorflow as tf

    size = (1, *model.config.input_size, model.config.num_channels)
    states = [[each.numpy() for each in kind] for kind in (model.trainable_variables, model.non_trainable_variables)]
    function = tf.function(
        lambda image: model.stateless_call(*states, image, training=False)[0],
        input_signature=[tf.TensorSpec(size, tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], tf.Module())
    outputs = (Output("logits", (1, 10), "classification"),)
    return LiteModel.pack(converter.convert(), config=model.config, recipe=RECIPES["float32"], outputs=outputs)


def test_fewer_layers_and_fewer_pieces_than_the_model_itself() -> None:
    """Counted in the file, the fused graph has more operations: the converter folds normalizations by itself too, and
    turns L2 norms into an operation that XNNPACK does not take. What fusing gains there is one piece instead of five.
    """
    model = classifier()
    deploy = fuse(model)
    assert deploy.count_params() < model.count_params()
    before, after = unfused(model), export(deploy, RECIPES["float32"])
    assert LiteRunner(before).partitions > 1
    assert LiteRunner(after).partitions == 1
    assert inspect_model(before).counts["L2_NORMALIZATION"] == 2 * len(model.config.depths)
    assert "L2_NORMALIZATION" not in inspect_model(after).counts
    dense = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    matrices = [sum(inspect_model(each).counts.get(kind, 0) for kind in dense) for each in (before, after)]
    assert matrices[1] <= matrices[0] + 1
    assert max_rank(after) == 4


def test_no_normalization_and_no_layer_scale_is_left() -> None:
    fused = fuse(classifier())
    kinds = {type(layer).__name__ for layer in fused.layers}
    assert not kinds & {"BatchNormalization", "LayerScale", "Dropout", "ConvEncoder", "Encoder"}


def test_every_weight_is_written() -> None:
    """A layer that folding forgot would keep its initial zeros in the bias."""
    fused = fuse(classifier())
    assert all(np.any(np.asarray(variable)) for variable in fused.weights)


def test_saved_and_loaded(tmp_path: Path) -> None:
    fused = fuse(classifier(), image_size=(32, 64), include_preprocessing=True, classifier_activation="softmax")
    fused.save(tmp_path / "deploy.keras")
    loaded = keras.models.load_model(tmp_path / "deploy.keras")
    assert type(loaded) is DeployModel
    assert (loaded.config, loaded.include_preprocessing, loaded.named_outputs) == (
        fused.config,
        True,
        (Output("probabilities", (1, 10), "classification", "softmax"),),
    )
    image = pictures(1, 32, 64).astype(np.float32)
    np.testing.assert_array_equal(loaded(image), fused(image))


def test_the_config_takes_the_size_of_the_graph() -> None:
    fused = fuse(classifier(), image_size=(32, 96))
    assert fused.config.input_size == (32, 96)
    assert fused.config.transform.size == (32, 96)
    assert fused.config.labels == tuple(LABELS.values())


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((48, 80), (48, 80)), ((None, None), (64, 64)), ((None, 80), (64, 64)), ((48, None), (64, 64))],
)
def test_the_size_is_that_of_the_input_or_else_of_the_configuration(shape: Any, expected: tuple[int, int]) -> None:
    """A side that is open says nothing: the configuration has both."""
    config = tiny_config(image_size=64, **TWO_STAGES)
    image = keras.Input((*shape, 3))
    model = keras.Model(image, SwiftFormerForImageClassification(config)(image))
    assert fuse(model, config=config, tasks="classification").config.input_size == expected


@pytest.mark.parametrize("size", [(48, 80), [48, 80]])
def test_the_size_that_a_model_is_made_for_may_be_said(size: Any) -> None:
    config = tiny_config(image_size=64, **TWO_STAGES)
    image = keras.Input((48, 80, 3))
    model = keras.Model(image, SwiftFormerForImageClassification(config)(image))
    assert fuse(model, config=config, image_size=size).input_shape == (1, 48, 80, 3)
    for other in (48, 80, (80, 48)):
        with pytest.raises(ConfigError, match=r"the model was built for \(48, 80\) only"):
            fuse(model, config=config, image_size=other)


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (lambda: "model.keras", {}, ModelError, "^fuse: expected a functional keras.Model, not a str$"),
        (classifier, {"image_size": 0}, ConfigError, "^image_size=0: expected a positive int"),
        (
            classifier,
            {"classifier_activation": "sigmoid"},
            ConfigError,
            "classifier_activation='sigmoid': expected 'softmax' or None",
        ),
        (
            lambda: classifier(id2label={}),
            {"classifier_activation": "softmax"},
            ConfigError,
            "expected a model with labels, but this one has none",
        ),
        (
            classifier,
            {"include_preprocessing": True, "config": tiny_config(num_channels=4)},
            ModelError,
            "transform.mean has 4 entries for 3 channels",
        ),
    ],
)
def test_what_cannot_be_fused_is_refused(
    make: Callable[[], Any], options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        fuse(make(), **options)


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_a_real_variant(token_weights: Any) -> None:
    config = SwiftFormerConfig.from_variant("xs", image_size=(96, 64), token_weights=token_weights)
    model = randomized(SwiftFormerForImageClassification(config))
    image = random_images(1, 96, 64, 3)
    assert relative_error(fuse(model)(image), model(image)) < BOUND
