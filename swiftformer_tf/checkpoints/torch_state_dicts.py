"""Interprets the pickle of a PyTorch file: where its tensors are, and what the file is if there are none."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from swiftformer_tf.checkpoints.key_layouts import SIGNATURE
from swiftformer_tf.checkpoints.torch_names import DTYPES, INERT_CALLS, STORAGES
from swiftformer_tf.checkpoints.torch_pickle import Attribute, Instance
from swiftformer_tf.errors import CheckpointError

__all__ = ["Place", "Tensor", "Unread", "dotted", "loaded", "state_dicts"]

# Deeper than any script nests; without this limit, a few bytes per level could take unlimited time.
MAX_DEPTH = 64

# Keys and numbers that lead to a value from the whole content.
Place = tuple[Any, ...]


class Tensor(NamedTuple):
    """The location of a tensor: the arguments of `torch._utils._rebuild_tensor_v2`."""

    storage: str
    kind: str
    length: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """The dtype, if `is_read`."""
        return (STORAGES | DTYPES)[self.kind]

    @property
    def is_read(self) -> bool:
        """Whether NumPy supports the dtype."""
        return self.kind in STORAGES or self.kind in DTYPES


class Unread(NamedTuple):
    """A tensor of a kind that cannot be read, and the reason."""

    reason: str


def state_dicts(content: Any) -> dict[Place, dict[str, Any]]:
    """Finds the mappings of tensors, under any name and at any depth, by location.

    A mapping is a dict, any other object with items or attributes (a `defaultdict`, a `Namespace`, a user's class), or
    a list of names and values. If some belong to a SwiftFormer, these are returned; otherwise, the largest, from which
    the error message can tell what the file contains instead.

    Raises:
        CheckpointError: There are no tensors, or only whole modules, which only PyTorch can unpack.
    """
    found: dict[Place, dict[str, Any]] = {}
    others: dict[Place, Instance] = {}
    for place, value in _containers(content):
        named = _named(value)
        if any(_is_tensor(each) for each in named.values()) or _signed(named):
            found[place] = named
        elif isinstance(value, Instance) and not _is_inert(value):
            others[place] = value
    signed = {place: state for place, state in found.items() if _signed(state)}
    if signed:
        return signed
    # Beside tensors of something else (an optimizer's), only what surely is a module.
    modules = {place: value for place, value in others.items() if value.is_module} or ({} if found else others)
    for place, value in modules.items():
        whole = f"{dotted(place)!r} is a whole {value.name}" if place else f"holds a {value.name}"
        raise CheckpointError(
            f"{whole}, expected a state dict; with PyTorch, torch.save({loaded(place)}.state_dict(), new_path) "
            "makes one"
        )
    if found:
        return dict([max(found.items(), key=lambda item: len(item[1]))])
    raise CheckpointError(
        f"holds no tensors with names: found {_shown(content)}; expected a state dict, by itself or under model, "
        "state_dict or another name"
    )


def dotted(place: Place) -> str:
    """The name of a location in the file."""
    return ".".join(map(_name, place))


def loaded(place: Place) -> str:
    """Returns the Python code with which PyTorch users access a location in a file.

    Examples:
        >>> loaded(("runs", 0))
        "torch.load(path, weights_only=False)['runs'][0]"
    """
    return "torch.load(path, weights_only=False)" + "".join(
        f".{part}" if isinstance(part, Attribute) else f"[{part!r}]" for part in place
    )


def _containers(content: Any) -> Iterator[tuple[Place, Any]]:
    """All containers, each once, except for the contents of modules, which are stored in pieces."""
    waiting: list[tuple[Place, Any]] = [((), content)]
    seen: set[int] = set()
    while waiting:
        place, value = waiting.pop(0)
        if id(value) in seen or not _can_hold(value):
            continue
        seen.add(id(value))
        yield place, value
        if len(place) < MAX_DEPTH:
            waiting += [((*place, key), each) for key, each in _items(value).items() if _can_hold(each)]


def _items(value: Any) -> Mapping[Any, Any]:
    """The contents by key, name or number."""
    if isinstance(value, Instance):
        return {} if value.is_module else value.contents
    return value if isinstance(value, dict) else dict(enumerate(value))


def _named(value: Any) -> dict[str, Any]:
    """The contents that have names."""
    if isinstance(value, list) and value and all(_is_pair(each) for each in value):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return {}
    items = _items(value).items()
    # The numbered items of an instance are its elements and arguments.
    return {_name(key): each for key, each in items if isinstance(value, dict) or not isinstance(key, int)}


def _name(key: Any) -> str:
    # Python 2's files, and those of other formats, have bytes for names.
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)


def _is_pair(value: Any) -> bool:
    return type(value) is tuple and len(value) == 2 and isinstance(value[0], str)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor | Unread)


def _is_inert(value: Instance) -> bool:
    return value.name in INERT_CALLS or value.name.partition(".")[0] in sys.stdlib_module_names


def _can_hold(value: Any) -> bool:
    return isinstance(value, (dict, list, Instance)) or type(value) is tuple


def _signed(state: Mapping[str, Any]) -> bool:
    return any(key.endswith(SIGNATURE) for key in state)


def _shown(content: Any) -> str:
    if _is_tensor(content):
        return "one tensor"
    if not _can_hold(content):
        return f"a {type(content).__name__}"
    if isinstance(content, (list, tuple)):
        kind = f"a {type(content).__name__} of {len(content)}"
        tensors = sum(map(_is_tensor, content))
        return f"{kind}, {tensors} of them tensors" if tensors else kind
    kind = f"a {content.name} of " if isinstance(content, Instance) else ""
    return kind + (", ".join(name[:40] for name in list(_named(content))[:8]) or "nothing")
