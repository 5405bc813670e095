"""Are wrong masks of clients found? Made-up answers to a made-up kit; `segmenters.py` there has the real ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit import Kit
from run import CLIENTS
from segmenters import NAMES, PAGE, judge_masks
from tables import section

from swiftformer_tf import RECIPES

SHAPE = (2, 10, 20, 3)


@pytest.fixture
def kit() -> Kit:
    """Two photographs of 200 pixels, three classes; LiteRT on this machine errs by a hundredth of a logit."""
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=SHAPE) + 4 * np.eye(3)[rng.integers(0, 3, SHAPE[:3])]).astype(np.float32)
    noise = {name: (1e-6 if "float" in name else 0.01) * rng.choice([-1, 1], SHAPE) for name in RECIPES}
    about = {"recipes": {n: {"recipe": r.to_dict(), "min_runtime_version": "2.9.0"} for n, r in RECIPES.items()}}
    return Kit(Path(), about, logits, {(n, "logits"): (logits + each).astype(np.float32) for n, each in noise.items()})


def answer(kit: Kit, recipe: str, outputs: np.ndarray | None = None) -> dict[str, Any]:
    made = kit.desktop[recipe, "logits"] if outputs is None else outputs
    return {"variant": "v", "recipe": recipe, "outputs": made.tolist()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_masks_of_this_machine_are_right(kit: Kit, recipe: str) -> None:
    verdict = judge_masks("openvino", answer(kit, recipe), kit)
    assert (verdict.status, verdict.reason, verdict.bad) == ("right", "", False)
    assert (verdict.photographs, verdict.agreeing, verdict.difference) == (400, 400, 0.0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_pixels_of_another_class_count(kit: Kit, recipe: str) -> None:
    made = kit.desktop[recipe, "logits"].copy()
    beyond = int((1 - RECIPES[recipe].min_pixel_agreement) * 400) + 1
    pixels = made.reshape(-1, 3)[:beyond]  # two logits that are nearly as large change their places
    pixels[:] = pixels[:, [1, 2, 0]]
    verdict = judge_masks("openvino", answer(kit, recipe, made), kit)
    assert verdict.bad
    assert f"{1 - beyond / 400:.2%} of the pixels are of LiteRT's class" in verdict.reason


def test_logits_far_from_keras_are_wrong_though_the_classes_are_right(kit: Kit) -> None:
    verdict = judge_masks("openvino", answer(kit, "int8", 3 * kit.desktop["int8", "logits"]), kit)
    assert verdict.bad
    assert "dB against Keras, 20.0 needed" in verdict.reason
    assert "pixels" not in verdict.reason


def test_what_is_not_finite_or_of_another_shape_is_wrong(kit: Kit) -> None:
    made = kit.desktop["float32", "logits"].copy()
    made[0, 0, 0] = np.nan
    assert judge_masks("openvino", answer(kit, "float32", made), kit).bad
    verdict = judge_masks("openvino", answer(kit, "float32", made[:, :5]), kit)
    assert verdict.reason == "outputs of shape (2, 5, 20, 3): expected (at least 2, 10, 20, 3)"
    assert judge_masks("openvino", answer(kit, "float32", made[:1]), kit).bad


def test_a_refusal_counts_unless_it_is_known(kit: Kit) -> None:
    refused = {"variant": "v", "recipe": "float32", "refused": "no"}
    assert judge_masks("openvino", refused, kit).bad
    assert not judge_masks("ethosu", refused, kit).bad


def test_every_client_has_a_place_on_the_page() -> None:
    for name in NAMES:
        assert name in CLIENTS
        assert "new" in section(PAGE.read_text(), name, "new")
