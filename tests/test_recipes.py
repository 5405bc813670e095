"""The table of recipes, and combinations that no file can have."""

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from swiftformer_tf import RECIPES, ConfigError, Recipe
from swiftformer_tf.recipes import cautions, choose_recipes

ROOT = Path(__file__).parents[1]

# What each row promises: stored, computed, needs calibration, least SNR, least agreement, most partitions.
ROWS: dict[str, tuple[str, str, bool, float, float, int | None]] = {
    "float32": ("float32", "float32", False, 92, 1.0, 1),
    "float16": ("float16", "float32", False, 50, 0.99, 1),
    "dynamic_int8": ("int8", "float32", False, 30, 0.97, 1),
    "dynamic_int4": ("int4", "float32", True, 20, 0.93, 1),
    "mixed_int8": ("int8", "int8", True, 26, 0.94, 1),
    "int8": ("int8", "int8", True, 20, 0.93, None),
    "static_int8": ("int8", "int8", True, 20, 0.93, None),
    "int16x8": ("int8", "int16", True, 30, 0.97, None),
}


PIXELS = {
    "float32": 0.9999,
    "float16": 0.999,
    "dynamic_int8": 0.995,
    "dynamic_int4": 0.99,
    "mixed_int8": 0.995,
    "int8": 0.99,
    "static_int8": 0.99,
    "int16x8": 0.995,
}

PREPARATIONS = [
    *("lower_float_only", "fit_norm_ranges", "equalize"),
    *("lower_gelu", "lower_rsqrt", "lower_mean", "correct_output_bias"),
]
PREPARATIONS_OF = {
    "dynamic_int8": ["equalize"],
    "dynamic_int4": ["equalize", "correct_output_bias"],
    "mixed_int8": ["lower_float_only", "equalize", "correct_output_bias"],
    "int8": PREPARATIONS,
    "static_int8": ["lower_float_only", "fit_norm_ranges", "equalize", "lower_mean", "correct_output_bias"],
    "int16x8": ["lower_float_only", "equalize"],
}


def test_every_recipe_has_its_test() -> None:
    assert set(ROWS) == set(RECIPES)


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    recipe = RECIPES[name]
    facts = (recipe.weights, recipe.activations, recipe.needs_calibration)
    assert (*facts, recipe.min_snr, recipe.min_agreement, recipe.max_partitions) == ROWS[name]
    prepared = [each for each in PREPARATIONS if not any(getattr(recipe, each) is none for none in (False, None))]
    assert prepared == PREPARATIONS_OF.get(name, [])
    assert (recipe.least_agreement("images"), recipe.least_agreement("pixels")) == (ROWS[name][4], PIXELS[name])
    assert recipe.float_pixels == (name == "mixed_int8")
    assert recipe.name == name
    assert recipe.description
    assert (recipe.inference_input_type, recipe.inference_output_type) == ("float32", "float32")


@pytest.mark.parametrize("name", ROWS)
def test_plain_types_round_trip(name: str) -> None:
    recipe = RECIPES[name]
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    read = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert read == recipe
    assert hash(read) == hash(recipe)


@pytest.mark.parametrize(
    ("base", "field", "value", "message"),
    [
        ("float32", "activations", "float16", "activations='float16': expected one of float32 or int8 or int16"),
        ("float32", "activations", None, "activations=None: expected one of float32 or int8 or int16"),
        (
            "float32",
            "weights",
            "int2",
            "weights='int2': expected float32 or float16 or int8 or int4, since it computes in float32",
        ),
        ("int8", "weights", "float32", "weights='float32': expected int8, since it computes in int8"),
        ("int16x8", "weights", "float16", "weights='float16': expected int8, since it computes in int16"),
        ("float32", "inference_input_type", "uint8", "inference_input_type='uint8': expected float32, since it"),
        ("dynamic_int8", "inference_input_type", "int8", "inference_input_type='int8': expected float32, since it"),
        ("int8", "inference_input_type", "int16", "inference_input_type='int16': expected float32 or int8 or uint8"),
        (
            "dynamic_int8",
            "lower_float_only",
            True,
            "lower_float_only=True: expected False, since it computes in float32",
        ),
        (
            "int8",
            "float_pixels",
            True,
            "float_pixels=True: expected False, since none of its operations",
        ),
        ("int16x8", "fit_norm_ranges", True, "fit_norm_ranges=True: expected False, since it computes in int16"),
        ("float32", "lower_gelu", True, "lower_gelu=True: expected False, since it computes in float32"),
        ("int16x8", "lower_rsqrt", True, "lower_rsqrt=True: expected False, since it computes in int16"),
        ("dynamic_int4", "lower_mean", True, "lower_mean=True: expected False, since it computes in float32"),
        ("float16", "correct_output_bias", True, "correct_output_bias=True: expected False, since its weights are"),
        ("int16x8", "correct_output_bias", True, "correct_output_bias=True: expected False, since its weights are"),
        ("dynamic_int8", "int8_layers", ("head",), "int8_layers=['head']: expected none, since its weights are int8"),
        ("int8", "weights", "int4", "weights='int4': expected int8, since it computes in int8"),
        ("float16", "equalize", 0.0, "equalize=0.0: expected None, since its weights are float16"),
        ("float16", "equalize", 0.5, "equalize=0.5: expected None, since its weights are float16"),
        ("int8", "equalize", 1.5, "equalize=1.5: expected a share from 0 to 1, or None"),
        (
            "int8",
            "inference_output_type",
            "float16",
            "inference_output_type='float16': expected float32 or int8 or uint8",
        ),
        ("int16x8", "inference_output_type", "int8", "inference_output_type='int8': expected float32 or int16, since"),
        ("dynamic_int8", "float_ops", {"ADD": "why"}, "float_ops=['ADD']: expected none, since it computes in float32"),
        ("float32", "min_pixel_agreement", 1.01, "min_pixel_agreement=1.01: expected a share from 0 to 1"),
        ("float32", "min_agreement", 1.01, "min_agreement=1.01: expected a share from 0 to 1"),
        ("float32", "min_agreement", -0.1, "min_agreement=-0.1: expected a share from 0 to 1"),
        ("int8", "min_snr", "20", "min_snr='20': expected decibels"),
        ("int8", "min_snr", float("nan"), "min_snr=nan: expected decibels"),
        ("int8", "max_partitions", "1", "max_partitions='1': expected a number or None"),
        ("int8", "min_snr", float("inf"), "min_snr=inf: expected decibels"),
        ("int8", "min_snr", float("-inf"), "min_snr=-inf: expected decibels"),
        ("int8", "max_partitions", -1, "max_partitions=-1: expected a number or None"),
        ("float32", "min_agreement", float("nan"), "min_agreement=nan: expected a share from 0 to 1"),
    ],
)
def test_an_impossible_combination_is_refused_by_name(base: str, field: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"recipe {base}: {message}")):
        RECIPES[base].replace(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((share, end) for share in ("min_agreement", "min_pixel_agreement", "equalize") for end in (0, 1)),
        ("max_partitions", 0),
        ("min_snr", -3.5),
    ],
)
def test_the_ends_of_what_is_possible_are_possible(field: str, value: float) -> None:
    """No partition at all is what a file without XNNPACK has."""
    assert getattr(RECIPES["int8"].replace(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("int8_layers", "inputs", "expected"),
    [
        ((), 48, True),
        ((), 49, False),
        ((), 50, True),
        (("head",), 48, True),
        (("pwconv1",), 48, False),
        (("pw*",), 48, False),
    ],
)
def test_which_matrices_have_four_bits(int8_layers: tuple[str, ...], inputs: int, expected: bool) -> None:
    """Even numbers of inputs, and no layer that the recipe leaves in eight by its name or pattern."""
    recipe = RECIPES["dynamic_int4"].replace(int8_layers=int8_layers)
    assert recipe.stores_in_int4("pwconv1", inputs=inputs) is expected
    assert not RECIPES["dynamic_int8"].stores_in_int4("pwconv1", inputs=inputs)


def test_what_stays_in_int8_is_the_head_of_the_measured_order() -> None:
    """Of the matrices of XS, those that lose the most in four bits for the bytes that these save come first."""
    page = ROOT / "docs" / "results" / "int4.csv"
    with page.open(newline="", encoding="utf-8") as rows:
        measured = [row["layer"] for row in csv.DictReader(rows)]
    layers = RECIPES["dynamic_int4"].int8_layers
    assert list(layers) == measured[: len(layers)]


def test_the_tutorial_says_how_far_each_recipe_rescales_channels() -> None:
    page = (ROOT / "docs" / "tutorials" / "quantization.md").read_text("utf-8")
    section = " ".join(page.partition("## How the integers are made")[2].partition("\n## ")[0].split())
    told = {how: re.findall(r"`(\w+)`", names) for names, how in re.findall(r"In (`[^.]+`) (this|it) ", section)}
    shares = {name: recipe.equalize for name, recipe in RECIPES.items() if recipe.equalize is not None}
    assert told["this"] == [name for name, share in shares.items() if share > 0]
    assert told["it"] == [name for name, share in shares.items() if share == 0]


@pytest.mark.parametrize("values", [{}, {"name": "mine"}, {**RECIPES["int8"].to_dict(), "bits": 8}, [1], None])
def test_what_is_no_recipe_is_refused(values: Any) -> None:
    with pytest.raises(ConfigError, match="not a recipe: "):
        Recipe.from_dict(values)


def test_probabilities_stay_in_float_where_outputs_are_floats() -> None:
    assert RECIPES["int8"].leaves_probabilities_in_float
    assert not RECIPES["int8"].replace(inference_output_type="int8").leaves_probabilities_in_float
    assert not RECIPES["int8"].replace(float_probabilities=False).leaves_probabilities_in_float


def test_a_recipe_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPES["int8"].min_snr = 0  # type: ignore[misc]
    assert RECIPES["int8"].replace(min_snr=0).min_snr == 0
    assert RECIPES["int8"].min_snr == 20


def test_recipes_are_chosen_by_name_or_as_they_are_each_once() -> None:
    mine = RECIPES["int8"].replace(name="mine", min_snr=1)
    assert choose_recipes(["float16", mine, "float16"]) == [RECIPES["float16"], mine]
    assert choose_recipes("float16") == [RECIPES["float16"]]
    assert choose_recipes(mine) == [mine]
    (bytes_only,) = choose_recipes(["int8"], inference_input_type="uint8", inference_output_type="int8")
    assert (bytes_only.inference_input_type, bytes_only.inference_output_type) == ("uint8", "int8")


def test_calibration_images_make_a_difference_to_integers_alone() -> None:
    assert [name for name, recipe in RECIPES.items() if not recipe.has_integer_weights] == ["float32", "float16"]
    assert [
        recipe.name for recipe in RECIPES.values() if recipe.needs_calibration and not recipe.has_integer_weights
    ] == []


def test_all_is_a_choice_too() -> None:
    assert choose_recipes("all") == list(RECIPES.values())
    mine = RECIPES["int8"].replace(name="mine")
    assert choose_recipes([mine, "int8", "all"])[:3] == [mine, RECIPES["int8"], RECIPES["float32"]]
    assert len(choose_recipes([mine, "int8", "all"])) == len(RECIPES) + 1  # each once


def test_cautions_are_told_once_each() -> None:
    slow, plain = RECIPES["int16x8"], RECIPES["int8"]
    other = plain.replace(name="mine", caution="untried")
    assert cautions([plain, slow, other, slow]) == [f"int16x8 is {slow.caution}", "mine is untried"]
    assert cautions([plain]) == []


@pytest.mark.parametrize(
    ("names", "types", "message"),
    [
        (["int9"], {}, f"recipe 'int9': expected one of {', '.join(RECIPES)}, or all"),
        (
            ["int8", "float16"],
            {"inference_output_type": "uint8"},
            "inference output type uint8: recipe float16 supports float32; leave it out, or use it only with "
            "mixed_int8, ",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused(names: list[str], types: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        choose_recipes(names, **types)
