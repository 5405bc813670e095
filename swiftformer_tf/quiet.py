"""Keeps the log lines of native libraries away from our users."""

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["native_stderr_silenced"]


@contextlib.contextmanager
def native_stderr_silenced() -> Iterator[None]:
    """Drops what C++ writes to file descriptor 2; Python's own `sys.stderr` still arrives.

    TensorFlow and LiteRT log there before any logging level can reach them. Errors come as exceptions.
    """
    python_stderr = sys.stderr
    real, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        if _is_native(python_stderr):
            python_stderr.flush()
            sys.stderr = os.fdopen(os.dup(real), "w", buffering=1, encoding=python_stderr.encoding)
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(real, 2)
        if sys.stderr is not python_stderr:
            sys.stderr.close()
            sys.stderr = python_stderr
        os.close(real)
        os.close(null)


def _is_native(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False  # a notebook's or a test's stand-in
