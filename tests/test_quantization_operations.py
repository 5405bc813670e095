"""The layers that heads are made of, one by one: in integers, left in float where that may be, or refused by name."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.small_graphs import activations, answers, converted, with_other_scale

from swiftformer_tf import RECIPES, ExportError
from swiftformer_tf.exporting import PREPARATIONS
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import (
    Graph,
    Statistics,
    correct_output_bias,
    equalize,
    lower_float_only,
    measure,
    name_tensors,
    operation_precisions,
    rewrite,
)
from swiftformer_tf.quantization.kernels import PLAIN_VERSIONS
from swiftformer_tf.verification import signal_to_noise

SHAPE = (8, 8, 6)

# Least SNR in dB. Measured: 27 to 41 in eight bits, 21 where a logarithm meets a sum; 44 to 90 in sixteen, of which
# what multiplies an int8 matrix has 44 to 53.
BOUNDS = {"mixed_int8": 20, "int8": 20, "int16x8": 42}


class PixelClass(layers.Layer):
    """The greatest channel, by TensorFlow's operation, which the converter has an ARG_MAX for."""

    def call(self, inputs: Any) -> Any:
        import tensorflow as tf

        return tf.argmax(inputs, axis=-1, output_type=tf.int32)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape[:-1], "int32")


def both(layer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The layer applied to a convolution and to that convolution's input."""
    return lambda x: layer([layers.Conv2D(6, 1)(x), x])


def attention(x: Any) -> Any:
    tokens = layers.Reshape((64, 6))(x)
    return layers.MultiHeadAttention(2, 4)(tokens, tokens)


def pixel_shuffle(x: Any) -> Any:
    split = ops.reshape(x[..., :4], (1, 8, 8, 2, 2, 1))
    return ops.reshape(ops.transpose(split, (0, 1, 3, 2, 4, 5)), (1, 16, 16, 1))


def halves(x: Any) -> Any:
    first, second = ops.split(x, 2, axis=-1)
    return first * second


LAYERS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda x: layers.Conv2DTranspose(4, 2, strides=2, bias_initializer="normal")(x),
    "transposed, overlapping": lambda x: layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x),
    "transposed, no bias": lambda x: layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(x),
    "transposed twice": lambda x: layers.Conv2DTranspose(4, 3)(layers.Conv2DTranspose(5, 2, strides=2)(x)),
    "separable": lambda x: layers.SeparableConv2D(4, 3, depth_multiplier=2)(x),
    "dilated": lambda x: layers.Conv2D(4, 3, dilation_rate=2, padding="same")(x),
    "grouped": lambda x: layers.Conv2D(4, 3, groups=2, padding="same")(x),
    "strided": lambda x: layers.Conv2D(4, 3, strides=2, padding="same")(x),
    "of a row": lambda x: layers.Conv1D(4, 3)(layers.Reshape((64, 6))(x)),
    "layer norm": lambda x: layers.LayerNormalization()(x),
    "group norm": lambda x: layers.GroupNormalization(3)(x),
    "unit norm": lambda x: layers.UnitNormalization()(x),
    "attention": attention,
    **{
        name: functools.partial(lambda name, x: layers.Activation(name)(x), name)
        for name in (
            *("relu", "relu6", "leaky_relu", "elu", "celu", "sigmoid", "hard_sigmoid", "silu", "hard_silu", "gelu"),
            *("tanh", "hard_tanh", "softmax", "log_softmax", "softplus", "softsign", "mish", "glu", "selu"),
        )
    },
    "relu up to 4": lambda x: layers.ReLU(4.0)(x),
    "prelu": lambda x: layers.PReLU(shared_axes=(1, 2), alpha_initializer="glorot_uniform")(x),
    "averages": lambda x: layers.AveragePooling2D(2)(x),
    "maxima": lambda x: layers.MaxPooling2D(2)(x),
    "least": lambda x: ops.min(x, (1, 2)),
    "sums": lambda x: ops.sum(x, (1, 2)),
    "repeated": lambda x: layers.UpSampling2D(2)(x),
    "nearest": lambda x: layers.Resizing(13, 17, interpolation="nearest")(x),
    "bilinear": lambda x: layers.Resizing(13, 17)(x),
    "padded": lambda x: layers.ZeroPadding2D(1)(x),
    "mirrored": lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"),
    "cropped": lambda x: layers.Cropping2D(1)(x),
    "permuted": lambda x: layers.Permute((3, 1, 2))(x),
    "pixel shuffle": pixel_shuffle,
    "halves": halves,
    "stacked": lambda x: ops.stack([x, x * 2], axis=1),
    "rolled": lambda x: ops.roll(x, 1, axis=1),
    "taken": lambda x: ops.take(x, [2, 0], axis=-1),
    "flipped": lambda x: ops.flip(x, axis=1),
    "difference": both(lambda pair: layers.Subtract()(pair)),
    "product": both(lambda pair: layers.Multiply()(pair)),
    "average": both(lambda pair: layers.Average()(pair)),
    "greater": both(lambda pair: layers.Maximum()(pair)),
    "less": both(lambda pair: layers.Minimum()(pair)),
    "at least": lambda x: ops.maximum(x, 0.5),
    "at most": lambda x: ops.minimum(x, -0.5),
    "distance": lambda x: ops.abs(x),
    "root": lambda x: ops.sqrt(ops.abs(x)),
    "variance": lambda x: ops.var(x, (1, 2)),
    "matrix product": lambda x: ops.matmul(ops.reshape(x, (1, 64, 6)), ops.reshape(x, (1, 6, 64))),
    "einsum": lambda x: layers.EinsumDense("abcd,de->abce", output_shape=(8, 8, 5))(x),
    "class": lambda x: PixelClass()(x),
    "greatest two": lambda x: ops.top_k(ops.mean(x, (1, 2)), 2)[0],
}

# What is not supported in integers of a width: the first operation without one. In `mixed_int8` it stays float.
REFUSED = {
    ("selu", "int8"): "GREATER",
    ("selu", "int16x8"): "GREATER",
    ("greatest two", "int8"): "TOPK_V2",
    ("greatest two", "int16x8"): "TOPK_V2",
    ("elu", "int16x8"): "ELU",
    ("log_softmax", "int16x8"): "LOG_SOFTMAX",
    ("prelu", "int16x8"): "PRELU",
}


@functools.cache
def content_of(name: str) -> bytes:
    """The float graph of a layer."""
    keras.utils.set_random_seed(0)
    return converted(LAYERS[name], *SHAPE)


def measured(content: bytes, images: np.ndarray) -> Statistics:
    """What flows through a float graph, the same for all recipes."""
    with native_stderr_silenced():
        return measure(lower_float_only(Graph(content)), images, kept=16)


def prepared(content: bytes, statistics: Statistics, recipe: str) -> tuple[Graph, Statistics]:
    """A float graph and what flows through it, as `export` has them when integers are written."""
    graph = Graph(content)
    for field, prepare in PREPARATIONS.items():
        if getattr(RECIPES[recipe], field):
            graph, statistics = prepare(graph, statistics)
    share = RECIPES[recipe].equalize
    assert share is not None
    return equalize(graph, statistics, share)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_integers(name: str) -> None:
    images = np.random.default_rng(0).normal(size=(16, 1, *SHAPE)).astype(np.float32)
    content = content_of(name)
    expected, flowing = answers(content, images), measured(content, images)
    for recipe in BOUNDS:
        graph, statistics = prepared(content, flowing, recipe)
        if operation := REFUSED.get((name, recipe)):
            with pytest.raises(
                ExportError, match=rf"^recipe {recipe}: {operation} \(.*\) is not supported in int\d+; use"
            ):
                operation_precisions(graph, RECIPES[recipe])
            continue
        found = rewrite(graph, operation_precisions(graph, RECIPES[recipe]), RECIPES[recipe], statistics)
        actual = answers(correct_output_bias(found, statistics.images, statistics.outputs), images)
        assert actual.dtype == expected.dtype
        if expected.dtype == np.int32:
            assert np.mean(actual == expected) > 0.97  # of two that are nearly as large, either
        else:
            snr = signal_to_noise(expected, actual)
            assert snr is not None
            assert snr > BOUNDS[recipe], (recipe, snr)


@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_a_wrong_scale_is_seen(recipe: str) -> None:
    """A scale of any activation that is an eighth of what it is to be leaves less than what is asked for above."""
    images = np.random.default_rng(0).normal(size=(16, 1, *SHAPE)).astype(np.float32)
    content = content_of("transposed twice")
    graph, statistics = prepared(content, measured(content, images), recipe)
    right = rewrite(graph, operation_precisions(graph, RECIPES[recipe]), RECIPES[recipe], statistics)
    found = activations(right)
    assert len(found) == 3  # the image, and what each of the two layers makes
    for tensor in found:
        snr = signal_to_noise(answers(content, images), answers(with_other_scale(right, tensor, 1 / 8), images))
        assert snr is not None
        assert snr < BOUNDS[recipe] / 2


def test_plain_versions_are_those_that_the_converter_writes() -> None:
    """Of every layer that heads are made of: in two dimensions, in groups, transposed, with six dimensions."""
    beyond_types = set()
    for name in LAYERS:
        content = content_of(name)
        written = {op.name: op.version for op in Graph(content).operations}
        ours = Graph(name_tensors(content, set()))
        needed: dict[str, int] = {}
        for op in ours.operations:
            needed[op.name] = max(op.version, needed.get(op.name, 0))
        assert {name: needed[name] for name in written} == written
        beyond_types |= {name for name, version in written.items() if version > PLAIN_VERSIONS["FLOAT32"].get(name, 1)}
    # Or the rules are for nothing.
    assert {"CONV_2D", "RESIZE_BILINEAR", "TRANSPOSE", "TRANSPOSE_CONV"} <= beyond_types


def test_one_convolution_in_groups_makes_no_other_newer() -> None:
    """The converter has one version for all; integers are told by their types, shapes and options as floats are."""
    keras.utils.set_random_seed(0)

    def layer(x: Any) -> Any:
        grouped = layers.Conv2D(4, 3, groups=2)(layers.Conv2D(4, 1)(x))
        return layers.Conv2DTranspose(4, 2)(layers.Conv2DTranspose(4, 2, bias_initializer="normal")(grouped))

    content = converted(layer, *SHAPE)
    assert [op.version for op in Graph(content).operations if op.name == "CONV_2D"] == [6, 6]
    named = name_tensors(content, set())
    assert versions(named) == [("CONV_2D", 1), ("CONV_2D", 6), ("TRANSPOSE_CONV", 3), ("TRANSPOSE_CONV", 1)]
    images = np.random.default_rng(0).normal(size=(16, 1, *SHAPE)).astype(np.float32)
    graph, statistics = prepared(named, measured(named, images), "static_int8")
    recipe = RECIPES["static_int8"]
    found = rewrite(graph, operation_precisions(graph, recipe), recipe, statistics)
    assert versions(found) == [("CONV_2D", 3), ("CONV_2D", 6), ("TRANSPOSE_CONV", 3), ("TRANSPOSE_CONV", 3)]


def versions(content: bytes) -> list[tuple[str, int]]:
    return [(op.name, op.version) for op in Graph(content).operations if "CONV" in op.name]


@pytest.mark.parametrize(("inputs", "outputs", "precision"), [(32, 32, "hybrid"), (33, 31, "float32")])
def test_the_smallest_matrix_in_integers_has_1024_elements(inputs: int, outputs: int, precision: str) -> None:
    """XNNPACK leaves smaller ones in float."""
    graph = Graph(converted(keras.layers.Dense(outputs), inputs))
    found = operation_precisions(graph, RECIPES["dynamic_int8"])
    assert {op.name: found[op] for op in graph.operations} == {"FULLY_CONNECTED": precision}
