"""Quantization recipes as data: `Recipe`, the table `RECIPES`, and the choice of some of them."""

from swiftformer_tf.recipes.choosing import ALL, cautions, choose_recipes, require_calibration
from swiftformer_tf.recipes.recipe import INFERENCE_TYPES, MIN_QUANTIZED_ELEMENTS, InferenceType, Recipe
from swiftformer_tf.recipes.table import INT8_LAYERS, RECIPES

__all__ = [
    "ALL",
    "INFERENCE_TYPES",
    "INT8_LAYERS",
    "MIN_QUANTIZED_ELEMENTS",
    "RECIPES",
    "InferenceType",
    "Recipe",
    "cautions",
    "choose_recipes",
    "require_calibration",
]
