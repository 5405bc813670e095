"""The constants of quantization, and the values of each that `constants.py` tries."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

import swiftformer_tf as sf
from swiftformer_tf import exporting
from swiftformer_tf.quantization import equalization, gelu, ranges, rewriting, rounding, rsqrt, scales

# Sizes of calibration sets, and how many there are of each.
SIZES = (100, 200, 500)
DRAWS = (1, 2)
INTEGER, CALIBRATED = ("mixed_int8", "int8"), ("mixed_int8", "int8", "dynamic_int8")


@dataclasses.dataclass(frozen=True)
class Attribute:
    """An attribute of a module, and its value for a candidate."""

    module: ModuleType
    name: str
    of: Callable[[Any], Any] = lambda candidate: candidate


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """A constant, the values that are tried, and where.

    Args:
        name: Of the page and of the rows.
        candidates: The values by their names, today's among them.
        recipes: The recipes whose files depend on it.
        attributes: What is changed for the duration of an export, the constant itself first; without any, the field
            `name` of the recipe is.
        calibrates: Whether calibrations depend on it too.
        sizes: Of the calibration sets.
        draws: Which of the calibration sets.
        measured: The value that the constant had while the others were varied, if it has another one today.
        cost_of: What the constant was chosen for if not for SNR: the rule does not apply to it.
    """

    name: str
    candidates: Mapping[str, Any]
    recipes: tuple[str, ...]
    attributes: tuple[Attribute, ...] = ()
    calibrates: bool = False
    sizes: tuple[int, ...] = SIZES
    draws: tuple[int, ...] = DRAWS
    measured: str = ""
    cost_of: str = ""

    def today(self, recipe: str) -> str:
        """Name of the candidate that is in use."""
        if self.attributes:
            value = getattr(self.attributes[0].module, self.attributes[0].name)
        else:
            value = getattr(sf.RECIPES[recipe], self.name)
        (found,) = [name for name, each in self.candidates.items() if np.array_equal(each, value)]
        return found

    def reference(self, recipe: str) -> str:
        """Name of the candidate with which the others are compared."""
        return self.measured or self.today(recipe)

    @contextlib.contextmanager
    def applied(self, candidate: str) -> Iterator[None]:
        """Gives the attributes a candidate's values."""
        value = self.candidates[candidate]
        with contextlib.ExitStack() as stack:
            for each in self.attributes:
                stack.enter_context(patch.object(each.module, each.name, each.of(value)))
            yield

    def recipe(self, name: str, candidate: str) -> sf.Recipe:
        """The recipe as it was while others were varied; with a candidate's value if the constant is a field of it."""
        others = [each for each in CONSTANTS if each.measured and not each.attributes and name in each.recipes]
        fields = {each.name: each.candidates[each.measured] for each in others}
        if not self.attributes:
            fields[self.name] = self.candidates[candidate]
        return sf.RECIPES[name].replace(**fields)


def _of(*values: float) -> dict[str, float]:
    return {str(value): value for value in values}


def _named(*values: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {", ".join(value) or "none": value for value in values}


def _falling(*steps: tuple[float, int]) -> dict[str, np.ndarray]:
    return {f"1 - {step} n, n < {count}": 1 - step * np.arange(count) for step, count in steps}


def _powers(*bases: tuple[float, int]) -> dict[str, np.ndarray]:
    return {f"{base}^n, n < {count}": base ** np.arange(count) for base, count in bases}


def _constant(module: ModuleType, name: str, candidates: Mapping[str, Any], *recipes: str, **fields: Any) -> Constant:
    """A constant that is one attribute, named after its module."""
    full = f"{module.__name__.rpartition('.')[2]}.{name}"
    return Constant(full, candidates, recipes, (Attribute(module, name),), **fields)


# In the order in which they are measured.
CONSTANTS = (
    Constant("equalize", _of(0.0, 0.5, 0.65, 0.8, 1.0), CALIBRATED),
    _constant(equalization, "LARGEST", _of(4, 8, 16), *CALIBRATED),
    Constant(
        "gelu.LEAST_OF_GELU",
        _of(-3.0, -3.4, -4.0),
        INTEGER,
        (
            Attribute(rewriting, "LEAST_OF_GELU"),
            Attribute(gelu, "RANGES", lambda least: gelu.inner_ranges(-least)),
        ),
    ),
    _constant(
        rewriting,
        "SEARCHED",
        _named(
            *((), ("EXP", "MEAN", "RSQRT")),
            *(("EXP", "MEAN", "MUL", "RSQRT"), ("ADD", "EXP", "MEAN", "MUL", "RSQRT")),
            ("ADD", "CONV_2D", "EXP", "MEAN", "MUL", "RSQRT"),
        ),
        *INTEGER,
        measured="EXP, MEAN, MUL, RSQRT",
    ),
    _constant(rounding, "DAMPING", _of(0.001, 0.003, 0.01, 0.03), *CALIBRATED),
    _constant(scales, "SHARES", _falling((0.03, 24), (0.06, 12), (0.015, 48)), *INTEGER),
    _constant(rsqrt, "SHARES", _powers((0.75, 16), (0.5, 8), (0.87, 32)), "int8"),
    _constant(rsqrt, "ROUNDS", _of(1, 2, 3), "int8"),
    _constant(
        rewriting,
        "OUTPUT_HEADROOM",
        _of(0.0, 0.1, 0.2),
        "int8",
        cost_of="outputs beyond those of the calibration images",
    ),
    _constant(ranges, "SAMPLED_IMAGES", _of(128, 256, 512), *INTEGER, calibrates=True, sizes=(500,)),
    _constant(exporting, "IMAGES_SEEN_TWICE", _of(100, 200, 400), *INTEGER, calibrates=True, sizes=(500,)),
    _constant(ranges, "ROWS_PER_IMAGE", _of(256, 512, 1024), *INTEGER, calibrates=True, sizes=(100,)),
    _constant(ranges, "VALUES_PER_IMAGE", _of(1024, 2048, 4096), *INTEGER, calibrates=True, sizes=(100, 200)),
    _constant(rounding, "SWEEPS", _of(0, 2, 4), "dynamic_int4", sizes=(100,), draws=(1,)),
    Constant("equalize", _of(0.0, 0.5, 0.65), ("dynamic_int4",), measured="0.0"),
    _constant(rounding, "SHARES", _falling((0.07, 8), (0.14, 4)), "dynamic_int4", sizes=(100,), draws=(1,)),
    _constant(rewriting, "PIXELS_APART", _of(1, 2, 4), *INTEGER),
    _constant(rewriting, "HEADROOM", _of(1.0, 1.5, 2.0), "int16x8", draws=(1,)),
    Constant("equalize", _of(0.0, 0.65), ("int16x8",), draws=(1,)),
)


@contextlib.contextmanager
def varied(constant: Constant, candidate: str) -> Iterator[None]:
    """Gives one constant a candidate's value, and all others those that they had when the first rows were measured."""
    with contextlib.ExitStack() as stack:
        for each in CONSTANTS:
            if each.measured:
                stack.enter_context(each.applied(each.measured))
        stack.enter_context(constant.applied(candidate))
        yield


# What the page says of the others.
DERIVED = {
    "equalization.TRANSPARENT": "operations through which a factor of a channel passes",
    "exporting.PREPARATIONS": "functions by the fields of recipes",
    "gelu.LINEAR, gelu.CUBIC": "the definition of GELU by a tanh",
    "gelu.FARTHEST, gelu.RANGES": "follow from `gelu.LEAST_OF_GELU`, with which they are varied",
    "gelu.HIGHEST": "beyond, a sigmoid is 0 or 1 but for a tenth of its step",
    "probabilities.MOST_DISTANCE": "beyond, exponentials are no normal float32 numbers",
    "ranges.IMAGES_PER_PRODUCT": "time only",
    "recipes.INT8_LAYERS": "chosen on training photographs: [int4.md](int4.md)",
    "recipes.MIN_QUANTIZED_ELEMENTS": "XNNPACK leaves smaller matrices in float",
    "rewriting.BITS, rewriting.LARGEST_WEIGHT, rounding.LIMITS": "the integers that LiteRT has",
    "rewriting.LARGEST_SUM": "room in 32 bits; matters for channels with next to no weights only",
    "rewriting.RSQRT_PIECES, rewriting.RSQRT_REACH": "the table of LiteRT's RSQRT for int16",
    "rewriting.SAME_SCALE": "operations that LiteRT computes with one scale",
    "rounding.BLOCK": "time only",
    "rounding.FLOOR_FACTORS, rounding.SUMS_ERROR": "matter where all images are the same only",
    "rsqrt.LEAST_SHARE": "a step of eight bits",
    "scales.LEAST_RANGE": "matters for tensors that are always zero only",
}
