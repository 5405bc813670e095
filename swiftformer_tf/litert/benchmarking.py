"""How fast are files, compared with each other in one run? Times, XNNPACK partitions, memory, time by operation."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import ConfigError, ModelError
from swiftformer_tf.litert import peak_memory
from swiftformer_tf.litert.ops import count_partitions
from swiftformer_tf.litert.profiling import OpKind, matrix_share, open_for_timing, profile_ops
from swiftformer_tf.progress import Progress, silent

__all__ = ["FileTiming", "Timing", "benchmark_files", "interleave", "peak_bytes"]

# Runs before the count starts: they fill caches and allocate buffers.
WARM_UP = 3


@dataclasses.dataclass(frozen=True)
class Timing:
    """Milliseconds of each run of one thing.

    Args:
        runs: In the order in which they were taken.

    Examples:
        >>> Timing((3.0, 1.0, 2.0)).median
        2.0
    """

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the runs were faster."""
        return self._quantile(0.5)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the runs lies between."""
        return self._quantile(0.25), self._quantile(0.75)

    def _quantile(self, share: float) -> float:
        return round(float(np.quantile(self.runs, share)), 4)


@dataclasses.dataclass(frozen=True)
class FileTiming:
    """One file of `benchmark_files`.

    Args:
        path: The file.
        size: Its bytes.
        num_threads: Threads of the kernels.
        timing: Milliseconds a run.
        partitions: Pieces of the graph that XNNPACK took.
        peak_memory: Bytes that the interpreter takes; None on Windows, where nothing measures it yet.
        ops: Time by kind of operation on one thread, most first; None where the profiler does not work.
    """

    path: Path
    size: int
    num_threads: int
    timing: Timing
    partitions: int
    peak_memory: int | None
    ops: list[OpKind] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
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
    """Takes turns, so that other load on the machine affects all alike.

    Args:
        runs: By name, what runs the thing once and answers with its milliseconds.
        repeats: Turns that count; a few more before them do not.
        progress: Called with the number of turns so far.

    Returns:
        A `Timing` by name.

    Raises:
        ConfigError: Fewer than one turn.

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
    """Measures `.tflite` files, which any tool may have made, taking turns.

    Args:
        paths: The files; each has one input.
        num_threads: Threads of the CPU kernels.
        repeats: Runs of each file that count.
        progress: Opens a progress display for a step, see `Progress`.

    Raises:
        ModelError: LiteRT cannot load a file.
        ConfigError: Fewer than one repeat.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=32))
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


def peak_bytes(path: str | Path, *, num_threads: int = 1) -> int | None:
    """Bytes by which loading and running a file raise the memory of a fresh process; None on Windows.

    Raises:
        ModelError: That process failed.
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
