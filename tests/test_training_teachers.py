"""Teachers of every kind, and what is kept of their answers."""

import contextlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from support.random_models import TWO_STAGES, pictures, tiny_config
from support.training_runs import LABELS, color_teacher

from swiftformer_tf import (
    PRETRAINED,
    RECIPES,
    CheckpointError,
    ImageError,
    LiteModel,
    ModelError,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    Transform,
    export,
    fuse,
    to_checkpoint,
)
from swiftformer_tf.training import Teacher, TeacherLogits

SMALL = Transform(size=(24, 24))


def pixels(count: int, side: int = 24) -> np.ndarray:
    return pictures(count, side, side).astype(np.float32)


def test_a_swiftformer_file_brings_its_own_transform_and_labels(
    saved: Path,
    model: SwiftFormerForImageClassification,
    lite: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PRETRAINED, "tiny", saved)
    exported: LiteModel = lite("float32")
    exported.save(tmp_path / "tiny.tflite")
    images = model.config.transform.normalize(pixels(3, 64))
    for path, name in ((saved, saved.name), (tmp_path / "tiny.tflite", "tiny.tflite"), ("tiny", saved.name)):
        teacher = Teacher.open(path)
        assert teacher.name.startswith(f"{name} (sha256 ")
        assert (teacher.transform, teacher.labels) == (model.config.transform, model.config.labels)
        np.testing.assert_allclose(teacher.predict(images), model.predict_on_batch(images), atol=1e-4)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Path]:
    """A classifier of another kind, as `.keras` and `.tflite`, each with a card."""
    import tensorflow as tf

    from swiftformer_tf.native_logs import native_stderr_silenced

    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 3), batch_size=1)
    outputs = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(inputs))
    model, root = keras.Model(inputs, outputs), tmp_path_factory.mktemp("teachers")
    with native_stderr_silenced():
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (root / "lite.tflite").write_bytes(content)
    keras.Model(model.input, model.output).save(root / "plain.keras")
    card = json.dumps({"transform": SMALL.to_dict(), "labels": [*LABELS, "fox"]})
    for name in ("lite", "plain"):
        (root / f"{name}.json").write_text(card)
    return model, root


@pytest.mark.parametrize("name", ["plain.keras", "lite.tflite"])
def test_another_classifier_needs_a_card(plain: tuple[keras.Model, Path], name: str) -> None:
    model, root = plain
    teacher = Teacher.open(root / name)
    assert teacher.labels == (*LABELS, "fox")
    image = SMALL.normalize(pixels(1))
    np.testing.assert_allclose(teacher.predict(image), model.predict_on_batch(image), atol=1e-5)


def test_a_torch_module_gets_channels_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a stand-in with the little of PyTorch that is used."""

    class Tensor(NamedTuple):
        array: np.ndarray

        def numpy(self) -> np.ndarray:
            return self.array

    inside: list[str] = []

    @contextlib.contextmanager
    def inference_mode() -> Iterator[None]:
        inside.append("inference")
        yield
        inside.pop()

    def module(images: Tensor) -> Tensor:
        assert inside == ["inference"]
        assert images.array.flags.c_contiguous
        assert images.array.shape == (5, 3, 24, 24)
        return Tensor(images.array[:, :, 3, 7])

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(inference_mode=inference_mode, from_numpy=Tensor))
    teacher = Teacher.from_torch(module, SMALL, list(LABELS), "mine")
    assert (teacher.transform, teacher.labels, teacher.name) == (SMALL, LABELS, "mine")
    images = SMALL.normalize(pixels(5))
    np.testing.assert_array_equal(TeacherLogits(teacher, LABELS, 5).ask(pixels(5)), images[:, 3, 7])


def test_imagenets_labels_have_a_short_name(plain: tuple[keras.Model, Path], tmp_path: Path) -> None:
    _, root = plain
    (tmp_path / "lite.tflite").write_bytes((root / "lite.tflite").read_bytes())
    (tmp_path / "lite.json").write_text(json.dumps({"transform": SMALL.to_dict(), "labels": "imagenet"}))
    teacher = Teacher.open(tmp_path / "lite.tflite")
    assert len(teacher.labels) == 1000
    # Students name their classes in English or by WordNet ids.
    for labels in (("English springer", "tench"), ("n02102040", "n01440764")):
        assert TeacherLogits(teacher, labels, 5).classes.tolist() == [217, 0]


def test_files_that_are_no_teachers_are_named(plain: tuple[keras.Model, Path], tmp_path: Path) -> None:
    _, root = plain
    foreign = tmp_path / "lite.tflite"
    foreign.write_bytes((root / "lite.tflite").read_bytes())
    with pytest.raises(
        ModelError, match=r"lite\.tflite: .*; a teacher of another kind needs its card lite\.json beside"
    ):
        Teacher.open(foreign)
    (tmp_path / "lite.json").write_text("{}")
    with pytest.raises(ModelError, match=r"lite\.json: not a valid teacher card \(KeyError: 'transform'\)"):
        Teacher.open(foreign)
    wide = {"transform": Transform(size=(32, 32)).to_dict(), "labels": ["cat"]}
    (tmp_path / "lite.json").write_text(json.dumps(wide))
    with pytest.raises(ModelError, match=r"takes float32 \(1, 24, 24, 3\); expected float32 \(1, 32, 32, 3\)"):
        Teacher.open(foreign)
    foreign.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"lite\.tflite: LiteRT cannot load it"):
        Teacher.open(foreign)
    (tmp_path / "nothing.bin").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"needs its card nothing\.json beside it"):
        Teacher.open(tmp_path / "nothing.bin")


def test_a_segmenter_is_no_teacher_in_whatever_file(tmp_path: Path) -> None:
    model = SwiftFormerForSemanticSegmentation(tiny_config(image_size=32, **TWO_STAGES))
    model.save(tmp_path / "streets.keras")
    to_checkpoint(model).save(tmp_path / "streets.safetensors")
    export(fuse(model), RECIPES["float32"]).save(tmp_path / "streets.tflite")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ModelError) as caught:
            Teacher.open(path)
        assert str(caught.value) == (
            f"{path}: a model for semantic-segmentation cannot teach a classifier; give a classifier as the teacher"
        )


def test_probabilities_and_wrong_cards_are_refused(lite: Any, plain: tuple[keras.Model, Path], tmp_path: Path) -> None:
    exported: LiteModel = lite("float32", classifier_activation="softmax")
    exported.save(tmp_path / "tiny.tflite")
    with pytest.raises(ModelError, match=r"tiny\.tflite: answers with .*, expected logits; export or fuse it without"):
        Teacher.open(tmp_path / "tiny.tflite")
    fused = fuse(SwiftFormerForImageClassification(tiny_config()), classifier_activation="softmax")
    fused.save(tmp_path / "fused.keras")
    cure = "fuse it without `classifier_activation`, and export it without `target='mediapipe'`"
    with pytest.raises(ModelError, match=rf"fused\.keras: .* or {cure}$"):
        Teacher.open(tmp_path / "fused.keras")
    (tmp_path / "lite.tflite").write_bytes((plain[1] / "lite.tflite").read_bytes())
    (tmp_path / "lite.json").write_text(json.dumps({"transform": SMALL.to_dict(), "labels": "cats"}))
    with pytest.raises(
        ModelError, match=r"lite\.json: not a valid teacher card \(ValueError: labels: expected a list of names"
    ):
        Teacher.open(tmp_path / "lite.tflite")


def test_a_student_with_classes_that_the_teacher_lacks_is_refused() -> None:
    with pytest.raises(ImageError, match="class 'gnu' is none of the model's 4 labels"):
        TeacherLogits(color_teacher(), ("cat", "gnu"), 5)


def test_classes_are_found_by_name_whatever_their_order() -> None:
    assert TeacherLogits(color_teacher(), ("fox", "cat"), 5).classes.tolist() == [3, 0]


def test_pictures_of_another_size_are_resized() -> None:
    answers = TeacherLogits(color_teacher(), LABELS, 5)
    small, large = pixels(3), np.repeat(np.repeat(pixels(3), 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(answers.ask(large), answers.ask(small), atol=0.05)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda images: np.zeros((len(images), 3)), r"colors: outputs of shape \(2, 3\); expected \(2, 4\)"),
        (lambda images: np.full((len(images), 4), np.nan), "colors: its logits are not finite"),
    ],
)
def test_answers_that_cannot_be_used_are_an_error(predict: Any, message: str) -> None:
    answers = TeacherLogits(Teacher(predict, SMALL, (*LABELS, "fox"), "colors"), LABELS, 5)
    with pytest.raises(ModelError, match=message):
        answers.ask(pixels(2))


def test_each_crop_is_asked_about_once_even_by_another_process(tmp_path: Path) -> None:
    """What is kept is rounded to half precision, and read back rounded the first time too."""
    asked: list[int] = []
    honest = color_teacher()

    def counting(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return honest.predict(images)

    teacher = Teacher(counting, honest.transform, honest.labels)
    crops = pixels(5)
    first = TeacherLogits(teacher, LABELS, 5, tmp_path).kept(0, np.array([3, 1]), lambda row: crops[[3, 1][row]])
    # A new object is what a new process has; it asks for the fifth photograph only.
    again = TeacherLogits(teacher, LABELS, 5, tmp_path)
    second = again.kept(0, np.array([1, 4, 3]), lambda row: crops[[1, 4, 3][row]])
    assert asked == [2, 1]
    np.testing.assert_array_equal(second[[2, 0]], first)
    np.testing.assert_allclose(
        second, honest.predict(honest.transform.normalize(crops[[1, 4, 3]])), rtol=1e-3, atol=1e-3
    )
    again.kept(1, np.array([1]), lambda row: crops[1])  # another view has crops of its own
    assert asked == [2, 1, 1]


def test_threads_that_ask_at_once_get_whole_answers(tmp_path: Path) -> None:
    """Batches are made in parallel, and the first of them make the file."""
    crops, honest = pixels(64), color_teacher()
    answers = TeacherLogits(honest, LABELS, 64, tmp_path)
    parts = np.arange(64).reshape(8, 8)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda part: answers.kept(0, part, lambda row: crops[part[row]]), parts))
    expected = honest.predict(honest.transform.normalize(crops))
    np.testing.assert_allclose(np.concatenate(results), expected, rtol=1e-3, atol=1e-3)
