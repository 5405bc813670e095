"""The content of any weight file, and the limit on its size."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from swiftformer_tf.errors import CheckpointError

__all__ = ["MAX_ELEMENTS", "RECORD", "Container", "StateDict", "check_size", "counters", "in_memory", "integers"]

# Nine times SwiftFormer-L3; one gigabyte in float32.
MAX_ELEMENTS = 2**28

# Under this name a file written here carries its configuration, as the JSON of `SwiftFormerConfig`.
RECORD = "swiftformer_tf"


class StateDict(NamedTuple):
    """A mapping of tensors in a file, whose values are read lazily.

    Args:
        shapes: Shapes by the file's own keys.
        counters: Keys of counters and flags, which are not weights: `n_averaged`, `step`, `initted`.
        integers: Keys of all tensors that are not floating-point: counters and the state of metrics.
        others: By key, the kind of each value that is not a tensor.
        read: Function that reads the tensors with given keys in the file's own precision.
    """

    shapes: Mapping[str, tuple[int, ...]]
    counters: frozenset[str]
    integers: frozenset[str]
    others: Mapping[str, str]
    read: Callable[[Iterable[str]], dict[str, np.ndarray]]


class Container(NamedTuple):
    """All mappings of tensors in a file.

    Args:
        state_dicts: Mappings by their name in the file, with dots between levels; `""` is the file itself.
        record: JSON of the configuration, if the file contains one.
    """

    state_dicts: Mapping[str, StateDict]
    record: str | None = None

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The tensors of the first mapping by key."""
        state = next(iter(self.state_dicts.values()))
        return state.read(state.shapes)


def in_memory(tensors: Mapping[str, np.ndarray], record: str | None = None) -> Container:
    """Creates the contents of a file with a single mapping that was read completely."""
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    kinds = {key: (tensor.shape, tensor.dtype) for key, tensor in tensors.items()}
    state = StateDict(shapes, counters(kinds), integers(kinds), {}, lambda keys: {key: tensors[key] for key in keys})
    return Container({"": state}, record)


def counters(kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> frozenset[str]:
    """Returns the keys of tensors that hold a single number, a counter or flag: no weight of a SwiftFormer is a scalar.

    Args:
        kinds: Shape and dtype by key.

    Examples:
        >>> one, whole = np.dtype("float32"), np.dtype("int64")
        >>> sorted(counters({"decay": ((), one), "step": ((1,), whole), "temperature": ((1,), one)}))
        ['decay', 'step']
    """
    whole = integers(kinds)
    return frozenset(key for key, (shape, _) in kinds.items() if not shape or (shape == (1,) and key in whole))


def integers(kinds: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> frozenset[str]:
    """Returns the keys of integer and boolean tensors; for `kinds` see `counters`."""
    return frozenset(key for key, (_, dtype) in kinds.items() if dtype.kind in "iub")


def check_size(shapes: Iterable[tuple[int, ...]]) -> None:
    """Rejects a file that is too large before reading it.

    Raises:
        CheckpointError: The file contains more than `MAX_ELEMENTS` numbers.
    """
    total = sum(math.prod(shape) for shape in shapes)
    if total > MAX_ELEMENTS:
        raise CheckpointError(
            f"declares {total:,} numbers, but at most {MAX_ELEMENTS:,} are read; the largest SwiftFormer has "
            "28,494,736 parameters"
        )
