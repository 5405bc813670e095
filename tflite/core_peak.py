"""A program of its own, `python core_peak.py [SIZE] [RUNS]`: how fast one core multiplies matrices.

Prints one line of JSON: `flops`, float32 multiplications and additions a second of one thread, by numpy's BLAS on
square matrices: a measured reference, not the processor's theoretical peak. The fastest run counts: what interrupts one
makes it slower, and nothing makes it faster.
"""

import json
import os
import sys
import time

os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np

__all__ = ["core_peak"]

# Large enough that reading the matrices is nothing beside multiplying them, small enough for a core's cache.
SIZE, RUNS = 1024, 30


def core_peak(size: int = SIZE, runs: int = RUNS) -> float:
    """Operations a second; the first run does not count."""
    left, right = np.random.default_rng(0).random((2, size, size), np.float32)
    product, times = np.empty_like(left), []
    for _ in range(runs + 1):
        start = time.perf_counter()
        np.matmul(left, right, out=product)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times[1:])


if __name__ == "__main__":
    print(json.dumps({"flops": core_peak(*map(int, sys.argv[1:3]))}))
