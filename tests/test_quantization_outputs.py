"""Labels of photographs whose scores go beyond what calibration saw."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest
from support.random_models import pictures, seeded_model, tiny_config

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    LiteRunner,
    SwiftFormerForImageClassification,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.quantization import Graph, rewriting


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return pictures(24, 64, 64)


@pytest.fixture(scope="module")
def model(pixels: np.ndarray) -> SwiftFormerForImageClassification:
    """Smaller than that of other tests: it is exported with many ranges."""
    config = tiny_config(depths=(2,), embed_dims=(12,), downsamples=(True,))
    return seeded_model(config, config.transform.normalize(pixels))


@pytest.fixture(scope="module")
def calibrated(
    model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> Callable[[bool], tuple[DeployModel, Calibration]]:
    """Once for all recipes, with added scores and without."""

    @functools.cache
    def made(added: bool) -> tuple[DeployModel, Calibration]:
        deploy = with_added_scores(model) if added else fuse(model)
        return deploy, calibrate(deploy, pixels)

    return made


def with_added_scores(model: SwiftFormerForImageClassification) -> DeployModel:
    """The scores of `model` with those of a small head added, which alone says little."""
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.GlobalAveragePooling2D()(model.input))
    scores = keras.layers.Add()([model.output, keras.layers.Dense(len(model.config.labels))(hidden)])
    return fuse(keras.Model(model.input, scores), config=model.config)


def narrowed(calibration: Calibration, high: float) -> Calibration:
    """As if the images had reached no score above `high`."""
    tensor = next(
        op.outputs[0] for op in reversed(Graph(calibration.content).operations) if op.name in ("ADD", "CONV_2D")
    )
    reached = {**calibration.statistics.high, tensor: np.minimum(calibration.statistics.high[tensor], np.float32(high))}
    return dataclasses.replace(calibration, statistics=dataclasses.replace(calibration.statistics, high=reached))


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("recipe", ["int8", "static_int8"])
def test_the_best_label_stays_a_tenth_beyond_the_calibrated_range(
    recipe: str,
    added: bool,
    calibrated: Callable[[bool], tuple[DeployModel, Calibration]],
    pixels: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of scores that are a sum, whose range is not searched as those of other sums are."""
    deploy, calibration = calibrated(added)
    chosen = RECIPES[recipe].replace(correct_output_bias=False)
    images = deploy.config.transform.normalize(pixels)
    seen = LiteRunner(export(deploy, chosen, calibration=calibration))
    scores = np.stack([seen(image[None]) for image in images])
    low = float(scores.min())
    first, second = np.sort(scores, axis=1)[:, ::-1][:, :2].T
    beyond = 0
    for image, wanted, best, next_best in zip(images, scores.argmax(axis=1), first, second, strict=True):
        high = (best + 0.1 * low) / 1.1  # the best is a tenth of the range beyond it
        if not high < next_best < best - 0.02 * (best - low):
            continue  # the second is beyond it too, and some steps less
        low_seen = narrowed(calibration, high)
        assert LiteRunner(export(deploy, chosen, calibration=low_seen))(image[None]).argmax() == wanted
        with monkeypatch.context() as patch:
            patch.setattr(rewriting, "OUTPUT_HEADROOM", 0.0)
            saturated = LiteRunner(export(deploy, chosen, calibration=low_seen))(image[None])
        assert np.sum(saturated == saturated.max()) > 1  # which of them is the best is not to be seen
        beyond += 1
        if beyond == 3:
            break
    assert beyond > 0
