"""Names of tensors: each once, from the layer that they belong to, the same in every export."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from support.small_graphs import answers, converted

from swiftformer_tf import RECIPES, LiteModel, SwiftFormerForImageClassification, export, fuse
from swiftformer_tf.debugging.pairing import pair
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.quantization import Graph, name_tensors

Lite = Callable[..., LiteModel]


def names(content: bytes) -> list[str]:
    """The names of all tensors of a file, in its own order."""
    from ai_edge_litert.tools import flatbuffer_utils

    (subgraph,) = flatbuffer_utils.read_model_from_bytearray(bytearray(content)).subgraphs
    return [tensor.name.decode() for tensor in subgraph.tensors]


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_tensor_has_a_name_of_its_own_that_says_where_it_comes_from(recipe: str, lite: Lite) -> None:
    found = names(lite(recipe).content)
    assert len(set(found)) == len(found)
    layers = ("image", "stem-", "stages-", "head/", "logits")
    assert [name for name in found if not name.startswith(layers)] == []
    assert {"image", "logits", "stem-0/kernel", "stages-1-blocks-0-attn-to_key/kernel"} <= set(found)
    assert inspect_model(lite(recipe)).repeated_names == ()


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8"])
def test_names_are_the_same_in_another_export(
    recipe: str, lite: Lite, model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    again = export(fuse(model), RECIPES[recipe], calibration=pixels[:2])
    assert names(again.content) == names(lite(recipe).content)


def test_the_output_is_called_as_in_the_signature(lite: Lite) -> None:
    assert "probabilities" in names(lite("float32", classifier_activation="softmax").content)


def test_an_equal_constant_of_two_layers_is_kept_once_and_named_after_the_first() -> None:
    def twice(image: keras.KerasTensor) -> keras.KerasTensor:
        for name in ("first", "second_7"):
            image = keras.layers.Conv2D(3, 1, name=name, kernel_initializer="orthogonal")(image)
        return image

    content = converted(twice, 4, 4, 3)
    named = name_tensors(content, ["first", "second_7"])
    assert {"first/kernel", "first/bias", "second_7/kernel"} < set(names(named))
    images = np.random.default_rng(0).standard_normal((2, 1, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(answers(named, images), answers(content, images))


def test_a_layer_that_runs_twice_numbers_its_tensors() -> None:
    layer = keras.layers.DepthwiseConv2D(3, padding="same", name="shared", depthwise_initializer="uniform")
    named = names(name_tensors(converted(lambda image: layer(layer(image)), 4, 4, 3), ["shared"]))
    assert {"shared/kernel", "shared/depthwise_conv_2d"} <= set(named)
    assert len(set(named)) == len(named)


def test_integers_and_floats_of_one_tensor_are_found_by_its_name(lite: Lite) -> None:
    """As the debugger wants it: what stands behind the name tells apart, and says nothing of the origin."""
    graph, reference = Graph(lite("mixed_int8").content), Graph(lite("float32").content)
    _, found = pair(graph, reference)
    assert {graph.label(tensor) for tensor in found} == {reference.label(tensor) for tensor in found.values()}
    variants = [name for name in names(lite("mixed_int8").content) if ";" in name]
    assert {name.partition(";")[2].rstrip("_123456789") for name in variants} == {"quantize", "dequantize"}
