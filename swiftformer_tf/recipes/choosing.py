"""Chooses recipes by name, and says what a run with them needs and what their files are not for."""

from collections.abc import Iterable, Iterator

from swiftformer_tf.errors import ConfigError, ExportError
from swiftformer_tf.recipes.recipe import INFERENCE_TYPES, InferenceType, Recipe
from swiftformer_tf.recipes.table import RECIPES

__all__ = ["ALL", "cautions", "choose_recipes", "require_calibration"]

# Accepted in place of the names of all recipes.
ALL = "all"


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


def require_calibration(recipes: Iterable[Recipe], calibration: object) -> None:
    """Raises an error if recipes need calibration and there is none.

    Raises:
        ExportError: A recipe needs calibration; the message names each one.

    Examples:
        >>> require_calibration([RECIPES["float32"]], None)
        >>> require_calibration([RECIPES["float32"], RECIPES["int8"]], None)
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ExportError: recipe int8 needs calibration: give images as `calibration`, such as a folder
    """
    needing = [recipe.name for recipe in recipes if recipe.needs_calibration]
    if needing and calibration is None:
        subject = f"recipe {needing[0]} needs" if len(needing) == 1 else f"recipes {', '.join(needing)} need"
        raise ExportError(f"{subject} calibration: give images as `calibration`, such as a folder")
