"""Files that want to do harm, and running a model for a long time."""

import dataclasses
import hashlib
import io
import json
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support import TESTS
from support.commands import run

from swiftformer_tf import LiteModel, LiteRunner, ModelError, Transform
from swiftformer_tf.litert import interpreter_worker
from swiftformer_tf.litert.subprocess_interpreter import SubprocessInterpreter
from swiftformer_tf.training import Teacher

Lite = Callable[..., LiteModel]


def parts(lite: LiteModel) -> tuple[bytes, dict[str, Any]]:
    """The flatbuffer and the configuration's JSON of a file."""
    with zipfile.ZipFile(io.BytesIO(lite.content)) as archive:
        return lite.content[: archive.infolist()[0].header_offset], json.loads(archive.read("swiftformer.json"))


def write(path: Path, flatbuffer: bytes, config_json: dict[str, Any]) -> Path:
    """A file whose checksums are right, as somebody who wants it to be opened would write it."""
    config_json["flatbuffer"] = {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()}
    archive_bytes = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(archive_bytes, "a") as archive:
        archive.writestr("swiftformer.json", json.dumps(config_json))
        archive.writestr("labels.txt", "".join(f"{label}\n" for label in config_json["config"]["id2label"].values()))
    path.write_bytes(archive_bytes.getvalue())
    return path


def tampered(lite: LiteModel, path: Path, change: Callable[[Any], None]) -> Path:
    """A file with another graph under an intact configuration."""
    from ai_edge_litert.tools import flatbuffer_utils

    flatbuffer, config_json = parts(lite)
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    change(graph)
    return write(path, bytes(flatbuffer_utils.convert_object_to_bytearray(graph)), config_json)


def without_inputs(graph: Any) -> None:
    """Operations that have no inputs: LiteRT reads from address zero."""
    for operation in graph.subgraphs[0].operators:
        operation.inputs = [-1] * len(operation.inputs)


def without_operations(graph: Any) -> None:
    graph.subgraphs[0].operators = []


def of_another_size(graph: Any) -> None:
    graph.subgraphs[0].outputs = [0]


def two_outputs(graph: Any) -> None:
    graph.subgraphs[0].outputs = [*graph.subgraphs[0].outputs, 0]


def enormous(graph: Any) -> None:
    graph.subgraphs[0].tensors[0].shape = [1, 2**20, 2**20, 3]


@pytest.fixture
def dies_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`dies_at(number)`: from its call on, LiteRT's process dies at that message, as support/dying_worker.py does."""

    def arrange(number: int) -> None:
        monkeypatch.setenv("REAL_WORKER", interpreter_worker.__file__)
        monkeypatch.setenv("DIES_AT", str(number))
        monkeypatch.setattr(interpreter_worker, "__file__", str(TESTS / "support" / "dying_worker.py"))

    return arrange


@pytest.fixture
def command_line(saved: Path, folder: Path) -> Callable[[str, Path], Result]:
    """`command_line(command, path)` gives a command a file, and what else it needs."""
    arguments = {
        "info": [],
        "benchmark": [],
        "predict": [str(min(folder.rglob("*.png")))],
        "verify": ["--reference", str(saved), "--images", str(folder)],
        "debug-quantization": ["--reference", str(saved), "--images", str(folder)],
    }
    return lambda command, path: run(command, path, *arguments[command])


COMMANDS = ["info", "predict", "verify", "benchmark", "debug-quantization"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.posix
def test_a_crash_of_litert_is_told_in_one_line(
    command: str,
    command_line: Callable[[str, Path], Result],
    dies_at: Callable[[int], None],
    lite: Lite,
    tmp_path: Path,
) -> None:
    path = tmp_path / "crashing.tflite"
    lite("int8").save(path)
    dies_at(1)
    result = command_line(command, path)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    reason = "LiteRT crashed when loading it (SIGKILL): the file is damaged or malicious"
    assert line == f"Error: {path}: {reason}"


@pytest.mark.parametrize(
    ("number", "doing"), [(1, "loading it"), (2, "setting its input"), (3, "running it"), (4, "reading its output")]
)
@pytest.mark.posix
def test_the_crash_says_what_litert_was_doing(
    number: int, doing: str, dies_at: Callable[[int], None], lite: Lite
) -> None:
    dies_at(number)
    model = dataclasses.replace(lite("float32"), path=Path("x.tflite"))
    with pytest.raises(ModelError) as caught:
        LiteRunner(model)(np.zeros((1, 64, 64, 3), np.float32))
    reason = f"LiteRT crashed when {doing} (SIGKILL): the file is damaged or malicious"
    assert str(caught.value) == f"x.tflite: {reason}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_graph_is_a_crash_or_an_error_and_one_line(
    command: str, command_line: Callable[[str, Path], Result], lite: Lite, tmp_path: Path
) -> None:
    """LiteRT reads from address zero, or from beside its tensors: which of both depends on the machine."""
    path = tampered(lite("int8"), tmp_path / "damaged.tflite", without_inputs)
    result = command_line(command, path)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert re.match(rf"Error: {re.escape(str(path))}: LiteRT (crashed when|cannot \w+) ", line)


def teachers_configuration(path: Path) -> Path:
    transform = Transform(size=(64, 64)).to_dict()
    path.with_suffix(".json").write_text(json.dumps({"transform": transform, "labels": ["cat", "dog"]}))
    return path


@pytest.mark.posix
def test_a_teacher_that_crashes_litert_is_told(dies_at: Callable[[int], None], lite: Lite, tmp_path: Path) -> None:
    double = teachers_configuration(tampered(lite("float32"), tmp_path / "double.tflite", two_outputs))
    with pytest.raises(ModelError, match=r"double\.tflite: 1 inputs and 2 outputs; expected one of each"):
        Teacher.open(double)
    dies_at(1)
    with pytest.raises(ModelError, match=r"double\.tflite: LiteRT crashed when loading it \(SIGKILL\)"):
        Teacher.open(double)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_another_size, r"the model's output has the shape \(1, 64, 64, 3\): by its configuration .* \(1, 10\)"),
        (two_outputs, r"the model has 2 outputs: expected one"),
        (enormous, r"LiteRT cannot load the model: \S|LiteRT crashed"),
        (without_operations, r"LiteRT cannot read the output of the model: Tensor data is null"),
    ],
)
def test_a_graph_that_is_not_what_the_configuration_says(
    change: Callable[[Any], None], message: str, lite: Lite, tmp_path: Path
) -> None:
    opened = LiteModel.open(tampered(lite("float32"), tmp_path / "x.tflite", change))
    with pytest.raises(ModelError, match=rf"x\.tflite: ({message})"):
        LiteRunner(opened)(np.zeros((1, 64, 64, 3), np.float32))


def test_a_configuration_of_another_size_is_found_out(lite: Lite, tmp_path: Path) -> None:
    """Or a photograph would be scaled to a billion pixels first."""
    flatbuffer, config_json = parts(lite("float32"))
    config_json["config"]["image_size"] = 10_000
    opened = LiteModel.open(write(tmp_path / "x.tflite", flatbuffer, config_json))
    message = (
        r"the model's input has the shape \(1, 64, 64, 3\): by its configuration it should be \(1, 10000, 10000, 3\)"
    )
    with pytest.raises(ModelError, match=message):
        LiteRunner(opened)


def test_a_configuration_that_claims_gigabytes_is_refused(lite: Lite, tmp_path: Path) -> None:
    archive_bytes = io.BytesIO(parts(lite("float32"))[0])
    with zipfile.ZipFile(archive_bytes, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("swiftformer.json", b" " * (70 * 1024 * 1024))
    (tmp_path / "x.tflite").write_bytes(archive_bytes.getvalue())
    with pytest.raises(ModelError, match=r"swiftformer\.json claims 73400320 bytes, expected at most 67108864"):
        LiteModel.open(tmp_path / "x.tflite")


def test_random_damage_under_an_intact_configuration(lite: Lite, tmp_path: Path) -> None:
    """Structure and metadata, whose offsets are near both ends; a weight is only another number."""
    (flatbuffer, config_json), rng = parts(lite("float32")), np.random.default_rng(0)
    told = 0
    for _ in range(24):
        damaged = bytearray(flatbuffer)
        for position in rng.integers(8, 4000, 6) * rng.choice([1, -1], 6):
            damaged[int(position)] = int(rng.integers(256))
        opened = LiteModel.open(write(tmp_path / "x.tflite", bytes(damaged), config_json))
        try:
            LiteRunner(opened)(np.zeros((1, 64, 64, 3), np.float32))
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017  not every damage is one
            told += 1
    assert told >= 12


@pytest.mark.parametrize("command", ["info", "predict", "verify"])
def test_damage_is_told_by_the_command_line(
    command: str, lite: Lite, tmp_path: Path, saved: Path, folder: Path
) -> None:
    content, path = lite("int8").content, tmp_path / "x.tflite"
    (size, rest) = len(parts(lite("int8"))[0]), [str(min(folder.rglob("*.png")))] if command == "predict" else []
    if command == "verify":
        rest = ["--reference", str(saved), "--images", str(folder)]
    places = {"header": 5, "tensors": size // 2, "metadata": content.index(b"M001"), "config_json": size + 80}
    for place, position in places.items():
        damaged = bytearray(content)
        damaged[position] ^= 16
        path.write_bytes(damaged)
        result = run(command, path, *rest)
        assert result.exit_code == 2, place
        assert result.stderr.startswith(f"Error: {path}: "), place
    for length in (0, 3, 100, size // 2, size, len(content) - 10):
        path.write_bytes(content[:length])
        result = run(command, path, *rest)
        assert result.exit_code == 2, length
        assert result.stderr.startswith(f"Error: {path}: "), length


# Running in a process of its own.


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_a_file_gives_the_same_answers_as_what_was_exported(recipe: str, lite: Lite, tmp_path: Path) -> None:
    lite(recipe).save(tmp_path / "x.tflite")
    here, there = LiteRunner(lite(recipe)), LiteRunner(LiteModel.open(tmp_path / "x.tflite"))
    assert isinstance(there.interpreter, SubprocessInterpreter)
    assert not isinstance(here.interpreter, SubprocessInterpreter)
    assert there.partitions == here.partitions
    for image in np.random.default_rng(0).normal(size=(3, 1, 64, 64, 3)).astype(np.float32):
        np.testing.assert_array_equal(there(image), here(image))


def test_a_runner_takes_its_process_with_it(lite: Lite, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Kept)
    runner = LiteRunner(dataclasses.replace(lite("float32"), path=Path("x.tflite")))
    (process,) = started
    assert process.poll() is None
    del runner
    assert process.poll() is not None


def test_no_answer_is_an_error(lite: Lite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("import time\ntime.sleep(3600)\n")
    monkeypatch.setattr(interpreter_worker, "__file__", str(silent))
    monkeypatch.setattr("swiftformer_tf.litert.subprocess_interpreter.ANSWER_SECONDS", 0.01)
    with pytest.raises(
        ModelError, match=r"^x\.tflite: LiteRT did not answer within 0\.01 s when loading it: the file is damaged"
    ):
        LiteRunner(dataclasses.replace(lite("float32"), path=Path("x.tflite")))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
def test_inputs_of_another_type_are_named(dtype: str, lite: Lite) -> None:
    image = np.zeros((1, 64, 64, 3), dtype)
    with pytest.raises(ModelError, match=f"an input of type {dtype}: the model takes normalized pixels as float32"):
        LiteRunner(lite("float32"))(image)
    inside = LiteRunner(lite("float32", include_preprocessing=True))
    with pytest.raises(ModelError, match=f"an input of type {dtype}: the model takes pixels from 0 to 255 as float32"):
        inside(image)


@pytest.mark.linux
@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_ten_thousand_runs_take_no_memory_and_give_one_answer(recipe: str, lite: Lite) -> None:
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    runner = LiteRunner(lite(recipe))
    image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    first = runner(image).copy()
    grown = []
    for _ in range(10):
        before = pages()
        assert all(np.array_equal(runner(image), first) for _ in range(1000))
        grown.append((pages() - before) * 4096)
    # A forgotten input is 48 MB in a thousand runs, a forgotten output of ten floats 40 kB and its array's head: in
    # every thousand. What the process takes otherwise, it takes now and then.
    assert min(grown) < 30_000
