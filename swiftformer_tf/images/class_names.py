"""Class names by index, `id2label`: read from what configurations say of them, and checked."""

import operator
import unicodedata
from collections.abc import Mapping
from typing import Any

from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.transform import is_whole

__all__ = ["as_labels", "check_labels", "is_one_line", "labels_in", "numbered_labels"]


def numbered_labels(count: int) -> dict[int, str]:
    """Hugging Face's placeholder names, `LABEL_0` onwards.

    Raises:
        ConfigError: `count` is not a valid number of labels.
    """
    if not is_whole(count) or not 0 <= count <= 1_000_000:
        raise ConfigError(f"num_labels={count!r}: expected an int from 0 to 1,000,000")
    return {index: f"LABEL_{index}" for index in range(count)}


def check_labels(value: Any) -> None:
    """Rejects labels that are not a mapping, such as a list, with a message that shows how to make one.

    Raises:
        ConfigError: The labels are not a mapping.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"id2label={value!r}: expected class names by index; dict(enumerate(names)) makes them from a list"
        )


def as_labels(value: Any) -> dict[int, str]:
    """Sorts class names by their index, which may be text, as in JSON.

    Raises:
        ConfigError: The labels are not a mapping, an index is not a whole number, or is there twice.

    Examples:
        >>> as_labels({"1": "dog", "0": "cat"})
        {0: 'cat', 1: 'dog'}
    """
    check_labels(value)
    try:
        # JSON's keys are strings.
        pairs = [(int(key) if isinstance(key, str) else operator.index(key), str(value[key])) for key in value]
    except (TypeError, ValueError):
        raise ConfigError(f"id2label={value!r}: expected whole numbers as keys") from None
    labels = dict(sorted(pairs))
    if len(labels) < len(pairs):
        raise ConfigError(f"id2label={value!r}: expected each index once")
    return labels


def labels_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Derives `id2label` from Hugging Face's other fields about classes: `label2id` or their number.

    Raises:
        ConfigError: They contradict themselves.
    """
    value = values.get("label2id")
    if not value:
        return {"id2label": numbered_labels(values["num_labels"])} if "num_labels" in values else {}
    if not isinstance(value, Mapping) or not all(map(is_whole, value.values())):
        raise ConfigError(f"label2id={value!r}: expected indices by class name")
    if len(labels := {index: name for name, index in value.items()}) < len(value):
        raise ConfigError(f"label2id={value!r}: expected each index once")
    return {"id2label": labels}


def is_one_line(label: str) -> bool:
    """Whether a class name can be a line of a label file."""
    # Neither control characters nor what UTF-8 cannot write.
    return not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in label)
