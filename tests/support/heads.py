"""Heads that people put on SwiftFormer: functional models on tiny backbones for 64 px, with weights that matter."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from support.random_models import TWO_STAGES, fan_in, pictures, tiny_config
from swiftformer_tf import (
    RECIPES,
    DeployModel,
    LiteModel,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.exporting import Calibration
from swiftformer_tf.verification import ReferenceAnswers, reference_answers

SIZE = 64
# One stage has every kind of block; the last one is so wide that recipes with integer weights have some to store.
ONE_STAGE = tiny_config(depths=(2,), embed_dims=(20,), downsamples=(True,))
# For a map of the middle, and for roundings that add up until a mean is visibly wrong.
DEEPER = tiny_config(**TWO_STAGES | {"embed_dims": (8, 20)})
# For heads that take several maps.
FOUR_STAGES = tiny_config()

HEADS: dict[str, Callable[[], keras.Model]] = {}
BACKBONES: dict[str, SwiftFormerConfig] = {}


def _on(config: SwiftFormerConfig) -> Callable[[Callable[[SwiftFormerConfig], keras.Model]], Callable[[], keras.Model]]:
    """The next function makes a head on a backbone of this configuration."""

    def listed(make: Callable[[SwiftFormerConfig], keras.Model]) -> Callable[[], keras.Model]:
        BACKBONES[make.__name__] = config
        HEADS[make.__name__] = functools.update_wrapper(functools.partial(make, config), make)
        return HEADS[make.__name__]

    return listed


def _labels(hidden: Any) -> Any:
    return layers.Dense(10, name="labels")(layers.GlobalAveragePooling2D()(layers.BatchNormalization()(hidden)))


@_on(ONE_STAGE)
def several_labels(config: SwiftFormerConfig) -> keras.Model:
    """A sigmoid for each label, inside."""
    backbone = SwiftFormerModel(config)
    hidden = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(backbone.output))
    return keras.Model(backbone.input, layers.Dense(6, activation="sigmoid")(hidden))


@_on(ONE_STAGE)
def regression(config: SwiftFormerConfig) -> keras.Model:
    """Two dense layers, nested as a Sequential."""
    backbone = SwiftFormerModel(config)
    head = keras.Sequential(
        [layers.GlobalAveragePooling2D(), layers.Dense(24, activation="relu"), layers.Dropout(0.2), layers.Dense(3)]
    )
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, head(backbone(image)))


@_on(ONE_STAGE)
def embedding(config: SwiftFormerConfig) -> keras.Model:
    """Pooled by average and by maximum, concatenated, batch normalized."""
    backbone = SwiftFormerModel(config)
    pooled = [layers.GlobalAveragePooling2D()(backbone.output), layers.GlobalMaxPooling2D()(backbone.output)]
    hidden = layers.Dense(16, use_bias=False)(layers.Concatenate()(pooled))
    return keras.Model(backbone.input, layers.BatchNormalization()(hidden))


@_on(DEEPER)
def labels_and_embedding(config: SwiftFormerConfig) -> keras.Model:
    """Two outputs by name, of one pooling."""
    backbone = SwiftFormerModel(config)
    pooled = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(backbone.output))
    outputs = {"labels": layers.Dense(10)(pooled), "embedding": layers.Dense(12, use_bias=False)(pooled)}
    return keras.Model(backbone.input, outputs)


@_on(FOUR_STAGES)
def all_mlp(config: SwiftFormerConfig) -> keras.Model:
    """Segmentation: four maps brought to one size, concatenated, and logits at full size."""
    backbone = SwiftFormerModel(config, out_indices=(0, 1, 2, 3))
    image = keras.Input((SIZE, SIZE, 3))
    maps = [layers.Conv2D(8, 1)(each) for each in backbone(image)]
    maps = [layers.Resizing(16, 16, interpolation="bilinear")(each) for each in maps]
    hidden = layers.Conv2D(8, 1, use_bias=False)(layers.Concatenate()(maps))
    hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    return keras.Model(image, layers.Resizing(SIZE, SIZE)(layers.Conv2D(4, 1)(hidden)))


@_on(FOUR_STAGES)
def fpn(config: SwiftFormerConfig) -> keras.Model:
    """Top-down sums of nearest upsampling, 3x3 convolutions."""
    backbone = SwiftFormerModel(config, out_indices=(1, 2, 3))
    laterals = [layers.Conv2D(8, 1)(each) for each in backbone.output]
    hidden = laterals[-1]
    for lateral in reversed(laterals[:-1]):
        hidden = layers.UpSampling2D(2, interpolation="nearest")(hidden)
        hidden = layers.Add()([hidden, lateral])
        hidden = layers.Activation("hard_swish")(layers.Conv2D(8, 3, padding="same")(hidden))
    return keras.Model(backbone.input, layers.Conv2D(5, 3, padding="same", activation="leaky_relu")(hidden))


@_on(ONE_STAGE)
def transposed(config: SwiftFormerConfig) -> keras.Model:
    """Transposed convolutions upwards, with and without batch normalization."""
    backbone = SwiftFormerModel(config)
    hidden = layers.Conv2DTranspose(8, 2, strides=2)(backbone.output)
    hidden = layers.ReLU(6.0)(layers.BatchNormalization()(hidden))
    return keras.Model(backbone.input, layers.Conv2DTranspose(4, 3, strides=2, padding="same")(hidden))


@_on(ONE_STAGE)
def gate(config: SwiftFormerConfig) -> keras.Model:
    """A channel gate of reduced ASPP: a sigmoid of the pooled map times the map."""
    backbone = SwiftFormerModel(config)
    hidden = backbone.output
    weights = layers.Conv2D(12, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(hidden))
    hidden = layers.Multiply()([layers.Conv2D(12, 1, activation="relu")(hidden), weights])
    return keras.Model(backbone.input, layers.Conv2D(4, 1)(hidden))


@_on(DEEPER)
def slices(config: SwiftFormerConfig) -> keras.Model:
    """Two boxes and a score from one map, by slices, and pooling by windows."""
    image = keras.Input((SIZE, SIZE, 3))
    hidden = layers.MaxPooling2D(2, strides=1, padding="same")(SwiftFormerModel(config, out_indices=(0,))(image))
    hidden = layers.AveragePooling2D(2)(hidden)
    hidden = layers.Conv2D(9, 3, strides=2, padding="same")(hidden)
    return keras.Model(image, {"boxes": hidden[..., :8], "score": ops.sigmoid(hidden[..., 8:])})


@_on(ONE_STAGE)
def siamese(config: SwiftFormerConfig) -> keras.Model:
    """The backbone used twice: on the picture, and on its half."""
    backbone = SwiftFormerModel(config)
    image = keras.Input((SIZE, SIZE, 3))
    half = layers.AveragePooling2D(2)(image)
    both = [layers.GlobalAveragePooling2D()(backbone(each)) for each in (image, half)]
    return keras.Model(image, layers.Dense(7)(layers.Concatenate()(both)))


@_on(ONE_STAGE)
def resized(config: SwiftFormerConfig) -> keras.Model:
    """A Resizing before the backbone's batch normalizations."""
    image = keras.Input((80, 72, 3))
    return keras.Model(image, _labels(SwiftFormerModel(config)(layers.Resizing(SIZE, SIZE)(image))))


@_on(ONE_STAGE)
def flipped(config: SwiftFormerConfig) -> keras.Model:
    """A random flip before them: augmentation that was left in the graph."""
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, _labels(SwiftFormerModel(config)(layers.RandomFlip("horizontal", seed=0)(image))))


@_on(ONE_STAGE)
def cropped(config: SwiftFormerConfig) -> keras.Model:
    """A center crop before them."""
    image = keras.Input((80, 72, 3))
    return keras.Model(image, _labels(SwiftFormerModel(config)(layers.CenterCrop(SIZE, SIZE)(image))))


@_on(ONE_STAGE)
def nested(config: SwiftFormerConfig) -> keras.Model:
    """A classifier as a layer, whose scores a dense layer takes, inputs and outputs as dictionaries."""
    classifier = SwiftFormerForImageClassification(config)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    inner = keras.Model({"image": image}, {"scores": classifier(image)})
    outer = keras.Input((SIZE, SIZE, 3), name="picture")
    return keras.Model(outer, layers.Dense(5, activation="softmax")(inner({"image": outer})["scores"]))


@_on(FOUR_STAGES)
def maps(config: SwiftFormerConfig) -> keras.Model:
    """Four maps, no head at all."""
    return SwiftFormerModel(config, out_indices=(0, 1, 2, 3))


# What outputs mean, where it is not features.
TASKS_OF: Mapping[str, Mapping[str, str]] = {
    "labels_and_embedding": {"labels": "classification"},
    "resized": {"labels": "classification"},
    "flipped": {"labels": "classification"},
    "cropped": {"labels": "classification"},
}


def seeded(model: keras.Model, images: np.ndarray, seed: int = 0, gain: float = 1.4) -> keras.Model:
    """Draws matrices anew and gives every batch normalization the statistics of `images`: see `seeded_model`."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        shape, kind = tuple(variable.shape), variable.path.rpartition("/")[2]
        if kind == "kernel":
            variable.assign(rng.normal(0, gain / math.sqrt(fan_in(variable)), shape))
        elif kind in ("scale", "gamma"):
            variable.assign(rng.uniform(0.5, 1.0, shape))
        elif kind in ("beta", "bias"):
            variable.assign(rng.normal(0, 0.1, shape))
        elif kind == "w_g":
            variable.assign(rng.normal(size=shape))
    norms = [each for each in model._flatten_layers() if isinstance(each, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm in norms:
        norm.momentum = 0.9
    return model


def head_config(name: str, model: keras.Model) -> SwiftFormerConfig:
    """The configuration for `fuse`, of the size that the model takes."""
    _, height, width, _ = model.inputs[0].shape
    return BACKBONES[name].replace(image_size=(height or SIZE, width or SIZE))


@functools.cache
def made(name: str) -> tuple[keras.Model, DeployModel, np.ndarray]:
    """A head, its deploy graph, and pictures uint8 (24, height, width, 3) that gave it its statistics."""
    model = HEADS[name]()
    config = head_config(name, model)
    pixels = pictures(24, *config.input_size)
    seeded(model, config.transform.normalize(pixels))
    return model, fuse(model, config=config, tasks=TASKS_OF.get(name)), pixels


@functools.cache
def calibrated(name: str) -> Calibration:
    _, deploy, pixels = made(name)
    return calibrate(deploy, pixels)


@functools.cache
def exported(name: str, recipe: str) -> LiteModel:
    return export(made(name)[1], RECIPES[recipe], calibration=calibrated(name))


@functools.cache
def answered(name: str) -> ReferenceAnswers:
    """What a head says of the first eight of its pictures."""
    model, deploy, pixels = made(name)
    return reference_answers(model, pixels[:8], deploy.config.transform)
