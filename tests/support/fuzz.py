"""`make fuzz`: thousands of damaged files, and each of them is read or refused in words.

A case is a reader, a seed and a number: the same three make the same files. It is read in a child process and judged
by what that process did: an answer, or an error of this package that names the file in one line. Anything else is a
failure: another exception, a crash, no answer in time, more memory than the bound, a file left or changed. The files of
a failure are kept in `fuzz-failures/`.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import IO, Any, Self

import click

from support import ENVIRONMENT, TESTS
from support.fuzz_seeds import seeds as seeds_in
from support.written_files import files_in

__all__ = ["Worker", "case", "fuzz_reader", "judged"]

# Seconds after which a process that says nothing hangs: long, since the machine may be busy.
PATIENCE = 150.0

# The longest message: it has to fit a terminal.
LETTERS = 2500

# Name of what is opened, `"."` for the folder, and content of each file in it by name.
Case = tuple[str, dict[str, bytes]]

# `Worker.run`: reader, seed and number to what became of it.
Run = Callable[[str, int, int], dict[str, Any]]

FAILURES = TESTS.parent / "fuzz-failures"


def case(seeds: list[Case], reader: str, seed: int, number: int) -> Case:
    """Files of a case: the first ones are the good files themselves."""
    from support.fuzz_mutations import mutate

    name, files = seeds[number % len(seeds)]
    return name, files if number < len(seeds) else mutate(files, Random(f"{reader}/{seed}/{number}"))


def judged(read: Callable[[Path], Any], folder: Path, name: str) -> tuple[str, str]:
    """What became of reading `name` in `folder`: `"read"`, `"refused"` or a kind of failure, and details."""
    from swiftformer_tf import SwiftFormerError

    before = files_in(folder)
    path = folder / name
    try:
        # As `info` prints it.
        json.dumps(read(path), ensure_ascii=False, default=str).encode()
        outcome = ("read", "")
    except SwiftFormerError as error:
        outcome = _judged_message(str(error), str(path))
    except Exception:
        outcome = ("traceback", traceback.format_exc())
    if files_in(folder) != before:
        return "changed files", ", ".join(files_in(folder))
    return outcome


def _judged_message(message: str, path: str) -> tuple[str, str]:
    if not message.startswith(path):
        return "message without the file", message
    if len(message) > LETTERS or not message.isprintable():
        return "message unfit for a terminal", message[: 2 * LETTERS]
    return "refused", message


class Worker:
    """A child process that reads one case after the other; a new one takes over when it dies or is too slow.

    Args:
        readers: Name of a module with a table `READERS`.
        seeds: Folder with a subfolder a reader.
    """

    def __init__(self, readers: str, seeds: Path) -> None:
        self._command = [sys.executable, "-m", "support.fuzz", "--serve", readers, str(seeds)]
        self.patience = PATIENCE
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed at the exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop()
        self._errors.close()

    def run(self, reader: str, seed: int, number: int) -> dict[str, Any]:
        """`outcome` and `details` of a case, `seconds` of computing and `bytes` that it took."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        start = time.monotonic()
        self._process.stdin.write(json.dumps([reader, seed, number]).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._answer(self.patience)
        if answer is not None:
            return answer
        seconds = time.monotonic() - start
        hangs = self._process.poll() is None and seconds >= self.patience
        status = self._stop()
        details = "" if hangs else f"{signal.Signals(-status).name if status < 0 else status}: {self._last_words()}"
        return {"outcome": "hangs" if hangs else "crash", "details": details, "seconds": seconds, "bytes": 0}

    def _start(self) -> None:
        self._errors.seek(0)
        self._errors.truncate()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        if self._answer(900) is None:  # most import TensorFlow
            raise RuntimeError(f"the reading process does not start: {self._last_words()}")

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else b""
        return json.loads(line) if line else None

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-1500:]

    def _stop(self) -> int:
        if (process := self._process) is None:
            return 0
        self._process = None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        # With what it started itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        return process.wait()


def _serve(readers: str, seeds: Path) -> None:
    """The child's side: one case a line of standard input, one judgement a line of standard output."""
    from importlib import import_module

    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what readers print must not get between the answers
    warnings.simplefilter("ignore")
    table = import_module(readers).READERS
    good = {name: seeds_in(seeds / name) for name in table if (seeds / name).is_dir()}
    out.write("{}\n")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        os.chdir(scratch)
        # A file left anywhere is left here.
        tempfile.tempdir = os.environ["TMPDIR"] = scratch
        for line in sys.stdin:
            reader, seed, number = json.loads(line)
            folder = Path(scratch, "case")
            name = _lay_out(folder, *case(good[reader], reader, seed, number))
            before, start = _reset_peak(), _computing()
            outcome, details = judged(table[reader].read, folder, name)
            if strays := sorted({path.name for path in Path(scratch).iterdir()} - {folder.name}):
                outcome, details = "left files", str(strays)
            taken = {"seconds": _computing() - start, "bytes": _peak() - before}
            bounds = (("slow", "seconds", table[reader].seconds), ("memory", "bytes", table[reader].bytes))
            for kind, unit, bound in bounds:
                if taken[unit] > bound:
                    outcome, details = kind, f"{taken[unit]:,} {unit}; {outcome}: {details}"
            out.write(json.dumps({"outcome": outcome, "details": details, **taken}) + "\n")
            for path in Path(scratch).iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _lay_out(folder: Path, name: str, files: dict[str, bytes]) -> str:
    folder.mkdir(parents=True)
    for each, content in files.items():
        (folder / each).write_bytes(content)
    return name


def _computing() -> float:
    """Seconds that this process and those that it started have computed."""
    return sum(os.times()[:4])


def _reset_peak() -> int:
    """Makes Linux forget the most that this process held, and returns what it holds."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@click.command(context_settings={"show_default": True})
@click.option("--reader", "chosen", multiple=True, help="Only these.  [default: all]")
@click.option("--seed", default=0, help="Other seeds make other files.")
@click.option("--cases", type=click.IntRange(min=1), help="For each reader.  [default: by its speed]")
@click.option("--serve", nargs=2, hidden=True)
def main(chosen: tuple[str, ...], seed: int, cases: int | None, serve: tuple[str, str] | None) -> None:
    """Reads damaged files by the thousand; status 1 if any is neither read nor refused in words."""
    if serve:
        return _serve(serve[0], Path(serve[1]))
    from support.fuzz_readers import READERS, write_seeds

    if unknown := set(chosen) - set(READERS):
        raise click.UsageError(f"{unknown.pop()}: no such reader; expected one of {', '.join(READERS)}")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        write_seeds(Path(folder))
        with Worker("support.fuzz_readers", Path(folder)) as worker:
            for name in chosen or READERS:
                failures += fuzz_reader(worker.run, Path(folder), name, seed, cases or READERS[name].cases)
    sys.exit(bool(failures))


def fuzz_reader(run: Run, seeds: Path, reader: str, seed: int, cases: int) -> int:
    """Prints a line about a reader and a paragraph about each failure; returns how many there are."""
    counts, slowest, most, start = Counter[str](), 0.0, 0, time.perf_counter()
    for number in range(cases):
        result = run(reader, seed, number)
        counts[result["outcome"]] += 1
        slowest, most = max(slowest, result["seconds"]), max(most, result["bytes"])
        if result["outcome"] not in ("read", "refused"):
            kept = _keep(seeds / reader, reader, seed, number)
            click.echo(f"{kept}: {result['outcome']}, {result['seconds']:.1f} s\n{result['details'][-LETTERS:]}")
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    click.echo(
        f"{reader:<12} {cases} files: {told}; {time.perf_counter() - start:.0f} s, slowest {slowest:.1f} s, "
        f"most memory {most / 2**20:.0f} MB"
    )
    return cases - counts["read"] - counts["refused"]


def _keep(seeds: Path, reader: str, seed: int, number: int) -> Path:
    folder = FAILURES / f"{reader}-{seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    _lay_out(folder, *case(seeds_in(seeds), reader, seed, number))
    return folder


if __name__ == "__main__":
    main()
