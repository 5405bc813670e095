"""Reads and writes PyTorch's zip container (`torch.save` since 1.6) without PyTorch.

The archive contains one folder with `data.pkl`, which describes the objects, and `data/0`, `data/1`, ..., which contain
the bytes of the storages. `torch.save` never compresses, so compressed members are rejected: no more is read than the
size of the file.
"""

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.checkpoints import torch_pickle, torch_state_dicts
from swiftformer_tf.checkpoints.container import RECORD, Container, StateDict, check_size, counters, integers
from swiftformer_tf.checkpoints.torch_names import DTYPES, INERT_CALLS, OTHER_ARCHIVES, STORAGES, UNREAD_TENSORS
from swiftformer_tf.checkpoints.torch_state_dicts import Place, Tensor, Unread, loaded
from swiftformer_tf.errors import CheckpointError

__all__ = ["read", "write"]

MAX_PICKLE_BYTES = 2**24


def read(path: Path) -> Container:
    """Reads the mappings of tensors in a `.pth`, `.pt` or `.bin` file.

    Raises:
        CheckpointError: The file is damaged, compressed, encrypted or too large, requests code to be run, or contains
            no state dict.
        OSError: The file cannot be read.
    """
    with _opened(path) as archive:
        root = _checked_root(archive, path.stat().st_size)
        content = torch_pickle.load(archive.read(f"{root}/data.pkl"), CALLS)
    state_dicts = {
        torch_state_dicts.dotted(place): _state_dict(path, root, place, state)
        for place, state in torch_state_dicts.state_dicts(content).items()
    }
    record = content.get(RECORD) if isinstance(content, dict) else None
    return Container(state_dicts, record if isinstance(record, str) else None)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, struct.error, ValueError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"damaged or cut short ({error}); download or copy it again") from None


def _checked_root(archive: zipfile.ZipFile, size: int) -> str:
    """Name of the folder in the archive, after checking that nothing in it can expand beyond the file size."""
    members = archive.infolist()
    names = [member.filename for member in members]
    _check_kind(names)
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
    if len(set(names)) < len(names):
        raise CheckpointError("two of its members have the same name")
    roots = [name.removesuffix("/data.pkl") for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise CheckpointError(
            "a zip archive, but not a PyTorch file: expected one data.pkl in it, as torch.save writes it"
        )
    if archive.getinfo(f"{roots[0]}/data.pkl").file_size > MAX_PICKLE_BYTES:
        raise CheckpointError(f"its data.pkl is larger than the {MAX_PICKLE_BYTES:,} bytes that are read")
    order = f"{roots[0]}/byteorder"
    if order in names and archive.read(order) != b"little":
        raise CheckpointError("written on a big-endian machine; load it with PyTorch and save it again on this one")
    return roots[0]


def _check_kind(names: list[str]) -> None:
    """Rejects other archives of PyTorch and Keras with a message that says what they are."""
    ends = {name.partition("/")[2] for name in names} | set(names)
    for member, kind in OTHER_ARCHIVES.items():
        if member in ends:
            raise CheckpointError(kind)
    if names and all(name.endswith(".npy") for name in names):
        raise CheckpointError(
            "NumPy's archive of arrays (.npz); with PyTorch, torch.save({key: torch.from_numpy(array) for key, array "
            "in numpy.load(path).items()}, new_path) makes a weight file"
        )


def _state_dict(path: Path, root: str, place: Place, state: Mapping[str, Any]) -> StateDict:
    """A mapping whose values are read from the archive on demand."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    others = {
        key: value.reason if isinstance(value, Unread) else _kind(value, place)
        for key, value in state.items()
        if key not in tensors
    }
    kinds = {key: (value.shape, value.dtype) for key, value in tensors.items() if value.is_read}
    shapes = {key: value.shape for key, value in tensors.items()}
    return StateDict(shapes, counters(kinds), integers(kinds), others, partial(_read_tensors, path, root, tensors))


def _kind(value: Any, place: Place) -> str:
    kind = value.name if isinstance(value, torch_pickle.Instance) else type(value).__name__
    if isinstance(value, torch_pickle.Global) and value.name.startswith("torch.q"):
        return UNREAD_TENSORS["torch._utils._rebuild_qtensor"]
    if kind.endswith("multiarray._reconstruct"):
        return (
            "a NumPy array where a tensor was expected; with PyTorch, torch.save({key: torch.as_tensor(value) for key, "
            f"value in {loaded(place)}.items()}}, new_path) makes a weight file"
        )
    return f"a {kind} where a tensor was expected"


def _read_tensors(path: Path, root: str, state: Mapping[str, Tensor], keys: Iterable[str]) -> dict[str, np.ndarray]:
    wanted = {key: state[key] for key in keys}
    check_size(tensor.shape for tensor in wanted.values())
    storages: dict[str, bytes] = {}
    with _opened(path) as archive:
        return {key: _read_tensor(archive, root, storages, key, tensor) for key, tensor in wanted.items()}


def _read_tensor(
    archive: zipfile.ZipFile, root: str, storages: dict[str, bytes], key: str, tensor: Tensor
) -> np.ndarray:
    name = f"{root}/data/{tensor.storage}"
    if not tensor.is_read:
        raise CheckpointError(f"{key}: {tensor.kind} numbers are not supported; save the state dict in float32")
    if name not in storages:
        try:
            storages[name] = archive.read(name)
        except KeyError:
            raise CheckpointError(f"{key}: its data ({name}) is missing from the file") from None
    data, item = storages[name], tensor.dtype.itemsize
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if len(data) != tensor.length * item or (0 not in tensor.shape and last >= tensor.length):
        raise CheckpointError(
            f"{key}: reaches number {last + 1:,} of a storage declared as {tensor.length:,} numbers, which has "
            f"{len(data):,} bytes"
        )
    if 0 in tensor.shape:
        return np.empty(tensor.shape, tensor.dtype)
    # Read as plain bits, since NumPy does not recognize ml_dtypes' types by their codes.
    flat = np.frombuffer(data, f"u{item}" if item < 8 else tensor.dtype)[tensor.offset :]
    strides = [stride * item for stride in tensor.strides]
    return np.array(np.lib.stride_tricks.as_strided(flat, tensor.shape, strides), order="C").view(tensor.dtype)


def _rebuild_tensor(storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *rest: Any) -> Tensor:
    # rest: requires_grad, hooks and, for views with a pending sign or conjugation, metadata.
    marker, kind, key, _, length = storage.value
    whole = (length, offset, *shape, *strides)
    if marker != "storage" or not isinstance(key, str) or not all(type(n) is int and n >= 0 for n in whole):
        raise ValueError("a tensor's storage")
    if len(shape) != len(strides) or len(shape) > 8:
        raise ValueError("a tensor's shape")
    if len(rest) > 2 and rest[2]:
        raise CheckpointError("a tensor with pending conjugation or sign; save its .resolve_conj().resolve_neg()")
    return Tensor(key, kind.name, length, offset, tuple(shape), tuple(strides))


def _rebuild_tensor_v3(
    storage: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    gradient: Any,
    hooks: Any,
    dtype: Any,
    *_: Any,
) -> Tensor:
    """A tensor of a dtype without a storage class of its own: bytes and, separately, the dtype."""
    tensor = _rebuild_tensor(storage, offset, shape, strides)
    size = DTYPES[dtype.name].itemsize if dtype.name in DTYPES else 1
    return tensor._replace(kind=dtype.name, length=tensor.length // size)


def _rebuild_subclass(function: torch_pickle.Global, _kind: Any, arguments: tuple[Any, ...], *_state: Any) -> Any:
    if function.name in UNREAD_TENSORS:
        return Unread(UNREAD_TENSORS[function.name])
    if function.name not in _TENSOR_CALLS:
        raise CheckpointError(f"refused: the file asks to call {function.name} to build a tensor")
    return _TENSOR_CALLS[function.name](*arguments)


def _encoded(text: Any, encoding: Any = "utf-8") -> Any:
    """Bytes, which protocols below 3 store as text with as many characters."""
    return text.encode("latin1") if (type(text), encoding) == (str, "latin1") else torch_pickle.Instance("bytes")


def _attribute(*arguments: Any) -> Any:
    """A nested class or a method, as stored by protocols below 4; calling it is rejected by name."""
    owner, name = arguments if len(arguments) == 2 else (None, None)
    if not isinstance(name, str):
        torch_pickle.refuse("builtins.getattr")
    kind = owner.name if isinstance(owner, torch_pickle.Global | torch_pickle.Instance) else type(owner).__name__
    return torch_pickle.Global(f"{kind}.{name}")


_TENSOR_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
}

# Everything that a file may call, and what is done instead.
CALLS: dict[str, Callable[..., Any]] = {
    **{name: lambda *each, name=name: torch_pickle.Instance(name, each) for name in INERT_CALLS},
    "_codecs.encode": _encoded,
    "builtins.getattr": _attribute,
    "torch._dynamo.eval_frame.OptimizedModule": lambda module, *_: module,
    "torch.fx.graph_module.reduce_graph_module": lambda body, *_: torch_pickle.Instance("torch.fx.GraphModule", [body]),
    **{name: lambda *_, reason=reason: Unread(reason) for name, reason in UNREAD_TENSORS.items()},
    **_TENSOR_CALLS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_subclass,
    "collections.OrderedDict": lambda items=(): dict(items),
    "torch.Size": lambda items=(): tuple(items),
}


def write(path: Path, tensors: Mapping[str, np.ndarray], part: str | None, record: str | None) -> None:
    """Writes a file that `torch.load(path, weights_only=True)` can read.

    Args:
        path: Path of the file.
        tensors: Tensors by key.
        part: Name of the dict around the state dict; None writes a bare state dict.
        record: JSON of the configuration, stored next to `part`; a bare state dict has no place for it.
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
    """The pickle stream that describes the state dict, in protocol 2."""
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
