"""Fields of recipes: their types, their rules, and how they stand in JSON."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from swiftformer_tf.errors import ConfigError, one_line
from swiftformer_tf.files import read_text
from swiftformer_tf.images.transform import is_number

__all__ = ["RecipeFields", "check_rules", "check_types", "read_fields", "to_json"]

# What a field of each type holds; others have rules of their own.
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
    """What the recipes of all trainings have: copies with other fields, and JSON.

    Examples:
        >>> from swiftformer_tf.training import TrainingRecipe
        >>> recipe = TrainingRecipe().replace(epochs=10)
        >>> TrainingRecipe.from_dict(recipe.to_dict()) == recipe
        True
    """

    def replace(self, **fields: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        return dataclasses.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        values: dict[str, Any] = to_json(dataclasses.asdict(self))
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads `to_dict`.

        Raises:
            ConfigError: An unknown field or an impossible value.
        """
        return cls(**read_fields(cls, "recipe", values))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads a JSON file as `to_dict` writes it; what it leaves out has its default.

        Args:
            path: The file, or the `run.json` of a training, whose recipe is taken.

        Raises:
            ConfigError: Not a JSON object, an unknown field, or a value that is impossible or of another type; the
                message names the file and the field.
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
    """Before any rule compares: a comparison of the wrong types would not name the field."""
    for field in dataclasses.fields(value):
        fits, expected = _TYPES.get(field.type, (lambda _: True, ""))
        if not fits(getattr(value, field.name)):
            raise ConfigError(f"{prefix}.{field.name}={getattr(value, field.name)!r}: expected {expected}")


def check_rules(prefix: str, value: Any, rules: list[tuple[str, Any, str]]) -> None:
    """Names the field of the first rule that does not hold, and what was expected."""
    for name, ok, expected in rules:
        if not ok:
            raise ConfigError(f"{prefix}.{name}={getattr(value, name)!r}: expected {expected}")


def read_fields(cls: Any, prefix: str, values: Any) -> dict[str, Any]:
    """Arguments of a dataclass from JSON, lists made tuples; refuses what is not among its fields."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix}={values!r}: expected an object with the fields of a training {prefix}")
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - known):
        raise ConfigError(f"{prefix}.{unknown[0]}: no such field; the fields are {', '.join(sorted(known))}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def to_json(value: Any) -> Any:
    """Plain JSON types of `dataclasses.asdict`."""
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple) else value
