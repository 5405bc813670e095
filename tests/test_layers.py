"""The blocks against plain NumPy in float64, and what only training does."""

import ast
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import random_images, randomized, relative_error

from swiftformer_tf import SwiftFormerConfig, SwiftFormerModel, layers
from swiftformer_tf.layers import (
    ConvEncoder,
    Downsample,
    EfficientAdditiveAttention,
    Encoder,
    LayerScale,
    LocalRepresentation,
    Mlp,
    Stem,
)

ERF = np.vectorize(math.erf)


def built(layer: Any, shape: tuple[int | None, ...], seed: int = 0) -> Any:
    layer.build(shape)
    return randomized(layer, seed)


def weights(layer: Any) -> list[np.ndarray]:
    return [np.asarray(array, np.float64) for array in layer.get_weights()]


# Oracles: loops and sums over the formulas, nothing of Keras.


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + ERF(x / math.sqrt(2))) / 2


def convolved(x: np.ndarray, layer: Any, *, strides: int = 1, padding: int = 0, depthwise: bool = False) -> np.ndarray:
    """PyTorch's convolution: the same padding on every side, output size rounded down."""
    kernel, bias = weights(layer)
    size = kernel.shape[0]
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    height, width = ((n - size) // strides + 1 for n in x.shape[1:3])
    total = np.zeros((len(x), height, width, len(bias)))
    for row in range(size):
        for column in range(size):
            window = x[:, row : row + strides * height : strides, column : column + strides * width : strides]
            window = window[:, :height, :width]
            tap = kernel[row, column]
            total += window * tap[:, 0] if depthwise else window @ tap
    return total + bias


def normed(x: np.ndarray, layer: Any) -> np.ndarray:
    gamma, beta, mean, variance = weights(layer)
    return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta


def conv_encoder(x: np.ndarray, layer: Any) -> np.ndarray:
    hidden = normed(convolved(x, layer.dwconv, padding=1, depthwise=True), layer.norm)
    hidden = convolved(gelu(convolved(hidden, layer.pwconv1)), layer.pwconv2)
    return x + hidden * weights(layer.layer_scale)[0]


def mlp(x: np.ndarray, layer: Any) -> np.ndarray:
    return convolved(gelu(convolved(normed(x, layer.norm1), layer.fc1)), layer.fc2)


def l2(x: np.ndarray, axis: int) -> np.ndarray:
    return x / np.maximum(np.sqrt(np.sum(x * x, axis=axis, keepdims=True)), 1e-12)


def attention(x: np.ndarray, layer: Any) -> np.ndarray:
    """The paper's formulas on a list of tokens, one picture after the other."""
    (query, query_bias), (key, key_bias), (proj, proj_bias), (final, final_bias) = (
        weights(getattr(layer, name)) for name in ("to_query", "to_key", "proj", "final")
    )
    channels, results = x.shape[-1], []
    for picture in x.reshape(len(x), -1, channels):
        q = l2(picture @ query + query_bias, axis=1)
        k = l2(picture @ key + key_bias, axis=1)
        token_weights = np.ones((len(picture), 1))
        if layer.token_weights == "l2":
            token_weights = l2(q @ np.asarray(layer.w_g, np.float64) * channels**-0.5, axis=0)
        global_query = np.sum(token_weights * q, axis=0, keepdims=True)
        results.append(((global_query * k) @ proj + proj_bias + q) @ final + final_bias)
    return np.reshape(results, x.shape)


def encoder(x: np.ndarray, layer: Any) -> np.ndarray:
    hidden = conv_encoder(x, layer.local_representation)
    first, second = (
        weights(scale)[0] if scale is not None else 1 for scale in (layer.layer_scale_1, layer.layer_scale_2)
    )
    hidden = hidden + first * attention(hidden, layer.attn)
    return hidden + second * mlp(hidden, layer.linear)


SHAPES = [(2, 8, 8, 6), (1, 5, 7, 6), (3, 1, 1, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("make", "oracle"),
    [
        (lambda: ConvEncoder(24), conv_encoder),
        (lambda: LocalRepresentation(6), conv_encoder),
        (lambda: Mlp(24), mlp),
        (lambda: EfficientAdditiveAttention("l2"), attention),
        (lambda: EfficientAdditiveAttention("uniform"), attention),
        (lambda: Encoder(24, "l2"), encoder),
        (lambda: Encoder(24, "uniform"), encoder),
        (lambda: Encoder(24, layer_scale_init_value=None), encoder),
    ],
    ids=["conv", "local", "mlp", "attention l2", "attention uniform", "encoder l2", "encoder uniform", "no scale"],
)
def test_a_block_computes_its_formula(make: Any, oracle: Any, shape: tuple[int, ...]) -> None:
    layer, inputs = built(make(), (None, None, None, 6)), random_images(*shape)
    assert relative_error(layer(inputs), oracle(inputs.astype(np.float64), layer)) < 2e-6


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (4, 5), (1, 1), (30, 2)])
def test_the_stem_computes_its_formula(height: int, width: int) -> None:
    stem, inputs = built(Stem(8), (None, None, None, 3)), random_images(2, height, width, 3)
    hidden = np.maximum(normed(convolved(inputs, stem.conv1, strides=2, padding=1), stem.norm1), 0)
    expected = np.maximum(normed(convolved(hidden, stem.conv2, strides=2, padding=1), stem.norm2), 0)
    assert expected.shape == (2, math.ceil(height / 4), math.ceil(width / 4), 8)
    np.testing.assert_allclose(stem(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("arguments", [(3, 2, 1), (2, 2, 0), (5, 3, 2), (1, 1, 0)])
def test_downsampling_computes_its_formula(arguments: tuple[int, int, int]) -> None:
    layer, inputs = built(Downsample(8, *arguments), (None, None, None, 6)), random_images(2, 13, 8, 6)
    _, strides, padding = arguments
    expected = normed(convolved(inputs, layer.proj, strides=strides, padding=padding), layer.norm)
    assert relative_error(layer(inputs), expected) < 2e-6


def test_the_two_attention_types_differ_on_the_same_weights() -> None:
    by_l2 = built(EfficientAdditiveAttention("l2"), (None, None, None, 6))
    uniform = built(EfficientAdditiveAttention("uniform"), (None, None, None, 6))
    inputs = random_images(1, 8, 8, 6)
    assert relative_error(by_l2(inputs), uniform(inputs)) > 0.1


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
@pytest.mark.parametrize("factor", [1e6, 1e-8, 1e-11, 1e-13, 1e-16])
def test_attention_on_tokens_of_any_size(token_weights: Any, factor: float) -> None:
    """PyTorch divides by max(norm, 1e-12), so that smaller tokens are not brought to length one."""
    layer = built(EfficientAdditiveAttention(token_weights), (None, None, None, 6))
    for name in ("to_query", "to_key"):
        getattr(layer, name).bias.assign(np.zeros(6))
    inputs = (random_images(2, 4, 4, 6) * factor).astype(np.float32)
    inputs[:, 1] = 0
    assert relative_error(layer(inputs), attention(inputs.astype(np.float64), layer)) < 1e-5


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_attention_on_nothing_at_all(token_weights: Any) -> None:
    layer = built(EfficientAdditiveAttention(token_weights), (None, None, None, 6))
    for name in ("to_query", "to_key"):
        getattr(layer, name).bias.assign(np.zeros(6))
    inputs = np.zeros((1, 4, 4, 6), np.float32)
    np.testing.assert_allclose(layer(inputs), attention(inputs.astype(np.float64), layer), atol=1e-6)


def test_the_gradient_of_attention_is_finite_on_zero_tokens() -> None:
    import tensorflow as tf

    layer = built(EfficientAdditiveAttention("l2"), (None, None, None, 6))
    for name in ("to_query", "to_key"):
        getattr(layer, name).bias.assign(np.zeros(6))
    inputs = tf.zeros((1, 4, 4, 6))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs) ** 2)
    for gradient in tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)]):
        assert np.isfinite(np.asarray(gradient)).all()


def test_w_g_is_dead_under_uniform_and_scale_free_under_l2() -> None:
    inputs = random_images(1, 4, 4, 6)
    cases: list[tuple[Any, float, bool]] = [("l2", 7, True), ("l2", -1, False), ("uniform", -3, True)]
    for kind, factor, same in cases:
        layer = built(EfficientAdditiveAttention(kind), (None, None, None, 6))
        before = np.asarray(layer(inputs))
        layer.w_g.assign(factor * np.asarray(layer.w_g))
        assert (relative_error(layer(inputs), before) < 1e-6) is same
        assert layer.w_g.trainable is (kind == "l2")


def test_layer_scale_starts_at_its_value_and_multiplies_channels() -> None:
    layer = LayerScale(1e-5)
    layer.build((None, None, None, 3))
    np.testing.assert_array_equal(layer.scale, np.full(3, 1e-5, np.float32))
    layer.scale.assign([1, 2, 3])
    np.testing.assert_array_equal(layer(np.ones((1, 1, 2, 3), np.float32)), [[[[1, 2, 3], [1, 2, 3]]]])


def test_layer_scales_start_as_in_the_paper() -> None:
    layer: Any = Encoder(24)
    layer.build((None, None, None, 6))
    scales = (layer.local_representation.layer_scale, layer.layer_scale_1, layer.layer_scale_2)
    assert [float(scale.scale[0]) for scale in scales] == pytest.approx([1, 1e-5, 1e-5])


def test_other_initial_weights_are_a_truncated_normal_of_0_02() -> None:
    layer = keras.utils.set_random_seed(3) or Mlp(512)
    layer.build((None, None, None, 64))
    kernel = np.asarray(layer.fc1.kernel)
    assert 0.015 < kernel.std() < 0.02
    assert np.abs(kernel).max() <= 0.0401
    assert not np.asarray(layer.fc1.bias).any()


def test_drop_path_drops_whole_samples_in_training_only() -> None:
    drop = Encoder(24, drop_path=0.25).drop
    inputs = np.ones((400, 3, 3, 2), np.float32)
    outputs = np.asarray(drop(inputs, training=True))
    per_sample = outputs.reshape(400, -1)
    assert (per_sample == per_sample[:, :1]).all()
    np.testing.assert_allclose(np.unique(per_sample[:, 0]), [0, 1 / 0.75], rtol=1e-6)
    assert 0.15 < np.mean(per_sample[:, 0] == 0) < 0.35
    np.testing.assert_array_equal(drop(inputs, training=False), inputs)


def test_drop_path_of_an_encoder_takes_attention_or_mlp_out() -> None:
    layer = built(Encoder(24, drop_path=0.5), (None, None, None, 6))
    for norm in (layer.local_representation.norm, layer.linear.norm1):
        norm.trainable = False  # Keras then normalizes by the stored statistics in training too
    inputs = np.repeat(random_images(1, 4, 4, 6), 64, axis=0)
    local = conv_encoder(inputs[:1].astype(np.float64), layer.local_representation)
    expected = []
    for keeps_attention in (0, 1):
        hidden = local + 2 * keeps_attention * weights(layer.layer_scale_1)[0] * attention(local, layer.attn)
        expected += [
            hidden + 2 * keeps * weights(layer.layer_scale_2)[0] * mlp(hidden, layer.linear) for keeps in (0, 1)
        ]
    outputs = np.asarray(layer(inputs, training=True))
    errors = np.abs(outputs[:, None] - np.stack([each[0] for each in expected])).max(axis=(2, 3, 4))
    assert (errors.min(axis=1) < 1e-4).all()
    assert set(errors.argmin(axis=1)) == {0, 1, 2, 3}
    np.testing.assert_allclose(layer(inputs[:1]), encoder(inputs[:1].astype(np.float64), layer), atol=1e-5)


def test_dropout_of_a_conv_encoder_is_on_its_branch() -> None:
    layer = built(ConvEncoder(24, dropout=0.5), (None, None, None, 6))
    layer.norm.trainable = False
    inputs = random_images(1, 16, 16, 6)
    kept = conv_encoder(inputs.astype(np.float64), layer) - inputs
    branch = np.asarray(layer(inputs, training=True)) - inputs
    dropped = np.abs(branch) < 1e-6
    assert 0.4 < dropped.mean() < 0.6
    np.testing.assert_allclose(branch[~dropped], 2 * kept[~dropped], atol=1e-4)
    np.testing.assert_allclose(layer(inputs), inputs + kept, atol=1e-5)


def test_dropout_of_the_mlp_changes_training_only() -> None:
    layer = built(Mlp(24, dropout=0.5), (None, None, None, 6))
    layer.norm1.trainable = False
    inputs = random_images(1, 16, 16, 6)
    outputs = np.asarray(layer(inputs, training=True))
    assert 0.4 < (outputs == 0).mean() < 0.6
    np.testing.assert_allclose(layer(inputs), mlp(inputs.astype(np.float64), layer), atol=1e-5)


def test_batch_normalization_is_pytorchs() -> None:
    layer = built(Mlp(24), (None, None, None, 6))
    assert (layer.norm1.momentum, layer.norm1.epsilon) == (0.9, 1e-5)
    mean, inputs = weights(layer.norm1)[2], random_images(4, 8, 8, 6) + 3
    layer(inputs, training=True)
    np.testing.assert_allclose(layer.norm1.moving_mean, 0.9 * mean + 0.1 * inputs.mean(axis=(0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_attention_does_not_overflow_in_half_precision(policy: str, token_weights: Any) -> None:
    layer = built(EfficientAdditiveAttention(token_weights, dtype=policy), (None, None, None, 6))
    inputs = random_images(1, 4, 4, 6) * 2000  # squares are far above 65504
    expected = attention(inputs.astype(np.float64), layer)
    outputs = np.asarray(layer(inputs), np.float32)
    assert relative_error(outputs, expected) < (0.01 if policy == "mixed_float16" else 0.05)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_batch_normalization_is_float32_in_half_precision(policy: str) -> None:
    layer = built(Mlp(24, dtype=policy), (None, None, None, 6))
    inputs = (random_images(4, 8, 8, 6) * 30 + 300).astype(layer.compute_dtype)  # squares are above 65504
    with np.errstate(over="ignore"):
        assert not np.isfinite(np.square(inputs.astype(np.float16))).all()
    mean, variance = weights(layer.norm1)[2:]
    layer.norm1(inputs, training=True)
    exact = inputs.astype(np.float64)
    expected = 0.9 * mean + 0.1 * exact.mean(axis=(0, 1, 2)), 0.9 * variance + 0.1 * exact.var(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.norm1.moving_mean, expected[0], rtol=1e-4)
    np.testing.assert_allclose(layer.norm1.moving_variance, expected[1], rtol=1e-4)


def with_children(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    children = [child for child in vars(layer).values() if isinstance(child, keras.layers.Layer)]
    return [layer, *(each for child in children for each in with_children(child))]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_children_share_the_precision_of_their_block(policy: str) -> None:
    layer = built(Encoder(24, dtype=policy), (None, None, None, 6))
    assert {child.dtype_policy.name for child in with_children(layer)} == {policy}
    assert {variable.dtype for variable in layer.weights} == {"float32"}


BLOCKS = [
    LayerScale(0.5),
    Stem(8, 1e-4),
    Downsample(8, 5, 3, 2, 1e-4),
    ConvEncoder(24, 1e-4, 0.1),
    LocalRepresentation(6, 1e-4),
    EfficientAdditiveAttention("uniform"),
    Mlp(24, "relu", 1e-4, 0.1),
    Encoder(24, "uniform", "relu", 0.1, 0.2, 0.3, 1e-4),
    Encoder(24, layer_scale_init_value=None),
]


@pytest.mark.parametrize("layer", BLOCKS, ids=lambda layer: type(layer).__name__)
def test_config_round_trip(layer: Any) -> None:
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("layer", BLOCKS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 22), (9, 8)])
def test_the_shape_that_a_block_announces_is_the_one_it_returns(layer: Any, height: int, width: int) -> None:
    shape = (2, height, width, 6)
    copy = type(layer).from_config(layer.get_config())
    assert tuple(copy(np.zeros(shape, np.float32)).shape) == copy.compute_output_shape(shape)
    unknown = copy.compute_output_shape((None, None, None, 6))
    assert unknown == (None, None, None, copy.compute_output_shape(shape)[-1])


def test_every_block_is_public_and_has_a_round_trip() -> None:
    assert {type(layer).__name__ for layer in BLOCKS} == set(layers.__all__)


def test_config_makes_blocks() -> None:
    config = SwiftFormerConfig.from_variant(
        "tiny", mlp_ratio=2.5, drop_path_rate=0.3, drop_mlp_rate=0.2, drop_conv_encoder_rate=0.1, hidden_act="relu"
    )
    model = SwiftFormerModel(config)
    values = model.get_layer("stages-2-blocks-0").get_config()
    assert (values["hidden_dim"], values["dropout"]) == (40, 0.1)
    values = model.get_layer("stages-3-blocks-0").get_config()
    assert (values["hidden_dim"], values["drop_path"], values["dropout"]) == (50, pytest.approx(0.3), 0.2)
    assert (values["activation"], values["layer_scale_init_value"]) == ("relu", 1e-5)
    plain = SwiftFormerModel(config.replace(use_layer_scale=False))
    assert plain.get_layer("stages-3-blocks-0").layer_scale_init_value is None


@pytest.mark.parametrize("name", ["config", "errors", "images/transform", "layers/blocks", "model"])
def test_the_models_are_free_of_tensorflow(name: str) -> None:
    source = (Path(layers.__file__).parents[1] / f"{name}.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert not imported & {"tensorflow", "tf", "torch", "jax", "ai_edge_litert"}
