"""`swiftformer-tf train`, from pictures to a model that evaluates."""

import itertools
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support.commands import run
from support.training_runs import LABELS

from swiftformer_tf import ConfigError, ImageError, SwiftFormerError, SwiftFormerForImageClassification, training
from swiftformer_tf.cli import console
from swiftformer_tf.cli.evaluate import evaluate
from swiftformer_tf.cli.train import train
from swiftformer_tf.files import identity
from swiftformer_tf.training.callbacks import FiniteLoss, Validation

Model = SwiftFormerForImageClassification

OPTIONS = ("--variant", "tiny", "--image-size", "64", "--epochs", "2", "--batch-size", "12", "--crop", "1")


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(train, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    output = tmp_path_factory.mktemp("runs") / "run"
    return output, invoke(photographs, "-o", output, "--validation", photographs, *OPTIONS)


def test_it_says_what_it_made_and_how_each_epoch_went(trained: tuple[Path, Result]) -> None:
    output, result = trained
    assert result.stdout.startswith(f"{output / 'model.keras'}: epoch ")
    lines = result.stderr.splitlines()
    plan, epochs = lines[:5], lines[5:]
    assert plan == [
        "3 labels, 21 photographs: cat 7, dog 7, eel 7",
        "validation: 21 photographs",
        "size: 64 x 64 pixels",
        "new weights: all",
        "frozen: nothing",
    ]
    assert [line.partition(":")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert "val_accuracy" in result.stderr
    config = Model.from_pretrained(output / "model.keras").config
    assert (config.variant, config.image_size, config.labels) == ("tiny", 64, LABELS)
    assert (config.transform.size, config.transform.crop) == ((64, 64), 1.0)
    recipe = json.loads((output / "run.json").read_text())["settings"]["recipe"]
    assert (recipe["epochs"], recipe["batch_size"]) == (2, 12)


def test_the_accuracy_is_the_one_that_evaluate_finds(trained: tuple[Path, Result], photographs: Path) -> None:
    output, result = trained
    evaluation = CliRunner().invoke(evaluate, [str(output / "model.keras"), str(photographs), "--json"])
    assert f"val_accuracy {json.loads(evaluation.stdout)['top1']:.2%}" in result.stdout


def test_what_was_trained_becomes_a_file_for_phones_that_is_as_often_right(
    trained: tuple[Path, Result], photographs: Path, tmp_path: Path
) -> None:
    output, result = trained
    arguments = ["export", output / "model.keras", "-o", tmp_path, "--recipe", "float32"]
    exported = run(*arguments)
    assert exported.exit_code == 0, exported.output
    evaluation = CliRunner().invoke(evaluate, [str(tmp_path / "model_float32.tflite"), str(photographs), "--json"])
    assert f"val_accuracy {json.loads(evaluation.stdout)['top1']:.2%}" in result.stdout


def test_the_same_command_finds_its_work_done_and_another_is_refused(
    trained: tuple[Path, Result], photographs: Path
) -> None:
    output, result = trained
    again = invoke(photographs, "-o", output, "--validation", photographs, *OPTIONS)
    assert (again.stdout, again.stderr) == (result.stdout, "")
    with pytest.raises(ConfigError, match="this run has recipe learning_rate"):
        invoke(photographs, "-o", output, *OPTIONS, "--learning-rate", "0.5")


def test_the_record_of_a_run_repeats_it(trained: tuple[Path, Result], photographs: Path, tmp_path: Path) -> None:
    output, _ = trained
    size = OPTIONS[:4]
    again = invoke(
        photographs, "-o", tmp_path, "--validation", photographs, *size, "--crop", 1, "--recipe", output / "run.json"
    )
    assert again.exit_code == 0
    settings, repeated = (json.loads((folder / "run.json").read_text())["settings"] for folder in (output, tmp_path))
    assert repeated == settings
    for row, expected in zip(
        *((folder / "metrics.csv").read_text().splitlines() for folder in (tmp_path, output)), strict=True
    ):
        # Without the seconds, which are the last.
        for value, before in zip(row.split(",")[:-1], expected.split(",")[:-1], strict=True):
            assert value == before or float(value) == pytest.approx(float(before), rel=1e-5)


def test_fine_tuning_takes_other_classes_and_a_teacher(
    trained: tuple[Path, Result], photographs: Path, tmp_path: Path
) -> None:
    """Two of three classes under a teacher that knows all three, the first two stages frozen."""
    output, _ = trained
    pets = tmp_path / "pets"
    for name in ("dog", "cat"):
        for path in sorted((photographs / name).iterdir()):
            (pets / name).mkdir(parents=True, exist_ok=True)
            Image.open(path).save(pets / name / path.name)
    teacher = output / "model.keras"
    tuning = invoke(
        pets, "-o", tmp_path / "tuned", "--from", teacher, "--teacher", teacher, "--freeze", 2, *OPTIONS[4:]
    )
    settings = json.loads((tmp_path / "tuned" / "run.json").read_text())["settings"]
    assert settings["source"] == settings["teacher"] == identity(teacher)
    assert "continuing" not in tuning.stderr
    assert tuning.stderr.splitlines()[1:5] == [
        "validation: none",
        "size: 64 x 64 pixels",
        f"new weights: head, head_dist; all others come from {teacher}",
        "frozen: stem, stage 1, stage 2",
    ]
    model, tuned = (
        Model.from_pretrained(teacher),
        Model.from_pretrained(tmp_path / "tuned" / "model.keras"),
    )
    assert tuned.config.labels == ("cat", "dog")
    assert tuned.config.image_size == 64
    for layer in ("stem", "stages-1-blocks-0"):
        for before, after in zip(model.get_layer(layer).weights, tuned.get_layer(layer).weights, strict=True):
            np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-6)
    moved = [np.abs(np.subtract(*pair)).max() for pair in _pairs(model, tuned, "stages-3-blocks-0")]
    assert max(moved) > 1e-5


def _pairs(model: object, tuned: object, layer: str) -> list[tuple[np.ndarray, np.ndarray]]:
    before, after = (m.get_layer(layer).get_weights() for m in (model, tuned))  # type: ignore[attr-defined]
    return list(zip(before, after, strict=True))


def test_the_folder_around_train_and_val_is_refused(photographs: Path, tmp_path: Path) -> None:
    for name in ("train", "val"):
        shutil.copytree(photographs, tmp_path / name)
    cure = f"give {tmp_path / 'train'}, and {tmp_path / 'val'} as validation"
    with pytest.raises(ImageError) as caught:
        invoke(tmp_path, "-o", tmp_path / "run", *OPTIONS)
    assert str(caught.value) == f"{tmp_path}: its classes would be train and val; {cure}"
    assert not (tmp_path / "run").exists()


def test_in_a_pipe_a_line_a_minute_says_how_far_it_is(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step, and the evaluation, waits until a line was printed that no step and no end of one has asked for."""
    monkeypatch.setattr(console, "NOTE_SECONDS", 0.005)
    told: list[str] = []
    news = threading.Condition()

    def note(message: str) -> None:
        with news:
            told.append(message.partition(", loss")[0])
            news.notify_all()

    def wait_for(line: str) -> None:
        with news:
            assert news.wait_for(lambda: line in told, timeout=600), told

    def before_step(self: FiniteLoss, batch: int, logs: object = None) -> None:
        wait_for(f"epoch 1/1, step {batch}/3" if batch else "epoch 1/1: building the first step")

    evaluated = Validation.on_epoch_end

    def evaluate(self: Validation, epoch: int, logs: dict[str, object]) -> None:
        wait_for("epoch 1/1: evaluating and saving")
        evaluated(self, epoch, logs)

    monkeypatch.setattr(console, "note", note)
    monkeypatch.setattr(FiniteLoss, "on_train_batch_begin", before_step)
    monkeypatch.setattr(Validation, "on_epoch_end", evaluate)
    options = ("--validation", photographs, *OPTIONS[:4], "--epochs", 1, "--batch-size", 6)
    result = invoke(photographs, "-o", tmp_path / "run", *options)
    assert [line for line, _ in itertools.groupby(told)][-4:] == [
        "epoch 1/1: building the first step",
        "epoch 1/1, step 1/3",
        "epoch 1/1, step 2/3",
        "epoch 1/1: evaluating and saving",
    ]
    assert "regular notes" not in {thread.name for thread in threading.enumerate()}
    assert result.stderr.splitlines()[-1].startswith("epoch 1/1: accuracy ")


def test_a_recipe_may_be_a_file(photographs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"epochs": 9, "warmup_epochs": 0, "batch_size": 4, "label_smoothing": 0.2}))
    invoke(photographs, "-o", tmp_path / "run", *OPTIONS, "--epochs", "1", "--recipe", file)
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["label_smoothing"]) == (1, 12, 0.2)
    missing = invoke(photographs, "-o", tmp_path / "other", *OPTIONS, "--recipe", "long")
    assert missing.exit_code == 2
    assert "'long': expected paper, short, or a file with the fields of a recipe" in missing.stderr


def test_one_epoch_is_enough_for_any_recipe(photographs: Path, tmp_path: Path) -> None:
    """`short` warms up for one epoch, which leaves none for the cosine."""
    arguments = (photographs, "-o", tmp_path / "run", *OPTIONS, "--epochs", "1", "--freeze", "9")
    result = run("train", *arguments)
    assert result.exit_code == 2
    # Which is asked after the recipe.
    assert result.stderr == "Error: --freeze 9: expected 0 to 4, the number of the model's stages\n"


def test_what_contradicts_itself_is_refused(photographs: Path, tmp_path: Path) -> None:
    start = ("-o", tmp_path / "run", "--from", "swiftformer_xs_imagenette", "--variant", "xs")
    with pytest.raises(
        ConfigError, match=r"^variant xs is for a new model, but .* has its own; give only one of them$"
    ):
        invoke(photographs, *start)
    for options in (("--process-id", 1), ("--coordinator-address", "10.0.0.1:1"), ("--process-id", 2)):
        with pytest.raises(ConfigError, match=r"^process_id and coordinator_address need num_processes of 2 or more$"):
            invoke(photographs, "-o", tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_tensorboard_that_is_not_installed_is_named_before_anything_starts(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = r'^TensorBoard needs tensorboard: run pip install "\.\[train\]" in your clone of swiftformer_tf$'
    with pytest.raises(SwiftFormerError, match=said):
        invoke(photographs, "-o", tmp_path / "run", "--tensorboard", *OPTIONS)
    assert not (tmp_path / "run").exists()


def test_one_call_in_python_is_the_command(trained: tuple[Path, Result], photographs: Path, tmp_path: Path) -> None:
    history = training.train(
        photographs,
        tmp_path / "run",
        validation=photographs,
        variant="tiny",
        image_size=64,
        epochs=2,
        batch_size=12,
        crop=1,
    )
    assert [row["epoch"] for row in history] == [1, 2]
    mine, theirs = (json.loads((run / "run.json").read_text())["settings"] for run in (tmp_path / "run", trained[0]))
    assert mine == theirs
    with pytest.raises(ConfigError, match=r"^task='detection': expected one of classification, semantic-segmentation$"):
        training.train(photographs, tmp_path / "other", task="detection")  # type: ignore[arg-type]
