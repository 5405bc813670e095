"""The pickle stream inside a PyTorch file, read as data.

Python's `pickle` is a machine that imports modules and calls functions, which a file may name at will.
This reader decodes the same instructions (`pickletools.genops` of the standard library) and never imports
or calls anything on a file's word: a class becomes its name, an instance becomes a record of its class's
name, and a call is carried out only by a function of ours from an explicit table. A call of anything else is
refused by name, wherever in the file it stands.
"""

import _compat_pickle
import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from swiftformer_tf.errors import CheckpointError

__all__ = ["Global", "Instance", "PersistentId", "load"]

# Instructions whose argument is the value itself.
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Global(NamedTuple):
    """A class or function that the file names; it is never looked up."""

    name: str


class Instance:
    """Something of a class that the file names: what it is called is all that is kept."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class PersistentId(NamedTuple):
    """Something that the file keeps outside the pickle; in a PyTorch file, a storage."""

    value: Any


def load(data: bytes, calls: Mapping[str, Callable[..., Any]]) -> Any:
    """The object that a pickle describes.

    Args:
        data: The pickle, of any protocol up to 5.
        calls: Functions that stand for those which the file may call, by "module.name".

    Returns:
        Dicts, lists, tuples, sets, strings, numbers, `Global`, `Instance`, `PersistentId`, and what the
        functions in `calls` return.

    Raises:
        CheckpointError: A damaged pickle, or one that wants something called which is not in `calls`.
    """
    try:
        with warnings.catch_warnings():
            # The decoder's way of reporting a stray backslash in a name.
            warnings.simplefilter("error", DeprecationWarning)
            return _Machine(calls).run(data)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, DeprecationWarning) as error:
        raise CheckpointError(f"its pickle is damaged ({error})") from None


class _Machine:
    """The stack machine that pickle's instructions are written for."""

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
        stack = self.stack
        match name:
            case _ if name in _LITERALS:
                stack.append(argument)
            case _ if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case _ if name in _EMPTY:
                stack.append(_EMPTY[name]())
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "POP":
                # At a mark, POP removes the mark.
                self.marked() if self.marks and self.marks[-1] == len(stack) else stack.pop()
            case "POP_MARK":
                self.marked()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "TUPLE":
                stack.append(tuple(self.marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.popped(_TUPLES[name])))
            case "LIST":
                stack.append(self.marked())
            case "EMPTY_SET":
                stack.append(Instance("builtins.set"))
            case "FROZENSET":
                self.marked()
                stack.append(Instance("builtins.frozenset"))
            case "DICT":
                stack.append(_pairs(self.marked()))
            case "APPEND":
                self.extend(self.popped(1))
            case "APPENDS" | "ADDITEMS":
                self.extend(self.marked())
            case "SETITEM":
                self.update(self.popped(2))
            case "SETITEMS":
                self.update(self.marked())
            case "GLOBAL":
                stack.append(_global(argument))
            case "STACK_GLOBAL":
                stack.append(Global(".".join(self.popped(2))))
            case "NEWOBJ":
                stack.append(Instance(self.popped(2)[0].name))
            case "NEWOBJ_EX":
                stack.append(Instance(self.popped(3)[0].name))
            case "BUILD":
                # The state of an instance, or the attributes of a dict: neither is a tensor.
                self.popped(1)
            case "REDUCE":
                function, arguments = self.popped(2)
                stack.append(self.call(function, arguments))
            case "INST":
                stack.append(self.call(_global(argument), self.marked()))
            case "OBJ":
                function, *arguments = self.marked()
                stack.append(self.call(function, arguments))
            case "BINPERSID":
                stack.append(PersistentId(stack.pop()))
            case _:
                raise ValueError(f"instruction {name}")

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global):
            raise ValueError(f"a call of {type(function).__name__}")
        if function.name not in self.calls:
            raise CheckpointError(
                f"refused: the file asks for a call of {function.name}, and a weight file needs no such thing. Nothing "
                "was run. If you trust where it comes from, save its tensors alone with PyTorch: "
                "torch.save(model.state_dict(), path)"
            )
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
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Instance):
            raise ValueError(f"items for {type(self.stack[-1]).__name__}")

    def update(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(_pairs(items))
        elif not isinstance(self.stack[-1], Instance):
            raise ValueError(f"items for {type(self.stack[-1]).__name__}")


def _global(argument: str) -> Global:
    """A name under Python 3's word for it: protocols below 3, and so `torch.save`, write Python 2's."""
    module, _, name = argument.partition(" ")
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    return Global(f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    # Names and numbers only: a key of tuples within tuples could take for ever to hash.
    pairs = zip(items[::2], items[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, (str, int, float, bytes))}
