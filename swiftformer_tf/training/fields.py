"""Fields of recipes: their types, their rules, and their form in JSON."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from swiftformer_tf.errors import ConfigError, one_line
from swiftformer_tf.files import read_text
from swiftformer_tf.images.transform import is_number

__all__ = ["RecipeFields", "check_rules", "check_types", "read_fields", "to_json"]

# The values that a field of each type accepts; other fields have their own rules.
_TYPES: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    float: (is_number, "a number"),
    float | None: (lambda value: value is None or is_number(value), "a number or none"),
    tuple[float, float]: (lambda value: _are_numbers(value) and len(value) == 2, "two numbers"),
    tuple[int, int]: (lambda value: _are_whole(value) and len(value) == 2, "two whole numbers"),
    tuple[float, ...]: (lambda value: _are_numbers(value), "numbers"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeFields:
    """Base class of training recipes: copies with changed fields, and conversion to and from JSON.

    Examples:
        >>> from swiftformer_tf.training import TrainingRecipe
        >>> recipe = TrainingRecipe().replace(epochs=10)
        >>> TrainingRecipe.from_dict(recipe.to_dict()) == recipe
        True
    """

    def replace(self, **fields: Any) -> Self:
        """Returns a copy with some fields changed, validated like a new recipe."""
        return dataclasses.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        values: dict[str, Any] = to_json(dataclasses.asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict`.

        Raises:
            ConfigError: A field is unknown or has an impossible value.
        """
        return cls(**read_fields(cls, "recipe", values))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads a JSON file in the form of `to_dict`; missing fields have their defaults.

        Args:
            path: The file, or the `run.json` of a training, whose recipe is read.

        Raises:
            ConfigError: The file is not a JSON object, a field is unknown, or a value is impossible or of the wrong
                type; the message names the file and the field.
            OSError: The file cannot be read.

        Examples:
            >>> import tempfile
            >>> from swiftformer_tf.training import TrainingRecipe
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = Path(folder) / "recipe.json"
            ...     _ = path.write_text('{"epochs": 30, "augmentation": {"erase": 0.25}}')
            ...     recipe = TrainingRecipe.open(path)
            >>> recipe.epochs, recipe.augmentation.erase, recipe.batch_size
            (30, 0.25, 2048)
        """
        try:
            values = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            raise ConfigError(f"{path}: not JSON ({error})") from None
        if isinstance(values, dict) and isinstance(values.get("settings"), dict):
            values = values["settings"].get("recipe")
        try:
            return cls.from_dict(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {one_line(error)}") from None


def _are_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(is_number, value))


def _are_whole(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(item) is int for item in value)


def check_types(prefix: str, value: Any) -> None:
    """Checks types before any rule is evaluated, since a comparison of wrong types would not name the field."""
    for field in dataclasses.fields(value):
        fits, expected = _TYPES.get(field.type, (lambda _: True, ""))
        if not fits(getattr(value, field.name)):
            raise ConfigError(f"{prefix}.{field.name}={getattr(value, field.name)!r}: expected {expected}")


def check_rules(prefix: str, value: Any, rules: list[tuple[str, Any, str]]) -> None:
    """Raises an error for the first rule that does not hold, with its field and what was expected."""
    for name, ok, expected in rules:
        if not ok:
            raise ConfigError(f"{prefix}.{name}={getattr(value, name)!r}: expected {expected}")


def read_fields(cls: Any, prefix: str, values: Any) -> dict[str, Any]:
    """Converts JSON to the arguments of a dataclass, lists to tuples, and rejects unknown fields."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix}={values!r}: expected an object with the fields of a training {prefix}")
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{prefix}.{unknown[0]}: no such field; the fields are {', '.join(sorted(known))}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def to_json(value: Any) -> Any:
    """Converts the result of `dataclasses.asdict` to plain JSON types."""
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value
