"""Quantization recipes as data: the types a file stores and computes in, and the thresholds that `verify` enforces."""

import dataclasses
import fnmatch
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Self

from swiftformer_tf.errors import ConfigError

__all__ = ["ALL", "INFERENCE_TYPES", "MIN_QUANTIZED_ELEMENTS", "RECIPES", "Recipe", "cautions", "choose_recipes"]

Weights = Literal["float32", "float16", "int8", "int4"]
Activations = Literal["float32", "int8", "int16"]
InferenceType = Literal["float32", "int8", "uint8", "int16"]

# If only weights are quantized, smaller matrices stay in float: they would save nothing, and XNNPACK does not quantize
# them.
MIN_QUANTIZED_ELEMENTS = 1024

# Accepted in place of the names of all recipes.
ALL = "all"

# The input and output types that a file supports, by the type of its activations.
INFERENCE_TYPES: dict[str, tuple[str, ...]] = {
    "float32": ("float32",),
    "int8": ("float32", "int8", "uint8"),
    "int16": ("float32", "int16"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to store a model and to compute with it.

    Args:
        name: The end of the exported file's name.
        description: One line for tables and help texts.
        weights: Type of the stored matrices and convolutions.
        activations: Type of the tensors between operations.
        caution: A warning to users who run or benchmark such a file, as part of a sentence.
        inference_input_type: Type of the file's input (LiteRT's term).
        inference_output_type: Type of the file's output.
        min_snr: Lowest signal-to-noise ratio of the outputs in dB that passes, see `verify`.
        min_agreement: Lowest share of images with the same top class as in the reference that passes.
        min_pixel_agreement: For segmenters, the lowest share of pixels with the same class as in the reference that
            passes.
        max_partitions: Maximum number of XNNPACK partitions; None if their number does not matter for the recipe.
        float_ops: Operations that may read or write float tensors while the rest is integer: LiteRT's name, and the
            reason. `verify` checks it.
        float_pixels: Whether the matrices that read the image stay in float, with everything before them, so that
            pixels are not requantized.
        float_probabilities: Whether logits are upsampled and converted to per-pixel probabilities in float if the
            outputs are floats: this avoids quantization error and takes less time.
        equalize: How far the magnitudes of channels are equalized, from 0 (only the scaling that the weights carry is
            reverted) to 1 (all channels have the same magnitude); None leaves them unchanged. Integer weights have a
            scale per channel, so they lose less precision than the activations gain. 16-bit activations are precise
            enough without it, and the matrices would lose 1.6 dB.
        lower_float_only: Whether operations that LiteRT supports only in float are replaced with others that it
            supports in integers.
        fit_norm_ranges: Whether the ranges of integer norms are chosen to minimize the error of the normalized vectors.
        lower_gelu: Whether GELU is replaced with operations that XNNPACK merges into a lookup table, since it has no
            integer GELU. In 16 bits, only GELU itself is as precise as the rest of the graph.
        lower_rsqrt: Whether 1 / sqrt(x) is replaced with exp(-log(x) / 2). LiteRT's int8 RSQRT takes 58 ns per
            element, a lookup table 1 ns, and the quantization step of the logarithm, some 2 %, is halved along with it.
            The int16 RSQRT is itself a lookup table.
        lower_mean: Whether a mean over channels is replaced with a 1x1 convolution, which computes the same integers:
            Arm's NPUs do not support such a mean.
        correct_output_bias: Whether the mean error of the outputs is subtracted from the last bias.
        int8_layers: Names or patterns of the layers whose matrices are stored in int8 while the others are in int4.

    Raises:
        ConfigError: Field values that exclude each other, or an impossible value; the message names the field.

    Examples:
        >>> RECIPES["int8"].replace(inference_input_type="uint8").needs_calibration
        True
    """

    name: str
    description: str
    caution: str = ""
    weights: Weights
    activations: Activations
    inference_input_type: InferenceType = "float32"
    inference_output_type: InferenceType = "float32"
    min_snr: float
    min_agreement: float
    min_pixel_agreement: float = 0.99
    max_partitions: int | None = None
    float_ops: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    float_pixels: bool = False
    float_probabilities: bool = False
    equalize: float | None = None
    lower_float_only: bool = False
    fit_norm_ranges: bool = False
    lower_gelu: bool = False
    lower_rsqrt: bool = False
    lower_mean: bool = False
    correct_output_bias: bool = False
    int8_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        stored = {"float32": ("float32", "float16", "int8", "int4"), "int8": ("int8",), "int16": ("int8",)}
        if self.activations not in stored:
            expected = " or ".join(stored)
            raise ConfigError(f"recipe {self.name}: activations={self.activations!r}: expected one of {expected}")
        rules = [
            ("weights", stored[self.activations]),
            ("inference_input_type", INFERENCE_TYPES[self.activations]),
            ("inference_output_type", INFERENCE_TYPES[self.activations]),
        ]
        for field, allowed in rules:
            if (value := getattr(self, field)) not in allowed:
                reason = f"since it computes in {self.activations}"
                raise ConfigError(f"recipe {self.name}: {field}={value!r}: expected {' or '.join(allowed)}, {reason}")
        computes, weighs = f"it computes in {self.activations}", f"its weights are {self.weights}"
        in_floats, has_integers = self.activations == "float32", self.has_integer_weights
        no_correction = not has_integers or self.activations == "int16"
        policies = [
            ("float_ops", list(self.float_ops), in_floats, "none", computes),
            ("lower_float_only", self.lower_float_only, in_floats, "False", computes),
            ("float_pixels", self.float_pixels, not self.float_ops, "False", "none of its operations stays in float"),
            *(
                (field, getattr(self, field), self.activations != "int8", "False", computes)
                for field in ("fit_norm_ranges", "float_probabilities", "lower_gelu", "lower_rsqrt", "lower_mean")
            ),
            ("correct_output_bias", self.correct_output_bias, no_correction, "False", f"{weighs} and {computes}"),
            ("equalize", self.equalize, not has_integers, "None", weighs),
            ("int8_layers", list(self.int8_layers), self.weights != "int4", "none", weighs),
        ]
        for field, value, is_misplaced, wanted, since in policies:
            if is_misplaced and not (value is None or value is False or value == []):
                raise ConfigError(f"recipe {self.name}: {field}={value!r}: expected {wanted}, since {since}")
        limits = [
            ("min_snr", -math.inf < _number(self.min_snr) < math.inf, "decibels"),
            ("min_agreement", 0 <= _number(self.min_agreement) <= 1, "a share from 0 to 1"),
            ("min_pixel_agreement", 0 <= _number(self.min_pixel_agreement) <= 1, "a share from 0 to 1"),
            ("equalize", self.equalize is None or 0 <= _number(self.equalize) <= 1, "a share from 0 to 1, or None"),
            ("max_partitions", self.max_partitions is None or _number(self.max_partitions) >= 0, "a number or None"),
        ]
        for field, is_possible, wanted in limits:
            if not is_possible:
                raise ConfigError(f"recipe {self.name}: {field}={getattr(self, field)!r}: expected {wanted}")

    @property
    def has_integer_weights(self) -> bool:
        """Whether matrices are stored as integers, which are rounded to suit calibration images; floats ignore them."""
        return self.weights in ("int8", "int4")

    @property
    def needs_calibration(self) -> bool:
        """Whether images are required, either for the ranges of activations or to round weights to int4."""
        return self.activations != "float32" or self.weights == "int4"

    @property
    def leaves_probabilities_in_float(self) -> bool:
        """Whether probabilities are computed in float: `float_probabilities` is set, and the outputs are floats."""
        return self.float_probabilities and self.inference_output_type == "float32"

    def stores_in_int4(self, layer: str, *, inputs: int) -> bool:
        """Whether the matrix of a layer is stored in int4.

        XNNPACK only supports rows that fill whole bytes.

        Args:
            layer: Name of the layer, as in the names of a file's tensors.
            inputs: Number of inputs of the layer: the length of a row of its matrix.

        Examples:
            >>> RECIPES["dynamic_int4"].stores_in_int4("stages-0-blocks-1-attn-to_key", inputs=49)
            False
        """
        chosen = any(fnmatch.fnmatchcase(layer, pattern) for pattern in self.int8_layers)
        return self.weights == "int4" and inputs % 2 == 0 and not chosen

    def least_agreement(self, unit: str) -> float:
        """Returns the threshold for the agreement on `"images"` or `"pixels"`."""
        return {"images": self.min_agreement, "pixels": self.min_pixel_agreement}[unit]

    def replace(self, **fields: Any) -> Self:
        """Returns a copy with some fields changed, which is checked like a new recipe."""
        return dataclasses.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict`.

        Raises:
            ConfigError: Fields are missing or unknown, or have invalid values.
        """
        try:  # JSON has lists only
            layers = {"int8_layers": tuple(values["int8_layers"])} if "int8_layers" in values else {}
            return cls(**{**values, **layers})
        except TypeError as error:
            raise ConfigError(f"not a recipe: {error}") from None


def _number(value: Any) -> float:
    """Returns the value if it is a number, else NaN, which fails every comparison."""
    return value if isinstance(value, (int, float)) else math.nan


# Operations that XNNPACK supports only in float, or runs better in float. With these in float between int8 matrices,
# the graph remains a single partition.
MIXED_FLOAT_OPS = {
    "ADD": "residual sums: eight bits of them are the largest loss of an integer SwiftFormer",
    "DEPTHWISE_CONV_2D": "XNNPACK is as fast in float, and what they read and write stays whole",
    "GELU": "XNNPACK takes it in float only",
    "MUL": "norms and token weights of the attention: products of eight bits lose the small ones",
    "MEAN": "norms and token weights of the attention",
    "MAXIMUM": "norms of the attention: a floor far below an integer's step",
    "RSQRT": "norms of the attention: XNNPACK takes it in float only",
    "SUM": "norms of embeddings, as MEAN",
    "MINIMUM": "norms of embeddings: a bound far beyond them",
    "SUB": "normalization of pixels by their exact mean",
    "FULLY_CONNECTED": "the last matrix, int8 times floats: logits are not rounded to steps",
    "RESHAPE": "shape of the logits",
    "RESIZE_BILINEAR": "maps of a segmenter: their sums and logits are not rounded to steps",
    "SOFTMAX": "probabilities are not rounded to steps",
}

# Layers of XS with the highest loss in int4 per byte saved, worst first: docs/results/int4.md.
INT8_LAYERS = (
    *("stages-0-blocks-0-pwconv1", "stages-0-blocks-2-local_representation-pwconv1", "stages-0-blocks-1-pwconv1"),
    *("stages-0-blocks-2-attn-to_query", "head", "stages-0-blocks-2-local_representation-pwconv2"),
    *("stages-0-blocks-2-attn-to_key", "stages-0-blocks-0-pwconv2", "stages-0-blocks-2-attn-global"),
    *("stages-2-blocks-5-local_representation-pwconv1", "stages-1-blocks-1-pwconv1", "stages-0-blocks-1-pwconv2"),
    *("stages-1-blocks-2-local_representation-pwconv1", "stages-1-blocks-0-pwconv1", "stages-2-blocks-4-pwconv1"),
    *("stages-2-blocks-2-pwconv1",),
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="float32",
            description="as trained",
            weights="float32",
            activations="float32",
            min_snr=92,
            min_agreement=1.0,
            min_pixel_agreement=0.9999,
            max_partitions=1,
        ),
        Recipe(
            name="float16",
            description="half the size; computes in float32 on a CPU, in float16 on a GPU",
            weights="float16",
            activations="float32",
            min_snr=50,
            min_agreement=0.99,
            min_pixel_agreement=0.999,
            max_partitions=1,
        ),
        Recipe(
            name="dynamic_int8",
            description="a quarter of the size; int8 matrices, ranges measured while it runs; needs no calibration",
            weights="int8",
            activations="float32",
            min_snr=30,
            min_agreement=0.97,
            min_pixel_agreement=0.995,
            max_partitions=1,
            equalize=0.65,
        ),
        Recipe(
            name="dynamic_int4",
            description="a sixth of the size; int4 matrices, the most sensitive ones int8",
            weights="int4",
            activations="float32",
            min_snr=20,
            min_agreement=0.93,
            max_partitions=1,
            equalize=0.5,
            correct_output_bias=True,
            int8_layers=INT8_LAYERS,
        ),
        Recipe(
            name="mixed_int8",
            description="for CPUs and Qualcomm's NPUs: int8 matrices, float where XNNPACK is just as fast",
            weights="int8",
            activations="int8",
            min_snr=26,
            min_agreement=0.94,
            min_pixel_agreement=0.995,
            max_partitions=1,
            float_ops=MIXED_FLOAT_OPS,
            float_pixels=True,
            lower_float_only=True,
            equalize=0.65,
            correct_output_bias=True,
        ),
        Recipe(
            name="int8",
            description="integer, with functions that XNNPACK turns into lookup tables; for CPUs without fast floats",
            weights="int8",
            activations="int8",
            min_snr=20,
            min_agreement=0.93,
            float_probabilities=True,
            lower_float_only=True,
            fit_norm_ranges=True,
            equalize=0.65,
            lower_gelu=True,
            lower_rsqrt=True,
            lower_mean=True,
            correct_output_bias=True,
        ),
        Recipe(
            name="static_int8",
            description="integer throughout, each function one operation; for NPUs other than Qualcomm's",
            weights="int8",
            activations="int8",
            min_snr=20,
            min_agreement=0.93,
            lower_float_only=True,
            fit_norm_ranges=True,
            equalize=0.65,
            lower_mean=True,
            correct_output_bias=True,
        ),
        Recipe(
            name="int16x8",
            description="int8 weights, int16 activations; the most accurate integer recipe",
            caution="for comparisons: on a CPU, LiteRT's reference kernels are about 30 times slower than float32, "
            "and neither Qualcomm's nor Arm's compiler for NPUs takes it whole",
            weights="int8",
            activations="int16",
            min_snr=30,
            min_agreement=0.97,
            min_pixel_agreement=0.995,
            lower_float_only=True,
            equalize=0.0,
        ),
    )
}
"""The package's recipes by name, in the order in which all tables list them. A recipe of your own need not be added.

`min_snr` is in dB and `min_agreement` a share of images, see docs/results/quantization.md.

Example:
    >>> for recipe in RECIPES.values():
    ...     print(f"{recipe.name:12} {recipe.weights:7} {recipe.activations:7} {recipe.min_snr} {recipe.min_agreement}")
    float32      float32 float32 92 1.0
    float16      float16 float32 50 0.99
    dynamic_int8 int8    float32 30 0.97
    dynamic_int4 int4    float32 20 0.93
    mixed_int8   int8    int8    26 0.94
    int8         int8    int8    20 0.93
    static_int8  int8    int8    20 0.93
    int16x8      int8    int16   30 0.97
"""


def choose_recipes(
    recipes: str | Recipe | Iterable[str | Recipe],
    *,
    inference_input_type: InferenceType | None = None,
    inference_output_type: InferenceType | None = None,
) -> list[Recipe]:
    """Returns recipes, given by name or as they are, each once and with other input and output types if requested.

    Args:
        recipes: One or several names in `RECIPES`, or recipes; `"all"` means all of `RECIPES`.
        inference_input_type: Type of the files' input; None keeps the type in each recipe.
        inference_output_type: Type of the files' output; None keeps the type in each recipe.

    Raises:
        ConfigError: There is no such recipe, or it does not support such an input or output.

    Examples:
        >>> [recipe.inference_input_type for recipe in choose_recipes(["int8"], inference_input_type="uint8")]
        ['uint8']
        >>> len(choose_recipes("all")) == len(RECIPES)
        True
    """
    sides = {"input": inference_input_type, "output": inference_output_type}
    chosen = {}
    for recipe in _expanded([recipes] if isinstance(recipes, (str, Recipe)) else recipes):
        allowed = INFERENCE_TYPES[recipe.activations]
        for side, wanted in sides.items():
            if wanted and wanted not in allowed:
                takers = [name for name, row in RECIPES.items() if wanted in INFERENCE_TYPES[row.activations]]
                there = f"inference {side} type {wanted}: recipe {recipe.name} supports {' or '.join(allowed)}"
                raise ConfigError(f"{there}; leave it out, or use it only with {', '.join(takers)}")
        types = {f"inference_{side}_type": wanted for side, wanted in sides.items() if wanted}
        chosen[recipe.name] = recipe.replace(**types)
    return list(chosen.values())


def _expanded(recipes: Iterable[str | Recipe]) -> Iterator[Recipe]:
    for each in recipes:
        if not isinstance(each, str):
            yield each
        elif each == ALL:
            yield from RECIPES.values()
        elif each in RECIPES:
            yield RECIPES[each]
        else:
            raise ConfigError(f"recipe {each!r}: expected one of {', '.join(RECIPES)}, or {ALL}")


def cautions(recipes: Iterable[Recipe]) -> list[str]:
    """Returns what users should know before they run files of these recipes: sentences without a dot, each once.

    Examples:
        >>> [each.partition(":")[0] for each in cautions(choose_recipes(["int16x8", "int8", "int16x8"]))]
        ['int16x8 is for comparisons']
    """
    return list(dict.fromkeys(f"{each.name} is {each.caution}" for each in recipes if each.caution))
