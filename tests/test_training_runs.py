"""Whole trainings: they learn, stop at any moment, and go on as if they had not."""

import csv
import dataclasses
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from safetensors import safe_open
from safetensors.numpy import load_file
from support.forks import Forks
from support.training_runs import LABELS, RECIPE, color_teacher, config, run, write_photographs
from support.written_files import CURE, files_in, without_waiting

from swiftformer_tf import CheckpointError, ConfigError, ImageError, SwiftFormerForImageClassification
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.labels import labeled_images
from swiftformer_tf.training import Teacher, new_model, train_classifier
from swiftformer_tf.training.callbacks import AveragedWeights, RunFolder
from swiftformer_tf.training.plots import plot_history

# Longer trainings, in other processes too.
pytestmark = pytest.mark.usefixtures("traced")

# Between a run that was killed and resumed and one in one piece: the CPU's threads add in no fixed order.
TOLERANCE = 1e-5


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
        "validation.json",
        "curves.png",
        "teacher",
    }
    assert len({path.stat().st_mode for path in finished.iterdir() if path.is_file()}) == 1, "who may read one, may all"
    settings = json.loads((finished / "run.json").read_text())["settings"]
    assert settings["recipe"] == RECIPE.to_dict()
    assert settings["teacher"] == "colors"
    assert settings["photographs"]["count"] == 21
    with open(finished / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"loss", "head_accuracy", "val_accuracy", "learning_rate", "seconds"} <= set(rows[0])


def test_the_saved_model_is_the_averaged_one_without_the_teachers_head(finished: Path) -> None:
    model = SwiftFormerForImageClassification.from_pretrained(finished / "model.keras")
    assert model.config.labels == LABELS
    state = load_file(finished / "state.safetensors")
    averages = [state[name] for name in sorted(state) if name.startswith("average.")]
    in_training = [state[name] for name in sorted(state) if name.startswith("model.")]
    assert len(averages) == len(model.weights) < len(in_training)


def epochs_in(output: Path) -> tuple[int, int]:
    """How many there are in the state, from which a run goes on, and in the metrics."""
    with safe_open(output / "state.safetensors", "numpy") as state:
        kept = json.loads(state.metadata()["history"])
    return len(kept), len((output / "metrics.csv").read_text().splitlines()) - 1


@pytest.mark.posix
def test_a_killed_process_goes_on_with_the_same_result(
    photographs: Path, finished: Path, tmp_path: Path, forks: Forks
) -> None:
    """SIGKILL in the middle of the second epoch, then while it saves that epoch: between two files."""
    output = tmp_path / "killed"

    def killed(how: str, when: int) -> int:
        return forks.start(f"support.training_runs:{how}", str(photographs), str(output), when, said=tmp_path / how)()

    assert killed("killed_in_step", 5) == -signal.SIGKILL  # three steps an epoch
    assert epochs_in(output) == (1, 1)
    before = (output / "metrics.csv").read_text().splitlines()
    assert killed("killed_in_save", 1) == -signal.SIGKILL
    assert epochs_in(output) == (1, 2)

    history = run(photographs, output)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    # The epochs from before the kill are still those of the first process, seconds included.
    assert (output / "metrics.csv").read_text().splitlines()[:2] == before
    whole, resumed = load_file(finished / "state.safetensors"), load_file(output / "state.safetensors")
    assert whole.keys() == resumed.keys()
    for name, expected in whole.items():
        np.testing.assert_allclose(resumed[name], expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))
    assert without_waiting(files_in(output)).keys() == files_in(finished).keys()


# Accuracy of the second epoch, after a first of 50 %: the model is saved if it is better.
@pytest.mark.parametrize(("accuracy", "name"), [(0.6, "model.keras"), (0.4, "state.safetensors")])
def test_on_a_full_disk_the_epoch_before_stays_and_the_file_is_named(
    accuracy: float, name: str, tmp_path: Path, full_disk: Callable[[Path, int], None]
) -> None:
    model = new_model(config(), RECIPE)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    folder = RunFolder(tmp_path, AveragedWeights(model, decay=0.9))
    folder.set_model(model)
    folder.on_epoch_begin(0)
    folder.on_epoch_end(0, {"val_accuracy": 0.5})
    kept, weights = files_in(tmp_path), model.get_weights()

    model.set_weights([array + 1 for array in weights])
    full_disk(tmp_path, len(kept[name]) // 2)
    folder.on_epoch_begin(1)
    with pytest.raises(OSError, match="cannot be written") as caught:
        folder.on_epoch_end(1, {"val_accuracy": accuracy})
    assert (caught.value.filename, caught.value.strerror) == (str(tmp_path / name), CURE)
    assert files_in(tmp_path) == kept

    again = RunFolder(tmp_path, folder.averages)
    assert (again.restore(model), [row["val_accuracy"] for row in again.history]) == (1, [0.5])
    assert all(map(np.array_equal, model.get_weights(), weights))


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
    with pytest.raises(ConfigError, match=r"run\.json: this run has validation \{'count': 21, .*\}, not None"):
        run(photographs, finished, validation=None)


def test_a_damaged_state_is_named(photographs: Path, finished: Path, tmp_path: Path) -> None:
    for name in ("run.json", "state.safetensors"):
        content = (finished / name).read_bytes()
        (tmp_path / name).write_bytes(content if name == "run.json" else content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"state\.safetensors: cannot be read .*; remove it to start over"):
        run(photographs, tmp_path)


def test_a_run_without_a_teacher_learns_and_logs_for_tensorboard(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.replace(epochs=10, learning_rate=5e-3, image_scales=(0.5,), drop_path_rate=0.0, label_smoothing=0.0)
    logs = keras.callbacks.TensorBoard(tmp_path / "logs")
    step, traced = keras.Model.train_step, []

    def counted(model: keras.Model, data: Any) -> Any:
        traced.append(model)
        return step(model, data)

    monkeypatch.setattr(keras.Model, "train_step", counted)
    history = run(photographs, tmp_path / "run", recipe, teacher=None, callbacks=[logs])
    assert len(traced) == 1, "not again without the variables that the first step creates"
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert history[-1]["val_accuracy"] > 0.6
    assert list((tmp_path / "logs" / "train").glob("events.out.tfevents.*"))


def test_what_does_not_fit_is_refused_before_anything_is_written(photographs: Path, tmp_path: Path) -> None:
    folder = ImageFolder.open(photographs)
    four = config().replace(id2label=dict(enumerate((*LABELS, "fox"))))
    with pytest.raises(ConfigError, match="3 classes in the folder, 4 labels in the model"):
        train_classifier(new_model(four, RECIPE), folder, RECIPE, tmp_path / "run")
    single = new_model(config(distillation=False), RECIPE)
    with pytest.raises(ConfigError, match=r"distillation=False: .*; set distillation=True in its configuration"):
        train_classifier(single, folder, RECIPE, tmp_path / "run", teacher=color_teacher())
    with pytest.raises(
        ImageError, match="21 photographs are fewer than one batch of 64; add some, or lower `batch_size`"
    ):
        train_classifier(new_model(config(), RECIPE), folder, RECIPE.replace(batch_size=64), tmp_path / "run")
    narrow = Teacher(color_teacher().predict, color_teacher().transform, ("cat", "dog"))
    with pytest.raises(ImageError, match="class 'eel' is none of the model's 2 labels"):
        train_classifier(new_model(config(), RECIPE), folder, RECIPE, tmp_path / "run", teacher=narrow)
    eels = ImageFolder.open(write_photographs(tmp_path / "eels")).paths[-7:]
    one = config().replace(id2label={0: "eel"})
    with pytest.raises(ConfigError, match="1 class in the folder: expected two or more, one subfolder each"):
        train_classifier(new_model(one, RECIPE), ImageFolder(eels, (0,) * 7, ("eel",)), RECIPE, tmp_path / "run")
    (eels[0]).write_text("<html>")
    with pytest.raises(ImageError, match=r"eel/02\.png: cannot be read as a picture; remove or replace this file"):
        run(photographs, tmp_path / "run", validation=labeled_images(tmp_path / "eels", LABELS))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("untraced")
def test_a_photograph_that_breaks_off_stops_the_run_and_is_named(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs, tmp_path / "photographs")
    path = tmp_path / "photographs" / "cat" / "00.png"
    path.write_bytes(path.read_bytes()[:1000])
    recipe = RECIPE.replace(epochs=1, warmup_epochs=0, batch_size=21, image_scales=(0.5,))
    with pytest.raises(ImageError, match=r"cat/00\.png: cannot be read as a picture"):
        run(tmp_path / "photographs", tmp_path / "run", recipe, teacher=None)


@pytest.mark.usefixtures("untraced")
def test_a_loss_that_is_no_number_stops_the_run_with_the_cure(photographs: Path, tmp_path: Path) -> None:
    recipe = RECIPE.replace(learning_rate=1e30, clip_norm=None, warmup_epochs=0, image_scales=(0.5,))
    with pytest.raises(
        ConfigError,
        match=r"^the loss is nan in step 2 of epoch 1; train into another folder with a `learning_rate` below 1e\+30, "
        r"or with a lower clip_norm, such as 0\.5, in a `recipe` of your own$",
    ):
        run(photographs, tmp_path / "run", recipe, teacher=None)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json"}
    # Nothing is lost where no epoch was finished: the same folder takes another run.
    (tmp_path / "run" / "teacher").mkdir()
    with pytest.raises(ConfigError, match=r"the loss is nan .* below 2e\+30"):
        run(photographs, tmp_path / "run", recipe.replace(learning_rate=2e30), teacher=None)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["recipe"]["learning_rate"] == 2e30
    assert not (tmp_path / "run" / "teacher").exists()


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_curves_count_whole_epochs(epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []

    def savefig(figure: Figure, path: Path, **_: Any) -> None:
        drawn.append(figure)
        path.touch()

    monkeypatch.setattr(Figure, "savefig", savefig)
    row = {"loss": 0.5, "accuracy": 0.5, "val_accuracy": 0.6, "learning_rate": 1e-3, "seconds": 2.0}
    plot_history([{"epoch": epoch + 1, **row} for epoch in range(epochs)], tmp_path / "curves.png")
    for axes in drawn[0].axes:
        ticks = axes.get_xticks()
        assert (ticks == np.round(ticks)).all()
