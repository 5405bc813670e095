"""What any weight file holds, and how much of it this package is ready to read."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from swiftformer_tf.errors import CheckpointError

__all__ = ["MAX_ELEMENTS", "RECORD", "Contents", "StateDict", "check_size", "counters", "in_memory", "integers"]

# Nine times SwiftFormer-L3; one gigabyte in float32.
MAX_ELEMENTS = 2**28

# Under this name a file written here carries its configuration, as the JSON of `SwiftFormerConfig`.
RECORD = "swiftformer_tf"


class StateDict(NamedTuple):
    """A mapping of tensors in a file, whose numbers are not read yet.

    Args:
        shapes: By the file's own keys.
        counters: Keys of what counts or switches, and is no weight: `n_averaged`, `step`, `initted`.
        integers: Keys of all tensors that are not of floating point: counters, and what metrics have counted.
        others: What stands where a tensor might, by key: the kind of each.
        read: Reads the tensors of these keys in the file's own precision.
    """

    shapes: Mapping[str, tuple[int, ...]]
    counters: frozenset[str]
    integers: frozenset[str]
    others: Mapping[str, str]
    read: Callable[[Iterable[str]], dict[str, np.ndarray]]


class Contents(NamedTuple):
    """All mappings of tensors in a file.

    Args:
        state_dicts: By the name that the file gives them, dots between levels; `""` is the file itself.
        record: JSON of the configuration, where the file carries one.
    """

    state_dicts: Mapping[str, StateDict]
    record: str | None = None

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """Tensors of the first mapping by their keys."""
        state = next(iter(self.state_dicts.values()))
        return state.read(state.shapes)


def in_memory(tensors: Mapping[str, np.ndarray], record: str | None = None) -> Contents:
    """The contents of a file that holds one mapping and was read whole."""
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    kinds = {key: (tensor.shape, tensor.dtype) for key, tensor in tensors.items()}
    state = StateDict(shapes, counters(kinds), integers(kinds), {}, lambda keys: {key: tensors[key] for key in keys})
    return Contents({"": state}, record)


def counters(kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> frozenset[str]:
    """Keys of tensors that are one number, which counts or switches: no weight of a SwiftFormer has no axis.

    Args:
        kinds: Shape and type by key.

    Examples:
        >>> one, whole = np.dtype("float32"), np.dtype("int64")
        >>> sorted(counters({"decay": ((), one), "step": ((1,), whole), "temperature": ((1,), one)}))
        ['decay', 'step']
    """
    whole = integers(kinds)
    return frozenset(key for key, (shape, _) in kinds.items() if not shape or (shape == (1,) and key in whole))


def integers(kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> frozenset[str]:
    """Keys of tensors of integers and booleans; `kinds` as for `counters`."""
    return frozenset(key for key, (_, dtype) in kinds.items() if dtype.kind in "iub")


def check_size(shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuses what is too large before any of it is read.

    Raises:
        CheckpointError: More than `MAX_ELEMENTS` numbers in all.
    """
    total = sum(math.prod(shape) for shape in shapes)
    if total > MAX_ELEMENTS:
        raise CheckpointError(
            f"declares {total:,} numbers, but at most {MAX_ELEMENTS:,} are read; the largest SwiftFormer has "
            "28,494,736 parameters"
        )
