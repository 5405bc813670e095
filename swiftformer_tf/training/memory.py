"""Keeps the memory of large tensors instead of returning it to the system."""

import ctypes
import platform

__all__ = ["keep_freed_memory"]

# mallopt's parameters, from glibc's malloc.h: largest mapping count, spare memory at the top, when to give it back.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Makes glibc reuse the memory of large tensors in this process.

    By default, glibc maps new pages for each large tensor and returns them a moment later, so that a training step on a
    CPU spends much of its time on page faults: 56 ms of CPU time per image instead of 40 ms (XS at 128 px,
    docs/results/training.md). With this setting, the process keeps its peak amount of memory.

    Returns:
        Whether the setting was applied; with a C library other than glibc, nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(parameter, value)
        for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28))
    )
