"""Features on photographs with classes: the nearest other one, recall at 1, and what is refused."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from support.commands import run
from support.random_models import TWO_STAGES, seeded_model, tiny_config

from swiftformer_tf import (
    RECIPES,
    ConfigError,
    ImageError,
    ModelError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    evaluate,
    export,
    fuse,
)
from swiftformer_tf.accuracy import EVALUATE
from swiftformer_tf.evaluation import evaluate_features
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.labels import LabeledImages
from swiftformer_tf.litert.metadata import TASK_METADATA
from swiftformer_tf.predicting import PREDICT, predict_photographs
from swiftformer_tf.tasks import TASKS, features
from swiftformer_tf.tasks.features import Retrieval, nearest_others


def scikit_learns(vectors: np.ndarray) -> np.ndarray:
    """The nearest other vector by cosine, as scikit-learn finds it: of each, the second of the two nearest."""
    found = NearestNeighbors(n_neighbors=2, metric="cosine").fit(vectors).kneighbors(vectors, return_distance=False)
    return np.asarray(found[:, 1])


@pytest.mark.parametrize("at_a_time", [1, 7, 40, 256])
def test_the_nearest_is_scikit_learns(at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "COMPARED_AT_A_TIME", at_a_time)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 5)) * rng.uniform(0.1, 10, (40, 1))  # by their directions, not their lengths
    np.testing.assert_array_equal(nearest_others(vectors), scikit_learns(vectors))


def test_a_photograph_twice_is_nearest_to_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 3)).repeat(2, axis=0)
    np.testing.assert_array_equal(nearest_others(vectors), np.arange(12) ^ 1)


def test_a_vector_of_zeros_is_compared() -> None:
    assert nearest_others(np.array([[0.0, 0.0], [-1.0, 0.0], [-2.0, 0.1]])).tolist() == [1, 2, 1]


def test_recall_is_counted_by_class() -> None:
    retrieval = Retrieval(np.array([0, 0, 0, 1, 1, 2]), np.array([1, 0, 3, 4, 5, 0]), ("cat", "dog", "hen", "owl"))
    assert (retrieval.images, retrieval.searched, retrieval.recall_at_1) == (6, 5, 3 / 5)
    assert retrieval.to_dict() == {
        "recall_at_1": 3 / 5,
        "images": 6,
        "searched": 5,
        "classes": 4,
        "per_class": [
            {"index": 0, "label": "cat", "images": 3, "recall_at_1": 2 / 3},
            {"index": 1, "label": "dog", "images": 2, "recall_at_1": 1 / 2},
            {"index": 2, "label": "hen", "images": 1, "recall_at_1": None},
        ],
    }
    assert [row["recall at 1"] for row in retrieval.table] == ["66.67%", "50.00%", "-"]
    assert retrieval.summary == "recall at 1 60.00% of 5 photographs; 1 more without another of the class"
    both = Retrieval(np.array([0, 0, 1, 1]), np.array([1, 0, 3, 2]), ("cat", "dog"))
    assert both.summary == "recall at 1 100.00% of 4 photographs"


def test_classes_of_one_photograph_each_are_refused() -> None:
    with pytest.raises(ImageError, match=r"^no class has two photographs, so none can be found by another; add photog"):
        Retrieval(np.array([0, 1]), np.array([1, 0]), ("cat", "dog"))


def test_photographs_of_one_class_are_refused() -> None:
    with pytest.raises(
        ImageError, match=r"^all photographs are of one class, so any of them would be right; add other"
    ):
        Retrieval(np.array([1, 1, 1]), np.array([1, 0, 0]), ("cat", "dog"))


@pytest.mark.parametrize("length", [1e-6, 1.0, 300.0])
def test_half_precision_finds_the_same(length: float) -> None:
    """Sums of squares of float16 would vanish or overflow."""
    vectors = (np.random.default_rng(0).normal(size=(40, 16)) * length).astype(np.float16)
    np.testing.assert_array_equal(nearest_others(vectors), scikit_learns(vectors.astype(np.float64)))


def test_each_task_has_its_row_in_the_tables() -> None:
    for table in (EVALUATE, PREDICT, TASK_METADATA):
        assert set(table) == set(TASKS)


# With models and photographs.


@pytest.fixture(scope="module")
def headless(pixels: np.ndarray) -> SwiftFormerForImageClassification:
    config = tiny_config(id2label={}, **TWO_STAGES)
    return seeded_model(config, config.transform.normalize(pixels))


def test_files_and_models_are_evaluated_alike(
    headless: SwiftFormerForImageClassification, few: Path, tmp_path: Path
) -> None:
    paths = sorted(few.rglob("*.png"))
    vectors = headless.predict_on_batch(np.stack([headless.config.transform(path) for path in paths]))
    classes = np.array([path.parent.name for path in paths])
    expected = float(np.mean(classes[scikit_learns(vectors)] == classes))
    assert 0 < expected < 1
    accuracy = evaluate(headless, few)
    assert (accuracy.task, accuracy.images, accuracy.rule) == ("features", 12, None)
    assert isinstance(accuracy.scores, Retrieval)
    assert accuracy.scores.recall_at_1 == pytest.approx(expected)
    deploy = fuse(headless)
    export(deploy, RECIPES["float32"]).save(tmp_path / "x.tflite")
    for other in (deploy, tmp_path / "x.tflite"):
        assert evaluate(other, few, task="features", batch_size=5).to_dict() == accuracy.to_dict()
    assert evaluate(headless, ImageFolder.open(few)).to_dict() == accuracy.to_dict()


def test_classes_may_stand_in_a_table(headless: SwiftFormerForImageClassification, few: Path, tmp_path: Path) -> None:
    rows = []
    for path in sorted(few.rglob("*.png")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
        rows.append(f"{path.name},{path.parent.name}")
    (tmp_path / "metadata.csv").write_text("\n".join(("file_name,label", *rows)))
    assert evaluate(headless, tmp_path).to_dict()["per_class"] == evaluate(headless, few).to_dict()["per_class"]


def test_the_command_prints_and_answers_in_json(
    headless: SwiftFormerForImageClassification, few: Path, tmp_path: Path
) -> None:
    headless.save(tmp_path / "x.keras")
    accuracy = evaluate(headless, few)
    shown = run("evaluate", tmp_path / "x.keras", few, "--task", "features")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0].split() == ["label", "images", "recall", "at", "1"]
    assert shown.stdout.endswith(f"{accuracy.scores.summary}\n")
    told = json.loads(run("evaluate", tmp_path / "x.keras", few, "--json").stdout)
    assert told == {"model": str(tmp_path / "x.keras"), **accuracy.to_dict()}


def test_what_does_not_fit_is_refused(headless: SwiftFormerForImageClassification, few: Path, tmp_path: Path) -> None:
    said = "matrix.png: a confusion matrix needs labels, and the model returns features; leave it out"
    with pytest.raises(ConfigError, match=f"{re.escape(said)}$"):
        evaluate(headless, few, confusion=tmp_path / "matrix.png")
    with pytest.raises(ConfigError, match=r"x\.txt: a list is for classifiers; sort the photographs into folders, or"):
        evaluate(headless, few, label_file=tmp_path / "x.txt")
    labeled = LabeledImages((), (), "by hand")
    with pytest.raises(ConfigError, match="a LabeledImages was given, but the model returns features; expected an Im"):
        evaluate(headless, labeled)


def test_maps_are_refused_by_the_name_of_the_model_before_a_photograph_is_read(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swiftformer_tf.accuracy.classes_in", lambda folder: pytest.fail("the folder was opened"))
    path = tmp_path / "maps.keras"
    SwiftFormerModel(tiny_config(**TWO_STAGES), out_indices=(0, 1)).save(path)
    several = re.escape(
        f"{path}: features of shape (None, None, None, 8) and (None, None, None, 12): expected (batch, n)"
    )
    for refused in (evaluate, lambda model, _: predict_photographs(model, [])):
        with pytest.raises(ModelError, match=f"^{several}, a vector for each photograph; pool maps, as a classifier"):
            refused(path, few)


def test_photographs_are_checked_before_any_runs(
    headless: SwiftFormerForImageClassification, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headless, "predict_on_batch", lambda _: pytest.fail("the model has run"))
    paths = tuple(sorted(few.rglob("*.png")))
    (tmp_path / "broken.png").write_bytes(b"GIF89a")
    broken = ImageFolder((*paths[:3], tmp_path / "broken.png"), (0, 0, 1, 1), ("cat", "dog"))
    with pytest.raises(ImageError, match=r"broken\.png"):
        evaluate(headless, broken, batch_size=2)
    with pytest.raises(ImageError, match="all photographs are of one class"):
        evaluate(headless, ImageFolder(paths[:2], (0, 0), ("cat", "dog")))
    four = tiny_config(num_channels=4, id2label={}, **TWO_STAGES)
    four = four.replace(transform=four.transform.replace(mean=(0.5,) * 4, std=(0.25,) * 4))
    with pytest.raises(ImageError, match="the model takes 4 channels, which photographs do not have"):
        evaluate(SwiftFormerForImageClassification(four), tmp_path / "nowhere")


def test_batches_are_as_large_as_asked_and_counted(
    headless: SwiftFormerForImageClassification, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, seen, predict = [], list[int](), headless.predict_on_batch

    def counted(images: np.ndarray) -> Any:
        sizes.append(len(images))
        return predict(images)

    @contextmanager
    def shown(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        assert (title, total) == ("photographs", 12)
        yield seen.append

    monkeypatch.setattr(headless, "predict_on_batch", counted)
    evaluate(headless, few, batch_size=5, progress=shown)
    assert (sizes, seen) == ([5, 5, 2], [5, 10, 12])


def test_numbers_that_are_none_are_named_by_their_photograph(
    headless: SwiftFormerForImageClassification, few: Path
) -> None:
    def predict(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 3), np.nan)

    first = min(few.rglob("*.png"))
    with pytest.raises(
        ModelError, match=f"^{re.escape(str(ImageFolder.open(few).paths[0]))}: the model's outputs for it"
    ):
        evaluate_features(predict, headless.config, ImageFolder.open(few))
    broken = SwiftFormerForImageClassification(headless.config)
    broken.set_weights([np.full_like(each, np.nan) for each in headless.get_weights()])
    with pytest.raises(ModelError, match=f"^{re.escape(str(first))}: the model's outputs for it are not finite"):
        predict_photographs(broken, [first])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "file_name,weight\n{},3.5\n{},2\n{},2\n",
            r"metadata\.csv: weight has '3\.5', a number; expected names of classes",
        ),
        (
            "file_name,cat,dog\n{},1,0\n{},1,1\n{},0,1\n",
            r"metadata\.csv, line 3: 2 labels, expected one; features are evaluated on photographs of one class each",
        ),
    ],
    ids=["numbers", "several labels"],
)
def test_tables_without_classes_are_refused(
    table: str, message: str, headless: SwiftFormerForImageClassification, few: Path, tmp_path: Path
) -> None:
    paths = sorted(few.rglob("*.png"))[:3]
    for path in paths:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "metadata.csv").write_text(table.format(*(path.name for path in paths)))
    with pytest.raises(ImageError, match=message):
        evaluate(headless, tmp_path)
