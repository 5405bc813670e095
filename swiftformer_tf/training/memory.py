"""Memory of large tensors: kept, not given back."""

import ctypes
import platform

__all__ = ["keep_freed_memory"]

# mallopt's parameters, from glibc's malloc.h: largest mapping count, spare memory at the top, when to give it back.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Makes glibc reuse the memory of large tensors within this process.

    By default it maps fresh pages for each and gives them back a moment later, so that a training step on a CPU spends
    much of its time on the kernel's page faults: 56 ms of processor time a picture instead of 40 (XS at 128 px,
    docs/results/training.md). The process then keeps the largest amount of memory that it needed.

    Returns:
        Whether the C library is glibc and agreed; elsewhere nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(parameter, value)
        for parameter, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28))
    )
