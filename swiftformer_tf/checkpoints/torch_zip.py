"""PyTorch's zip container (`torch.save` since 1.6), read and written without PyTorch.

The archive holds one folder with `data.pkl`, which describes the objects, and `data/0`, `data/1`, ... with the
bytes of the storages. `torch.save` never compresses, so a compressed member is refused: what is read is never
larger than the file.
"""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from swiftformer_tf.checkpoints import torch_pickle
from swiftformer_tf.checkpoints.container import RECORD, Contents, check_size
from swiftformer_tf.errors import CheckpointError

__all__ = ["read", "write"]

# Containers that training scripts put weights in, first choice first. The original repository's evaluation
# and timm's loader both know "model"; the averaged weights are taken only where there is nothing else.
PARTS = ("model", "state_dict", "model_ema", "state_dict_ema")

MAX_PICKLE_BYTES = 2**24

STORAGES: dict[str, np.dtype] = {
    f"torch.{name}Storage": np.dtype(dtype)
    for name, dtype in {
        "Float": "<f4",
        "Double": "<f8",
        "Half": "<f2",
        "BFloat16": ml_dtypes.bfloat16,
        "Long": "<i8",
        "Int": "<i4",
        "Short": "<i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "?",
    }.items()
}

# Data in the form of calls, as it occurs in training scripts' `args` and `optimizer`: it becomes a record.
INERT_CALLS = (
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.frozenset",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "collections.Counter",
    "collections.defaultdict",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "pathlib.Path",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "torch.device",
)


class _Tensor(NamedTuple):
    """Where a tensor lies: `torch._utils._rebuild_tensor_v2`'s arguments."""

    storage: str
    kind: str
    length: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return STORAGES[self.kind]


def read(path: Path) -> Contents:
    """Tensors of a `.pth`, `.pt` or `.bin` file.

    Raises:
        CheckpointError: Damaged, compressed or encrypted; too large; asks for code; holds no state dict.
        OSError: The file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _checked_root(archive, path.stat().st_size)
            content = torch_pickle.load(archive.read(f"{root}/data.pkl"), CALLS)
            part, state = _state_dict(content)
            tensors = _tensors(archive, root, state)
    except (zipfile.BadZipFile, EOFError, struct.error, ValueError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"damaged or cut short ({error}); download or copy it again") from None
    record = content.get(RECORD)
    return Contents(tensors, record if isinstance(record, str) else None, part)


def _checked_root(archive: zipfile.ZipFile, size: int) -> str:
    """Name of the folder in the archive, once nothing in it can grow beyond the file."""
    members = archive.infolist()
    for member in members:
        if member.flag_bits & 1:
            raise CheckpointError(f"{member.filename} is encrypted; torch.save does not encrypt")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise CheckpointError(
                f"{member.filename} is compressed, to {member.compress_size:,} of {member.file_size:,} bytes. "
                "torch.save does not compress; save the file again with PyTorch"
            )
    if sum(member.file_size for member in members) > size:
        raise CheckpointError("its members are larger than the file")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise CheckpointError("two of its members have the same name")
    roots = [name.removesuffix("/data.pkl") for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        kind = "a Keras model" if "model.weights.h5" in names else "no PyTorch file"
        raise CheckpointError(f"a zip archive, but {kind}: expected one data.pkl in it, as torch.save writes")
    if f"{roots[0]}/constants.pkl" in names:
        raise CheckpointError(
            "a TorchScript program; with PyTorch, torch.save(torch.jit.load(path).state_dict(), new_path) makes a "
            "weight file"
        )
    if archive.getinfo(f"{roots[0]}/data.pkl").file_size > MAX_PICKLE_BYTES:
        raise CheckpointError(f"its data.pkl is larger than the {MAX_PICKLE_BYTES:,} bytes that are read")
    order = f"{roots[0]}/byteorder"
    if order in names and archive.read(order) != b"little":
        raise CheckpointError("written on a big-endian machine; load it with PyTorch and save it again on this one")
    return roots[0]


def _state_dict(content: Any) -> tuple[str | None, dict[str, Any]]:
    """The dict that holds tensors, and the name that the file gives it."""
    if not isinstance(content, dict):
        kind = content.name if isinstance(content, torch_pickle.Instance) else type(content).__name__
        raise CheckpointError(
            f"holds a {kind}, expected a state dict; with PyTorch, torch.save(model.state_dict(), path) makes one"
        )
    parts = {part: content[part] for part in PARTS if isinstance(content.get(part), dict)}
    for part, state in [*parts.items(), (None, content)]:
        if any(isinstance(value, _Tensor) for value in state.values()):
            return part, state
    names = ", ".join(str(name)[:40] for name in list(content)[:8]) or "nothing"
    raise CheckpointError(f"holds no tensors: found {names}; expected a state dict, bare or as {' or '.join(PARTS)}")


def _tensors(archive: zipfile.ZipFile, root: str, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    for key, value in state.items():
        if not isinstance(value, _Tensor):
            kind = value.name if isinstance(value, torch_pickle.Instance) else type(value).__name__
            raise CheckpointError(f"{key}: a {kind} where a tensor was expected")
    check_size(tensor.shape for tensor in state.values())
    storages: dict[str, bytes] = {}
    return {str(key): _read_tensor(archive, root, storages, str(key), tensor) for key, tensor in state.items()}


def _read_tensor(
    archive: zipfile.ZipFile, root: str, storages: dict[str, bytes], key: str, tensor: _Tensor
) -> np.ndarray:
    name = f"{root}/data/{tensor.storage}"
    if tensor.kind not in STORAGES:
        raise CheckpointError(f"{key}: numbers of {tensor.kind}, which are not read")
    if name not in storages:
        try:
            storages[name] = archive.read(name)
        except KeyError:
            raise CheckpointError(f"{key}: its numbers ({name}) are not in the file") from None
    data, item = storages[name], tensor.dtype.itemsize
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if len(data) != tensor.length * item or (0 not in tensor.shape and last >= tensor.length):
        raise CheckpointError(
            f"{key}: reaches number {last + 1:,} of a storage declared as {tensor.length:,} numbers, which has "
            f"{len(data):,} bytes"
        )
    if 0 in tensor.shape:
        return np.empty(tensor.shape, tensor.dtype)
    flat = np.frombuffer(data, tensor.dtype)[tensor.offset :]
    strides = [stride * item for stride in tensor.strides]
    return np.array(np.lib.stride_tricks.as_strided(flat, tensor.shape, strides), order="C")


def _rebuild_tensor(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *rest: Any) -> _Tensor:
    # rest: requires_grad, hooks and, for views with a pending sign or conjugation, metadata.
    marker, kind, key, _, length = storage.value
    whole = (length, offset, *shape, *strides)
    if marker != "storage" or not isinstance(key, str) or not all(type(n) is int and n >= 0 for n in whole):
        raise ValueError("a tensor's storage")
    if len(shape) != len(strides) or len(shape) > 8:
        raise ValueError("a tensor's shape")
    if len(rest) > 2 and rest[2]:
        raise CheckpointError("a tensor with pending conjugation or sign; save its .resolve_conj().resolve_neg()")
    return _Tensor(key, kind.name, length, offset, tuple(shape), tuple(strides))


def _rebuild_subclass(function: torch_pickle.Global, _kind: Any, arguments: tuple[Any, ...], *_state: Any) -> Any:
    if function.name not in _TENSOR_CALLS:
        raise CheckpointError(f"refused: the file asks for a call of {function.name} to build a tensor")
    return _TENSOR_CALLS[function.name](*arguments)


_TENSOR_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
}

# Everything that a file may call, and what is done instead.
CALLS: dict[str, Callable[..., Any]] = {
    **{name: lambda *_, name=name: torch_pickle.Instance(name) for name in INERT_CALLS},
    **_TENSOR_CALLS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_subclass,
    "collections.OrderedDict": lambda items=(): dict(items),
    "torch.Size": lambda items=(): tuple(items),
}


def write(path: Path, tensors: Mapping[str, np.ndarray], part: str | None, record: str | None) -> None:
    """A file that `torch.load(path, weights_only=True)` reads.

    Args:
        path: Where to.
        tensors: By key.
        part: Name of the dict around the state dict; None writes a bare state dict.
        record: JSON of the configuration, beside the part; a bare state dict has no place for it.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            # A fixed date, so that the same weights make the same file.
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0)), data)

        add("data.pkl", _pickle(tensors, part, record))
        add("byteorder", b"little")
        for index, tensor in enumerate(tensors.values()):
            add(f"data/{index}", tensor.tobytes())
        add("version", b"3\n")


def _pickle(tensors: Mapping[str, np.ndarray], part: str | None, record: str | None) -> bytes:
    """The stream that describes the state dict, in pickle's protocol 2."""
    kinds = {dtype: name.removeprefix("torch.") for name, dtype in STORAGES.items()}
    ordered = _global("collections", "OrderedDict") + b")R"
    out = io.BytesIO()
    out.write(b"\x80\x02")
    if part is not None:
        out.write(b"}(" + _text(part))
    out.write(ordered + b"(")
    for index, (key, tensor) in enumerate(tensors.items()):
        strides = [stride // tensor.itemsize for stride in np.empty(tensor.shape, tensor.dtype).strides]
        storage = b"(" + _text("storage") + _global("torch", kinds[tensor.dtype]) + _text(str(index)) + _text("cpu")
        storage += _integer(tensor.size) + b"tQ"
        out.write(_text(key) + _global("torch._utils", "_rebuild_tensor_v2"))
        out.write(b"(" + storage + _integer(0) + _integers(tensor.shape) + _integers(strides) + b"\x89" + ordered)
        out.write(b"tR")
    out.write(b"u")
    if part is not None:
        out.write((_text(RECORD) + _text(record) if record is not None else b"") + b"u")
    out.write(b".")
    return out.getvalue()


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _integers(values: Any) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()
