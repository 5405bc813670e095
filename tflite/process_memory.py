"""What a process of the benchmark held at most."""

from pathlib import Path

__all__ = ["peak"]


def peak() -> int:
    """Most bytes that this process ever held, by Linux's word.

    Not `ru_maxrss`, which starts with what the process held that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
