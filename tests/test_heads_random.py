"""Heads that nobody thought of, drawn from the layers that are known: folded equals unfolded."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras import layers
from support.heads import ONE_STAGE, SIZE, seeded
from support.random_models import pictures, relative_error

from swiftformer_tf import SwiftFormerModel, fuse

BOUND = 1e-5
IMAGES = ONE_STAGE.transform.normalize(pictures(4, SIZE, SIZE))

# From a map (B, H, W, C) to a map.
ON_MAPS: dict[str, Callable[[Any], Any]] = {
    "1x1": lambda x: layers.Conv2D(6, 1)(x),
    "3x3": lambda x: layers.Conv2D(5, 3, padding="same", use_bias=False)(x),
    "strided": lambda x: layers.Conv2D(7, 3, strides=2, padding="same", activation="relu")(x),
    "grouped": lambda x: layers.Conv2D(x.shape[-1], 3, padding="same", groups=x.shape[-1])(x),
    "separable": lambda x: layers.SeparableConv2D(6, 3, padding="same")(x),
    "transposed": lambda x: layers.Conv2DTranspose(4, 2, strides=2)(x),
    "norm": lambda x: layers.BatchNormalization()(x),
    "norm without scale": lambda x: layers.BatchNormalization(scale=False, epsilon=0.1)(x),
    "layer norm": lambda x: layers.LayerNormalization()(x),
    "relu": lambda x: layers.ReLU(6.0)(x),
    "hard swish": lambda x: layers.Activation("hard_swish")(x),
    "leaky": lambda x: layers.LeakyReLU()(x),
    "dropout": lambda x: layers.SpatialDropout2D(0.3)(x),
    "maxima": lambda x: layers.MaxPooling2D(2, strides=1, padding="same")(x),
    "nearest": lambda x: layers.UpSampling2D((1, 2))(x),
    "bilinear": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
    "resized": lambda x: layers.Resizing(6, 5)(x),
    "flipped": lambda x: layers.RandomFlip(seed=0)(x),
    "padded": lambda x: layers.ZeroPadding2D(1)(x),
    "dense": lambda x: layers.Dense(5)(x),
    "residual": lambda x: layers.Add()([x, layers.Conv2D(x.shape[-1], 1)(x)]),
    "gate": lambda x: layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)]),
    "both": lambda x: layers.Concatenate()([layers.Conv2D(3, 1)(x), x]),
    "slice": lambda x: x[:, :, :, :3],
}

# From a map to a vector.
POOLED: dict[str, Callable[[Any], Any]] = {
    "average": lambda x: layers.GlobalAveragePooling2D()(x),
    "maximum": lambda x: layers.GlobalMaxPooling2D()(x),
    "all": lambda x: layers.Flatten()(x),
}

# From a vector to a vector.
ON_VECTORS: dict[str, Callable[[Any], Any]] = {
    "dense": lambda x: layers.Dense(6)(x),
    "dense, no bias": lambda x: layers.Dense(5, use_bias=False)(x),
    "two, averaged": lambda x: layers.Average()([layers.Dense(4)(x), layers.Dense(4)(x)]),
    "norm": lambda x: layers.BatchNormalization()(x),
    "unit": lambda x: layers.UnitNormalization()(x),
    "dropout": lambda x: layers.Dropout(0.5)(x),
}


@functools.cache
def backbone() -> SwiftFormerModel:
    """One for all heads: each example draws its weights anew."""
    return SwiftFormerModel(ONE_STAGE)


def chain(names: list[str], of: dict[str, Callable[[Any], Any]], value: Any) -> Any:
    return functools.reduce(lambda made, name: of[name](made), names, value)


heads = st.tuples(
    st.lists(st.sampled_from(sorted(ON_MAPS)), max_size=6),
    st.none() | st.tuples(st.sampled_from(sorted(POOLED)), st.lists(st.sampled_from(sorted(ON_VECTORS)), max_size=4)),
    st.booleans(),
)


@settings(max_examples=20, deadline=None, derandomize=True, phases=[Phase.generate])  # to shrink takes minutes
@given(heads)
def test_a_random_head_folded_is_unfolded(drawn: tuple[list[str], tuple[str, list[str]] | None, bool]) -> None:
    on_maps, pooled, also_the_map = drawn
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, 3))
    hidden = chain(on_maps, ON_MAPS, backbone()(image))
    output = hidden
    if pooled is not None:
        pooling, on_vectors = pooled
        output = chain(on_vectors, ON_VECTORS, POOLED[pooling](hidden))
    also_the_map &= output is not hidden  # one tensor as two outputs is refused
    model = keras.Model(image, {"head": output, "map": hidden} if also_the_map else {"head": output})
    seeded(model, IMAGES, gain=1.0)  # what grows from layer to layer would grow with its roundings
    deploy = fuse(model, config=ONE_STAGE)
    expected = keras.tree.flatten(model(IMAGES[:2], training=False))
    for place, image in enumerate(IMAGES[:2]):
        for found, wanted in zip(keras.tree.flatten(deploy(image[None])), expected, strict=True):
            assert relative_error(found[0], wanted[place]) < BOUND, drawn
