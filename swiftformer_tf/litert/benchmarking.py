"""Compares the speed of files in a single run: latency, XNNPACK partitions, memory, and time by operation."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import ConfigError, ModelError
from swiftformer_tf.litert import peak_memory
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.ops import count_partitions
from swiftformer_tf.litert.profiling import OpKind, matrix_share, open_for_timing, profile_ops
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.recipes import Recipe

__all__ = ["FileTiming", "Timing", "benchmark_files", "interleave", "is_real_time", "peak_bytes", "recognized_recipes"]

# Runs before the count starts: they fill caches and allocate buffers.
WARM_UP = 3


@dataclasses.dataclass(frozen=True)
class Timing:
    """Durations of repeated runs.

    Args:
        runs: Milliseconds of each run, in order.

    Examples:
        >>> Timing((3.0, 1.0, 2.0)).median
        2.0
    """

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the runs in milliseconds."""
        return self._quantile(0.5)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartiles of the runs in milliseconds."""
        return self._quantile(0.25), self._quantile(0.75)

    def _quantile(self, share: float) -> float:
        return round(float(np.quantile(self.runs, share)), 4)


@dataclasses.dataclass(frozen=True)
class FileTiming:
    """The result of `benchmark_files` for one file.

    Args:
        path: The file.
        size: File size in bytes.
        num_threads: Number of threads of the CPU kernels.
        timing: Milliseconds per run.
        partitions: Number of partitions of the graph that were delegated to XNNPACK.
        peak_memory: Memory used by the interpreter in bytes; None on Windows, where it is not measured.
        ops: Time by kind of operation on one thread, longest first; None if the profiler is not available.
    """

    path: Path
    size: int
    num_threads: int
    timing: Timing
    partitions: int
    peak_memory: int | None
    ops: list[OpKind] | None

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        return {
            "file": str(self.path),
            "bytes": self.size,
            "num_threads": self.num_threads,
            "runs": len(self.timing.runs),
            "median_ms": self.timing.median,
            "quartiles_ms": list(self.timing.quartiles),
            "partitions": self.partitions,
            "peak_memory_bytes": self.peak_memory,
            "matrix_share": None if self.ops is None else round(matrix_share(self.ops), 4),
            "ops": None if self.ops is None else [dataclasses.asdict(op) for op in self.ops],
        }


def interleave(
    runs: Mapping[str, Callable[[], float]], *, repeats: int, progress: Callable[[int], None] | None = None
) -> dict[str, Timing]:
    """Measures several things in turn, so that other load on the machine affects them equally.

    Args:
        runs: By name, a function that runs the thing once and returns its duration in milliseconds.
        repeats: Number of measured rounds, after a few warm-up rounds.
        progress: Called with the number of rounds so far.

    Returns:
        A `Timing` by name.

    Raises:
        ConfigError: `repeats` is less than one.

    Examples:
        >>> interleave({"a": lambda: 2.0, "b": lambda: 5.0}, repeats=3)["b"].runs
        (5.0, 5.0, 5.0)
    """
    if repeats < 1:
        raise ConfigError(f"repeats={repeats}: expected at least one")
    times: dict[str, list[float]] = {name: [] for name in runs}
    order = np.random.default_rng(0)  # no file always runs behind the same neighbor
    for turn in range(WARM_UP + repeats):
        for name in order.permutation(list(runs)):
            milliseconds = runs[name]()
            if turn >= WARM_UP:
                times[name].append(milliseconds)
        if progress is not None:
            progress(max(0, turn + 1 - WARM_UP))
    return {name: Timing(tuple(values)) for name, values in times.items()}


def benchmark_files(
    paths: Sequence[str | Path],
    *,
    num_threads: int = 1,
    repeats: int = 30,
    progress: Progress = silent,
) -> list[FileTiming]:
    """Measures `.tflite` files, from this or any other tool, in turn.

    Args:
        paths: The files, each with a single input.
        num_threads: Number of threads of the CPU kernels.
        repeats: Number of measured runs of each file.
        progress: Opens a progress display for each step, see `Progress`.

    Raises:
        ModelError: LiteRT cannot load a file.
        ConfigError: `repeats` is less than one.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lite.save(Path(folder, "tiny.tflite"))
        ...     (measured,) = benchmark_files([Path(folder, "tiny.tflite")], repeats=3)
        >>> measured.path.name, len(measured.timing.runs), measured.partitions
        ('tiny.tflite', 3, 1)
    """
    interpreters = [open_for_timing(path, num_threads=num_threads) for path in paths]
    runs = {str(index): _timed(each.invoke) for index, each in enumerate(interpreters)}
    with progress("runs", repeats) as count:
        timings = interleave(runs, repeats=repeats, progress=count)
    peaks, ops = [], []
    with progress("memory and operations", len(paths)) as count:
        for path in paths:
            peaks.append(peak_bytes(path, num_threads=num_threads))
            ops.append(_profiled(path))
            count(len(ops))
    return [
        FileTiming(
            path=Path(path),
            size=Path(path).stat().st_size,
            num_threads=num_threads,
            timing=timings[str(index)],
            partitions=count_partitions(interpreters[index]),
            peak_memory=peaks[index],
            ops=ops[index],
        )
        for index, path in enumerate(paths)
    ]


def recognized_recipes(paths: Iterable[str | Path]) -> list[Recipe]:
    """Returns the recipes of those files that this package made, for their `recipes.cautions`.

    Examples:
        >>> recognized_recipes(["another tool's.tflite"])
        []
    """
    recipes = []
    for path in paths:
        with contextlib.suppress(ModelError, OSError):  # Whether a file can be measured is for LiteRT to say.
            recipes.append(LiteModel.open(path).recipe)
    return recipes


def peak_bytes(path: str | Path, *, num_threads: int = 1) -> int | None:
    """Measures by how many bytes loading and running a file raises the memory of a new process; None on Windows.

    Raises:
        ModelError: The process failed.
    """
    if sys.platform == "win32":
        return None
    command = [sys.executable, peak_memory.__file__, str(path), str(num_threads)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        *_, said = ["no message", *result.stderr.strip().splitlines()]
        raise ModelError(f"{path}: its memory cannot be measured ({said})")
    return int(result.stdout)


def _profiled(path: str | Path) -> list[OpKind] | None:
    try:
        return profile_ops(path)
    except ModelError:
        return None  # the interpreter runs what the profiler may not


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        start = time.perf_counter()
        run()
        return 1000 * (time.perf_counter() - start)

    return timed


def is_real_time() -> bool:
    """Whether this process runs under real-time priority, so that other work does not slow it down."""
    return hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
