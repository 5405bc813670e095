"""Layers of heads that are copied into the deploy graph as they are, or named where that cannot be."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.heads import ONE_STAGE, SIZE
from support.random_models import pictures, random_images, randomized, relative_error

from swiftformer_tf import RECIPES, ExportError, ModelError, SwiftFormerModel, export, fuse, verify
from swiftformer_tf.fusion import output_names
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.quantization import Graph

BOUND = 1e-5
IMAGES = random_images(2, SIZE, SIZE, 3)


@keras.saving.register_keras_serializable("tests")
class Squashed(layers.Layer):
    """A layer of a user's that can be made anew."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel", initializer="glorot_uniform")

    def call(self, inputs: Any) -> Any:
        return ops.tanh(ops.matmul(inputs, self.kernel)) / 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Tripled(layers.Dropout):
    """Is called a dropout, and does something else at inference."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return 3.0 * inputs


class WithoutConfig(layers.Layer):
    """A layer of a user's that cannot be made anew."""

    def __init__(self, units: int) -> None:
        super().__init__(name="mine")
        self.dense = layers.Dense(units)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def tokens(hidden: Any) -> Any:
    return layers.Reshape((-1, hidden.shape[-1]))(hidden)


def adapted(image: Any) -> Any:
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(1, 3, (8, SIZE, SIZE, 3)))
    return norm(image)


def with_lora(hidden: Any) -> Any:
    attention = layers.MultiHeadAttention(2, 4)
    result = attention(hidden, hidden)
    attention._query_dense.enable_lora(2, b_initializer="ones")
    return result


def averaged_on_maps(hidden: Any) -> Any:
    hidden = layers.BatchNormalization()(hidden)
    return layers.Average()([layers.Dense(4)(hidden), layers.Dense(4)(hidden)])


def several_at_once(image: Any) -> Any:
    """A picture and its mirror image as one batch."""
    backbone = SwiftFormerModel(ONE_STAGE)
    both = backbone(ops.concatenate([image, ops.flip(image, axis=2)], axis=0))
    return ops.mean(ops.reshape(both, (2, -1, *both.shape[1:])), axis=0)


# What comes before the backbone, and after it.
BEFORE: dict[str, Callable[[Any], Any]] = {
    "normalization with weights": adapted,
    "normalization without": lambda x: layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x),
    "rescaling": lambda x: layers.Rescaling(0.5, 0.1)(x),
}
AFTER: dict[str, Callable[[Any], Any]] = {
    "lambda": lambda x: layers.Lambda(lambda value, by: by * value + ops.ones_like(value), arguments={"by": 2.0})(x),
    "class of a user's": lambda x: Squashed(5)(x),
    "subclass of Dropout": lambda x: Tripled(0.1)(x),
    "normalized map, dense": lambda x: layers.Dense(4)(layers.BatchNormalization()(x)),
    "normalized map of 1x1, dense": lambda x: layers.Dense(4)(
        layers.BatchNormalization()(layers.GlobalAveragePooling2D(keepdims=True)(x))
    ),
    "normalized map, averaged": averaged_on_maps,
    "channels first": lambda x: layers.UpSampling2D(2, data_format="channels_first")(x),
    "pooled, channels first": lambda x: layers.GlobalAveragePooling2D(data_format="channels_first")(x),
    "called by keyword": lambda x: layers.Dense(3)(
        inputs=layers.GlobalAveragePooling2D()(inputs=layers.BatchNormalization()(inputs=x, training=True))
    ),
    "LoRA inside": lambda x: with_lora(tokens(x)),
    "layer inside": lambda x: layers.TimeDistributed(layers.Dense(5))(tokens(x)),
    "activation with weights": lambda x: layers.Dense(4, activation=layers.PReLU("ones"))(
        layers.GlobalAveragePooling2D()(x)
    ),
    "noise": lambda x: layers.GaussianNoise(0.3)(layers.AlphaDropout(0.2)(layers.GaussianDropout(0.1)(x))),
}


def check_folded(model: keras.Model) -> None:
    """Folded equals unfolded, on each output."""
    deploy = fuse(model, config=ONE_STAGE)
    expected = keras.tree.flatten(model(IMAGES, training=False))
    for index, each in enumerate(expected):
        found = np.concatenate([keras.tree.flatten(deploy(image[None]))[index] for image in IMAGES])
        assert relative_error(found, each) < BOUND


@pytest.mark.parametrize("name", BEFORE)
def test_what_stands_before_the_backbone(name: str) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(SwiftFormerModel(ONE_STAGE)(BEFORE[name](image))))
    check_folded(model)


@pytest.mark.parametrize("name", AFTER)
def test_what_stands_on_the_backbone(name: str) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(image, AFTER[name](SwiftFormerModel(ONE_STAGE)(image)))
    for norm in (each for each in model._flatten_layers() if type(each) is layers.BatchNormalization):
        randomized(norm)
    check_folded(model)


def test_several_pictures_made_of_one() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    check_folded(keras.Model(image, several_at_once(image)))


@pytest.mark.parametrize("layer", [lambda: layers.BatchNormalization(axis=1), lambda: layers.RandomFlip(seed=0)])
def test_what_is_copied_never_trains(layer: Callable[[], keras.layers.Layer]) -> None:
    """A normalization of rows is no matrix's, and stays in the graph as it is; so does augmentation."""
    image = keras.Input((SIZE, SIZE, 3))
    copied = layer()
    model = keras.Model(image, SwiftFormerModel(ONE_STAGE)(copied(image)))
    if copied.weights:
        randomized(copied)
    deploy = fuse(model, config=ONE_STAGE)
    before = deploy.get_weights()
    for picture in IMAGES:
        expected = model(picture[None], training=False)
        assert relative_error(deploy(picture[None], training=True), expected) < BOUND
    for mine, its in zip(deploy.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, its)


class Halved(layers.Layer):
    """A layer of a user's that is registered nowhere."""

    def call(self, inputs: Any) -> Any:
        return inputs / 2


def test_layers_that_are_not_registered_are_given_with_the_configuration() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    deploy = fuse(keras.Model(image, Halved()(SwiftFormerModel(ONE_STAGE)(image))), config=ONE_STAGE)
    facts = deploy.get_config()
    for each in facts["layers"]:
        if each["class_name"] == "Halved":
            each["module"] = None  # as of a notebook that has ended
    again = type(deploy).from_config(facts, custom_objects={"Halved": Halved})
    again.set_weights(deploy.get_weights())
    np.testing.assert_array_equal(again(IMAGES[:1]), deploy(IMAGES[:1]))


def test_a_sequential_of_all() -> None:
    parts = [layers.Rescaling(0.5), SwiftFormerModel(ONE_STAGE), layers.GlobalAveragePooling2D(), layers.Dense(4)]
    check_folded(keras.Sequential([keras.Input((SIZE, SIZE, 3)), *parts]))
    called = keras.Sequential(parts)
    called(IMAGES)
    check_folded(called)


def test_layers_of_mixed_precision_are_folded_in_floats() -> None:
    """Those within other layers too; what the models answer differs by float16's roundings."""
    backbone = SwiftFormerModel(ONE_STAGE)
    heads = [
        layers.TimeDistributed(layers.Dense(3, dtype=kind, kernel_initializer="ones"), dtype=kind)
        for kind in ("mixed_float16", "float32")
    ]
    answers = [
        fuse(keras.Model(backbone.input, head(tokens(backbone.output))), config=ONE_STAGE)(IMAGES[:1]) for head in heads
    ]
    np.testing.assert_array_equal(*answers)


def test_outputs_are_called_by_where_they_are_in_the_model() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    hidden = SwiftFormerModel(ONE_STAGE)(image)
    rows = [layers.Dense(size, name=f"row{size}")(layers.GlobalAveragePooling2D()(hidden)) for size in (2, 3)]
    cases: list[tuple[Any, list[str]]] = [
        ({"b": rows, "a": hidden}, ["a", "b_0", "b_1"]),
        (OrderedDict([("zebra", rows[0]), ("ant", rows[1])]), ["zebra", "ant"]),
        (rows, ["row2", "row3"]),
        ({"": hidden, "row": rows[0]}, ["output", "row"]),
    ]
    for outputs, names in cases:
        model = keras.Model(image, outputs)
        assert output_names(model) == names
        deploy = fuse(model, config=ONE_STAGE)
        assert [(each.name, each.shape[1:]) for each in deploy.named_outputs] == [
            (name, tensor.shape[1:]) for name, tensor in zip(names, keras.tree.flatten(model.output), strict=True)
        ]


def _fixed_batch() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3), batch_size=4)
    return keras.Model(image, ops.reshape(SwiftFormerModel(ONE_STAGE)(image), (4, -1)))


def _on_map(function: Callable[[Any], Any]) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, {"it": function(SwiftFormerModel(ONE_STAGE)(image))})


def _same_twice() -> keras.Model:
    backbone = SwiftFormerModel(ONE_STAGE)
    return keras.Model(backbone.input, {"one": backbone.output, "two": backbone.output})


def _wrong_reshape() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3), batch_size=3)
    return keras.Model(image, ops.reshape(SwiftFormerModel(ONE_STAGE)(image), (3, -1)))


def _bytes_in() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    return keras.Model(image, SwiftFormerModel(ONE_STAGE)(layers.Rescaling(1 / 255)(image)))


def _without_config() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, WithoutConfig(4)(SwiftFormerModel(ONE_STAGE)(image)))


def _quantized_inside() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    wrapped = layers.TimeDistributed(layers.Dense(4, name="inner"))
    model = keras.Model(image, wrapped(tokens(SwiftFormerModel(ONE_STAGE)(image))))
    wrapped.layer.quantize("int8")
    return model


class Subclassed(keras.Model):
    """A model without a graph."""

    def call(self, inputs: Any) -> Any:
        return inputs


def test_a_reference_without_a_graph_is_refused(lite: Any) -> None:
    with pytest.raises(
        ModelError, match=r"loose is a subclassed model \(Subclassed\), whose outputs have no names; exp"
    ):
        verify(lite("float32"), reference=Subclassed(name="loose"), images=pictures(2, SIZE, SIZE))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            _without_config,
            r"fuse: mine \(WithoutConfig\) cannot be recreated by its get_config and from_config " r"\(TypeErr",
        ),
        (
            _fixed_batch,
            r"output reshape.* has the shape \(4, 1280\), expected \(1, 5120\); give the batch_size that the",
        ),
        (_wrong_reshape, r"fuse: reshape.* \(Reshape\) fails in a graph with fixed sizes \(.*3"),
        (
            lambda: _on_map(lambda x: x > 0),
            r"output it has type bool, expected float32; convert it with keras.ops.cast\(x, 'float32'\)",
        ),
        (
            lambda: _on_map(lambda x: ops.argmax(x, axis=-1)),
            r"argmax.* \(Argmax\) needs operations that only TensorFlow has; end the model at its logits, and cho",
        ),
        (_same_twice, r"outputs one and two are the same tensor; give only one of them"),
        (_bytes_in, r"has an input of uint8; expected floats: normalized pixels"),
        (_quantized_inside, r"inner: quantized by Keras \(int8\), expected float weights"),
        (lambda: keras.Sequential([layers.Dense(4)], name="loose"), r"loose is not built, .* start it with a keras.In"),
    ],
)
def test_what_cannot_be_copied_is_named_in_one_line(make: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        fuse(make(), config=ONE_STAGE)
    assert "\n" not in str(caught.value)


def test_a_graph_for_several_images_takes_a_head_for_several() -> None:
    model = _fixed_batch()
    images = random_images(4, SIZE, SIZE, 3)
    assert relative_error(fuse(model, config=ONE_STAGE, batch_size=4)(images), model(images, training=False)) < BOUND


@pytest.mark.parametrize("recipe", ["dynamic_int8", "int8"])
def test_an_output_that_is_the_same_for_all_images_is_refused(recipe: str) -> None:
    backbone = SwiftFormerModel(ONE_STAGE)
    model = keras.Model(backbone.input, {"map": backbone.output, "nothing": ops.zeros_like(backbone.output)})
    with pytest.raises(ExportError, match=rf"recipe {recipe}: output nothing is the same for all images; leave it out"):
        export(fuse(model, config=ONE_STAGE), RECIPES[recipe], calibration=pictures(2, SIZE, SIZE))


@pytest.mark.parametrize("recipe", ["mixed_int8", "dynamic_int4"])
def test_a_last_convolution_in_groups_is_no_matrix(recipe: str) -> None:
    backbone = SwiftFormerModel(ONE_STAGE)
    hidden = layers.Conv2D(64, 1, groups=2)(layers.Conv2D(64, 1)(backbone.output))
    model = randomized(keras.Model(backbone.input, hidden))
    pixels = pictures(6, SIZE, SIZE)
    report = verify(
        export(fuse(model, config=ONE_STAGE), RECIPES[recipe], calibration=pixels), reference=model, images=pixels
    )
    assert report.measured["snr_db"] > 12
    assert {check.name: check.status for check in report.checks}["weights"] == "passed"


def test_transposed_convolutions_are_stored_in_integers_where_weights_only_are() -> None:
    """And those in groups are not: LiteRT has no hybrid form of them."""
    backbone = SwiftFormerModel(ONE_STAGE)
    hidden = layers.Conv2DTranspose(32, 2, strides=2, activation="relu")(backbone.output)
    hidden = layers.Conv2D(32, 3, groups=4)(hidden)
    model = randomized(keras.Model(backbone.input, layers.Conv2DTranspose(32, 2, strides=2, use_bias=False)(hidden)))
    pixels = pictures(6, SIZE, SIZE)
    lite = export(fuse(model, config=ONE_STAGE), RECIPES["dynamic_int8"], calibration=pixels)
    report = verify(lite, reference=model, images=pixels)
    assert report.measured["snr_db"] > 27
    assert report.measured["partitions"] == 1
    assert {check.name: check.status for check in report.checks}["weights"] == "passed"
    assert report.measured["min_runtime_version"] == "2.17.0"
    graph = Graph(lite.content)
    kinds = {(op.name, graph.groups(op), graph.kind(op.inputs[1])) for op in graph.operations if graph.is_matrix(op)}
    assert {("TRANSPOSE_CONV", 1, "int8"), ("CONV_2D", 4, "float32")} <= kinds
    assert {op.version for op in graph.operations if op.name == "TRANSPOSE_CONV"} == {4}
    assert any(each.is_grouped for op in inspect_model(lite).ops if (each := op.matrix) is not None)
