"""Comparing the speed of files: the turns, the figures, the profile and the command. No test looks at how fast."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import pytest
from support.commands import run
from support.small_graphs import converted

from swiftformer_tf import RECIPES, ConfigError, LiteModel, ModelError
from swiftformer_tf.litert import peak_memory
from swiftformer_tf.litert.benchmarking import WARM_UP, Timing, benchmark_files, interleave, is_real_time, peak_bytes
from swiftformer_tf.litert.profiling import OpKind, matrix_share, open_for_timing, profile_ops
from swiftformer_tf.progress import Progress


@pytest.fixture(scope="module")
def files(lite: Callable[..., LiteModel], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The float and the integer form of the tiny model."""
    folder = tmp_path_factory.mktemp("files")
    for recipe in ("float32", "int8"):
        lite(recipe).save(folder / f"{recipe}.tflite")
    return [folder / "float32.tflite", folder / "int8.tflite"]


def test_things_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []

    def run(name: str) -> Callable[[], float]:
        def once() -> float:
            calls.append(name)
            return float(len(calls))

        return once

    seen: list[int] = []
    timings = interleave({name: run(name) for name in "abc"}, repeats=4, progress=seen.append)
    turns = [calls[start : start + 3] for start in range(0, len(calls), 3)]
    assert len(turns) == WARM_UP + 4
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1  # in another order each time
    assert seen[-1] == 4
    for timing in timings.values():
        assert len(timing.runs) == 4
        assert min(timing.runs) > 3 * WARM_UP


def test_median_and_quartiles_withstand_an_interruption() -> None:
    timing = Timing((1.0, 2.0, 3.0, 4.0, 1000.0))
    assert timing.median == 3.0
    assert timing.quartiles == (2.0, 4.0)


def test_no_turn_is_refused() -> None:
    with pytest.raises(ConfigError, match="repeats=0: expected at least one"):
        interleave({}, repeats=0)


def test_files_are_measured_side_by_side(files: list[Path]) -> None:
    measured = benchmark_files(files, repeats=2)
    assert [each.path for each in measured] == files
    for each in measured:
        assert each.size == each.path.stat().st_size
        assert len(each.timing.runs) == 2
        assert each.timing.median > 0
        assert (each.peak_memory or 0) > each.size // 2  # it holds the weights at least
    assert measured[0].partitions == 1
    assert measured[1].partitions > 1  # XNNPACK has no integer LOG


def test_times_are_in_milliseconds(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 20 ms whenever somebody looks."""
    ticks = itertools.count()
    monkeypatch.setattr("swiftformer_tf.litert.benchmarking.time.perf_counter", lambda: next(ticks) * 0.02)
    (measured,) = benchmark_files(files[:1], repeats=5)
    assert measured.timing.runs == pytest.approx((20.0,) * 5)


def test_the_profilers_times_are_in_milliseconds_too(files: list[Path]) -> None:
    """A thousand times more or less is another unit; twice is a busy machine."""
    (measured,) = benchmark_files(files[:1], repeats=5)
    assert measured.ops is not None
    assert 1 / 30 < sum(op.milliseconds for op in measured.ops) / min(measured.timing.runs) < 30


def test_the_profile_counts_every_operation_of_either_kernel(files: list[Path], lite: Callable[..., LiteModel]) -> None:
    ours = {op.name: op for op in profile_ops(files[0], repeats=2)}
    assert all(op.xnnpack for op in ours.values())
    depths = lite("float32").config.depths
    gelus = sum(depths) + len(depths)  # one in each block, and one in each stage's last MLP
    assert ours["GELU (NC)"].count == gelus
    matrices = [op for op in ours.values() if op.is_matrix]
    assert {op.name.split(" (")[0] for op in matrices} == {"Fully Connected", "Convolution"}
    assert not any("DWConv" in op.name for op in matrices)
    integer = {op.name: op for op in profile_ops(files[1], repeats=2)}
    norms = 3 * len(depths)  # in each stage's attention: of the query, of the key and of the token weights
    assert integer["LOG"].count == integer["EXP"].count == norms
    assert not integer["LOG"].xnnpack
    # Operations of all partitions are seen, not of the first alone.
    count = sum(op.count for op in ours.values() if op.is_matrix)
    means = 2 * len(depths)  # over the channels of each stage's query and key, as 1x1 convolutions
    assert sum(op.count for op in integer.values() if op.is_matrix) == count + means


def test_the_share_of_matrices_leaves_depthwise_convolutions_out() -> None:
    ops = [OpKind("Convolution (NHWC, F32) DWConv", 1, 1.0, True), OpKind("DEPTHWISE_CONV_2D", 1, 1.0, False)]
    assert matrix_share(ops) == 0
    ops += [OpKind("Convolution (NHWC, F32) IGEMM", 1, 1.0, True), OpKind("CONV_2D", 1, 1.0, False)]
    assert matrix_share(ops) == 0.5


@pytest.mark.posix
def test_memory_is_that_of_a_fresh_process(files: list[Path]) -> None:
    """What this process held before, TensorFlow and all, must not hide or add anything."""
    command = [sys.executable, str(peak_memory.__file__), str(files[0]), "1"]
    alone = int(subprocess.run(["/usr/bin/env", *command], capture_output=True, text=True, check=True).stdout)
    assert 0.5 < (peak_bytes(files[0]) or 0) / alone < 2
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        assert peak_bytes(files[0]) is None


def test_what_cannot_be_loaded_is_named(tmp_path: Path, files: list[Path]) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(files[0].read_bytes()[:2000])
    with pytest.raises(ModelError, match=rf"{re.escape(str(damaged))}: LiteRT cannot load it: "):
        open_for_timing(damaged, num_threads=1)
    with pytest.raises(ModelError, match=rf"{re.escape(str(damaged))}: its memory cannot be measured"):
        peak_bytes(damaged)
    with pytest.raises(ModelError, match=rf"{re.escape(str(damaged))}: LiteRT cannot load it: "):
        profile_ops(damaged)


def test_what_cannot_be_run_is_named(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(interpreter: object) -> None:
        raise RuntimeError("Node number 92 (DIV) failed to invoke.")

    monkeypatch.setattr("swiftformer_tf.litert.subprocess_interpreter.SubprocessInterpreter.invoke", refused)
    message = f"{files[0]}: LiteRT cannot run it: Node number 92 (DIV) failed to invoke."
    with pytest.raises(ModelError, match=re.escape(message)):
        open_for_timing(files[0], num_threads=1)


def test_what_litert_says_in_several_lines_is_told_in_one(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged file crashes LiteRT on one machine and is refused in words on another, some of them several lines."""

    def refuse(*_: object) -> None:
        raise RuntimeError("\nTensor at index 0 was optional but was expected.\nNode number 0 failed to prepare.")

    monkeypatch.setattr("swiftformer_tf.litert.profiling.SubprocessInterpreter", refuse)
    result = run("benchmark", files[0])
    reason = "LiteRT cannot load it: Tensor at index 0 was optional but was expected."
    assert (result.exit_code, result.stderr) == (2, f"Error: {files[0]}: {reason}\n")


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_files_of_whatever_inference_type_are_profiled(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "best.tflite"
    path.write_bytes(converted(lambda source: keras.ops.cast(source > 0.5, dtype), 4, 4, 8))
    assert profile_ops(path, repeats=2)


def test_a_file_is_measured_where_the_profiler_does_not_work(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "glob", lambda path, pattern: iter(()))
    with pytest.raises(ModelError, match=r"LiteRT cannot profile it \(this build of ai-edge-litert has no libLiteRt\)"):
        profile_ops(files[0])
    (measured,) = benchmark_files(files[:1], repeats=1)
    assert measured.ops is None
    assert measured.to_dict()["matrix_share"] is None


def test_the_command_prints_a_comparison_and_the_operations(files: list[Path]) -> None:
    shown = run("benchmark", *files, "--repeats", "2")
    assert shown.exit_code == 0, shown.output
    assert "2 runs on 1 thread; medians, ratio to the first, matrices' share" in shown.output
    assert re.search(r"^float32 .* 1\.00 ", shown.output, re.MULTILINE)
    assert "int8.tflite: time by operation, one thread" in shown.output
    assert re.search(r"LOG +\d+ +[\d.]+ +builtin kernel", shown.output)
    # What XNNPACK's profiler calls an invalid operation: int8 GELUs.
    assert "Table lookup (NC, X8)" in shown.output
    assert "Invalid" not in shown.output


def test_the_command_as_json(files: list[Path]) -> None:
    shown = run("benchmark", files[0], "--repeats", "2", "--threads", "2", "--json")
    (document,) = json.loads(shown.stdout)
    assert document["file"] == str(files[0])
    assert (document["runs"], document["num_threads"], document["partitions"]) == (2, 2, 1)
    assert document["quartiles_ms"][0] <= document["median_ms"] <= document["quartiles_ms"][1]
    assert 0 < document["matrix_share"] < 1
    assert {"name", "count", "milliseconds", "xnnpack"} == set(document["ops"][0])


def test_the_command_says_once_what_is_slow_by_its_recipe(
    files: list[Path], lite: Callable[..., LiteModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before it measures. Another tool's file, without a recipe, is measured as well."""

    def measured(paths: Sequence[Path], *, progress: Progress, **_: object) -> None:
        with progress("runs", 2):
            raise ModelError(f"{len(paths)} files")

    monkeypatch.setattr("swiftformer_tf.litert.benchmarking.benchmark_files", measured)
    slow = lite("int16x8")
    for name in ("slow", "again"):
        slow.save(tmp_path / f"{name}.tflite")
    (tmp_path / "other.tflite").write_bytes(converted(lambda source: source + 1, 4, 4, 8))
    paths = sorted(tmp_path.glob("*.tflite"))
    caution = f"int16x8 is {RECIPES['int16x8'].caution}"
    for given, said in ((paths, [caution]), (files, []), ([tmp_path], [])):
        result = run("benchmark", *given)
        assert result.stderr.splitlines() == [*said, f"Error: {len(given)} files"]


def test_the_command_names_a_missing_file() -> None:
    shown = run("benchmark", "no.tflite")
    assert shown.exit_code == 2
    assert "no.tflite" in shown.stderr


def test_real_time_priority_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Linux's numbers; macOS and Windows have none."""
    monkeypatch.setattr(os, "SCHED_FIFO", 1, raising=False)
    monkeypatch.setattr(os, "SCHED_RR", 2, raising=False)
    for policy, wanted in {0: False, 1: True, 2: True, 5: False}.items():
        monkeypatch.setattr(os, "sched_getscheduler", lambda _, policy=policy: policy, raising=False)
        assert is_real_time() is wanted
    monkeypatch.delattr(os, "sched_getscheduler")
    assert not is_real_time()  # a system without it
