"""Whole trainings: they learn, stop at any moment, and go on as if they had not."""

import csv
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file
from training_runs import LABELS, RECIPE, color_teacher, config, run, write_photographs

from swiftformer_tf import CheckpointError, ConfigError, ImageError, open_model
from swiftformer_tf.data import ImageFolder
from swiftformer_tf.training import new_model, train

# Of a killed and resumed run against one in one piece: the CPU's threads add in no fixed order.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def finished(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one piece."""
    output = tmp_path_factory.mktemp("runs") / "whole"
    run(photographs, output)
    return output


def test_a_run_leaves_its_record(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        "run.json",
        "state.safetensors",
        "model.keras",
        "metrics.csv",
        "curves.png",
        "teacher",
    }
    settings = json.loads((finished / "run.json").read_text())["settings"]
    assert settings["recipe"] == RECIPE.to_dict()
    assert settings["teacher"] == "colors"
    assert settings["photographs"]["count"] == 21
    with open(finished / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"loss", "head_accuracy", "val_accuracy", "learning_rate", "seconds"} <= set(rows[0])


def test_the_saved_model_is_the_averaged_one_without_the_teachers_head(finished: Path) -> None:
    model = open_model(finished / "model.keras")
    assert model.config.labels == LABELS
    state = load_file(finished / "state.safetensors")
    averages = [state[name] for name in sorted(state) if name.startswith("average.")]
    in_training = [state[name] for name in sorted(state) if name.startswith("model.")]
    assert len(averages) == len(model.weights) < len(in_training)


def test_a_killed_process_goes_on_with_the_same_result(photographs: Path, finished: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of the second epoch."""
    output = tmp_path / "killed"
    script = Path(__file__).with_name("training_runs.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(photographs), str(output)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for _ in range(5):  # three steps an epoch
            assert process.stdout.readline() == b"step\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = (output / "metrics.csv").read_text().splitlines()
    assert len(before) == 2

    history = run(photographs, output)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    # The epochs from before the kill are still those of the first process, seconds included.
    assert (output / "metrics.csv").read_text().splitlines()[:2] == before
    whole, resumed = load_file(finished / "state.safetensors"), load_file(output / "state.safetensors")
    assert whole.keys() == resumed.keys()
    for name, expected in whole.items():
        np.testing.assert_allclose(resumed[name], expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))


def test_a_finished_run_is_not_trained_again(photographs: Path, finished: Path) -> None:
    state = (finished / "state.safetensors").read_bytes()
    assert len(run(photographs, finished)) == 3
    assert (finished / "state.safetensors").read_bytes() == state


def test_other_settings_do_not_go_on(photographs: Path, finished: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.json: this run has recipe epochs 3, not 9; train into another"):
        run(photographs, finished, RECIPE.replace(epochs=9))
    milder = dataclasses.replace(RECIPE.augmentation, erase=0.1)
    with pytest.raises(ConfigError, match=r"run\.json: this run has recipe augmentation erase 0\.5, not 0\.1"):
        run(photographs, finished, RECIPE.replace(augmentation=milder))
    with pytest.raises(ConfigError, match=r"run\.json: this run has seed 3, not 4"):
        run(photographs, finished, seed=4)
    with pytest.raises(ConfigError, match=r"run\.json: this run has teacher colors, not None"):
        run(photographs, finished, teacher=None)


def test_a_damaged_state_is_named(photographs: Path, finished: Path, tmp_path: Path) -> None:
    for name in ("run.json", "state.safetensors"):
        content = (finished / name).read_bytes()
        (tmp_path / name).write_bytes(content if name == "run.json" else content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: cannot be read .*; remove it to start over"):
        run(photographs, tmp_path)


def test_a_run_without_a_teacher_learns_and_logs_for_tensorboard(photographs: Path, tmp_path: Path) -> None:
    recipe = RECIPE.replace(epochs=10, learning_rate=5e-3, image_scales=(0.5,), drop_path_rate=0.0, label_smoothing=0.0)
    logs = keras.callbacks.TensorBoard(tmp_path / "logs")
    history = run(photographs, tmp_path / "run", recipe, teacher=None, callbacks=[logs])
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert history[-1]["val_accuracy"] > 0.6
    assert list((tmp_path / "logs" / "train").glob("events.out.tfevents.*"))


def test_what_does_not_fit_is_refused_before_anything_is_written(photographs: Path, tmp_path: Path) -> None:
    folder = ImageFolder.open(photographs)
    four = config().replace(id2label=dict(enumerate((*LABELS, "fox"))))
    with pytest.raises(ConfigError, match="3 classes in the folder, 4 labels in the model"):
        train(new_model(four, RECIPE), folder, RECIPE, tmp_path / "run")
    single = new_model(config(distillation=False), RECIPE)
    with pytest.raises(ConfigError, match="distillation=False: a teacher needs a model with head_dist"):
        train(single, folder, RECIPE, tmp_path / "run", teacher=color_teacher())
    with pytest.raises(ImageError, match="21 photographs are less than one batch of 64; add some, or lower batch_size"):
        train(new_model(config(), RECIPE), folder, RECIPE.replace(batch_size=64), tmp_path / "run")
    assert not (tmp_path / "run").exists()
