"""Versions that shapes and options need, row by row as in LiteRT's `GetBuiltinOperatorVersion`."""

from types import SimpleNamespace
from typing import Any

import pytest

from swiftformer_tf.litert.versions import RULES, option_version

FOUR, FIVE, SIX = ((1,) * rank for rank in (4, 5, 6))
PIXELS, FILTER = (1, 8, 8, 4), (6, 3, 3, 4)

CASES: list[tuple[str, dict[str, int], tuple[Any, ...], int]] = [
    ("CONV_2D", {}, (PIXELS, FILTER, (6,)), 1),
    ("CONV_2D", {}, (PIXELS, (6, 3, 3, 2), (6,)), 6),
    *(("CONV_2D", {}, shapes, 1) for shapes in ((None, FILTER), ((), FILTER), (PIXELS, ()))),  # damaged
    ("DEPTHWISE_CONV_2D", {"dilationHFactor": 1, "dilationWFactor": 1}, (PIXELS, FILTER, (4,)), 1),
    ("DEPTHWISE_CONV_2D", {"dilationHFactor": 1, "dilationWFactor": 2}, (PIXELS, FILTER, (4,)), 2),
    ("FULLY_CONNECTED", {"keepNumDims": False}, ((1, 4), (6, 4), None), 1),
    ("FULLY_CONNECTED", {"keepNumDims": True}, ((1, 4), (6, 4), (6,)), 5),
    ("FULLY_CONNECTED", {"keepNumDims": True}, ((1, 4), (6, 4)), 6),
    ("GATHER", {"batchDims": 0}, (FOUR, (2,)), 1),
    ("GATHER", {"batchDims": 1}, (FOUR, (2,)), 5),
    *((name, {}, (FIVE, FIVE), 1) for name in ("DIV", "MAXIMUM", "MINIMUM", "SUB")),
    *((name, {}, (FOUR, ()), 1) for name in ("DIV", "MAXIMUM", "MINIMUM", "SUB")),
    *((name, {}, (FIVE, ()), 3) for name in ("MAXIMUM", "MINIMUM", "SUB")),
    ("DIV", {}, ((), FIVE), 2),
    *((name, {}, (FOUR, (4, 2)), 1) for name in ("PAD", "PADV2", "SLICE", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND")),
    *((name, {}, (FIVE, (5, 2)), 4) for name in ("PAD", "PADV2")),
    *((name, {}, (FIVE, (5, 2)), 3) for name in ("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND")),
    ("SLICE", {}, (FIVE, (5,), (5,)), 5),
    ("RESIZE_BILINEAR", {"halfPixelCenters": False}, (FOUR, (2,)), 1),
    ("RESIZE_BILINEAR", {"halfPixelCenters": True}, (FOUR, (2,)), 3),
    ("RESIZE_NEAREST_NEIGHBOR", {"halfPixelCenters": False, "alignCorners": False}, (FOUR, (2,)), 1),
    ("RESIZE_NEAREST_NEIGHBOR", {"halfPixelCenters": False, "alignCorners": True}, (FOUR, (2,)), 3),
    ("SELECT", {}, (FOUR, FOUR, FOUR), 1),
    ("SELECT", {}, (FOUR, FIVE, FOUR), 3),
    ("STRIDED_SLICE", {"ellipsisMask": 0, "newAxisMask": 0, "offset": False}, (FOUR,), 1),
    ("STRIDED_SLICE", {"ellipsisMask": 0, "newAxisMask": 0, "offset": False}, (FIVE,), 4),
    ("STRIDED_SLICE", {"ellipsisMask": 0, "newAxisMask": 4, "offset": False}, (FIVE,), 6),
    ("STRIDED_SLICE", {"ellipsisMask": 1, "newAxisMask": 0, "offset": True}, (FIVE,), 8),
    ("TRANSPOSE", {}, (FOUR, (4,)), 1),
    ("TRANSPOSE", {}, (FIVE, (5,)), 4),
    ("TRANSPOSE", {}, (SIX, (6,)), 6),
    ("TRANSPOSE_CONV", {"fusedActivationFunction": 0}, ((4,), FILTER, PIXELS), 1),
    ("TRANSPOSE_CONV", {"fusedActivationFunction": 0}, ((4,), FILTER, PIXELS, None), 1),
    ("TRANSPOSE_CONV", {"fusedActivationFunction": 0}, ((4,), FILTER, PIXELS, (6,)), 3),
    ("TRANSPOSE_CONV", {"fusedActivationFunction": 1}, ((4,), FILTER, PIXELS), 4),
    ("ADD", {}, (FIVE, ()), 1),
]


@pytest.mark.parametrize(("name", "options", "shapes", "version"), CASES)
def test_the_version_is_the_first_that_supports_shapes_and_options(
    name: str, options: dict[str, int], shapes: tuple[Any, ...], version: int
) -> None:
    assert option_version(name, SimpleNamespace(**options), shapes) == version


def test_every_rule_has_a_case() -> None:
    rows = {(name, version) for name, rules in RULES.items() for version, _ in rules}
    assert {(name, version) for name, _, _, version in CASES if version > 1} == rows
