"""Readers that do each thing that a reader must not do, by which `make fuzz` is tested."""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.fuzz_seeds import Reader
from swiftformer_tf import ModelError

__all__ = ["BROKEN", "READERS"]


def _sleep(path: Path) -> None:
    time.sleep(600)


def _compute(path: Path) -> None:
    end = time.process_time() + 0.6
    while time.process_time() < end:
        pass


def _die(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _take(path: Path) -> int:
    return len(b"\1" * (2**24 + 2**22))


def _leave(path: Path) -> None:
    tempfile.mkstemp()


def _change(path: Path) -> None:
    path.write_bytes(b"")


def _raise(path: Path) -> None:
    raise KeyError("weight_map")


def _say(template: str) -> Callable[[Path], None]:
    def refuse(path: Path) -> None:
        raise ModelError(template.format(path=path))

    return refuse


# Each with what is told of it.
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "good": (lambda path: "answer", "read"),
    "refusing": (_say("{path}: damaged"), "refused"),
    "raising": (_raise, "traceback"),
    "unprintable": (lambda path: "\ud800", "traceback"),
    "nameless": (_say("damaged"), "message without the file"),
    "of two lines": (_say("{path}: damaged\nat byte 3"), "message unfit for a terminal"),
    "long-winded": (_say("{path}: " + "a" * 3000), "message unfit for a terminal"),
    "changing": (_change, "changed files"),
    "leaving": (_leave, "left files"),
    "hungry": (_take, "memory"),
    "slow": (_compute, "slow"),
    "hanging": (_sleep, "hangs"),
    "dying": (_die, "crash"),
}

READERS = {name: Reader(read, lambda folder: None, seconds=0.5, bytes=2**24) for name, (read, _) in BROKEN.items()}
