"""Runs a training from start to end, in a folder from which it resumes after an interruption."""

import functools
import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, number_of
from swiftformer_tf.evaluation import evaluate_classifier
from swiftformer_tf.files import read_text, replacing
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder, check_images
from swiftformer_tf.images.labels import LabeledImages
from swiftformer_tf.images.metadata import METADATA
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.tasks.classification import WITHOUT_TEACHER, problem_type, require_single_label
from swiftformer_tf.training.callbacks import AveragedWeights, FiniteLoss, Measured, RunFolder, Validation
from swiftformer_tf.training.dataset import Batches
from swiftformer_tf.training.models import start_from_mean
from swiftformer_tf.training.objectives import OBJECTIVES, spreads
from swiftformer_tf.training.optimization import compile_for
from swiftformer_tf.training.processes import check_same_settings, is_first_process
from swiftformer_tf.training.recipes import TrainingRecipe
from swiftformer_tf.training.teachers import Teacher, TeacherLogits

__all__ = ["create_variables", "fingerprint", "fit_in_folder", "train_classifier"]


def train_classifier(
    model: SwiftFormerForImageClassification,
    folder: ImageFolder | AnnotatedImages,
    recipe: TrainingRecipe,
    output: str | Path,
    *,
    validation: LabeledImages | AnnotatedImages | None = None,
    teacher: Teacher | None = None,
    seed: int = 0,
    source: str = "random",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[dict[str, float]]:
    """Trains a classifier, or resumes an interrupted training.

    The same call with the same folder resumes after the last epoch stored in it, with the same result as without the
    interruption.

    After `distribute`, it runs on all devices of all processes: each process calls it with the same arguments and reads
    the same photographs and the same folder, to which only process 0 writes. Machines without a shared file system need
    a copy of `state.safetensors` to resume.

    Args:
        model: A model from `new_model` or `adapted_model`, possibly after `freeze`; training starts from its weights
            and changes them.
        folder: The photographs, with as many classes as the model has labels. The targets of `AnnotatedImages` are
            learned according to the model's `problem_type`: several labels with binary cross-entropy, numbers with the
            absolute error in units of their standard deviations; a new head, whose bias is all zeros, then starts from
            their mean.
        recipe: The training recipe.
        output: Folder of the run, see `RunFolder`; its `run.json` says how to repeat the run.
        validation: Photographs for `val_accuracy`, `val_mean_average_precision` or `val_mean_absolute_error`, by which
            the best epoch is chosen.
        teacher: Teacher for distillation.
        seed: Seed for order, crops and augmentation.
        source: Origin of the model's weights, for `run.json`.
        callbacks: Additional callbacks for `fit`.

    Returns:
        The metrics, one row per epoch, including epochs before an interruption.

    Raises:
        ConfigError: The folder contains a run with different settings, the classes differ from the model's, or the loss
            is no longer finite.
        CheckpointError: The state in the folder cannot be read.
        ImageError: There are too few photographs, or some cannot be read.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> from swiftformer_tf.images.folders import ImageFolder
        >>> from swiftformer_tf.training import new_model
        >>> config = SwiftFormerConfig(
        ...     depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32, id2label={0: "cat", 1: "dog"}
        ... )
        >>> recipe = TrainingRecipe(epochs=1, warmup_epochs=0, batch_size=2)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for label in config.labels:
        ...         Path(name, "photos", label).mkdir(parents=True)
        ...         Image.new("RGB", (40, 40)).save(Path(name, "photos", label, "1.png"))
        ...     photographs = ImageFolder.open(Path(name, "photos"))
        ...     history = train_classifier(new_model(config, recipe), photographs, recipe, Path(name, "run"))
        ...     history[-1]["epoch"], Path(name, "run", "model.keras").is_file()
        (1, True)
    """
    if len(folder.class_names) != model.config.num_labels:
        raise ConfigError(
            f"{number_of(len(folder.class_names), 'class')} in the folder, "
            f"{number_of(model.config.num_labels, 'label')} in the model"
        )
    if teacher and not model.config.distillation:
        raise ConfigError(
            "distillation=False: a teacher needs a model with head_dist; set distillation=True in its configuration"
        )
    _check_answers(folder, model.config)
    if teacher:
        require_single_label(model.config, "distillation", WITHOUT_TEACHER)
    output = Path(output)
    # The other processes keep their share of the answers in memory.
    kept = output / "teacher" if is_first_process() else None
    answers = TeacherLogits(teacher, model.config.labels, len(folder), kept) if teacher else None
    batches = Batches(folder, recipe, model.config, seed, answers)
    check_images([*folder.paths, *(validation.paths if validation else ())])
    settings = {
        "source": source,
        "config": model.config.to_dict(),
        "dtype": model.dtype_policy.name,
        "frozen": [layer.name for layer in model.layers if not layer.trainable],
        "recipe": recipe.to_dict(),
        "seed": seed,
        "teacher": teacher.name if teacher else None,
        "photographs": fingerprint(folder.paths, folder.targets),
        "validation": fingerprint(validation.paths, validation.targets) if validation else None,
    }
    units = spreads(folder)
    if isinstance(folder, AnnotatedImages) and OBJECTIVES[problem_type(model.config)].numbers:
        start_from_mean(model, folder.targets)
    teacher_labels = answers.num_labels if answers else 0
    student = compile_for(recipe, model, batches.steps, teacher_labels=teacher_labels, units=units)
    averages = AveragedWeights(model, recipe.ema)
    validating = Validation(averages, functools.partial(_measured, images=validation)) if validation else None
    return fit_in_folder(student, averages, batches, recipe, output, settings, validating, callbacks)


def _measured(model: keras.Model, images: LabeledImages | AnnotatedImages) -> Measured:
    return evaluate_classifier(model.predict_on_batch, model.config, images)


def _check_answers(folder: ImageFolder | AnnotatedImages, config: SwiftFormerConfig) -> None:
    """Checks that a folder contains the targets for the model's problem type."""
    kind = problem_type(config)
    said = config.problem_type or "single_label_classification"  # one label alone is no word for another kind
    if isinstance(folder, ImageFolder) and said == "single_label_classification" and len(folder.class_names) < 2:
        raise ConfigError(f"{len(folder.class_names)} class in the folder: expected two or more, one subfolder each")
    if kind != "single_label_classification":
        if not isinstance(folder, AnnotatedImages):
            raise ConfigError(f"problem_type={kind!r}: folders give one label per photograph; expected {METADATA}")
        return
    if isinstance(folder, AnnotatedImages):
        raise ConfigError(f"problem_type={kind!r}: expected one correct label for each photograph")


def fit_in_folder(
    student: keras.Model,
    averages: AveragedWeights,
    batches: Any,
    recipe: Any,
    output: Path,
    settings: dict[str, Any],
    validating: Validation | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[dict[str, float]]:
    """Fits a compiled model, or resumes doing so, in a run's folder; returns the metrics, one row per epoch.

    Args:
        student: The compiled model.
        averages: The averaged weights of the model that is saved.
        batches: An object with `steps`, `dataset(first_epoch)` and `failure`, such as `Batches`.
        recipe: A recipe with `epochs` and `learning_rate`.
        output: Folder of the run.
        settings: The content of `run.json`; a folder with different settings is rejected.
        validating: Callback that adds to an epoch's metrics before they are saved.
        callbacks: Additional callbacks.

    Raises:
        ConfigError: The folder contains a run with different settings, or the loss is no longer finite.
        CheckpointError: The state in the folder cannot be read.
        SwiftFormerError: A batch could not be created; the message says why.
    """
    import tensorflow as tf

    if is_first_process():
        _claim(output, settings)
    run = RunFolder(output, averages, validating)
    first = run.restore(student)
    check_same_settings({**settings, "epoch in its folder": first})
    if first < recipe.epochs:
        dataset = batches.dataset(first)
        if keras.backend.backend() == "tensorflow":
            create_variables(student, dataset.element_spec)
        try:
            # Keras's own: ours would read a batch to look at it, and these are normalized.
            keras.Model.fit(
                student,
                dataset,
                initial_epoch=first,
                epochs=recipe.epochs,
                steps_per_epoch=batches.steps,
                shuffle=False,
                verbose=0,
                callbacks=[FiniteLoss(recipe.learning_rate), averages, *filter(None, [validating]), run, *callbacks],
            )
        except tf.errors.OpError:
            if batches.failure is None:
                raise
            raise batches.failure from None
    return run.history


def create_variables(student: keras.Model, batch: Any) -> None:
    """Creates the variables of the optimizer, the loss and the metrics, which Keras would create in the first step.

    TensorFlow traces a step that creates variables a second time, without them, which takes as long as the first.

    Args:
        student: The compiled model.
        batch: The specification of a batch, (images, targets).

    Examples:
        >>> import tensorflow as tf
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig.from_variant("tiny", image_size=32, id2label={0: "cat", 1: "dog"})
        >>> model = SwiftFormerForImageClassification(config)
        >>> model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        >>> len(model.optimizer.variables)
        2
        >>> create_variables(model, (tf.TensorSpec((8, 32, 32, 3)), tf.TensorSpec((8, 2))))
        >>> len(model.optimizer.variables) == 2 + 2 * len(model.trainable_variables)
        True
    """
    student.optimizer.build(student.trainable_variables)
    _, targets = batch
    size = tree.flatten(targets)[0].shape[0]

    def zeros(each: Any) -> Any:
        # One for a side that differs from batch to batch.
        return ops.zeros((size, *(side or 1 for side in each.shape[1:])), each.dtype)

    targets, answers = tree.map_structure(zeros, targets), tree.map_structure(zeros, student.output)
    student.compute_loss(y=targets, y_pred=answers)
    student.compute_metrics(None, targets, answers)
    student.reset_metrics()


def _claim(output: Path, settings: dict[str, Any]) -> None:
    """Writes `run.json` to a new folder, or compares it with the one in an existing folder.

    A run that ended in its first epoch left nothing to resume from, so its folder can be used for a different run.
    """
    path = output / "run.json"
    if path.is_file():
        try:
            before = json.loads(read_text(path))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); train into another folder") from None
        other = next((name for name, value in settings.items() if before.get(name) != value), None)
        if other is None:
            return
        if any((output / name).exists() for name in ("model.keras", "state.safetensors")):
            field, was, now = _difference(other, before.get(other), settings[other])
            raise ConfigError(f"{path}: this run has {field} {was}, not {now}; train into another folder")
        # Answers to the crops of that run, which would be taken for those of this one.
        shutil.rmtree(output / "teacher", ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    backend = keras.backend.backend()
    packages = dict.fromkeys(("swiftformer_tf", "keras", "tensorflow", backend, "numpy", "pillow"))
    record = {
        "command": sys.argv,
        "settings": settings,
        "environment": {
            "python": platform.python_version(),
            "backend": backend,
            **{package: metadata.version(package) for package in packages},
        },
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def _difference(name: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Returns the path to the first field that differs, and its two values."""
    if isinstance(before, dict) and isinstance(now, dict):
        field = next(field for field in {**before, **now} if before.get(field) != now.get(field))
        return _difference(f"{name} {field}", before.get(field), now.get(field))
    return name, before, now


def fingerprint(paths: Sequence[Path], labels: Sequence[Any] | np.ndarray) -> dict[str, Any]:
    """Returns the number of photographs and a digest of their names and labels, wherever the folder is."""
    plain = np.asarray(labels).tolist()
    names = "".join(f"{p.parent.name}/{p.name}\t{label}\n" for p, label in zip(paths, plain, strict=True))
    return {"count": len(paths), "sha256": hashlib.sha256(names.encode()).hexdigest()}
