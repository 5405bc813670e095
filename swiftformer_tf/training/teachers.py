"""Teachers for distillation: anything that turns pixels into logits, with a cache of its outputs."""

import dataclasses
import io
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from swiftformer_tf.checkpoints.pretrained import bundled_path, file_kind
from swiftformer_tf.errors import ModelError, SwiftFormerError, one_line, prefix_path
from swiftformer_tf.files import identity, read_text, replacing
from swiftformer_tf.images.labels import match_classes, read_labels
from swiftformer_tf.images.transform import Transform
from swiftformer_tf.litert.subprocess_interpreter import SubprocessInterpreter
from swiftformer_tf.loading import open_any
from swiftformer_tf.predicting import activated, ported, predictor, task_of
from swiftformer_tf.tasks import TASKS
from swiftformer_tf.training.processes import undistributed

__all__ = ["Teacher", "TeacherLogits"]


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A classifier from which a student learns, run on crops of the training photographs.

    Args:
        predict: Function from normalized float32 images (B, height, width, 3) of the transform's size to logits (B,
            num_labels): a Keras model's `predict_on_batch`, or any other callable.
        transform: The transform, for its size and normalization; crops are made by the training.
        labels: Class names in the order of the logits.
        name: Name of the model, for the record.

    Examples:
        >>> blind = Teacher(lambda images: np.zeros((len(images), 2)), Transform(size=(32, 32)), ("cat", "dog"))
        >>> blind.predict(np.zeros((1, 32, 32, 3))).shape
        (1, 2)
    """

    predict: Callable[[np.ndarray], np.ndarray]
    transform: Transform
    labels: tuple[str, ...]
    name: str = "teacher"

    @classmethod
    def from_torch(cls, module: Any, transform: Transform, labels: Sequence[str], name: str = "teacher") -> Self:
        """Creates a teacher from a `torch.nn.Module` in evaluation mode, channels first."""
        import torch

        def predict(images: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                answers = module(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
            return np.asarray(answers.numpy())

        return cls(predict, transform, tuple(labels), name)

    @classmethod
    def _from_tflite(cls, path: str | Path, transform: Transform, labels: Sequence[str]) -> Self:
        """Creates a teacher from a float TFLite classifier with a batch size of one, run in a subprocess.

        Raises:
            ModelError: LiteRT cannot load the file or crashes on it, or its input is of a different kind.
        """
        path = Path(path)
        try:
            with prefix_path(path):
                interpreter = SubprocessInterpreter(path.read_bytes())
        except (RuntimeError, OSError) as error:
            raise ModelError(f"{path}: LiteRT cannot load it ({one_line(error)})") from None
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if (len(inputs), len(outputs)) != (1, 1):
            raise ModelError(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        (source,), (target,) = inputs, outputs
        shape = tuple(map(int, source["shape"]))
        if shape != (1, *transform.size, 3) or source["dtype"] != np.float32:
            raise ModelError(
                f"{path}: takes {source['dtype'].__name__} {shape}; expected float32 "
                f"{(1, *transform.size, 3)}, a batch of one of its transform's size"
            )
        lock = threading.Lock()  # batches are made in parallel, an interpreter runs one thing at a time

        def predict(images: np.ndarray) -> np.ndarray:
            answers = []
            for image in images:
                with lock, prefix_path(path):
                    interpreter.set_tensor(source["index"], image[None])
                    interpreter.invoke()
                    answers.append(interpreter.get_tensor(target["index"])[0])
            return np.stack(answers)

        return cls(predict, transform, tuple(labels), identity(path))

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Opens a SwiftFormer classifier from any file, or another `.keras` or `.tflite` classifier with a card.

        See `open_any` for the files of a SwiftFormer. The card is a JSON file of the same name next to the model, with
        `transform`, in the form of `Transform.to_dict`, and `labels`, a list of names or `"imagenet"` for the usual
        1000 classes.

        Raises:
            ModelError: The file or its card cannot be used, or the model is not a classifier.
        """
        # Each process asks about photographs of its own, when it needs to.
        with undistributed():
            return cls._open(bundled_path(path))

    @classmethod
    def _open(cls, path: Path) -> Self:
        card_path = path.with_suffix(".json")
        if not card_path.is_file():
            return cls._swiftformer(path, card_path)
        try:
            card = json.loads(read_text(card_path))
            transform, labels = Transform.from_dict(card["transform"]), card["labels"]
            if labels != "imagenet" and not (isinstance(labels, list) and all(isinstance(x, str) for x in labels)):
                raise ValueError('labels: expected a list of names, or "imagenet"')
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{card_path}: not a valid teacher card ({type(error).__name__}: {one_line(error)})"
            ) from None
        labels = tuple(labels) if isinstance(labels, list) else read_labels(labels)
        if file_kind(path) == "tflite":
            return cls._from_tflite(path, transform, labels)
        try:
            model = keras.models.load_model(path, compile=False)
        except Exception as error:  # Keras, h5py and zipfile each fail in their own ways
            raise ModelError(f"{path}: Keras cannot load it ({type(error).__name__})") from error
        return cls(model.predict_on_batch, transform, labels, identity(path))

    @classmethod
    def _swiftformer(cls, path: Path, card_path: Path) -> Self:
        try:
            opened = ported(open_any(path))
            predict, config = predictor(opened)
        except SwiftFormerError as error:
            raise type(error)(f"{error}; a teacher of another kind needs its card {card_path.name} beside it") from None
        if not TASKS[task := task_of(opened)].can_teach:
            raise ModelError(f"{path}: a model for {task} cannot teach a classifier; give a classifier as the teacher")
        if activated(opened):
            raise ModelError(
                f"{path}: answers with probabilities, expected logits; export or fuse it without "
                "`classifier_activation`, and export it without `target='mediapipe'`"
            )
        return cls(predict, config.transform, config.labels, identity(path))


class TeacherLogits:
    """A teacher's logits for the photographs of one training, cached if they can be reused.

    Args:
        teacher: The teacher.
        labels: Labels of the student.
        photographs: Number of photographs.
        folder: Folder in which the logits of recurring crops are cached, one file per view; None keeps them in memory.

    Raises:
        ImageError: A label is unknown to the teacher.

    Examples:
        >>> blind = Teacher(lambda images: np.zeros((len(images), 2)), Transform(size=(32, 32)), ("cat", "dog"))
        >>> TeacherLogits(blind, labels=["dog"], photographs=1).ask(np.zeros((1, 64, 64, 3), "float32"))
        array([[0., 0.]], dtype=float32)
    """

    def __init__(
        self, teacher: Teacher, labels: Sequence[str], photographs: int, folder: str | Path | None = None
    ) -> None:
        self.teacher, self.photographs = teacher, photographs
        self.folder = None if folder is None else Path(folder)
        self.classes = np.asarray(match_classes(labels, teacher.labels)[0])
        self.num_labels = len(teacher.labels)
        self.image_size = max(teacher.transform.size)
        self._views: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def ask(self, pixels: np.ndarray) -> np.ndarray:
        """Computes logits, float32 (B, num_labels), for pixels from 0 to 255, (B, height, width, 3), of any size.

        Raises:
            ModelError: The logits have the wrong shape or are not finite.
        """
        size = self.teacher.transform.size
        if pixels.shape[1:3] != size:
            options = {"interpolation": "bicubic", "antialias": True, "data_format": "channels_last"}
            resized = keras.ops.image.resize(pixels, size, **options)
            pixels = np.clip(keras.ops.convert_to_numpy(resized), 0, 255)
        images = self.teacher.transform.normalize(pixels)
        logits = np.asarray(self.teacher.predict(images), np.float32)
        if logits.shape != (len(pixels), self.num_labels):
            raise ModelError(
                f"{self.teacher.name}: outputs of shape {logits.shape}; expected {(len(pixels), self.num_labels)}"
            )
        if not np.isfinite(logits).all():
            raise ModelError(f"{self.teacher.name}: its logits are not finite")
        return logits

    def kept(self, view: int, indices: np.ndarray, crop: Callable[[int], np.ndarray]) -> np.ndarray:
        """Returns logits, float32 (len(indices), num_labels), for crops that are the same whenever `view` recurs.

        Args:
            view: Index of the set of crops.
            indices: Indices of the photographs.
            crop: Function that renders the crop of a row of `indices`, (image_size, image_size, 3), if its logits are
                not cached yet.
        """
        with self._lock:
            memory = self._view(view)
            unknown = np.flatnonzero(np.isnan(memory[indices]).any(axis=1))
        if len(unknown):
            answers = self.ask(np.stack([crop(int(row)) for row in unknown]))
            with self._lock:
                memory[indices[unknown]] = answers
        # Read back in any case: what is kept is rounded, and the first time must not differ from the next.
        return np.asarray(memory[indices], np.float32)

    def _view(self, view: int) -> np.ndarray:
        if view not in self._views:
            empty = np.full((self.photographs, self.num_labels), np.nan, np.float16)
            if self.folder is None:
                self._views[view] = empty
            else:
                path = self.folder / f"view{view:03d}.npy"
                if not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    content = io.BytesIO()  # written to a file, NumPy's errors do not say which
                    np.save(content, empty)
                    with replacing(path) as beside:
                        beside.write_bytes(content.getvalue())
                self._views[view] = np.lib.format.open_memmap(path, mode="r+")
        return self._views[view]
