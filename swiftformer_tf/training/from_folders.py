"""Training in one call: from folders of photographs to a model in the run's folder."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras

from swiftformer_tf.checkpoints.pretrained import bundled_path
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import ConfigError, require_packages
from swiftformer_tf.evaluation import labeled_for
from swiftformer_tf.files import identity
from swiftformer_tf.images.annotations import ProblemType
from swiftformer_tf.images.masks import MaskFolder
from swiftformer_tf.images.transform import Transform
from swiftformer_tf.loading import open_model
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel
from swiftformer_tf.native_logs import native_stdout_silenced
from swiftformer_tf.segmentation import HEAD_LAYERS, SwiftFormerForSemanticSegmentation, whole_photograph
from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS, SegmentationHead
from swiftformer_tf.tasks.classification import WITHOUT_TEACHER, require_single_label
from swiftformer_tf.training.memory import keep_freed_memory
from swiftformer_tf.training.models import adapted_model, freeze, frozen_parts, new_heads, new_model
from swiftformer_tf.training.photographs import training_photographs
from swiftformer_tf.training.plan import TrainingPlan, count_labels, telling
from swiftformer_tf.training.processes import distribute
from swiftformer_tf.training.recipes import TRAINING_RECIPES, TrainingRecipe, training_recipe
from swiftformer_tf.training.running import train_classifier
from swiftformer_tf.training.segmentation import segmenter_on, train_segmenter
from swiftformer_tf.training.segmentation_recipes import SEGMENTATION_RECIPES, SegmentationRecipe
from swiftformer_tf.training.teachers import Teacher

__all__ = ["TRAINING_TASKS", "train"]

TrainingTask = Literal["classification", "semantic-segmentation"]

# Default of a new model.
VARIANT, HEAD = "xs", "semantic_fpn_64"

History = list[dict[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Options:
    """The arguments of `train` that tasks use."""

    folder: Path
    output: Path
    validation: str | Path | None
    variant: str | None
    source: str | Path | None
    recipe: Any
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    image_size: int | tuple[int, int] | None
    crop: float | None
    problem_type: ProblemType | None
    teacher: str | Path | None
    head: str | SegmentationHead | None
    frozen: int
    dtype: str
    seed: int
    token_weights: TokenWeights | None
    weights: str | None
    num_processes: int
    process_id: int
    coordinator_address: str | None
    callbacks: Sequence[keras.callbacks.Callback]
    tell: Callable[[TrainingPlan], None]

    def told(self, plan: TrainingPlan) -> list[keras.callbacks.Callback]:
        """All callbacks, beginning with the one that reports the plan."""
        return [telling(plan, self.tell), *self.callbacks]

    @property
    def starting_point(self) -> str:
        """The origin of the weights, for `run.json`."""
        return identity(bundled_path(self.source)) if self.source else "random"

    def sized(self, transform: Transform, size: int | tuple[int, int]) -> dict[str, Any]:
        """Configuration fields for images of this size."""
        sides = size if isinstance(size, tuple) else (size, size)
        return {"image_size": size, "transform": transform.replace(size=sides)}

    def changed(self, recipe: Any) -> Any:
        """The recipe, with the settings that were passed as arguments."""
        recipe = recipe.with_batch_size(self.batch_size) if self.batch_size else recipe
        recipe = recipe.with_epochs(self.epochs) if self.epochs else recipe
        return recipe.replace(learning_rate=self.learning_rate) if self.learning_rate else recipe


def train(
    folder: str | Path,
    output: str | Path,
    *,
    task: TrainingTask = "classification",
    validation: str | Path | None = None,
    variant: str | None = None,
    source: str | Path | None = None,
    recipe: str | Path | TrainingRecipe | SegmentationRecipe = "short",
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    image_size: int | tuple[int, int] | None = None,
    crop: float | None = None,
    problem_type: ProblemType | None = None,
    teacher: str | Path | None = None,
    head: str | SegmentationHead | None = None,
    frozen: int = 0,
    dtype: str = "float32",
    seed: int = 0,
    tensorboard: bool = False,
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    num_processes: int = 1,
    process_id: int = 0,
    coordinator_address: str | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    tell: Callable[[TrainingPlan], None] = lambda _: None,
) -> History:
    """Trains or fine-tunes a model on a folder of photographs, as `swiftformer-tf train` does.

    If interrupted, the same call resumes after the last completed epoch. It calls `train_classifier` or
    `train_segmenter`, which you can call directly with a model or photographs that you created yourself.

    Args:
        folder: For classification, a folder with a subfolder of photographs per class, or with a `metadata.csv`, see
            `training_photographs`; for segmentation, a folder of photographs and masks, see `MaskFolder.open`.
        output: Folder of the run, see `RunFolder`; its `model.keras` is the model of the best epoch.
        task: The task to train for, `"classification"` or `"semantic-segmentation"`.
        validation: Photographs to evaluate on after each epoch, in a folder like `folder`.
        variant: The variant of a new model; default is `"xs"`.
        source: A `.keras` model or checkpoint to start from, instead of a new model.
        recipe: A recipe; a name in `TRAINING_RECIPES` or, for segmentation, in `SEGMENTATION_RECIPES`; or the path of a
            JSON file with the fields of a recipe, or of the `run.json` of another run.
        epochs: Number of epochs, instead of the recipe's; the warm-up is shortened to fit.
        batch_size: Batch size, instead of the recipe's; the recipe's learning rates are scaled in proportion.
        learning_rate: Learning rate, instead of the recipe's.
        image_size: Size in pixels, or (height, width). Default: the size of `source`, or 224; for segmentation, the
            size of the first photograph.
        crop: For a classifier, the share of the resized image that the center crop keeps in evaluation. Default: that
            of the model's transform.
        problem_type: The problem type of a classifier, see `training_photographs`.
        teacher: Path of a classifier to distill from, see `Teacher.open`.
        head: The head of a segmenter, or its name in `SEGMENTATION_HEADS`. Default: that of a segmenter in
            `source`, or `"semantic_fpn_64"`.
        frozen: Number of stages to freeze, see `freeze`.
        dtype: Keras dtype or dtype policy, such as `"mixed_bfloat16"`.
        seed: Seed of everything random.
        tensorboard: Whether to write logs for TensorBoard into `output` as well.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        num_processes: Number of processes that take part, see `distribute`; for classifiers only.
        process_id: Index of this process.
        coordinator_address: Address at which process 0 can be reached.
        callbacks: Additional callbacks for `fit`.
        tell: Function called before the first step with the `TrainingPlan` that follows from the arguments.

    Returns:
        The metrics, one row per epoch, including epochs before an interruption; `best_epoch` finds the best one.

    Raises:
        ConfigError: Arguments contradict each other or belong to a different task; or see `train_classifier`.
        CheckpointError: See `Checkpoint.open` and `train_classifier`.
        ImageError: There are too few photographs, or some cannot be read.
        ModelError: See `open_model` and `Teacher.open`.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> recipe = TrainingRecipe(epochs=1, warmup_epochs=0, batch_size=2)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for label in ("cat", "dog"):
        ...         Path(name, "photos", label).mkdir(parents=True)
        ...         Image.new("RGB", (40, 40)).save(Path(name, "photos", label, "1.png"))
        ...     run = Path(name, "run")
        ...     history = train(Path(name, "photos"), run, variant="tiny", recipe=recipe, image_size=32)
        ...     len(history), SwiftFormerForImageClassification.from_pretrained(run / "model.keras").config.labels
        (1, ('cat', 'dog'))
    """
    options = _Options(
        folder=Path(folder),
        output=Path(output),
        validation=validation,
        variant=variant,
        source=source,
        recipe=recipe,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        image_size=image_size,
        crop=crop,
        problem_type=problem_type,
        teacher=teacher,
        head=head,
        frozen=frozen,
        dtype=dtype,
        seed=seed,
        token_weights=token_weights,
        weights=weights,
        num_processes=num_processes,
        process_id=process_id,
        coordinator_address=coordinator_address,
        callbacks=[*callbacks, *_tensorboard(Path(output), wanted=tensorboard, process_id=process_id)],
        tell=tell,
    )
    _check(task, options)
    with native_stdout_silenced() if num_processes > 1 else contextlib.nullcontext():
        keep_freed_memory()
        distribute(num_processes, process_id, coordinator_address)
        return TRAINING_TASKS[task].run(options)


def _check(task: str, options: _Options) -> None:
    """Checks that the arguments are compatible."""
    if task not in TRAINING_TASKS:
        raise ConfigError(f"task={task!r}: expected one of {', '.join(TRAINING_TASKS)}")
    for name, default in TRAINING_TASKS[task].unused.items():
        if getattr(options, name) != default:
            raise ConfigError(f"{name} does not apply to task {task}; leave it out")
    if options.variant and options.source:
        raise ConfigError(
            f"variant {options.variant} is for a new model, but {options.source} has its own; give only one of them"
        )
    if options.process_id >= options.num_processes or (options.coordinator_address and options.num_processes == 1):
        raise ConfigError("process_id and coordinator_address need num_processes of 2 or more")


def _tensorboard(output: Path, *, wanted: bool, process_id: int) -> list[keras.callbacks.Callback]:
    if not wanted:
        return []
    require_packages("TensorBoard", "tensorboard")
    return [keras.callbacks.TensorBoard(output / "tensorboard")] if process_id == 0 else []


def _classifier(options: _Options) -> History:
    start = (
        SwiftFormerForImageClassification.from_pretrained(
            options.source, token_weights=options.token_weights, weights=options.weights
        )
        if options.source
        else None
    )
    config = start.config if start else SwiftFormerConfig.from_variant(options.variant or VARIANT)
    config.transform.check_photographs()
    images, config = training_photographs(options.folder, config, problem_type=options.problem_type)
    if options.teacher:
        require_single_label(config, "distillation", WITHOUT_TEACHER)
    transform = config.transform.replace(crop=options.crop) if options.crop else config.transform
    config = config.replace(
        **options.sized(transform, options.image_size or config.image_size),
        distillation=config.distillation or options.teacher is not None,
    )
    recipe = options.changed(_classifier_recipe(options.recipe, config.variant or options.variant or VARIANT))
    if start:
        config = config.replace(drop_path_rate=recipe.drop_path_rate)
        model = adapted_model(start, config, seed=options.seed, dtype=options.dtype)
    else:
        model = new_model(config, recipe, seed=options.seed, dtype=options.dtype)
    freeze(model, options.frozen)
    validation = labeled_for(config, options.validation) if options.validation else None
    plan = TrainingPlan(
        labels=config.labels,
        counts=count_labels(images),
        images=len(images),
        validation=len(validation.paths) if validation else 0,
        image_size=config.input_size,
        source=str(options.source) if options.source else None,
        new=new_heads(start, config) if start else (),
        frozen=frozen_parts(options.frozen),
    )
    return train_classifier(
        model,
        images,
        recipe,
        options.output,
        validation=validation,
        teacher=Teacher.open(options.teacher) if options.teacher else None,
        seed=options.seed,
        source=options.starting_point,
        callbacks=options.told(plan),
    )


def _classifier_recipe(recipe: str | Path | TrainingRecipe, variant: str) -> TrainingRecipe:
    if isinstance(recipe, TrainingRecipe):
        return recipe
    return training_recipe(str(recipe), variant) if recipe in TRAINING_RECIPES else TrainingRecipe.open(recipe)


def _segmenter(options: _Options) -> History:
    recipe = options.changed(_segmenter_recipe(options.recipe))
    wanted = _head(options.head) if options.head else None
    images = MaskFolder.open(options.folder)
    backbone = (
        open_model(options.source, token_weights=options.token_weights, weights=options.weights)
        if options.source
        else SwiftFormerModel(SwiftFormerConfig.from_variant(options.variant or VARIANT))
    )
    # The training data resizes bilinearly, whatever the classifier saw.
    transform = whole_photograph(backbone.config.transform).replace(interpolation="bilinear")
    size = options.image_size or images.read(0)[0].size[::-1]
    config = backbone.config.replace(
        **options.sized(transform, size),
        id2label=dict(enumerate(images.classes.labels)),
        label_colors=images.classes.label_colors,
        drop_path_rate=recipe.drop_path_rate,
    )
    trained = backbone.head if isinstance(backbone, SwiftFormerForSemanticSegmentation) else SEGMENTATION_HEADS[HEAD]
    model, new = segmenter_on(backbone, config, wanted or trained, seed=options.seed, dtype=options.dtype)
    freeze(model, options.frozen)
    validation = MaskFolder.open(options.validation) if options.validation else None
    plan = TrainingPlan(
        labels=config.labels,
        counts=None,
        images=len(images),
        validation=len(validation) if validation else 0,
        image_size=config.input_size,
        source=str(options.source) if options.source else None,
        new=tuple(part.rstrip("-") for part in HEAD_LAYERS if any(path.startswith(part) for path in new)),
        frozen=frozen_parts(options.frozen),
    )
    return train_segmenter(
        model,
        images,
        recipe,
        options.output,
        validation=validation,
        seed=options.seed,
        source=options.starting_point,
        callbacks=options.told(plan),
    )


def _segmenter_recipe(recipe: str | Path | SegmentationRecipe) -> SegmentationRecipe:
    if isinstance(recipe, SegmentationRecipe):
        return recipe
    return SEGMENTATION_RECIPES[str(recipe)] if recipe in SEGMENTATION_RECIPES else SegmentationRecipe.open(recipe)


def _head(head: str | SegmentationHead) -> SegmentationHead:
    if isinstance(head, SegmentationHead):
        return head
    if head not in SEGMENTATION_HEADS:
        raise ConfigError(f"head {head}: expected one of {', '.join(SEGMENTATION_HEADS)}")
    return SEGMENTATION_HEADS[head]


@dataclasses.dataclass(frozen=True)
class _Task:
    """How to train for a task.

    Args:
        run: Function that trains.
        unused: Arguments that the task does not use, with their defaults.
    """

    run: Callable[[_Options], History]
    unused: Mapping[str, Any]


TRAINING_TASKS: dict[str, _Task] = {
    "classification": _Task(_classifier, unused={"head": None}),
    "semantic-segmentation": _Task(
        _segmenter,
        unused={
            "teacher": None,
            "crop": None,
            "problem_type": None,
            "num_processes": 1,
            "process_id": 0,
            "coordinator_address": None,
        },
    ),
}
"""The tasks that can be trained, by their keys in `TASKS`."""
