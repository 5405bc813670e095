"""Losses for labels and teachers, the AdamW optimizer, and the learning rate schedule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from swiftformer_tf.layers.initializers import TruncatedNormal
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
    """Creates the learning rate schedule: linear warm-up, then cosine decay.

    Args:
        recipe: Recipe with the learning rates and the number of epochs.
        steps: Number of steps per epoch.

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
    """AdamW with adaptive gradient clipping (Brock et al., arXiv:2102.06171), which Keras does not provide.

    A unit is one output channel of a kernel, or a whole vector. The norm of its gradient is limited to `adaptive_clip`
    times the norm of its weights, which is taken to be at least 1e-3.

    Args:
        learning_rate: A number or a schedule.
        adaptive_clip: Maximum ratio of the norm of a unit's gradient to the norm of its weights; None disables
            clipping.
        rate_shares: Factors on the learning rate, by the prefix of a variable's path: a number, or one for each entry
            of the variable's last axis. All other variables use the full rate.
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
        # By index: the variable passed here is the backend's, which has no path.
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
    """Creates AdamW for a recipe; biases, norms and layer scales, which are vectors, have no weight decay.

    With `mixed_float16`, the loss is scaled so that small gradients do not underflow.

    Args:
        recipe: Recipe with learning rates, weight decay and clipping.
        model: The model to be trained; layers to be frozen must already be frozen.
        steps: Number of steps per epoch.
        units: Unit of each label of a regression, to which the steps of its head are scaled; 1 for other heads.

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
    """Prepares an optimizer for a model: no weight decay on vectors, and a scaled loss for `mixed_float16`."""
    optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    if any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers):
        # `compile` looks at the policy of the model itself, which a student does not have.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def hard_distillation(teacher: Any, student: Any) -> Any:
    """Cross-entropy of the student's logits with the teacher's decision; two (B, classes) tensors to (B,)."""
    decision = ops.one_hot(ops.argmax(teacher, axis=-1), teacher.shape[-1])
    return ops.categorical_crossentropy(decision, student, from_logits=True)


def soft_distillation(temperature: float) -> Callable[[Any, Any], Any]:
    """Kullback-Leibler divergence of softened probabilities times the squared temperature (arXiv:1503.02531)."""
    # An instance: by name, which is the default, Keras 3.15 compares the logits themselves instead of probabilities.
    loss = keras.distillation.LogitsDistillation(temperature=temperature, loss=keras.losses.KLDivergence())

    def divergence(teacher: Any, student: Any) -> Any:
        return loss.compute_loss(teacher, student)

    return divergence


def jit_compile() -> bool | str:
    """Whether `compile` should use XLA."""
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
    """Returns the compiled model to `fit`: `model` itself or, with a teacher, one that returns each head separately.

    With a teacher, `head` learns the labels, `head_dist` learns from the teacher and, if the recipe asks for it, a
    third head, which is not part of `model`, learns all of the teacher's classes. Both models share their layers:
    training one trains the other. (`keras.distillation.Distiller` compares one output of two Keras models on the same
    input in every step; it does not support two heads, cached teacher logits, or a teacher outside Keras. Its loss is
    used.)

    Args:
        recipe: The training recipe.
        model: A classifier that returns logits; with a teacher, it must have `head_dist`.
        steps: Number of steps per epoch.
        teacher_labels: Number of classes of the teacher; 0 without a teacher.
        units: Unit of each label of a regression, see `spreads`; None for 1.

    Returns:
        A compiled model that accepts the batches of `training_dataset`.

    Raises:
        ConfigError: There is a teacher, but the model has no `head_dist` or is not a single-label classifier.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> compile_for(TrainingRecipe(), model, steps=10) is model
        True
        >>> list(compile_for(TrainingRecipe(), model, steps=10, teacher_labels=1000).output_names)
        ['head', 'head_dist']
    """
    objective = OBJECTIVES[problem_type(model.config)]
    units = tuple(units or (1.0,) * model.config.num_labels) if objective.numbers else ()
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
        kernel = TruncatedNormal(stddev=0.02)
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
