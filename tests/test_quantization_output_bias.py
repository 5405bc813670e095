"""The last bias takes back the mean of what rounding adds up to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    LiteModel,
    LiteRunner,
    Recipe,
    export,
    exporting,
)
from swiftformer_tf.quantization import Graph, correct_output_bias
from swiftformer_tf.quantization.ranges import last_matrices

Lite = Callable[..., LiteModel]


def means(model: LiteModel, inputs: np.ndarray) -> np.ndarray:
    runner = LiteRunner(model)
    return np.asarray(np.mean([runner(each[None]) for each in inputs], axis=0, dtype=np.float64))


def test_recipes_of_few_steps_are_centered() -> None:
    centered = [name for name, recipe in RECIPES.items() if recipe.correct_output_bias]
    assert centered == ["dynamic_int4", "mixed_int8", "int8", "static_int8"]


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8"])
@pytest.mark.parametrize("include_preprocessing", [False, True])
def test_mean_outputs_are_the_float_graphs(
    recipe: str,
    include_preprocessing: bool,
    calibrated_deploy: Callable[..., tuple[DeployModel, Calibration]],
    pixels: np.ndarray,
) -> None:
    deploy, calibration = calibrated_deploy(**({"include_preprocessing": True} if include_preprocessing else {}))
    chosen = RECIPES[recipe]
    if include_preprocessing:
        chosen = chosen.replace(inference_input_type="uint8")
    inputs = pixels.astype(np.float32) if include_preprocessing else deploy.config.transform.normalize(pixels)
    expected = means(export(deploy, RECIPES["float32"], calibration=calibration), inputs)

    def furthest(recipe: Recipe) -> float:
        return float(np.abs(means(export(deploy, recipe, calibration=calibration), inputs) - expected).max())

    assert furthest(chosen) < furthest(chosen.replace(correct_output_bias=False)) / 4


def test_only_the_last_bias_changes(lite: Lite, deploy: DeployModel, pixels: np.ndarray) -> None:
    for recipe in ("mixed_int8", "int8"):
        before = Graph(lite(recipe).content)
        (last,) = last_matrices(before)
        shifted = correct_output_bias(
            lite(recipe).content,
            [deploy.config.transform.normalize(image[None]) for image in pixels[:4]],
            {before.label(last.outputs[0]): np.full(10, 3.0)},
        )
        after = Graph(shifted)
        assert [op.name for op in after.operations] == [op.name for op in before.operations]
        different = [
            (op.name, place)
            for op, corrected in zip(before.operations, after.operations, strict=True)
            for place, (one, other) in enumerate(zip(op.inputs, corrected.inputs, strict=True))
            if not same(before.constant(one), after.constant(other))
        ]
        assert different == [("FULLY_CONNECTED" if recipe == "mixed_int8" else "CONV_2D", 2)]


def same(one: Any, other: Any) -> bool:
    return other is None if one is None else np.array_equal(one, other)


def test_a_one_shot_iterable_is_enough(deploy: DeployModel, pixels: np.ndarray, lite: Lite) -> None:
    images = (deploy.config.transform.normalize(image) for image in pixels)
    once = export(deploy, RECIPES["int8"], calibration=images)
    assert Graph(once.content).operations
    inputs = deploy.config.transform.normalize(pixels)
    np.testing.assert_allclose(means(once, inputs), means(lite("int8"), inputs), atol=0.02)


def test_images_seen_twice_are_spread_evenly_with_their_own_outputs(
    deploy: DeployModel, lite: Lite, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noting(content: bytes, images: list[np.ndarray], expected: dict[str, np.ndarray]) -> bytes:
        seen.append((np.concatenate(images), expected))
        return correct_output_bias(content, images, expected)

    monkeypatch.setattr(exporting, "IMAGES_SEEN_TWICE", 4)
    monkeypatch.setattr(exporting, "correct_output_bias", noting)
    export(deploy, RECIPES["mixed_int8"], calibration=pixels[:12])
    inputs = deploy.config.transform.normalize(pixels[[0, 4, 8]])
    ((images, means_by_label),) = seen
    (expected,) = means_by_label.values()
    np.testing.assert_array_equal(images, inputs)
    np.testing.assert_allclose(expected, means(lite("float32"), inputs), atol=1e-5)
