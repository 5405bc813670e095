"""Hides the log lines that TensorFlow and other native libraries print."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["native_stderr_silenced", "native_stdout_silenced", "tensorflow_notes_silenced"]


@contextlib.contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Discards what C++ writes to file descriptor 2; output to Python's `sys.stderr` still appears.

    TensorFlow and LiteRT log there before any logging level can be set. Errors are raised as exceptions.
    """
    with _silenced("stderr", 2):
        yield


@contextlib.contextmanager
def native_stdout_silenced() -> Iterator[None]:
    """Discards what C++ writes to file descriptor 1, as Gloo does when it connects; `sys.stdout` still works."""
    with _silenced("stdout", 1):
        yield


@contextlib.contextmanager
def tensorflow_notes_silenced() -> Iterator[None]:
    """Discards informational messages of TensorFlow's Python code; its warnings still appear.

    Its converter reports a SavedModel in a temporary folder, which no longer exists when the message is read.
    """
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _silenced(name: str, descriptor: int) -> Iterator[None]:
    stream = getattr(sys, name)
    real, null = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    own = None
    try:
        if _is_native(stream, descriptor):
            stream.flush()
            own = os.fdopen(os.dup(real), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
            stand_in = _StandIn(own)
            setattr(sys, name, stand_in)
        os.dup2(null, descriptor)
        yield
    finally:
        os.dup2(real, descriptor)
        if own is not None:
            setattr(sys, name, stream)
            stand_in.stream = stream
            own.close()
        os.close(real)
        os.close(null)


class _StandIn:
    """A temporary `sys.stderr`, which logging handlers that are created meanwhile may keep and write to later."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _is_native(stream: Any, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)
    except (AttributeError, OSError, ValueError):
        return False  # a notebook's or a test's stand-in
