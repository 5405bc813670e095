"""What cannot be folded is refused by name, wherever the backbone stands in it."""

from typing import Any

import keras
import pytest
from keras import layers
from support.heads import HEADS, ONE_STAGE, SIZE

from swiftformer_tf import (
    ConfigError,
    ModelError,
    SwiftFormerModel,
    fuse,
)


@keras.saving.register_keras_serializable("tests")
class Wrapped(keras.layers.Layer):
    """A layer of a user's with a backbone inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = SwiftFormerModel(ONE_STAGE)

    def call(self, inputs: Any) -> Any:
        return self.backbone(inputs)


class Subclassed(keras.Model):
    """A model without a graph."""

    def call(self, inputs: Any) -> Any:
        return inputs


def _on_image(function: Any) -> keras.Model:
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, function(image))


ELSEWHERE = SwiftFormerModel(ONE_STAGE)


@keras.saving.register_keras_serializable("tests")
class Borrowing(keras.layers.Layer):
    """A layer of a user's that calls a backbone which it does not hold."""

    def call(self, inputs: Any) -> Any:
        return ELSEWHERE(inputs)


def _borrowed(image: Any) -> Any:
    return ELSEWHERE(image)


def _beside_a_backbone(layer: Any) -> keras.Model:
    """Which is folded, so that nothing is missed by its absence."""
    return _on_image(lambda image: [SwiftFormerModel(ONE_STAGE)(image), layer(image)])


def _enclosing(other: keras.Model) -> keras.layers.Layer:
    return layers.Lambda(lambda image: other(image))


def _cropped_at_random() -> keras.Model:
    image = keras.Input((80, 72, 3))
    return keras.Model(image, SwiftFormerModel(ONE_STAGE)(layers.RandomCrop(SIZE, SIZE, name="crop")(image)))


def _two_pictures() -> keras.Model:
    images = [keras.Input((SIZE, SIZE, 3)) for _ in range(2)]
    backbone = SwiftFormerModel(ONE_STAGE)
    return keras.Model(images, [backbone(each) for each in images])


def _half_a_block() -> keras.Model:
    attention = SwiftFormerModel(ONE_STAGE).layers[-1].attn
    return _on_image(lambda image: attention(layers.Conv2D(ONE_STAGE.embed_dims[-1], 3)(image)))


IN_A_LAMBDA = r"lambda.* \(Lambda\) contains a SwiftFormer \("


def test_a_lambda_may_name_what_is_there_later() -> None:
    layer = layers.Lambda(lambda image: (image, lambda: factor)[0], output_shape=lambda shape: shape)
    model = _beside_a_backbone(layer)
    assert len(fuse(model, config=ONE_STAGE).outputs) == 2
    factor: int = 2


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (
            lambda: _on_image(Wrapped(name="mine")),
            {},
            ModelError,
            r"mine \(Wrapped\) contains a SwiftFormer \(",
        ),
        (
            lambda: _beside_a_backbone(Borrowing(name="mine")),
            {},
            ModelError,
            r"mine \(Borrowing\) contains a SwiftFormer \(",
        ),
        (
            lambda: _beside_a_backbone(layers.Lambda(lambda image, other=ELSEWHERE: other(image))),
            {},
            ModelError,
            IN_A_LAMBDA,
        ),
        (lambda: _beside_a_backbone(_enclosing(ELSEWHERE)), {}, ModelError, IN_A_LAMBDA),
        (lambda: _beside_a_backbone(layers.Lambda(lambda image: _borrowed(image))), {}, ModelError, IN_A_LAMBDA),
        (
            _cropped_at_random,
            {},
            ModelError,
            r"crop \(RandomCrop\) makes \(1, 80, 72, 3\) at inference, but tells Keras \(1, 64, 64, 3\); remove",
        ),
        (lambda: Subclassed(name="loose"), {}, ModelError, r"loose is a subclassed model \(Subclassed\), which has no"),
        (_half_a_block, {}, ModelError, r"attn \(EfficientAdditiveAttention\) is part of a block; expected whole"),
        (
            _two_pictures,
            {},
            ModelError,
            r"64, 3\), \(None, 64, 64, 3\); expected one image",
        ),
        (lambda: _on_image(layers.Conv2D(2, 1)), {}, ModelError, "contains no SwiftFormer block"),
        (HEADS["gate"], {"config": None}, ModelError, r"no configuration .* config=backbone.config; copy a model with"),
        (HEADS["gate"], {"tasks": "poetry"}, ConfigError, "unknown task 'poetry'; expected one of classification, "),
        (HEADS["gate"], {"tasks": {"x": "features"}}, ConfigError, "no output is called 'x'; expected one of "),
        (HEADS["resized"], {"image_size": 64}, ConfigError, r"image_size=64: the model was built for \(80, 72\) only"),
        (
            HEADS["embedding"],
            {"tasks": "classification"},
            ConfigError,
            r"has the shape \(1, 16\), but the model has 10 labels",
        ),
        (HEADS["gate"], {"classifier_activation": "softmax"}, ConfigError, "expected a model with labels"),
    ],
)
def test_what_cannot_be_folded_is_named(make: Any, options: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        fuse(make(), **{"config": ONE_STAGE, **options})
