"""Training and evaluating for several labels and for numbers, from the command line to a file for phones."""

import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from support.commands import run
from support.random_models import pictures, tiny_config
from support.tracing import steps_traced

from swiftformer_tf import ConfigError, ImageError, SwiftFormerForImageClassification
from swiftformer_tf.evaluation import evaluate_classifier, labeled_for
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.training import Teacher, TrainingRecipe, compile_for, train_classifier, training_photographs
from swiftformer_tf.training.objectives import OBJECTIVES, ScaledAbsoluteError

# One block after another: what is learned here needs no maps of another size.
ONE_STAGE: dict[str, Any] = {"depths": (1,), "embed_dims": (16,), "downsamples": (True,)}

RECIPE = {
    "epochs": 8,
    "batch_size": 8,
    "learning_rate": 0.005,
    "warmup_epochs": 0,
    "layer_scale_init_value": 0.1,
    "label_smoothing": 0.0,
    "augmentation": {"crop_scale": [0.8, 1.0]},
}


def photographs(root: Path, column: str, kind: str) -> Path:
    """32 pictures with more or less red and green, and a table that says how much."""
    rng = np.random.default_rng(0)
    red, green = rng.random((2, 32))
    rows = []
    for index, picture in enumerate(pictures(32, 48, 40) // 3):
        picture[..., 0] += (160 * red[index]).astype(np.uint8)
        picture[..., 1] += (160 * green[index]).astype(np.uint8)
        path = root / "pictures" / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        answers = (red[index], green[index])
        numbers = [round(20 + 40 * answers[0], 2), round(0.001 * answers[1], 7)]
        rows.append([f"pictures/{path.name}", *([int(a > 0.5) for a in answers] if kind == "labels" else numbers)])
    with (root / "metadata.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["file_name", *column.split(",")], *rows])
    return root


def invoke(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def trained(root: Path, data: Path, *options: object) -> tuple[Path, Result]:
    (root / "recipe.json").write_text(json.dumps(RECIPE))
    config = tiny_config(**ONE_STAGE, id2label={}, layer_scale_init_value=RECIPE["layer_scale_init_value"])
    keras.utils.set_random_seed(0)
    SwiftFormerForImageClassification(config).save(root / "start.keras")
    size = ("--from", root / "start.keras", "--crop", 1, "--recipe", root / "recipe.json")
    with steps_traced(True):  # of 32 steps it pays, and not of a single evaluation
        result = invoke("train", data, "-o", root / "run", "--validation", data, *size, *options)
    return root / "run" / "model.keras", result


def evaluated(model: Path, data: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(invoke("evaluate", model, data, "--json").stdout)
    return report


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    root = tmp_path_factory.mktemp("labels")
    data = photographs(root / "data", "red,green", "labels")
    return data, *trained(root, data)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    root = tmp_path_factory.mktemp("numbers")
    data = photographs(root / "data", "age,width", "numbers")
    return data, *trained(root, data, "--problem-type", "regression")


def test_several_labels_are_learned_and_told(labels: tuple[Path, Path, Result]) -> None:
    data, model, result = labels
    config = SwiftFormerForImageClassification.from_pretrained(model).config
    assert (config.problem_type, config.labels) == ("multi_label_classification", ("red", "green"))
    report = evaluated(model, data)
    assert report["mean_average_precision"] > 0.9  # by chance about one half
    assert {row["label"] for row in report["per_label"]} == {"red", "green"}
    assert f"val_mean_average_precision {report['mean_average_precision']:.2%}" in result.stdout
    assert "binary_accuracy" in result.stderr
    assert "val_mean_f1" in result.stderr
    assert "average precision" in invoke("evaluate", model, data).stdout
    # What training found of the model that it kept, F1 of each label too.
    kept = json.loads((model.parent / "validation.json").read_text())
    assert [row["label"] for row in kept["per_label"]] == ["red", "green"]
    for row, expected in zip(kept["per_label"], report["per_label"], strict=True):
        assert row["f1"] == pytest.approx(expected["f1"], abs=1e-6)
        assert row["average_precision"] == pytest.approx(expected["average_precision"], abs=1e-6)


@pytest.mark.parametrize("options", [(), ("--probabilities",)])
def test_a_file_of_several_labels_scores_as_its_model(
    labels: tuple[Path, Path, Result], tmp_path: Path, options: tuple[str, ...]
) -> None:
    data, model, _ = labels
    invoke("export", model, "-o", tmp_path, "--recipe", "float32", *options)
    before, after = evaluated(model, data), evaluated(tmp_path / "model_float32.tflite", data)
    for name in ("mean_average_precision", "mean_f1"):
        assert after[name] == pytest.approx(before[name], abs=1e-6)


def test_numbers_of_any_unit_are_learned_and_told(numbers: tuple[Path, Path, Result], tmp_path: Path) -> None:
    """Years about 40 and meters about 0.0005, each better than by a guess of the mean, which is off by a quarter."""
    data, model, result = numbers
    config = SwiftFormerForImageClassification.from_pretrained(model).config
    assert (config.problem_type, config.labels) == ("regression", ("age", "width"))
    report = evaluated(model, data)
    targets = np.asarray(training_photographs(data, config)[0].targets)
    guesses = np.abs(targets - targets.mean(axis=0)).mean(axis=0)
    shares = [row["mean_absolute_error"] / guess for row, guess in zip(report["per_label"], guesses, strict=True)]
    assert max(shares) < 0.7, shares
    assert f"val_mean_absolute_error {report['mean_absolute_error']:.4g}" in result.stdout
    assert f"mean absolute error {report['mean_absolute_error']:.4g} of 32" in invoke("evaluate", model, data).stdout
    invoke("export", model, "-o", tmp_path, "--recipe", "float32")
    after = evaluated(tmp_path / "model_float32.tflite", data)
    assert after["mean_absolute_error"] == pytest.approx(report["mean_absolute_error"], rel=1e-4)


def test_one_label_has_to_be_said(tmp_path: Path) -> None:
    data = photographs(tmp_path / "data", "red,green", "labels")
    rows = [line.rsplit(",", 1)[0] for line in (data / "metadata.csv").read_text().splitlines()]
    (data / "metadata.csv").write_text("\n".join(rows))
    config = tiny_config()
    with pytest.raises(ImageError, match="one label, 'red', of numbers; say what they mean with `problem_type`: multi"):
        training_photographs(data, config)
    images, one = training_photographs(data, config, problem_type="multi_label_classification")
    assert (one.labels, one.problem_type) == (("red",), "multi_label_classification")
    # What the model to start from says holds.
    assert training_photographs(data, one)[1].problem_type == "multi_label_classification"
    assert images.targets_of(np.arange(2)).shape == (2, 1)


def test_folders_are_no_answer_for_several_labels(tmp_path: Path, folder: Path) -> None:
    config = tiny_config(problem_type="multi_label_classification")
    with pytest.raises(ConfigError, match=r"no metadata\.csv; a model with problem_type='regression' needs one"):
        training_photographs(folder, config, problem_type="regression")
    with pytest.raises(ImageError, match=r"no metadata\.csv; a model with problem_type='multi_label"):
        labeled_for(config, folder)
    # Without a word of it, a folder a class learns one right label.
    images, single = training_photographs(folder, config)
    assert single.problem_type == "single_label_classification"
    wrong = SwiftFormerForImageClassification(
        single.replace(problem_type="multi_label_classification", distillation=False)
    )
    with pytest.raises(ConfigError, match=r"folders give one label per photograph; expected metadata\.csv"):
        train_classifier(wrong, images, TrainingRecipe(batch_size=4), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_answers_of_another_kind_than_the_models_are_refused(tmp_path: Path) -> None:
    data = photographs(tmp_path / "data", "red,green", "labels")
    images, config = training_photographs(data, tiny_config())
    assert isinstance(images, AnnotatedImages)
    single = config.replace(problem_type=None)
    with pytest.raises(ConfigError, match="'single_label_classification': expected one correct label for each"):
        train_classifier(
            SwiftFormerForImageClassification(single), images, TrainingRecipe(batch_size=4), tmp_path / "run"
        )
    with pytest.raises(ConfigError, match="'single_label_classification': expected one correct label per photograph"):
        evaluate_classifier(lambda x: np.zeros((len(x), 2)), single, images)
    folders = ImageFolder(images.paths, (0,) * len(images), ("red", "green"))
    with pytest.raises(ConfigError, match=r"'multi_label_classification': expected photographs with a metadata\.csv"):
        evaluate_classifier(lambda x: np.zeros((len(x), 2)), config, folders)  # type: ignore[arg-type]
    teacher = Teacher(lambda x: np.zeros((len(x), 2)), config.transform, ("red", "green"))
    model = SwiftFormerForImageClassification(config)
    with pytest.raises(ConfigError, match="distillation needs a single label per photograph"):
        train_classifier(model, images, TrainingRecipe(batch_size=4), tmp_path / "run", teacher=teacher)
    with pytest.raises(ConfigError, match="distillation needs a single label per photograph"):
        compile_for(TrainingRecipe(), model, 10, teacher_labels=2)


def test_a_teacher_of_several_labels_is_refused_before_any_work(tmp_path: Path) -> None:
    data = photographs(tmp_path / "data", "red,green", "labels")
    (tmp_path / "unread.keras").touch()
    command = ["train", data, "-o", tmp_path / "run", "--teacher", tmp_path / "unread.keras", "--variant", "tiny"]
    result = run(*command)
    said = (
        "problem_type='multi_label_classification': distillation needs a single label per photograph; train without a"
    )
    assert said in result.stderr
    assert (result.exit_code, (tmp_path / "run").exists()) == (2, False)


def test_the_losses_are_those_of_the_field() -> None:
    """By hand: -log(sigmoid(2)) = 0.1269, -log(1 - sigmoid(-1)) = 0.3133; |1 - 3| / 2 and |5 - 4| / 4."""
    recipe = TrainingRecipe(label_smoothing=0.0)
    binary = OBJECTIVES["multi_label_classification"].loss(recipe, ())
    assert float(binary(np.array([[1.0, 0.0]]), np.array([[2.0, -1.0]]))) == pytest.approx(
        (0.1269 + 0.3133) / 2, abs=1e-4
    )
    numbers = OBJECTIVES["regression"].loss(recipe, (2.0, 4.0))
    assert float(numbers(np.array([[1.0, 5.0]]), np.array([[3.0, 4.0]]))) == pytest.approx((1 + 0.25) / 2)
    assert ScaledAbsoluteError.from_config(numbers.get_config()).units == [2.0, 4.0]


def test_a_confusion_is_of_one_right_label(tmp_path: Path) -> None:
    data = photographs(tmp_path / "data", "red,green", "labels")
    _, config = training_photographs(data, tiny_config())
    SwiftFormerForImageClassification(config).save(tmp_path / "several.keras")
    command = ["evaluate", str(tmp_path / "several.keras"), str(data), "--confusion", str(tmp_path / "c.png")]
    result = run(*command)
    assert "problem_type='multi_label_classification': a confusion matrix needs a single label" in result.stderr
    assert result.exit_code == 2
