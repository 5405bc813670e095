"""A script that measures the memory of LiteRT's interpreter: `python peak_memory.py MODEL.tflite THREADS`.

It loads nothing but LiteRT, since the system reports only the peak memory of the whole process.
"""

import sys
from pathlib import Path

__all__ = ["measure"]


def measure(path: str, num_threads: int) -> int:
    """Measures by how many bytes loading the file and three runs raise the peak memory of this process."""
    from ai_edge_litert.interpreter import Interpreter

    before = _peak()
    interpreter = Interpreter(path, num_threads=num_threads)
    interpreter.allocate_tensors()
    for _ in range(3):
        interpreter.invoke()
    return _peak() - before


def _peak() -> int:
    """Peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not `ru_maxrss`: on Linux it starts with what the parent process held.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        raise NotImplementedError  # `peak_bytes` does not ask
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))
