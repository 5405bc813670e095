"""Channels without weights, images that are all the same, many images, numbers that are none."""

from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import TWO_STAGES, pictures, seeded_model, tiny_config
from support.small_graphs import answers, converted

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    ExportError,
    ImageError,
    LiteModel,
    LiteRunner,
    SwiftFormerForImageClassification,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, measure, operation_precisions, ranges, rewrite
from swiftformer_tf.quantization.rounding import round_weights
from swiftformer_tf.verification import check_file, signal_to_noise

BIASES = np.array([3, -3, 1, -1], np.float32)


def fading(shape: Any, dtype: Any = None) -> Any:
    """Weights of four outputs: of the usual size, little, next to nothing, nothing."""
    factors = np.array([1, 1e-4, 1e-9, 0], np.float32)
    values = keras.random.normal(shape, dtype=dtype, seed=0)
    # Depthwise kernels have their channels last but one.
    return values * (factors if shape[-1] == 4 else factors[:, None])


@pytest.mark.parametrize("recipe", ["dynamic_int4", "mixed_int8", "int8", "static_int8", "int16x8"])
@pytest.mark.parametrize("layer", ["dense", "depthwise"])
def test_a_channel_without_weights_keeps_its_bias(recipe: str, layer: str) -> None:
    bias = keras.initializers.Constant(BIASES)
    made = {
        "dense": keras.layers.Conv2D(4, 1, kernel_initializer=fading, bias_initializer=bias),
        "depthwise": keras.layers.DepthwiseConv2D(3, depthwise_initializer=fading, bias_initializer=bias),
    }[layer]
    # A last matrix after it, which some recipes compute in another way.
    identity = keras.layers.Conv2D(4, 1, kernel_initializer=keras.initializers.Constant(np.eye(4)[None, None]))
    content = converted(lambda source: identity(made(source)), 6, 6, 4)
    images = np.random.default_rng(0).normal(size=(8, 1, 6, 6, 4)).astype(np.float32)
    graph = Graph(content)
    with native_stderr_silenced():
        statistics = measure(graph, images)
    found = answers(rewrite(graph, operation_precisions(graph, RECIPES[recipe]), RECIPES[recipe], statistics), images)
    wanted = answers(content, images)
    assert np.abs(wanted[..., 1:] - BIASES[1:]).max() < 0.01
    assert np.abs(found - BIASES)[..., 1:].max() < 0.06
    assert np.abs(found - wanted).max() < 0.2


@pytest.fixture(scope="module")
def pruned() -> tuple[DeployModel, Calibration, np.ndarray, np.ndarray]:
    """A model of which every fourth channel is constant, pictures, and what it says of them."""
    pictured = pictures(32, 64, 64)
    config = tiny_config(**TWO_STAGES | {"embed_dims": (8, 36)})
    inputs = config.transform.normalize(pictured)
    model = seeded_model(config, inputs)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, *rest = layer.get_weights()
            gamma[::4], beta[::4] = 0, 0.5
            layer.set_weights([gamma, beta, *rest])
    deploy = fuse(model)
    return deploy, calibrate(deploy, pictured), inputs, model.predict(inputs, verbose=0).astype(np.float64)


@pytest.mark.parametrize("recipe", ["dynamic_int4", "mixed_int8", "int8", "static_int8", "int16x8"])
def test_pruned_channels_do_no_harm(
    recipe: str, pruned: tuple[DeployModel, Calibration, np.ndarray, np.ndarray]
) -> None:
    deploy, calibration, inputs, expected = pruned
    runner = LiteRunner(export(deploy, RECIPES[recipe], calibration=calibration))
    ratio = signal_to_noise(expected, np.stack([runner(each[None]) for each in inputs]).astype(np.float64))
    assert ratio is not None
    assert ratio > 15


def test_inputs_that_never_vary_are_no_obstacle() -> None:
    """Their covariance is nothing but the errors of sums, here a negative one."""
    moments = np.ones((1, 5, 5))
    moments[0, 0, 0] -= 1e-3
    weights = np.random.default_rng(0).normal(size=(1, 4, 3))
    integers, scale, shift = round_weights(weights, moments)
    np.testing.assert_allclose(integers * scale, weights, atol=float(scale.max()))
    assert np.isfinite(shift).all()


@pytest.fixture(scope="module")
def alike(deploy: DeployModel) -> Calibration:
    return calibrate(deploy, np.zeros((2, *deploy.config.input_size, 3), np.uint8))


@pytest.mark.parametrize("recipe", ["mixed_int8", "int16x8"])
def test_images_that_are_all_the_same_are_taken(deploy: DeployModel, alike: Calibration, recipe: str) -> None:
    assert export(deploy, RECIPES[recipe], calibration=alike).content


def test_memory_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "SAMPLED_IMAGES", 4)
    monkeypatch.setattr(ranges, "IMAGES_PER_PRODUCT", 3)
    content = converted(keras.layers.Conv2D(4, 1), 2, 2, 4)
    graph = Graph(content)
    images = np.arange(11, dtype=np.float32)[:, None, None, None, None] * np.ones((11, 1, 2, 2, 4), np.float32)
    with native_stderr_silenced():
        statistics = measure(graph, images, kept=4)
    (source,) = graph.inputs
    assert np.unique(statistics.pixels[source]).tolist() == [0, 4, 8]
    assert [float(image.max()) for image in statistics.images] == [0, 4, 8]
    # Ranges and moments are of all.
    assert statistics.high[source].tolist() == [10] * 4
    assert statistics.moments[graph.outputs[0]][0, 0, -1] == pytest.approx(5)
    assert statistics.moments[graph.outputs[0]][0, 0, 0] == pytest.approx(35)  # mean of 0, 1, 4, ... 100
    (outputs,) = statistics.outputs.values()
    assert (outputs.dtype, outputs.shape) == (np.float64, (4,))
    np.testing.assert_allclose(outputs, answers(content, images[::4]).mean(axis=(0, 1, 2, 3)), rtol=1e-6)


def test_few_pixels_are_all_sampled() -> None:
    graph = Graph(converted(keras.layers.Conv2D(2, 1), 3, 5, 1))
    image = np.random.default_rng(0).permutation(15).astype(np.float32).reshape(1, 3, 5, 1)
    with native_stderr_silenced():
        statistics = measure(graph, [image])
    np.testing.assert_array_equal(statistics.pixels[graph.inputs[0]], image.reshape(-1, 1))


@pytest.mark.parametrize("options", [{"padding": "same", "strides": 2}, {"dilation_rate": (1, 2)}, {"padding": "same"}])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (2, 5)])
def test_moments_are_those_of_patches(options: dict[str, Any], kernel: tuple[int, int]) -> None:
    """TensorFlow's own patches, rows and columns of other lengths, padding that is odd or none."""
    import tensorflow as tf

    graph = Graph(converted(keras.layers.Conv2D(2, kernel, **options), 7, 10, 3))
    image = np.random.default_rng(0).normal(size=(1, 7, 10, 3)).astype(np.float32)
    with native_stderr_silenced():
        statistics = measure(graph, [image])
    stride, rates = options.get("strides", 1), options.get("dilation_rate", (1, 1))
    padding = options.get("padding", "valid").upper()
    patches = tf.image.extract_patches(image, (1, *kernel, 1), (1, stride, stride, 1), (1, *rates, 1), padding).numpy()
    rows = np.pad(patches.reshape(-1, patches.shape[-1]).astype(np.float64), ((0, 0), (0, 1)), constant_values=1)
    moments = next(each for tensor, each in statistics.moments.items() if tensor in graph.outputs)
    np.testing.assert_allclose(moments, (rows.T @ rows / len(rows))[None], atol=1e-5)


def test_moments_of_a_dense_layer_are_those_of_its_rows() -> None:
    graph = Graph(converted(keras.layers.Dense(2), 6))
    rows = np.random.default_rng(0).normal(size=(5, 1, 6)).astype(np.float32)
    with native_stderr_silenced():
        statistics = measure(graph, rows)
    (moments,) = statistics.moments.values()
    with_one = np.pad(rows[:, 0].astype(np.float64), ((0, 0), (0, 1)), constant_values=1)
    np.testing.assert_allclose(moments, (with_one.T @ with_one / 5)[None], atol=1e-5)


def test_numbers_that_are_none_are_named(deploy: DeployModel, model: SwiftFormerForImageClassification) -> None:
    images = np.zeros((2, *deploy.config.input_size, 3), np.float32)
    images[1, 0, 0, 0] = np.nan
    with pytest.raises(ImageError, match=r"an image with values that are not finite: expected pixels; leave it out"):
        export(deploy, RECIPES["dynamic_int8"], calibration=images)
    broken = fuse(model)
    kernel, bias = broken.get_layer("head").get_weights()
    broken.get_layer("head").set_weights([kernel * np.inf, bias])
    with pytest.raises(ExportError, match=r"the weights of head are not finite: train the model again"):
        export(broken, RECIPES["float32"])


def test_a_matrix_of_numbers_that_are_none_is_an_error_with_a_cure() -> None:
    with pytest.raises(
        ExportError, match=r"the inputs of a matrix are not finite .*; use other images or another model"
    ):
        round_weights(np.ones((1, 4, 3)), np.full((1, 5, 5), np.nan))


def test_a_model_without_a_large_matrix_has_nothing_to_store_in_int8() -> None:
    config = tiny_config(image_size=32, depths=(1,), embed_dims=(8,), downsamples=(True,))
    lite: LiteModel = export(fuse(SwiftFormerForImageClassification(config)), RECIPES["dynamic_int8"])
    checks, _ = check_file(lite)
    assert {check.name: check.status for check in checks}["weights"] == "passed"
