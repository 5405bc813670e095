"""Small random weights, and weight files made by hand."""

import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from support import TESTS
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.tensor_specs import expected_shapes
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError

GOLDEN = TESTS / "golden"

SMALL = SwiftFormerConfig(depths=(2, 1), embed_dims=(4, 6), downsamples=(True, True), id2label={0: "cat", 1: "dog"})


class Module:
    """With the attributes by which a file tells a module of PyTorch from other instances."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}


def random_tensors(config: SwiftFormerConfig, seed: int = 0, *, final_norm: bool = True) -> dict[str, np.ndarray]:
    """Weights under canonical names, variances positive."""
    generator = np.random.default_rng(seed)
    return {
        key: generator.uniform(0.5, 1.5, shape).astype(np.float32)
        for key, shape in expected_shapes(config, final_norm=final_norm).items()
    }


# The weights that most files made by hand are about.
TENSORS = random_tensors(SMALL)


def holds(checkpoint: Checkpoint, tensors: dict[str, np.ndarray] = TENSORS) -> bool:
    """Whether these are its weights, to the last bit."""
    return checkpoint.tensors.keys() == tensors.keys() and all(
        np.array_equal(checkpoint.tensors[key], tensor) for key, tensor in tensors.items()
    )


def random_checkpoint(config: SwiftFormerConfig = SMALL, **fields: Any) -> Checkpoint:
    """A checkpoint of random weights."""
    return Checkpoint(tensors=random_tensors(config), config=config, **fields)


def torch_zip(path: Path, pickled: bytes, **members: bytes) -> Path:
    """A PyTorch file around a pickle; `members` are storages, as `_0=b"..."`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, data in members.items():
            archive.writestr(f"archive/data/{name[1:]}", data)
    return path


def text(value: str) -> bytes:
    """A string in pickle's words."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def tensor(
    *,
    storage: str = "0",
    kind: str = "FloatStorage",
    length: int = 4,
    offset: int = 0,
    shape: tuple[int, ...] = (4,),
    strides: tuple[int, ...] = (1,),
) -> bytes:
    """A tensor in pickle's words, as `torch.save` puts it."""

    def integers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(f"I{value}\n".encode() for value in values) + b"t"

    place = (
        b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(storage) + text("cpu") + f"I{length}\n".encode()
    )
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + place
        + b"tQ"
        + f"I{offset}\n".encode()
        + integers(shape)
        + integers(strides)
        + b"\x89}tR"
    )


def state_dict(**items: bytes) -> bytes:
    """A pickled dict of what the arguments hold in pickle's words; a double underscore is a dot."""
    return b"\x80\x02}(" + b"".join(text(key.replace("__", ".")) + value for key, value in items.items()) + b"u."


def refused(path: Path, message: str) -> str:
    """The message of the refusal, which names the file."""
    with pytest.raises(CheckpointError, match=message) as caught:
        Checkpoint.open(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def torch_save(path: Path, content: Any, protocol: int = 2) -> Path:
    """What `torch.save(content, path)` writes where arrays in `content` are tensors.

    Classes of modules that are not here are pickled by the names that they give themselves.
    """
    storages: list[np.ndarray] = []
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}

    def stand_in(module: str, name: str) -> type:
        kind = type(name, (), {"__module__": module})
        setattr(modules[module], name, kind)
        return kind

    rebuild = stand_in("torch._utils", "_rebuild_tensor_v2")
    kinds = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "bool": "Bool"}

    class Storage(NamedTuple):
        array: np.ndarray

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, Storage):
                return None
            storages.append(value.array)
            kind = stand_in("torch", f"{kinds[value.array.dtype.name]}Storage")
            return ("storage", kind, str(len(storages) - 1), "cpu", value.array.size)

        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, np.ndarray) or value.dtype.name not in kinds:
                return NotImplemented
            strides = tuple(stride // value.itemsize for stride in value.strides)
            return rebuild, (Storage(value), 0, value.shape, strides, False, {})

    out = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        Pickler(out, protocol).dump(content)
    return torch_zip(path, out.getvalue(), **{f"_{index}": array.tobytes() for index, array in enumerate(storages)})
