"""How a network's channels were scaled before is no business of its files'."""

import functools

import numpy as np
import pytest
from support.hard_weights import Scaling, scale_channels
from support.random_models import TWO_STAGES, pictures, relative_error, seeded_model, tiny_config

from swiftformer_tf import RECIPES, Calibration, DeployModel, LiteRunner, Recipe, calibrate, export, fuse
from swiftformer_tf.verification import signal_to_noise

# Wide enough for matrices that every recipe stores in integers.
CONFIG = tiny_config(**{**TWO_STAGES, "embed_dims": (16, 24)})
PICTURES = pictures(16, 64, 64)
INPUTS = CONFIG.transform.normalize(PICTURES)
SCALINGS = {
    "all": Scaling(2),
    "some": Scaling(2, share=0.2),
    "dead": Scaling(2, dead=0.1),
}
# A file may lose so many decibels by the scaling.
ALLOWED = 1.0


@functools.cache
def calibrated(scaling: Scaling) -> tuple[DeployModel, Calibration, np.ndarray]:
    """A model with scaled channels, and what it answers in floats."""
    model = seeded_model(CONFIG, INPUTS)
    scale_channels(model, scaling, np.random.default_rng(0))
    deploy = fuse(model)
    calibration = calibrate(deploy, PICTURES)
    return deploy, calibration, answers(deploy, calibration, RECIPES["float32"])


def answers(deploy: DeployModel, calibration: Calibration, recipe: Recipe) -> np.ndarray:
    runner = LiteRunner(export(deploy, recipe, calibration=calibration))
    return np.stack([runner(each[None]) for each in INPUTS]).astype(np.float64)


@functools.cache
def ratio(scaling: Scaling, recipe: Recipe) -> float:
    """The SNR of a recipe's file in dB, against floats."""
    deploy, calibration, expected = calibrated(scaling)
    found = signal_to_noise(expected, answers(deploy, calibration, recipe))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", SCALINGS)
def test_scaled_channels_are_the_same_function_of_other_ranges(kind: str) -> None:
    plain, scaled = calibrated(Scaling(0, dead=SCALINGS[kind].dead)), calibrated(SCALINGS[kind])
    assert relative_error(scaled[2], plain[2]) < 1e-4
    before, after = (each[1].statistics.high for each in (plain, scaled))
    assert max(float(high.max() / before[tensor].max()) for tensor, high in after.items()) > 4


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("name", ["dynamic_int8", "dynamic_int4", "mixed_int8", "int8", "static_int8", "int16x8"])
def test_files_are_as_near_to_floats_as_those_of_even_channels(name: str, kind: str) -> None:
    recipe = RECIPES[name]
    goal = ratio(Scaling(0, dead=SCALINGS[kind].dead), recipe) - ALLOWED
    assert ratio(SCALINGS[kind], recipe) > goal
    assert ratio(SCALINGS[kind], recipe.replace(equalize=None)) < goal
