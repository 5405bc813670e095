"""The fuzz of `make fuzz`, a hundredth of it; and that it would notice each kind of failure."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import fuzz, fuzz_readers
from support.fuzz_broken import BROKEN
from support.fuzz_mutations import FORMATS, mutate
from support.fuzz_readers import READERS
from support.fuzz_seeds import seeds

# How many files of each reader: seconds in all.
CASES = {name: 12 if reader.cases < 1000 else 40 for name, reader in READERS.items()}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    fuzz_readers.write_seeds(folder)
    return folder


@pytest.fixture(scope="module")
def worker(good: Path) -> Iterator[fuzz.Worker]:
    with fuzz.Worker("support.fuzz_readers", good) as worker:
        yield worker


@pytest.mark.linux
@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused_in_words(reader: str, worker: fuzz.Worker, good: Path) -> None:
    outcomes = [worker.run(reader, 0, number) for number in range(CASES[reader])]
    failures = {i: result for i, result in enumerate(outcomes) if result["outcome"] not in ("read", "refused")}
    assert not failures
    seed_count = len(seeds(good / reader))
    if reader != "legacy":  # which no reader here takes
        seed_outcome = "refused" if reader == "deep_mask" else "read"
        assert {result["outcome"] for result in outcomes[:seed_count]} == {seed_outcome}
    assert "refused" in {result["outcome"] for result in outcomes[seed_count:]}


# The fuzz itself.


def test_a_case_is_the_same_each_time_and_another_for_another_seed_or_number(good: Path) -> None:
    files = seeds(good / "torch")
    count = len(files)
    one = fuzz.case(files, "torch", 0, count)
    assert fuzz.case(files, "torch", 0, count) == one
    assert fuzz.case(files, "torch", 1, count) != one
    assert fuzz.case(files, "torch", 0, 2 * count) != one
    assert fuzz.case(files, "torch", 0, 0) == files[0]


def test_damage_of_every_kind_is_done(good: Path) -> None:
    """And what a format's own damage makes is of that format still, so that it reaches further."""
    rng = random.Random(0)
    for reader, name in {
        "torch": "small.pth",
        "safetensors": "small.safetensors",
        "config": "own.json",
        "keras": "small.keras",
        "tflite": "int8.tflite",
        "photograph": "a.png",
    }.items():
        content = (good / reader / name).read_bytes()
        applicable = [(applies, change) for applies, change in FORMATS if applies(content)]
        assert applicable
        for applies, change in applicable:
            changed = [change(content, rng) for _ in range(20)]
            assert len({content, *changed}) > 10
            assert sum(map(applies, changed)) > 10
    assert len({mutate({"a": b"0123456789"}, random.Random(i))["a"] for i in range(100)}) > 60


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fuzz.Worker]:
    folder = tmp_path_factory.mktemp("broken")
    for name in BROKEN:
        (folder / name).mkdir()
        (folder / name / "seed").write_bytes(b"content")
    with fuzz.Worker("support.fuzz_broken", folder) as worker:
        yield worker


@pytest.mark.linux
@pytest.mark.parametrize("name", BROKEN)
def test_each_failure_is_noticed(name: str, broken: fuzz.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "hanging":
        monkeypatch.setattr(broken, "patience", 2)
    result = broken.run(name, 0, 0)
    assert result["outcome"] == BROKEN[name][1]
    if name == "dying":  # in the process that took over from the one that hung
        assert result["details"].startswith("SIGSEGV: ")


def test_the_command_keeps_the_files_of_a_failure(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(reader: str, seed: int, number: int) -> dict[str, Any]:
        outcome = "crash" if number == 3 else "refused"
        return {"outcome": outcome, "details": "SIGSEGV", "seconds": 1.5, "bytes": 2**20}

    monkeypatch.setattr(fuzz, "FAILURES", tmp_path)
    monkeypatch.setattr("support.fuzz.time.perf_counter", lambda: 0.0)
    assert fuzz.fuzz_reader(run, good, "labels", 7, 5) == 1
    kept = tmp_path / "labels-7-3"
    _, files = fuzz.case(seeds(good / "labels"), "labels", 7, 3)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == files
    assert capsys.readouterr().out.splitlines() == [
        f"{kept}: crash, 1.5 s",
        "SIGSEGV",
        "labels       5 files: 4 refused, 1 crash; 0 s, slowest 1.5 s, most memory 1 MB",
    ]


def test_an_unknown_reader_is_named() -> None:
    result = CliRunner().invoke(fuzz.main, ["--reader", "onnx"])
    assert result.exit_code == 2
    assert "onnx: no such reader; expected one of torch, forms, legacy, " in result.output
