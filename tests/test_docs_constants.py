"""`docs/results/constants.py`: which constants of quantization it varies, on which photographs, and its rule."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from swiftformer_tf import RECIPES, quantization
from swiftformer_tf.quantization import equalization, gelu

RESULTS = Path(__file__).parents[1] / "docs" / "results"
CLASSES, PER_CLASS = 10, 200


@pytest.fixture
def constants(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script."""
    monkeypatch.syspath_prepend(str(RESULTS))
    return importlib.import_module("constants")


@pytest.fixture
def least(constants: Any) -> Any:
    """A constant that several modules depend on."""
    return next(each for each in constants.CONSTANTS if each.name == "gelu.LEAST_OF_GELU")


def test_no_photograph_is_in_two_sets(constants: Any, tmp_path: Path) -> None:
    for name in range(CLASSES):
        (tmp_path / str(name)).mkdir()
        for number in range(PER_CLASS):
            (tmp_path / str(name) / f"{number}.png").touch()
    drawn = constants.drawn_photographs(tmp_path)
    assert list(drawn.sets) == [(size, draw) for draw in constants.DRAWS for size in constants.SIZES]
    assert [len(paths) for paths in drawn.sets.values()] == [size for size, _ in drawn.sets]
    assert len(drawn.scored) == constants.SCORED
    every = [drawn.scored, *drawn.sets.values()]
    assert len({path for paths in every for path in paths}) == sum(map(len, every))
    for paths in every:
        assert {sum(path.parent.name == str(name) for path in paths) for name in range(CLASSES)} == {
            len(paths) // CLASSES
        }


def test_values_of_today_are_among_the_candidates(constants: Any) -> None:
    for constant in constants.CONSTANTS:
        for recipe in constant.recipes:
            assert recipe in RECIPES
            assert constant.today(recipe) in constant.candidates
            assert len(constant.candidates) > 1
    pairs = [(each.name, recipe) for each in constants.CONSTANTS for recipe in each.recipes]
    assert len(pairs) == len(set(pairs))  # rows are found by them


def test_a_value_of_today_that_is_no_candidate_is_noticed(constants: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = next(each for each in constants.CONSTANTS if each.name == "equalization.LARGEST")
    monkeypatch.setattr(equalization, "LARGEST", 7)
    with pytest.raises(ValueError, match="not enough values to unpack"):
        largest.today("int8")


def test_what_is_changed_is_what_functions_read(constants: Any) -> None:
    for constant in constants.CONSTANTS:
        for attribute in constant.attributes:
            assert attribute.name in _read_by_functions(attribute.module), attribute


def _read_by_functions(module: ModuleType) -> set[str]:
    functions = [each for each in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(each, ast.FunctionDef)]
    return {each.id for function in functions for each in ast.walk(function) if isinstance(each, ast.Name)}


def test_a_candidate_lasts_for_an_export(constants: Any, least: Any) -> None:
    before = dict(gelu.RANGES)
    with least.applied("-4.0"):
        assert least.today("int8") == "-4.0"
        assert gelu.RANGES == gelu.inner_ranges(4.0) != before
    assert least.today("int8") == "-3.4"
    assert before == gelu.RANGES
    with least.applied(least.today("int8")):
        assert before == gelu.RANGES
    share = constants.CONSTANTS[0]
    assert share.recipe("int8", "0.8") == RECIPES["int8"].replace(equalize=0.8)
    assert least.recipe("int8", "-4.0") == RECIPES["int8"]


def test_every_number_is_varied_or_said_to_be_derived(constants: Any) -> None:
    modules = [
        importlib.import_module(f"{quantization.__name__}.{each.name}")
        for each in pkgutil.iter_modules(quantization.__path__)
    ]
    numbers = {
        f"{module.__name__.rpartition('.')[2]}.{target.id}"
        for module in modules
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.Assign)
        for target in ast.walk(node.targets[0])
        if isinstance(target, ast.Name) and isinstance(getattr(module, target.id), int | float | np.ndarray)
    }
    derived = {name for names in constants.DERIVED for name in names.split(", ")}
    varied = {each.name for each in constants.CONSTANTS}
    assert numbers - derived - varied == set()
    assert derived & varied == set()
    for name in derived:
        module, _, attribute = name.partition(".")
        package = "swiftformer_tf" if module in ("recipes", "exporting") else quantization.__name__
        assert hasattr(importlib.import_module(f"{package}.{module}"), attribute), name


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ((0.3, 0.3, 0.3), "**-4.0 is better by 0.3 dB**"),
        ((0.19, 0.19, 0.19), "stays"),
        ((1.0, 1.0, -0.1), "stays"),
        ((-1.0, -1.0, -1.0), "stays"),
        ((1.0, 1.0), "sets of 100 and 200 only: -4.0 gains 1.0 dB"),
        ((-1.0,), "sets of 100 only: none gains anything"),
        ((), ""),
    ],
)
def test_the_rule(constants: Any, least: Any, gains: tuple[float, ...], expected: str) -> None:
    rows = {}
    for size, gain in zip(constants.SIZES, gains, strict=False):
        for draw in constants.DRAWS:
            for candidate, more in {"-3.0": -0.5, "-3.4": 0.0, "-4.0": gain}.items():
                row = {"snr_db": f"{30 + draw + more:.2f}", "agreement": "0.99"}
                rows[constants.row_key(least, candidate, "int8", size, draw)] = row
    candidates = constants.compared(least, "int8", rows)
    assert not candidates or constants.verdict(least, "int8", candidates) == expected
    page = constants.page(rows)
    assert ("| `gelu.LEAST_OF_GELU` | int8 | -3.4 | 2 of 100" in page) == bool(gains)
    assert ("## gelu.LEAST_OF_GELU, int8" in page) == bool(gains)
    assert f"`gelu.LEAST_OF_GELU` (mixed_int8{'' if gains else ', int8'});" in " ".join(page.split())


def test_a_set_counts_when_all_candidates_were_measured(constants: Any, least: Any) -> None:
    row = {"snr_db": "30.00", "agreement": "0.99"}
    keys = [constants.row_key(least, candidate, "int8", 100, 1) for candidate in least.candidates]
    assert constants.compared(least, "int8", dict.fromkeys(keys[:-1], row)) == []
    assert [each.gain for each in constants.compared(least, "int8", dict.fromkeys(keys, row))] == [0, 0, 0]


def test_values_that_were_not_chosen_by_snr_are_left_to_what_they_are_for(constants: Any) -> None:
    headroom = next(each for each in constants.CONSTANTS if each.name == "rewriting.OUTPUT_HEADROOM")
    rows = {
        constants.row_key(headroom, candidate, "int8", size, 1): {"snr_db": snr, "agreement": "0.99"}
        for candidate, snr in {"0.0": "31.00", "0.1": "30.00", "0.2": "29.00"}.items()
        for size in headroom.sizes
    }
    found = constants.verdict(headroom, "int8", constants.compared(headroom, "int8", rows))
    assert found == "chosen for outputs beyond those of the calibration images"


def test_other_constants_are_varied_beside_the_values_of_the_first_rows(constants: Any, least: Any) -> None:
    """Since a file of today's SEARCHED is not to be compared with one of the former."""
    searched = next(each for each in constants.CONSTANTS if each.measured)
    assert searched.reference("int8") != searched.today("int8")
    with constants.varied(least, "-4.0"):
        assert searched.today("int8") == searched.measured
        assert least.today("int8") == "-4.0"
    with constants.varied(searched, "none"):
        assert searched.today("int8") == "none"
    rows = {
        constants.row_key(searched, candidate, "int8", size, 1): {"snr_db": f"{30 + more}", "agreement": "0.99"}
        for more, candidate in enumerate(searched.candidates)
        for size in constants.SIZES
    }
    found = constants.compared(searched, "int8", rows)
    assert constants.verdict(searched, "int8", found) == "changed since, by +1.00 dB"
    page = constants.page(rows)
    assert "| **EXP, MEAN, MUL, RSQRT** |" in page
    assert "| ADD, EXP, MEAN, MUL, RSQRT, today's |" in page


def test_the_page_is_what_the_rows_say(constants: Any) -> None:
    assert constants.PAGE.read_text("utf-8") == constants.page(constants.measured_rows())
