"""Reads and writes the safetensors format with its own library."""

import json
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes  # teaches NumPy the name bfloat16, too
import numpy as np
import safetensors
import safetensors.numpy

from swiftformer_tf.checkpoints.container import RECORD, Container, check_size, in_memory
from swiftformer_tf.errors import CheckpointError

__all__ = ["read", "write"]

# NumPy has no names for these, by which the library asks it.
FLOAT8 = {
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}


def read(path: Path) -> Container:
    """Reads the tensors of a `.safetensors` file.

    Raises:
        CheckpointError: The file is damaged, truncated, or too large.
        OSError: The file cannot be read.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            keys = list(file.keys())
            check_size(tuple(file.get_slice(key).get_shape()) for key in keys)
            small = {key for key in keys if file.get_slice(key).get_dtype() in FLOAT8}
            tensors = {key: file.get_tensor(key) for key in keys if key not in small}
            record = (file.metadata() or {}).get(RECORD)
    except (safetensors.SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"damaged or cut short ({error}); download or copy it again") from None
    if small:
        found = {key: each for key, each in safetensors.deserialize(path.read_bytes()) if key in small}
        tensors |= {
            key: np.frombuffer(each["data"], FLOAT8[each["dtype"]]).reshape(each["shape"])
            for key, each in found.items()
        }
    return in_memory(tensors, record)


def write(path: Path, tensors: Mapping[str, np.ndarray], record: str) -> None:
    """Writes a file that the `safetensors` library, and therefore transformers and timm, can read.

    Args:
        path: Path of the file.
        tensors: Tensors by key.
        record: JSON of the configuration, for the file's metadata.
    """
    # transformers refuses files whose metadata does not name a format.
    metadata = {"format": "pt", RECORD: record}
    data = safetensors.numpy.save({key: np.asarray(t, order="C") for key, t in tensors.items()}, metadata)
    path.write_bytes(_reproducible(data))


def _reproducible(data: bytes) -> bytes:
    """Sorts the metadata of the file, whose order otherwise changes from run to run."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    # The format wants the numbers to start at a multiple of 8.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]
