"""Reads the pickle stream inside a PyTorch file as plain data.

Python's `pickle` imports modules and calls functions that a file can name at will. This reader decodes the same
instructions (with `pickletools.genops` of the standard library) but never imports or calls anything that a file names:
a class becomes its name, an instance becomes a record of the class name and its contents, and a call is only ever
replaced by one of this package's functions from an explicit table. A call of a class of the user's or another
library's, which is how enumerations and some mappings are stored, becomes a record as well. A call of anything else is
rejected by name, wherever it is in the file.
"""

import _compat_pickle
import pickletools
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from swiftformer_tf.errors import CheckpointError

__all__ = ["Attribute", "Global", "Instance", "PersistentId", "load", "refuse"]

# Instructions whose argument is the value itself.
_LITERALS = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)


class Global(NamedTuple):
    """A class or function named in the file; it is never imported."""

    name: str


class Attribute(str):
    """The name of an attribute, as opposed to the key of an item."""

    __slots__ = ()


class Instance:
    """An instance of a class named in the file.

    Args:
        name: Name of the class.
        arguments: Arguments with which it was created, if any.

    Attributes:
        contents: Its contents: items by key, attributes by `Attribute`, elements and arguments by number.
    """

    def __init__(self, name: str, arguments: Any = ()) -> None:
        self.name = name
        self.contents: dict[Any, Any] = {}
        if len(arguments) == 1 and isinstance(arguments[0], dict):
            self.contents.update(arguments[0])
        else:
            self.extend(arguments)

    @property
    def is_module(self) -> bool:
        """Whether it is a PyTorch module."""
        return "_parameters" in self.contents

    def extend(self, elements: Iterable[Any]) -> None:
        """Adds contents without keys."""
        self.contents |= dict(enumerate(elements, len(self.contents)))

    def __repr__(self) -> str:
        return f"<{self.name}>"


class PersistentId(NamedTuple):
    """An object that is stored outside the pickle; in a PyTorch file, a storage."""

    value: Any


def refuse(name: str) -> NoReturn:
    """Rejects a call that a file requests."""
    raise CheckpointError(
        f"refused: the file asks to call {name}, which a weight file does not need. Nothing was run. If you trust its "
        "source, save only its tensors with PyTorch: torch.save(torch.load(path, weights_only=False)['model'], "
        "new_path), with the file's own name for its weights instead of 'model'"
    )


def load(data: bytes, calls: Mapping[str, Callable[..., Any]]) -> Any:
    """Loads the object that a pickle describes.

    Args:
        data: The pickle, in any protocol up to 5.
        calls: By "module.name", the functions that replace those that the file may call.

    Returns:
        Dicts, lists, tuples, sets, strings, numbers, `Global`, `Instance`, `PersistentId`, and what the
        functions in `calls` return.

    Raises:
        CheckpointError: The pickle is damaged, or requests a call that is not in `calls`.
    """
    try:
        with warnings.catch_warnings():
            # The decoder's way of reporting a stray backslash in a name.
            warnings.simplefilter("error", DeprecationWarning)
            return _Machine(calls).run(data)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, DeprecationWarning) as error:
        raise CheckpointError(f"its pickle is damaged ({error})") from None


class _Machine:
    """The stack machine for pickle's instructions."""

    def __init__(self, calls: Mapping[str, Callable[..., Any]]) -> None:
        self.calls = calls
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for instruction, argument, _ in pickletools.genops(data):
            if instruction.name == "STOP":
                return self.stack.pop()
            self.step(instruction.name, argument)
        raise ValueError("no end")

    def step(self, name: str, argument: Any) -> None:
        if name not in _INSTRUCTIONS:
            raise ValueError(f"instruction {name}")
        _INSTRUCTIONS[name](self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, _: Any) -> None:
        # At a mark, POP removes the mark.
        if self.marks and self.marks[-1] == len(self.stack):
            self.marked()
        else:
            self.stack.pop()

    def put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def reduce(self, _: Any) -> None:
        function, arguments = self.popped(2)
        self.push(self.call(function, arguments))

    def freeze(self, _: Any) -> None:
        self.push(Instance("builtins.frozenset", self.marked()))

    def make(self, _: Any) -> None:
        function, *arguments = self.marked()
        self.push(self.call(function, arguments))

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global):
            raise ValueError(f"a call of {type(function).__name__}")
        if function.name not in self.calls:
            if _is_foreign_class(function.name):
                return Instance(function.name, arguments)
            refuse(function.name)
        return self.calls[function.name](*arguments)

    def popped(self, count: int) -> list[Any]:
        if not 0 <= count <= len(self.stack):
            raise ValueError("an empty stack")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def marked(self) -> list[Any]:
        return self.popped(len(self.stack) - self.marks.pop())

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], (list, Instance)):
            raise ValueError(f"items for {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def build(self, _: Any) -> None:
        # The state of an instance, or the attributes of a dict, where no weights are.
        (state,) = self.popped(1)
        if isinstance(self.stack[-1], Instance):
            # Classes with slots have two of them.
            for part in state if isinstance(state, tuple) else (state,):
                if isinstance(part, dict):
                    named = {Attribute(name): value for name, value in part.items() if isinstance(name, str)}
                    self.stack[-1].contents.update(named)

    def update(self, items: list[Any]) -> None:
        top = self.stack[-1]
        if not isinstance(top, (dict, Instance)):
            raise ValueError(f"items for {type(top).__name__}")
        (top.contents if isinstance(top, Instance) else top).update(_pairs(items))

    def new(self, count: int) -> None:
        kind, arguments = self.popped(count)[:2]
        self.push(Instance(kind.name, arguments))


def _global(argument: str) -> Global:
    """Converts a name to Python 3: protocols below 3, and therefore `torch.save`, write Python 2's names."""
    module, _, name = argument.partition(" ")
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    return Global(f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}")


def _is_foreign_class(name: str) -> bool:
    """Whether a name is that of a class of the user's, or of a library whose calls do not create tensors."""
    module, _, function = name.rpartition(".")
    return module.partition(".")[0] not in {*sys.stdlib_module_names, "torch", "numpy"} and function[:1].isupper()


def _pairs(items: list[Any]) -> dict[Any, Any]:
    # No tuples: a key of tuples within tuples could take for ever to hash.
    pairs = zip(items[::2], items[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, (str, int, float, bytes, Instance))}


_Step = Callable[[_Machine, Any], Any]

# What each instruction does, by its name in `pickletools`.
_INSTRUCTIONS: dict[str, _Step] = {
    **dict.fromkeys(_LITERALS, lambda machine, argument: machine.push(argument)),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_SET": lambda machine, _: machine.push(Instance("builtins.set")),
    **dict.fromkeys(("PROTO", "FRAME"), lambda *_: None),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": _Machine.pop,
    "POP_MARK": lambda machine, _: machine.marked(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, key: machine.push(machine.memo[key])),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.marked())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.popped(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.popped(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.popped(3))),
    "LIST": lambda machine, _: machine.push(machine.marked()),
    "FROZENSET": _Machine.freeze,
    "DICT": lambda machine, _: machine.push(_pairs(machine.marked())),
    "APPEND": lambda machine, _: machine.extend(machine.popped(1)),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.extend(machine.marked())),
    "SETITEM": lambda machine, _: machine.update(machine.popped(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.marked()),
    "GLOBAL": lambda machine, argument: machine.push(_global(argument)),
    "STACK_GLOBAL": lambda machine, _: machine.push(Global(".".join(machine.popped(2)))),
    "NEWOBJ": lambda machine, _: machine.new(2),
    "NEWOBJ_EX": lambda machine, _: machine.new(3),
    "BUILD": _Machine.build,
    "REDUCE": _Machine.reduce,
    "INST": lambda machine, argument: machine.push(machine.call(_global(argument), machine.marked())),
    "OBJ": _Machine.make,
    "BINPERSID": lambda machine, _: machine.push(PersistentId(machine.stack.pop())),
}
