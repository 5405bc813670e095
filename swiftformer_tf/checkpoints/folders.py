"""Folders of weights, in the layouts of the Hugging Face hub, transformers and timm."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.checkpoints import config_formats
from swiftformer_tf.checkpoints.container import Container, in_memory
from swiftformer_tf.checkpoints.key_layouts import KeyLayoutName, shorten
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError, ConfigError

__all__ = [
    "CONFIG",
    "INDEX",
    "PARTS",
    "PROCESSOR",
    "WEIGHTS",
    "config_beside",
    "is_part",
    "read_shards",
    "shards",
    "weight_file",
]

CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"
INDEX = ".index.json"

# In the order in which transformers looks for them.
WEIGHTS = (
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
    "tf_model.h5",
)

MAX_JSON_BYTES = 2**24

PARTS = (
    "a checkpoint in parts, as torch.distributed.checkpoint writes it; with PyTorch, python -m "
    "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER NEW.pth makes one file"
)


def is_part(name: str) -> bool:
    """Whether a file with this name is part of a `torch.distributed.checkpoint` folder."""
    return name == ".metadata" or name.endswith(".distcp")


def weight_file(folder: Path) -> Path:
    """Finds the weights in a folder: a file, or the index of a sharded checkpoint.

    Raises:
        CheckpointError: There is no file with one of the usual names.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    names = {each.name for each in folder.iterdir()}
    if any(map(is_part, names)):
        raise CheckpointError(PARTS)
    if any(name.endswith(("_optim_states.pt", "_model_states.pt", "zero_to_fp32.py")) for name in names):
        raise CheckpointError(
            "a checkpoint that DeepSpeed split into parts; merge them with the script that DeepSpeed saves next to "
            "them: python zero_to_fp32.py FOLDER NEW_FOLDER"
        )
    inside = sorted(each.name for each in folder.iterdir() if any((each / name).is_file() for name in WEIGHTS))
    hint = f"; there are some in {inside[0]}" if inside else ""
    raise CheckpointError(f"a folder without weights; expected one of {', '.join(WEIGHTS)} in it{hint}")


def shards(index: Path) -> dict[str, str]:
    """Returns the name of the file that contains each tensor.

    Args:
        index: A file whose name ends in `.index.json`.

    Raises:
        CheckpointError: The file is not an index, or refers to files outside its folder.
    """
    found = _json(index)
    places = found.get("weight_map") if isinstance(found, Mapping) else None
    if not isinstance(places, Mapping) or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{index.name} has no weight_map, which names the file of each tensor")
    if strange := [name for name in places.values() if Path(name).name != name or name.endswith(INDEX)]:
        raise CheckpointError(f"{index.name} names {strange[0]!r}, which is not a weight file in the same folder")
    return dict(places)


def read_shards(index: Path, read: Callable[[Path], Container]) -> Container:
    """Reads the tensors of all files in an index.

    Args:
        index: See `shards`.
        read: Function that reads one file.

    Raises:
        CheckpointError: A file is missing or damaged, or its tensors do not match the index.
    """
    places = shards(index)
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(set(places.values())):
        path = index.with_name(name)
        if not path.is_file():
            raise CheckpointError(f"{name} is missing, although {index.name} names it")
        try:
            found = read(path).tensors
        except CheckpointError as error:
            raise CheckpointError(f"{name}: {error}") from None
        if strays := [key for key in found if places.get(key) != name]:
            raise CheckpointError(
                f"{name} holds tensors that {index.name} does not list ({len(strays)}): {shorten(strays)}"
            )
        tensors |= found
    if missing := [key for key in places if key not in tensors]:
        raise CheckpointError(f"{index.name} lists tensors that no file holds ({len(missing)}): {shorten(missing)}")
    return in_memory(tensors)


def config_beside(path: Path, key_layout: KeyLayoutName) -> SwiftFormerConfig | None:
    """Reads the `config.json` in the same folder, unless it belongs to a different model or library.

    Args:
        path: A weight file.
        key_layout: Key layout of the weight file.

    Raises:
        CheckpointError: The file is damaged, or a value is impossible.
    """
    beside = path.with_name(CONFIG)
    if key_layout == "original" or not beside.is_file():
        return None
    values = _json(beside)
    try:
        if key_layout in ("timm", "timm_wrapper"):
            return config_formats.from_timm(values) if config_formats.is_timm(values) else None
        return config_formats.from_hf(values, _processor(path)) if config_formats.is_hf(values) else None
    except ConfigError as error:
        raise CheckpointError(f"{beside.name} beside it: {error}") from None


def _processor(path: Path) -> Mapping[str, Any] | None:
    beside = path.with_name(PROCESSOR)
    values = _json(beside) if beside.is_file() else None
    if values is not None and not isinstance(values, Mapping):
        raise CheckpointError(f"{beside.name} beside it: expected a JSON object")
    return values


def _json(path: Path) -> Any:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise CheckpointError(f"{path.name} is larger than the {MAX_JSON_BYTES:,} bytes that are read")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} beside it is not JSON ({error})") from None
