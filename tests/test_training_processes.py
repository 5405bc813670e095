"""Training in two processes, which talk over loopback, and on two devices, against one with the same global batch."""

import contextlib
import csv
import importlib.util
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file
from support import JAX_ENVIRONMENT
from support.forks import Forks
from support.training_runs import config, write_photographs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from swiftformer_tf import RECIPES, ConfigError, LiteRunner, SwiftFormerForImageClassification, export, fuse
from swiftformer_tf.training import Augmentation, TrainingRecipe, distribute, new_model

if not importlib.util.find_spec("jax") and not os.environ.get("CI"):
    pytest.skip("needs the extra `jax`", allow_module_level=True)

Model = SwiftFormerForImageClassification

# Sums over the batch are made in another order.
TOLERANCE = 1e-4

RECIPE = TrainingRecipe(
    epochs=2,
    batch_size=6,
    learning_rate=1e-3,
    warmup_epochs=1,
    clip_norm=1.0,
    ema=0.9,
    layer_scale_init_value=0.1,
    drop_path_rate=0.2,
    augmentation=Augmentation(crop_scale=(0.5, 1.0), mixup=0.2),
)


class Started(NamedTuple):
    """A process that trains, its output folder, and where its words go."""

    wait: Callable[[], int]
    output: Path
    said: Path

    def finish(self) -> None:
        """Waits, and looks for what native libraries say: Gloo prints to standard output, TensorFlow logs."""
        status, said, errors = self.wait(), *(self.said.with_suffix(end).read_text() for end in (".out", ".err"))
        assert status == 0, errors
        assert said.startswith(f"{self.output / 'model.keras'}: epoch ")
        assert len(said.splitlines()) == 1
        plan = ("3 labels, 12 photographs", "validation", "size", "new weights", "frozen")
        slow = re.compile(r"reading the photographs|epoch \d/2(, step .*|: building .*|: evaluating .*)")
        heads = [line.partition(":")[0] for line in errors.splitlines() if not slow.fullmatch(line)]
        others = [head for head in heads if head not in plan and not head.startswith("waits ")]
        assert others == ["epoch 1/2", "epoch 2/2"]


Start = Callable[..., Started]


@pytest.fixture(scope="module")
def start(jax_forks: Forks, folder: Path) -> Start:
    """`start(name, *options)` is `swiftformer-tf train` on Keras's JAX backend, into the folder of that name."""

    def started(name: str, *options: object, devices: int = 1) -> Started:
        output, said = folder / name, folder / f"said_{name}"
        arguments = ["train", folder / "photographs", "-o", output, "--from", folder / "start.keras"]
        arguments += ["--recipe", folder / "recipe.json", "--validation", folder / "photographs"]
        arguments += ["--tensorboard", *options]
        flags = f"{JAX_ENVIRONMENT['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        words, environment = [str(argument) for argument in arguments], {"XLA_FLAGS": flags}
        wait = jax_forks.start("swiftformer_tf.cli:main", words, said=said, environment=environment)
        return Started(wait, output, said)

    return started


def loopback() -> str:
    """An address where nobody listens yet: below the ports that systems give away, which another could be given."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise AssertionError("no port is free")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, recipe, and a model to start from."""
    root = tmp_path_factory.mktemp("processes")
    write_photographs(root / "photographs", each=4)
    (root / "recipe.json").write_text(json.dumps(RECIPE.to_dict()))
    new_model(config(depths=(1,)), RECIPE).save(root / "start.keras")
    return root


@pytest.fixture(scope="module")
def alone(start: Start) -> Path:
    """The run of one process on one device."""
    process = start("alone")
    process.finish()
    return process.output


def test_tensorboard_reads_the_log(alone: Path) -> None:
    read = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(alone / "tensorboard" / part)).Reload()
        read[part] = {tag: len(events.Tensors(tag)) for tag in events.Tags()["tensors"] if tag.startswith("epoch")}
    assert read["train"].items() >= {"epoch_loss": 2, "epoch_accuracy": 2}.items()
    assert read["validation"] == {"epoch_accuracy": 2}


def test_what_jax_trained_is_exported_on_tensorflow(folder: Path, alone: Path) -> None:
    model, start = (
        Model.from_pretrained(alone / "model.keras"),
        Model.from_pretrained(folder / "start.keras"),
    )
    assert not any(map(np.array_equal, model.get_layer("head").get_weights(), start.get_layer("head").get_weights()))
    runner = LiteRunner(export(fuse(model), RECIPES["float32"]))
    image = model.config.transform(min((folder / "photographs").rglob("*.png")))[None]
    expected = model.predict_on_batch(image)[0]
    np.testing.assert_allclose(runner(image), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_two_processes_train_as_one_does(start: Start, alone: Path) -> None:
    together = ("--num-processes", 2, "--coordinator-address", loopback(), "--process-id")
    first, second = (start(name, *together, index) for index, name in enumerate(("first", "second")))
    for process in (first, second):
        process.finish()
    assert not second.output.exists(), "only process 0 writes"
    assert_same_training(first.output, alone)


def test_two_devices_in_one_process_train_as_one_does(start: Start, alone: Path) -> None:
    process = start("devices", devices=2)
    process.finish()
    assert_same_training(process.output, alone)


def assert_same_training(first: Path, alone: Path) -> None:
    """Losses, accuracies, weights, BatchNorm's statistics, the optimizer's moments and the averages."""
    assert {path.name for path in first.iterdir()} == {path.name for path in alone.iterdir()}

    def rows(path: Path) -> list[dict[str, float]]:
        with open(path / "metrics.csv", newline="") as stream:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]

    for row, expected in zip(rows(first), rows(alone), strict=True):
        for name in expected.keys() - {"seconds"}:
            assert row[name] == pytest.approx(expected[name], rel=TOLERANCE), name
    found, expected_state = load_file(first / "state.safetensors"), load_file(alone / "state.safetensors")
    assert found.keys() == expected_state.keys()
    for name, value in expected_state.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=TOLERANCE * scale, err_msg=name)


def test_processes_that_do_different_trainings_are_told(jax_forks: Forks, tmp_path: Path) -> None:
    address, heard = loopback(), [tmp_path / name for name in ("first", "second")]
    both = [
        jax_forks.start("support.different_trainings:join", index, address, said=path)
        for index, path in enumerate(heard)
    ]
    assert [wait() for wait in both] == [0, 0]
    # Gloo says first that it is connected, which the command keeps to itself.
    said = [path.with_suffix(".out").read_text().splitlines()[-3:] for path in heard]
    assert [lines[0] for lines in said] == ["slice(0, 3, None) True", "slice(3, 6, None) False"]
    for lines in said:
        assert lines[1] == "batch_size=7: expected a multiple of the 2 devices"
        assert lines[2] == "process 1 has another seed than process 0; give every process the same"


def test_what_cannot_be_distributed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cure = r'run pip install "\.\[jax\]" in your clone of swiftformer_tf, and set KERAS_BACKEND=jax$'
    said = f"num_processes=2: Keras runs on tensorflow; several processes need its JAX backend: {cure}"
    with pytest.raises(ConfigError, match=said):
        distribute(2, 0, "127.0.0.1:1")
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ConfigError, match="process_id=2: expected 0 to 1 for num_processes=2"):
        distribute(2, 2, "127.0.0.1:1")
    with pytest.raises(ConfigError, match="num_processes=2: expected coordinator_address, HOST:PORT of process 0"):
        distribute(2)
    with pytest.raises(ConfigError, match="coordinator_address=here: expected HOST:PORT, such as"):
        distribute(2, 0, "here")


def test_a_process_that_nobody_answers_says_so_and_gives_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    address = loopback()
    said = rf"coordinator_address={address}: process 0 did not answer in 0\.1 s \(.*refused\); start it, or give the"
    with pytest.raises(ConfigError, match=said):
        distribute(2, 1, address, wait_seconds=0.1)
    assert capsys.readouterr().err == f"waits for process 0 at {address}\n"
