"""Predictions for photographs, by models in any kind of file."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import ImageError, ModelError, number_of, prefix_path
from swiftformer_tf.files import filling
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.images.colors import Color
from swiftformer_tf.images.folders import photographs_in
from swiftformer_tf.images.masks import CLASSES, class_list
from swiftformer_tf.images.overlays import mask_picture, overlay
from swiftformer_tf.images.transform import open_image
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.loading import Answering, Opened, open_any
from swiftformer_tf.porting import port
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.tasks.classification import activate, activation
from swiftformer_tf.tasks.semantic_segmentation import answers_at
from swiftformer_tf.tasks.task import Activation

__all__ = [
    "PREDICT",
    "Prediction",
    "Predictor",
    "activated",
    "check_pooled",
    "ported",
    "predict_photographs",
    "predictor",
    "probabilities",
    "task_of",
]

# Normalized images (N, height, width, channels) to outputs (N, num_labels), both float32; of a segmenter to logits or
# probabilities (N, h, w, num_labels), or to masks, uint8 (N, h, w).
Predictor = Callable[[np.ndarray], np.ndarray]


def predictor(opened: Opened, *, num_threads: int = 1) -> tuple[Predictor, SwiftFormerConfig]:
    """Returns a function from normalized images to outputs, and its configuration.

    Args:
        opened: A model from `open_any` or `fuse`.
        num_threads: Number of threads of LiteRT's interpreter; Keras uses all available threads.

    Raises:
        ModelError: LiteRT cannot load the model.
    """
    model = ported(opened)
    if isinstance(model, LiteModel):
        return _bound_predictor(model, LiteRunner(model, num_threads=num_threads)), model.config
    if isinstance(model, DeployModel):
        return _bound_predictor(model, _deploy_runner(model)), model.config
    task_of(model)
    return model.predict_on_batch, model.config


def ported(opened: Opened) -> Answering:
    """Ports a checkpoint to a Keras model, a classifier or a segmenter; returns anything else unchanged."""
    return port(opened).model if isinstance(opened, Checkpoint) else opened


def activated(opened: Opened) -> Activation | None:
    """The activation that a model applies to its logits itself; None if it returns logits or numbers."""
    return opened.main_output.activation if isinstance(opened, (LiteModel, DeployModel)) else None


def task_of(opened: Answering) -> str:
    """Returns the task of a model: a key of `tasks.TASKS`.

    Raises:
        ModelError: The model has a custom head, whose task is unknown.
    """
    if isinstance(opened, (LiteModel, DeployModel)):
        return opened.main_output.task
    if not hasattr(opened, "task"):
        raise ModelError(
            f"{opened.name} has a custom head, so the meaning of its outputs is unknown; export it with "
            "`tasks` for its outputs, or call its predict in Python"
        )
    return str(opened.task)


def check_pooled(opened: Answering) -> None:
    """Rejects a model that returns maps of features instead of a vector for each photograph.

    Raises:
        ModelError: It does; the message contains the shape.
    """
    has_outputs = isinstance(opened, (LiteModel, DeployModel))
    shapes = [opened.main_output.shape] if has_outputs else [each.shape for each in opened.outputs]
    if len(shapes) > 1 or len(shapes[0]) != 2:
        raise ModelError(
            f"features of shape {' and '.join(map(str, shapes))}: expected (batch, n), a vector for each photograph; "
            "pool maps, as a classifier without labels does"
        )


def probabilities(outputs: np.ndarray, opened: Opened) -> np.ndarray:
    """Converts outputs of `opened` to probabilities or, for regression, numbers, (N, num_labels)."""
    if activated(opened):
        return outputs
    return np.asarray(activate(outputs, activation(opened.config)))


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The prediction of a model for a photograph.

    Args:
        result: The prediction as plain JSON types.
        lines: The prediction as human-readable lines.
    """

    result: dict[str, Any]
    lines: tuple[str, ...]


def predict_photographs(
    model: "Opened | str | Path",
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    output: str | Path | None = None,
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    progress: Progress = silent,
) -> list[Prediction]:
    """Runs a model on photographs, as `swiftformer-tf predict` does: for labels, vectors of features, or masks.

    Args:
        model: A model from `open_any`, or its path or name.
        paths: Photographs, or folders of photographs, see `photographs_in`. All are opened before anything is written.
        top: Maximum number of labels or classes to return; of vectors, so many numbers are in the lines for people.
        output: Folder for the images that a segmenter writes for each photograph: `NAME_mask.png`, a palette image with
            the class of each pixel at the photograph's own size, and `NAME_overlay.png`; and `classes.csv`, which names
            the indices of the masks: those of the labels, of which void is none. None writes nothing.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for each step, see `Progress`.

    Raises:
        ModelError: The model cannot be used, or returns maps of features.
        CheckpointError: See `Checkpoint.open`.
        ConfigError: The transform of a segmenter crops.
        ImageError: A photograph cannot be opened, two photographs have the same name, or an output folder was given for
            a model without masks.

    Examples:
        >>> predict_photographs("swiftformer_xs_imagenette", [])
        []
    """
    files = [file for path in map(Path, paths) for file in (photographs_in(path) if path.is_dir() else [path])]
    for file in files:
        if not file.exists():
            raise ImageError(f"{file}: no such file")
    opened = ported(
        open_any(model, token_weights=token_weights, weights=weights) if isinstance(model, (str, Path)) else model
    )
    run, config = predictor(opened)
    task = task_of(opened)
    config.transform.check_photographs()
    with progress("photographs", len(files)) as count:
        answers = _answers(run, config, files, count)
        with prefix_path(Path(model) if isinstance(model, (str, Path)) else None):
            return PREDICT[task](opened, files, answers, top, None if output is None else Path(output))


def _answers(
    run: Predictor, config: SwiftFormerConfig, paths: Sequence[Path], count: Callable[[int], None]
) -> Iterator[np.ndarray]:
    for seen, path in enumerate(paths, start=1):
        yield run(config.transform(path)[None])
        count(seen)


def _labels(
    opened: Answering, paths: Sequence[Path], answers: Iterable[np.ndarray], top: int, output: Path | None
) -> list[Prediction]:
    _check_no_masks(output, "a classifier")
    config, predictions = opened.config, []
    for path, outputs in zip(paths, answers, strict=True):
        scores = probabilities(outputs, opened)[0]
        best = np.argsort(-scores, kind="stable")[:top]
        labels = [{"label": config.labels[index], "index": int(index), "score": float(scores[index])} for index in best]
        form = "7.2%" if activation(config) else "9.4g"
        lines = [f"  {scores[index]:{form}}  {config.labels[index]}" for index in best]
        predictions.append(Prediction({"image": str(path), "labels": labels}, (str(path), *lines)))
    return predictions


def _vectors(
    opened: Answering, paths: Sequence[Path], answers: Iterable[np.ndarray], top: int, output: Path | None
) -> list[Prediction]:
    _check_no_masks(output, "a model of features")
    check_pooled(opened)
    predictions = []
    for path, outputs in zip(paths, answers, strict=True):
        if not np.isfinite(outputs).all():
            raise ModelError(f"{path}: the model's outputs for it are not finite")
        (vector,) = outputs
        shown = " ".join(f"{each:.4g}" for each in vector[:top]) + (" ..." if len(vector) > top else "")
        line = f"  {number_of(len(vector), 'number')}: {shown}"
        predictions.append(Prediction({"image": str(path), "features": vector.tolist()}, (str(path), line)))
    return predictions


def _check_no_masks(output: Path | None, model: str) -> None:
    if output is not None:
        raise ImageError(f"{output}: {model} draws no masks; leave out the output folder")


def _masks(
    opened: Answering, paths: Sequence[Path], answers: Iterable[np.ndarray], top: int, output: Path | None
) -> list[Prediction]:
    opened.config.transform.check_whole()
    names = [path.stem for path in paths]
    if output is not None and (twice := next((name for name in names if names.count(name) > 1), None)):
        raise ImageError(
            f"{twice}: two photographs have this name, and their masks would be the same file; give one at a time"
        )
    for path in paths if output is not None else ():
        open_image(path)  # one that cannot be read stops everything before anything is written
    labels = opened.config.labels
    colors, predictions = opened.config.colors, []
    for path, outputs in zip(paths, answers, strict=True):
        photograph = open_image(path)
        with prefix_path(path):
            mask = answers_at(outputs, photograph.size[::-1], len(labels)).astype(np.uint8)
        shares = np.bincount(mask.ravel(), minlength=len(labels)) / mask.size
        best = [index for index in np.argsort(-shares, kind="stable")[:top] if shares[index]]
        result: dict[str, Any] = {
            "image": str(path),
            "classes": [{"label": labels[index], "index": int(index), "share": float(shares[index])} for index in best],
        }
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            with filling(output) as beside:
                mask_picture(mask, colors).save(beside / f"{path.stem}_mask.png")
                overlay(photograph, mask, colors).save(beside / f"{path.stem}_overlay.png")
                (beside / CLASSES).write_text(class_list(labels, colors), "utf-8")
            result |= {kind: str(output / f"{path.stem}_{kind}.png") for kind in ("mask", "overlay")}
        lines = [f"  {shares[index]:7.2%}  {labels[index]}  #{_hex(colors[index])}" for index in best]
        predictions.append(Prediction(result, (str(path), *lines)))
    return predictions


def _hex(color: Color) -> str:
    return "".join(f"{each:02x}" for each in color)


# How outputs become predictions, by task.
PREDICT = {"classification": _labels, "features": _vectors, "semantic-segmentation": _masks}


def _deploy_runner(deploy: DeployModel) -> Predictor:
    """Runs a deploy graph on one image and returns its main output without the batch axis, like `LiteRunner`."""
    at = deploy.named_outputs.index(deploy.main_output)

    def run(images: np.ndarray) -> np.ndarray:
        if images.shape != deploy.input.shape:
            raise ModelError(f"an input of shape {images.shape}: the model takes {deploy.input.shape}")
        outputs = deploy.predict_on_batch(images)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return np.asarray(outputs[at][0])

    return run


def _bound_predictor(model: LiteModel | DeployModel, run: Predictor) -> Predictor:
    """Predicts with a graph for single images, whose input may be pixels from 0 to 255."""

    def predict(images: np.ndarray) -> np.ndarray:
        given = model.config.transform.denormalize(images) if model.include_preprocessing else images
        return np.stack([run(image[None]) for image in given])

    return predict
