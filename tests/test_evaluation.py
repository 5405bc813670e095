"""Accuracy on labeled photographs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.axes import Axes
from PIL import Image
from support.commands import run
from support.random_models import TWO_STAGES, tiny_config

from swiftformer_tf import ConfigError, LiteModel, ModelError, SwiftFormerForImageClassification, evaluate, fuse
from swiftformer_tf.accuracy import Accuracy
from swiftformer_tf.cli.evaluate import evaluate as command
from swiftformer_tf.evaluation import evaluate_classifier, save_confusion
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.labels import LabeledImages
from swiftformer_tf.loading import open_model
from swiftformer_tf.tasks.label_accuracy import LabelAccuracy
from swiftformer_tf.tasks.scores import LabelScores
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion
from swiftformer_tf.training import train

CONFIG = tiny_config()
LABELS = CONFIG.num_labels


@pytest.fixture
def photographs(tmp_path: Path) -> tuple[Path, ...]:
    """Six pictures, each of one gray, so that a function of the mean tells them apart."""
    paths = []
    for index in range(6):
        paths.append(tmp_path / f"{index}.png")
        Image.new("RGB", (64, 64), (index * 40,) * 3).save(paths[-1])
    return tuple(paths)


def answers(*outputs: list[float]) -> object:
    """A classifier that knows its answers by the gray of the picture."""
    table = np.asarray(outputs, np.float32)

    def predict(images: np.ndarray) -> np.ndarray:
        return table[np.rint(CONFIG.transform.denormalize(images).mean(axis=(1, 2, 3)) / 40).astype(int)]

    return predict


def ranked(*best: int) -> list[float]:
    """Outputs whose order is `best`, then the rest."""
    outputs = [-1.0] * LABELS
    for place, label in enumerate(best):
        outputs[label] = LABELS - place
    return outputs


def test_counts_against_a_hand_made_case(photographs: tuple[Path, ...]) -> None:
    predict = answers(
        ranked(0), ranked(1, 0), ranked(3, 2, 0), ranked(9, 8, 7, 6, 1), ranked(9, 8, 7, 6, 5, 1), ranked(1)
    )
    images = LabeledImages(photographs, (0, 0, 0, 1, 1, 1), "by hand")
    seen: list[int] = []
    result = evaluate_classifier(predict, CONFIG, images, batch_size=4, progress=seen.append)  # type: ignore[arg-type]
    assert isinstance(result, LabelAccuracy)
    assert seen == [4, 6]
    report = result.to_dict()
    assert report["images"] == 6
    assert report["top1"] == pytest.approx(2 / 6)  # the first and the last
    assert report["top5"] == pytest.approx(5 / 6)  # not the one in sixth place
    # Among 0 and 1 alone the third, the fourth and the fifth are right too.
    assert report["top1_present"] == pytest.approx(5 / 6)
    assert (report["classes"], report["classes_present"], report["class_rule"]) == (LABELS, 2, "by hand")
    assert [(row["index"], row["images"], row["top1"], row["top5"]) for row in report["per_class"]] == [
        (0, 3, pytest.approx(1 / 3), 1.0),
        (1, 3, pytest.approx(1 / 3), pytest.approx(2 / 3)),
    ]
    assert result.confusion[0, [0, 1, 3]].tolist() == [1, 1, 1]


def test_one_photograph_and_one_class_are_told_in_the_singular() -> None:
    one = np.zeros((LABELS, LABELS), np.int64)
    one[0, 0] = 1
    result = LabelAccuracy(one, one.diagonal(), one, CONFIG.labels, "by hand")
    assert result.summary == ("top-1 100.00%, top-5 100.00% of 1 photograph\ntop-1 among the 1 class present: 100.00%")


def test_outputs_that_do_not_fit_or_are_not_finite_are_refused(photographs: tuple[Path, ...]) -> None:
    images = LabeledImages(photographs, (0,) * 6, "by hand")
    with pytest.raises(ModelError, match=r"outputs of shape \(6, 3\): expected \(6, 10\), one for each label"):
        evaluate_classifier(lambda batch: np.zeros((len(batch), 3)), CONFIG, images)

    def broken(batch: np.ndarray) -> np.ndarray:
        outputs = np.zeros((len(batch), LABELS))
        outputs[2, 5] = np.nan
        return outputs

    with pytest.raises(ModelError, match=r"2\.png: the model's outputs for it are not finite"):
        evaluate_classifier(broken, CONFIG, images)


def test_the_confusion_is_drawn(photographs: tuple[Path, ...], tmp_path: Path) -> None:
    predict = answers(*[ranked(index % 3) for index in range(6)])
    result = evaluate_classifier(predict, CONFIG, LabeledImages(photographs, (0, 1, 2, 2, 1, 0), "by hand"))  # type: ignore[arg-type]
    assert isinstance(result, LabelAccuracy)
    save_confusion(tmp_path / "confusion.png", result.confusion_matrix)
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
        # Half of each row on the diagonal and half beside it: cells of the map's middle blue.
        blue = matplotlib.colormaps["Blues"](0.5, bytes=True)[:3]
        middle = (np.asarray(picture.convert("RGB")) == blue).all(axis=-1)
        assert middle.mean() > 0.1


def test_what_is_answered_but_never_right_is_drawn_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sky half answered as car and road always: no row is all right, though no pixel is a car."""
    drawn: list[np.ndarray] = []
    imshow = Axes.imshow

    def watched(axes: Axes, shares: np.ndarray, **options: Any) -> Any:
        drawn.append(shares)
        return imshow(axes, shares, **options)

    monkeypatch.setattr(Axes, "imshow", watched)
    matrix = np.array([[4, 0, 4, 0], [0, 0, 8, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    save_confusion(tmp_path / "confusion.png", PixelConfusion(matrix, ("sky", "road", "car", "tree")).confusion_matrix)
    np.testing.assert_allclose(drawn[0], np.array([[0.5, 0, 0.5], [0, 0, 1], [0, 0, 0]]))


def test_the_command_agrees_between_keras_and_tflite(
    saved: Path, model: SwiftFormerForImageClassification, lite: object, pixels: np.ndarray, tmp_path: Path
) -> None:
    """Folders named by what the Keras model says: its accuracy is one, and the float32 file's too."""
    for index, picture in enumerate(map(Image.fromarray, pixels[:12])):
        label = int(model.predict_on_batch(model.config.transform(picture)[None]).argmax())
        path = tmp_path / "photographs" / model.config.labels[label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    exported: LiteModel = lite("float32")  # type: ignore[operator]
    exported.save(tmp_path / "tiny.tflite")
    for file in (saved, tmp_path / "tiny.tflite"):
        chart = tmp_path / "chart.png"
        arguments = [str(file), str(tmp_path / "photographs"), "--json", "--confusion", str(chart)]
        outcome = CliRunner().invoke(command, arguments, catch_exceptions=False)
        report = json.loads(outcome.stdout)
        assert (report["top1"], report["top5"], report["images"]) == (1.0, 1.0, 12)
        assert report["class_rule"] == "names of folders are labels"
        assert chart.is_file()
        table = CliRunner().invoke(command, arguments[:2], catch_exceptions=False).stdout
        assert "top-1 100.00%, top-5 100.00% of 12 photographs" in table


def test_the_weights_that_ship_know_their_photographs(real_photographs: Path) -> None:
    """Three to five of each class; `docs/results/imagenette.md` has all of them. By chance it would be a tenth."""
    outcome = CliRunner().invoke(command, ["swiftformer_xs_imagenette", str(real_photographs), "--json"])
    report = json.loads(outcome.stdout)
    assert (report["images"], report["classes_present"]) == (40, 10)
    assert report["class_rule"] == "WordNet ids by their English names"
    assert report["top1"] > 0.75
    assert report["top5"] > 0.95


def test_a_confusion_matrix_that_cannot_be_drawn_is_refused_before_anything_runs(
    saved: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(saved), str(folder), "--confusion"]
    monkeypatch.setattr("swiftformer_tf.accuracy.open_any", lambda *_, **__: pytest.fail("opened before it was known"))
    nowhere = run("evaluate", *arguments, tmp_path / "no" / "matrix.png")
    assert nowhere.exit_code == 2
    assert f"matrix.png: no such folder: {tmp_path / 'no'}; make it first" in nowhere.stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    missing = run("evaluate", *arguments, tmp_path / "matrix.png")
    assert missing.exit_code == 2
    assert 'a confusion matrix needs matplotlib: run pip install ".[report]" in your clone' in missing.stderr


# In one call.


def test_one_call_opens_counts_and_draws(saved: Path, few: Path, tmp_path: Path, lite: Any) -> None:
    lite("float32").save(tmp_path / "tiny.tflite")
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{path.stem} 0\n" for path in sorted(few.rglob("*.png"))))
    seen: list[int] = []
    steps = []

    @contextmanager
    def shown(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        steps.append((title, total))
        yield seen.append

    mine = evaluate(saved, few, label_file=labels, task="classification", progress=shown)
    other = evaluate(tmp_path / "tiny.tflite", few, label_file=labels, num_threads=2)
    fuse(open_model(saved)).save(tmp_path / "fused.keras")
    assert evaluate(tmp_path / "fused.keras", few, label_file=labels).to_dict() == other.to_dict()
    assert (mine.task, mine.images, seen[-1]) == ("classification", 12, 12)
    named = ImageFolder(tuple(sorted(few.rglob("*.png"))), (0,) * 12, (mine.config.labels[0],))
    assert evaluate(saved, named).to_dict() == {**mine.to_dict(), "class_rule": "names of folders are labels"}
    assert mine.to_dict() == {**other.to_dict(), "transform": mine.to_dict()["transform"]}
    assert not (tmp_path / "confusion.png").exists()
    assert steps == [("photographs", 12)]
    evaluate(saved, few, label_file=labels, confusion=tmp_path / "confusion.png", progress=shown)
    assert steps[1:] == [("photographs", 12), ("confusion matrix", None)]
    assert (tmp_path / "confusion.png").is_file()


def test_one_call_refuses_what_does_not_fit(saved: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tiny\.keras: a model for classification; expected one for semantic-segment"):
        evaluate(saved, folder, task="semantic-segmentation")
    with pytest.raises(
        ConfigError, match="task='segmentation': expected one of classification, features, semantic-segmentation"
    ):
        evaluate(saved, folder, task="segmentation")
    with pytest.raises(ConfigError, match="task='segmentation': expected one of classification, semantic-segmentation"):
        train(folder, tmp_path / "run", task="segmentation")  # type: ignore[arg-type]
    features = SwiftFormerForImageClassification(tiny_config(id2label={}, **TWO_STAGES))
    with pytest.raises(ModelError, match=r"^a model for features; expected one for classification$"):
        evaluate(features, folder, task="classification")
    with pytest.raises(ConfigError, match="problem_type='regression': a confusion matrix needs a single label"):
        evaluate(
            SwiftFormerForImageClassification(tiny_config(problem_type="regression", **TWO_STAGES)),
            folder,
            confusion=tmp_path / "x.png",
        )
    scores = LabelScores(np.ones((1, 2)), np.zeros((1, 2)), ("a", "b"), "by hand")
    with pytest.raises(ConfigError, match=r"x\.png: a confusion matrix needs a single label per photo"):
        Accuracy("classification", scores, features.config, 1).save_confusion(tmp_path / "x.png")
