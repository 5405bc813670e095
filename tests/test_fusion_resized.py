"""Matrices go before bilinear resizing where that is less to do: to fewer channels, or of concatenated maps."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import pictures, randomized, tiny_config

from swiftformer_tf import SwiftFormerModel, fuse
from swiftformer_tf.conversion import convert
from swiftformer_tf.layers.resizing import BilinearResize, BilinearUpsampling
from swiftformer_tf.quantization import Graph
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import SegmentationHead

SIZE = (72, 90)  # maps of 18 x 23, 9 x 12, 5 x 6 and 3 x 3: doubled ones are cut to size
CONFIG = tiny_config(image_size=SIZE)
IMAGES = CONFIG.transform.normalize(pictures(2, *SIZE))

Head = Callable[[list[Any]], Any]


def conv(filters: int, kernel_size: int = 1, **settings: Any) -> keras.layers.Conv2D:
    """With a bias that is not zero."""
    return keras.layers.Conv2D(filters, kernel_size, bias_initializer="random_normal", padding="same", **settings)


def norm(hidden: Any) -> Any:
    """With statistics and weights that are neither zero nor one."""
    layer = keras.layers.BatchNormalization(
        beta_initializer="random_normal",
        gamma_initializer="random_uniform",
        moving_mean_initializer="random_normal",
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2.0),
    )
    return layer(hidden)


def summed(maps: list[Any]) -> Any:
    """Maps of 12 channels in the size of the first: one is doubled before it is cut, another read as it is."""
    wide = [conv(12)(each) for each in maps]
    wide[1] = BilinearUpsampling()(wide[1])
    return keras.layers.Add()([wide[0], *(BilinearResize()(each, wide[0]) for each in wide[1:])])


def active(maps: list[Any]) -> Any:
    """A resized map that ends in an activation."""
    return BilinearResize()(keras.layers.ReLU()(conv(12)(maps[3])), maps[0])


def wide(maps: list[Any], filters: int = 12, **settings: Any) -> Any:
    """As many channels of each map, in the size of the first, one after the other."""
    levels = [conv(filters)(each) for each in maps]
    return keras.layers.Concatenate(**settings)([levels[0], *(BilinearResize()(x, levels[0]) for x in levels[1:])])


def bottleneck(maps: list[Any]) -> Any:
    """Channels of three maps, few of the smallest."""
    few, many = conv(2)(maps[3]), conv(12)(maps[2])
    return keras.layers.Concatenate()([conv(12)(maps[0]), *(BilinearResize()(each, maps[0]) for each in (few, many))])


def resized_channels(deploy: keras.Model) -> set[int]:
    graph = Graph(convert(deploy))
    return {graph.shape(op.outputs[0])[-1] for op in graph.operations if op.name == "RESIZE_BILINEAR"}


def pyramid() -> keras.Model:
    """Four maps of a backbone's channels and sizes, none made by a matrix. Only the first is a SwiftFormer's.

    A backbone of four stages takes most of the time to fuse; what a whole segmenter resizes is tested below.
    """
    first, *others = CONFIG.embed_dims
    stage = SwiftFormerModel(CONFIG.replace(depths=(1,), embed_dims=(first,), downsamples=(False,)))
    maps = [stage.output]
    for index, filters in enumerate(others, start=1):
        matrix = conv(filters, 3, strides=2, name=f"stages-{index}-conv")
        maps.append(keras.layers.ReLU(name=f"stages-{index}-relu")(matrix(maps[-1])))
    return randomized(keras.Model(stage.input, maps))


def checked(head: Head) -> keras.Model:
    """The deploy graph of a head on four maps, which computes what the model does."""
    backbone = pyramid()
    model = keras.Model(backbone.input, head(list(backbone.outputs)), name="own")
    deploy = fuse(model, config=CONFIG)
    for image in IMAGES:
        expected, actual = (keras.tree.flatten(each(image[None], training=False)) for each in (model, deploy))
        for mine, its in zip(actual, expected, strict=True):
            np.testing.assert_allclose(mine, its, atol=1e-5 * float(np.abs(its).max()))
    return deploy


MOVED: dict[str, Head] = {
    "a sum": lambda maps: conv(3)(summed(maps)),
    "without a bias": lambda maps: conv(3, use_bias=False)(summed(maps)),
    "behind dropout": lambda maps: conv(3)(keras.layers.SpatialDropout2D(0.5)(summed(maps))),
    "one map": lambda maps: conv(3)(BilinearResize()(maps[3], maps[0])),
    "behind a norm": lambda maps: conv(3)(BilinearResize()(norm(maps[3]), maps[0])),
    "a norm of a sum": lambda maps: conv(3)(norm(summed(maps))),
    "by the names of arguments": lambda maps: conv(3)(BilinearResize()(inputs=maps[3], like=maps[0])),
    "a sum that is resized": lambda maps: conv(3)(BilinearUpsampling()(BilinearUpsampling()(conv(8)(maps[0])))),
}

STAYS: dict[str, tuple[int, Head]] = {
    "as many channels": (12, lambda maps: conv(12)(summed(maps))),
    "more than one tap": (12, lambda maps: conv(3, 3)(summed(maps))),
    "strides": (12, lambda maps: conv(3, strides=2)(summed(maps))),
    "groups": (12, lambda maps: conv(3, groups=3)(summed(maps))),
    "an activation of its own": (12, lambda maps: conv(3, activation="relu")(summed(maps))),
    "an activation before it": (12, lambda maps: conv(3)(keras.layers.ReLU()(summed(maps)))),
    "a norm of what no matrix made": (12, lambda maps: conv(3)(norm(active(maps)))),
    "no matrix": (12, summed),
    "a smaller map": (12, lambda maps: conv(3)(BilinearResize()(conv(12)(maps[0]), maps[3]))),
    "a pooling": (12, lambda maps: keras.layers.GlobalAveragePooling2D()(summed(maps))),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_matrix_goes_first(name: str) -> None:
    assert resized_channels(checked(MOVED[name])) == {3}


@pytest.mark.parametrize("name", STAYS)
def test_what_stays_as_it_is(name: str) -> None:
    channels, head = STAYS[name]
    assert resized_channels(checked(head)) == {channels}


# Mixed maps, and how many convolutions the deploy graph of such a head has: one for each map, if nothing is between.
MIXED: dict[str, tuple[int, Head]] = {
    "as many channels": (4, lambda maps: conv(12)(wide(maps))),
    "SegFormer's head": (5, lambda maps: conv(3)(keras.layers.ReLU()(norm(conv(12, use_bias=False)(wide(maps)))))),
    "behind dropout": (4, lambda maps: conv(12)(keras.layers.SpatialDropout2D(0.5)(wide(maps)))),
    "two matrices": (4, lambda maps: conv(3)(conv(12)(wide(maps)))),
    "activations before it": (3, lambda maps: conv(12)(keras.layers.Concatenate(axis=3)([maps[0], active(maps)]))),
    "sums": (6, lambda maps: conv(12)(keras.layers.Concatenate()([summed(maps), active(maps)]))),
    "a bottleneck stays one": (4, lambda maps: conv(6)(bottleneck(maps))),
}

CONCATENATED: dict[str, Head] = {
    "more channels to resize than there were": lambda maps: conv(64)(wide(maps, 2)),
    "no matrix": wide,
    "more than one tap": lambda maps: conv(12, 3)(wide(maps)),
    "an activation before it": lambda maps: conv(12)(keras.layers.ReLU()(wide(maps))),
    "a norm before it": lambda maps: conv(12)(norm(wide(maps))),
    "rows": lambda maps: conv(12)(wide(maps, axis=1)),
    "nothing resized": lambda maps: conv(12)(keras.layers.Concatenate()([conv(4)(maps[0]), maps[0]])),
}


def head_convolutions(deploy: keras.Model) -> int:
    """Convolutions on top of the backbone, whose layers have the names of its stages."""
    graph = [each for each in deploy.layers if isinstance(each, keras.layers.Conv2D)]
    return sum(not each.name.startswith(("stem", "stages")) for each in graph)


@pytest.mark.parametrize("name", MIXED)
def test_concatenated_maps_are_mixed_before_they_are_resized(name: str) -> None:
    convolutions, head = MIXED[name]
    deploy = checked(head)
    assert head_convolutions(deploy) == convolutions
    names = [op.name for op in Graph(convert(deploy)).operations]
    assert "CONCATENATION" not in names
    assert names[-1] in ("ADD", "CONV_2D")  # no normalization is left of its own


@pytest.mark.parametrize("name", CONCATENATED)
def test_what_stays_concatenated(name: str) -> None:
    names = [op.name for op in Graph(convert(checked(CONCATENATED[name]))).operations]
    assert "CONCATENATION" in names


def test_maps_that_others_read_stay_for_them() -> None:
    def twice(maps: list[Any]) -> Any:
        level = conv(12)(maps[3])
        hidden = keras.layers.Concatenate()([maps[0], BilinearResize()(level, maps[0])])
        mixed = conv(12)(hidden)
        return {"level": level, "all": hidden, "mixed": mixed, "normalized": norm(mixed)}

    checked(twice)


def test_a_sum_that_is_read_twice_and_a_sum_of_sums() -> None:
    def twice(maps: list[Any]) -> Any:
        hidden = summed(maps)
        return {"few": conv(3)(hidden), "sums": keras.layers.Add()([hidden, BilinearResize()(hidden, maps[0])])}

    assert resized_channels(checked(twice)) == {3, 12}


def test_a_segmenter_resizes_its_logits_alone() -> None:
    config = tiny_config(image_size=SIZE, id2label={0: "road", 1: "sky", 2: "tree"})
    head = SegmentationHead(fpn_dim=16, head_dim=16)
    model = randomized(SwiftFormerForSemanticSegmentation(config, head=head))
    deploy = fuse(model)
    expected = model(IMAGES[:1], training=False)
    np.testing.assert_allclose(deploy(IMAGES[:1]), expected, atol=1e-5 * float(np.abs(expected).max()))
    graph = Graph(convert(deploy))
    channels = [graph.shape(op.outputs[0])[-1] for op in graph.operations if op.name == "RESIZE_BILINEAR"]
    # Three levels are doubled a last time and cut; smaller ones meet further convolutions before that.
    assert channels.count(3) == 6
    assert channels.count(16) == 3


def norms(deploy: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in deploy.layers if isinstance(layer, keras.layers.BatchNormalization)]


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_norm_before_a_matrix_becomes_part_of_it(use_bias: bool) -> None:
    assert not norms(checked(lambda maps: conv(3, use_bias=use_bias)(norm(maps[0]))))


def test_a_norm_stays_behind_a_convolution_that_takes_it_and_before_one_that_pads() -> None:
    """The converter folds it into the first; the second's padding would need another value than zero."""
    assert len(norms(checked(lambda maps: conv(3)(norm(conv(5, 3)(maps[0])))))) == 1
    assert len(norms(checked(lambda maps: conv(3, 3)(norm(maps[0]))))) == 1
