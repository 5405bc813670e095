"""What is minimized and how: losses for labels and teachers, AdamW, the schedule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.tasks.classification import WITHOUT_TEACHER, problem_type, require_single_label
from swiftformer_tf.training.objectives import OBJECTIVES
from swiftformer_tf.training.recipes import TrainingRecipe

__all__ = [
    "ClippedAdamW",
    "adamw",
    "compile_for",
    "hard_distillation",
    "jit_compile",
    "learning_rate",
    "prepared",
    "soft_distillation",
]


def learning_rate(recipe: TrainingRecipe, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The rate by step: a linear rise, then half a cosine.

    Args:
        recipe: The rates, and the epochs.
        steps: Steps in an epoch.

    Examples:
        >>> from swiftformer_tf.training.recipes import training_recipe
        >>> rate = learning_rate(training_recipe("paper", "xs"), steps=10)
        >>> [f"{float(rate(step)):.0e}" for step in (0, 50, 3000)]
        ['1e-06', '2e-03', '1e-05']
    """
    warmup = recipe.warmup_epochs * steps
    rising = {"warmup_target": recipe.learning_rate, "warmup_steps": warmup} if warmup else {}
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=recipe.warmup_learning_rate if warmup else recipe.learning_rate,
        decay_steps=recipe.epochs * steps - warmup,
        alpha=recipe.final_learning_rate / recipe.learning_rate,
        **rising,
    )


@keras.saving.register_keras_serializable(PACKAGE)
class ClippedAdamW(keras.optimizers.AdamW):
    """AdamW with adaptive gradient clipping (Brock et al., arXiv:2102.06171), which Keras lacks.

    A unit is one output channel of a kernel, or a whole vector. Its gradient is shortened to `adaptive_clip` times
    the norm of its weights, which counts as 1e-3 at least.

    Args:
        learning_rate: A number or a schedule.
        adaptive_clip: Largest norm of a unit's gradient over the norm of its weights; None does not clip.
        rate_shares: Share of the rate that variables learn with whose path begins so, one or one for each of their
            last axis; others learn with all of it.
        **kwargs: Arguments of `keras.optimizers.AdamW`.

    Examples:
        >>> import keras
        >>> kernel = keras.Variable([[1.0]])
        >>> optimizer = ClippedAdamW(adaptive_clip=0.01)
        >>> optimizer.apply([keras.ops.convert_to_tensor([[5.0]])], [kernel])
        >>> f"{float(kernel.numpy()[0, 0]):.3f}"
        '0.999'
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        *,
        adaptive_clip: float | None = None,
        rate_shares: Mapping[str, float | Sequence[float]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.adaptive_clip, self.rate_shares = adaptive_clip, dict(rate_shares or {})

    def build(self, variables: Any) -> None:
        super().build(variables)
        shares = self.rate_shares.items()
        self._shares = [
            next((share for start, share in shares if variable.path.startswith(start)), 1.0) for variable in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.adaptive_clip is not None:
            gradient = _clipped(gradient, variable, self.adaptive_clip)
        # By number: the variable comes here as the backend has it, without its path.
        share = self._shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * np.float32(share) if share != 1 else learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "adaptive_clip": self.adaptive_clip, "rate_shares": self.rate_shares}


def _clipped(gradient: Any, variable: Any, clip: float) -> Any:
    # Kernels are (..., in, out), depthwise ones (height, width, channels, 1).
    shape = variable.shape
    unit = len(shape) - 1 if shape[-1] > 1 else len(shape) - 2
    axes = [axis for axis in range(len(shape)) if axis != unit or len(shape) < 2]
    weights, slope = (
        ops.sqrt(ops.sum(ops.square(ops.convert_to_tensor(x)), axis=axes, keepdims=True)) for x in (variable, gradient)
    )
    largest = clip * ops.maximum(weights, 1e-3)
    return gradient * ops.minimum(largest / ops.maximum(slope, 1e-6), 1)


def adamw(
    recipe: TrainingRecipe, model: keras.Model, steps: int, *, units: Sequence[float] = ()
) -> keras.optimizers.Optimizer:
    """AdamW by a recipe; biases, norms and layer scales, which are vectors, do not decay.

    In `mixed_float16` the loss is scaled, so that small gradients are not lost.

    Args:
        recipe: Rates, decay and clipping.
        model: To be trained; frozen layers must be frozen before.
        steps: Steps in an epoch.
        units: Unit of each label of a regression: its head's steps are of that size, other heads' of one.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> adamw(TrainingRecipe(weight_decay=0.05), model, steps=10).weight_decay
        0.05
    """
    optimizer = ClippedAdamW(
        learning_rate(recipe, steps),
        weight_decay=recipe.weight_decay,
        adaptive_clip=recipe.adaptive_clip,
        global_clipnorm=recipe.clip_norm,
        rate_shares={"head": tuple(units)} if any(unit != 1 for unit in units) else None,
    )
    return prepared(optimizer, model)


def prepared(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer for a model: vectors do not decay, and in `mixed_float16` the loss is scaled."""
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers):
        # `compile` looks at the policy of the model itself, which a student does not have.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def hard_distillation(teacher: Any, student: Any) -> Any:
    """Cross entropy of the student's logits with the teacher's decision; (B, classes) twice to (B,)."""
    decision = ops.one_hot(ops.argmax(teacher, axis=-1), teacher.shape[-1])
    return ops.categorical_crossentropy(decision, student, from_logits=True)


def soft_distillation(temperature: float) -> Callable[[Any, Any], Any]:
    """Kullback-Leibler divergence of softened probabilities, times the temperature squared (arXiv:1503.02531)."""
    # An instance: by name, which is the default, Keras 3.15 compares the logits themselves instead of probabilities.
    loss = keras.distillation.LogitsDistillation(temperature=temperature, loss=keras.losses.KLDivergence())

    def divergence(teacher: Any, student: Any) -> Any:
        return loss.compute_loss(teacher, student)

    return divergence


def jit_compile() -> bool | str:
    """Whether `compile` shall use XLA."""
    # XLA's CPU code for these layers is three times slower than TensorFlow's own kernels (docs/results/training.md).
    return False if keras.backend.backend() == "tensorflow" and keras.distribution.list_devices("gpu") == [] else "auto"


def compile_for(
    recipe: TrainingRecipe,
    model: SwiftFormerForImageClassification,
    steps: int,
    *,
    teacher_labels: int = 0,
    units: Sequence[float] | None = None,
) -> keras.Model:
    """The model to `fit`: `model` itself, or its heads one by one where there is a teacher.

    With a teacher, `head` learns the labels, `head_dist` the teacher, and a third head, which is not part of
    `model`, all of the teacher's classes where the recipe wants it. The layers are those of `model`: training the
    one trains the other. (`keras.distillation.Distiller` compares one output of two Keras models on the same input
    in every step: it has no place for two heads, for kept answers, or for a teacher outside Keras. Its loss is used.)

    Args:
        recipe: The recipe.
        model: A classifier that returns logits; with a teacher, one with `head_dist`.
        steps: Steps in an epoch.
        teacher_labels: Number of the teacher's classes; 0 without a teacher.
        units: Units of each label of a regression, see `spreads`; None for 1.

    Returns:
        A compiled model for the batches of `training_dataset`.

    Raises:
        ConfigError: A teacher, and a model without `head_dist` or of another problem type than one right label.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> compile_for(TrainingRecipe(), model, steps=10) is model
        True
        >>> compile_for(TrainingRecipe(), model, steps=10, teacher_labels=1000).output_names
        ['head', 'head_dist']
    """
    kind = problem_type(model.config)
    objective = OBJECTIVES[kind]
    units = tuple(units or (1.0,) * model.config.num_labels) if kind == "regression" else ()
    labels = objective.loss(recipe, units)
    jit = jit_compile()
    if not teacher_labels:
        optimizer = adamw(recipe, model, steps, units=units)
        model.compile(optimizer=optimizer, loss=labels, metrics=[objective.metric()], jit_compile=jit)
        return model
    require_single_label(model.config, "distillation", WITHOUT_TEACHER)
    follow = hard_distillation if recipe.distillation == "hard" else soft_distillation(recipe.temperature)
    share = recipe.distillation_weight
    heads, losses, weights = (
        [model.get_layer("head"), model.get_layer("head_dist")],
        [labels, follow],
        [1 - share, share],
    )
    if recipe.teacher_head_weight:
        kernel = keras.initializers.TruncatedNormal(stddev=0.02)
        heads.append(keras.layers.Dense(teacher_labels, kernel_initializer=kernel, dtype="float32", name="teacher"))
        losses.append(soft_distillation(recipe.temperature))
        weights.append(recipe.teacher_head_weight)
    trunk = SwiftFormerForImageClassification(model.config.replace(id2label={}), share_layers_with=model)
    student = keras.Model(trunk.input, [head(trunk.output) for head in heads], name="student")
    student.compile(
        optimizer=adamw(recipe, student, steps),
        loss=losses,
        loss_weights=weights,
        metrics=[[objective.metric()], *[None] * (len(heads) - 1)],
        jit_compile=jit,
    )
    return student
