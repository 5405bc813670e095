"""What a quantization recipe says: the types a file stores and computes in, and the thresholds of `verify`."""

import dataclasses
import fnmatch
import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from swiftformer_tf.errors import ConfigError

__all__ = ["INFERENCE_TYPES", "MIN_QUANTIZED_ELEMENTS", "InferenceType", "Recipe"]

Weights = Literal["float32", "float16", "int8", "int4"]
Activations = Literal["float32", "int8", "int16"]
InferenceType = Literal["float32", "int8", "uint8", "int16"]

# If only weights are quantized, smaller matrices stay in float: they would save nothing, and XNNPACK does not quantize
# them.
MIN_QUANTIZED_ELEMENTS = 1024

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
        >>> from swiftformer_tf import RECIPES
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
            >>> from swiftformer_tf import RECIPES
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
