"""What any weight file holds, and how much of it this package is ready to read."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from swiftformer_tf.errors import CheckpointError

__all__ = ["MAX_ELEMENTS", "RECORD", "Contents", "check_size"]

# Nine times SwiftFormer-L3; one gigabyte in float32.
MAX_ELEMENTS = 2**28

# Under this name a file written here carries its configuration, as the JSON of `SwiftFormerConfig`.
RECORD = "swiftformer_tf"


class Contents(NamedTuple):
    """Tensors as a file names them.

    Args:
        tensors: By the file's own keys, in the file's own precision.
        record: JSON of the configuration, where the file carries one.
        part: Name of the container inside the file that the tensors were taken from.
    """

    tensors: Mapping[str, np.ndarray]
    record: str | None = None
    part: str | None = None


def check_size(shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuses what is too large before any of it is read.

    Raises:
        CheckpointError: More than `MAX_ELEMENTS` numbers in all.
    """
    total = sum(math.prod(shape) for shape in shapes)
    if total > MAX_ELEMENTS:
        raise CheckpointError(
            f"declares {total:,} numbers, more than the {MAX_ELEMENTS:,} that are read; the largest SwiftFormer has "
            "28,494,736 parameters"
        )
