"""Classification: one score per label."""

from typing import Any

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.annotations import ProblemType
from swiftformer_tf.tasks.scores import THRESHOLD
from swiftformer_tf.tasks.task import Activation, Agreement, Task

__all__ = [
    "TASK",
    "WITHOUT_TEACHER",
    "activate",
    "activation",
    "agreement",
    "answers",
    "heads",
    "largest_error",
    "output_name",
    "problem_type",
    "require_single_label",
]

ACTIVATION_OF: dict[ProblemType, Activation | None] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
    "regression": None,
}

# The cure if a teacher can only teach a single label, see `require_single_label`.
WITHOUT_TEACHER = "train without a teacher"

# Fewer distinct answers of the reference say nothing about agreement: a constant would agree as well.
MIN_DISTINCT = 5


def activation(config: SwiftFormerConfig) -> Activation | None:
    """Returns the activation that turns a classifier's logits into probabilities; None for regression, which has none.

    This is the only place that decides it, following the pipeline of transformers (5.23).

    Examples:
        >>> cats = SwiftFormerConfig(id2label={0: "cat", 1: "dog"})
        >>> activation(cats), activation(cats.replace(problem_type="multi_label_classification"))
        ('softmax', 'sigmoid')
        >>> activation(SwiftFormerConfig(id2label={0: "cat"}))
        'sigmoid'
    """
    return None if not config.num_labels else ACTIVATION_OF[problem_type(config)]


def problem_type(config: SwiftFormerConfig) -> ProblemType:
    """Returns the problem type of a model, as specified or, if not, implied by its configuration.

    A softmax over a single logit is always 1, so a model with a single label is a multi-label classifier even if its
    configuration says otherwise.
    """
    if config.problem_type == "regression":
        return "regression"
    if config.num_labels == 1:
        return "multi_label_classification"
    return config.problem_type or "single_label_classification"


def require_single_label(config: SwiftFormerConfig, what: str, cure: str) -> None:
    """Rejects a model that does not assign a single label to each photograph, where no other is supported.

    Args:
        config: Configuration of the model.
        what: The operation that needs it; the message names it.
        cure: What to do instead.

    Raises:
        ConfigError: The model has a different problem type.

    Examples:
        >>> require_single_label(SwiftFormerConfig(problem_type="regression"), "a race", "walk")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ConfigError: problem_type='regression': a race needs a single label per photograph; walk
    """
    if config.num_labels and problem_type(config) != "single_label_classification":
        said = f"problem_type={config.problem_type!r}" if config.num_labels > 1 or config.problem_type else "one label"
        raise ConfigError(f"{said}: {what} needs a single label per photograph; {cure}")


def heads(config: SwiftFormerConfig) -> int:
    """Returns the number of heads: two of a model trained by distillation, none of one without labels.

    Examples:
        >>> [heads(SwiftFormerConfig(distillation=each)) for each in (True, False)]
        [2, 1]
    """
    return (2 if config.distillation else 1) if config.num_labels else 0


def output_name(activation: Activation | None) -> str:
    """Returns the name of the output in files."""
    return "probabilities" if activation else "logits"


def activate(logits: Any, activation: Activation | None) -> Any:
    """Applies an activation along the last axis of an array or of a Keras tensor.

    Examples:
        >>> activate(np.zeros((1, 2)), "sigmoid").numpy().tolist()
        [[0.5, 0.5]]
    """
    from keras import ops

    return logits if activation is None else {"softmax": ops.softmax, "sigmoid": ops.sigmoid}[activation](logits)


def answers(outputs: np.ndarray, found: Activation | None, config: SwiftFormerConfig) -> np.ndarray:
    """Determines the assigned labels, by their probability, from logits or probabilities."""
    return np.asarray(activate(outputs, None if found else activation(config)))


def agreement(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> Agreement | None:
    """Measures to what extent two models choose the same labels; None for regression, see `largest_error`.

    For single-label classification, the share of images with the same top label. For multi-label classification, the
    share of images on which the models agree whether the probability of a label reaches `THRESHOLD`, for the label with
    the lowest such share.

    Args:
        expected: The reference's probabilities (images, labels).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> config = SwiftFormerConfig(id2label={0: "scratch", 1: "rust"}, problem_type="multi_label_classification")
        >>> expected = np.array([[0.9, 0.1], [0.2, 0.7], [0.8, 0.6], [0.1, 0.2]])
        >>> agreement(expected, np.array([[0.8, 0.6], [0.3, 0.9], [0.7, 0.8], [0.2, 0.1]]), config).share
        0.75
    """
    kind = problem_type(config)
    if kind == "regression":
        return None
    if kind == "multi_label_classification":
        given = expected >= THRESHOLD
        same = (given == (actual >= THRESHOLD)).mean(axis=0)
        possible = 2 ** min(expected.shape[1], MIN_DISTINCT)
        return Agreement(
            share=float(same.min()),
            items=len(expected),
            distinct=len(np.unique(given, axis=0)),
            needed=min(MIN_DISTINCT, possible),
        )
    best = expected.argmax(axis=1)
    return Agreement(
        share=float(np.mean(best == actual.argmax(axis=1))),
        items=len(best),
        distinct=len(np.unique(best)),
        needed=min(MIN_DISTINCT, expected.shape[1]),
    )


def largest_error(expected: np.ndarray, actual: np.ndarray, config: SwiftFormerConfig) -> float | None:
    """Returns a regression model's largest error, as a fraction of three standard deviations of the reference.

    Returns None for other models, see `agreement`.

    Args:
        expected: Outputs of the reference (images, labels).
        actual: Outputs of the file.
        config: Configuration of the model.

    Examples:
        >>> config = SwiftFormerConfig(id2label={0: "age"}, problem_type="regression")
        >>> f"{largest_error(np.array([[10.0], [20.0]]), np.array([[10.0], [20.3]]), config):.2f}"
        '0.02'
    """
    if problem_type(config) != "regression":
        return None
    errors, spread = np.abs(actual - expected).max(axis=0), 3 * expected.std(axis=0)
    # If a number does not vary, any error is too large.
    shares = np.divide(errors, spread, out=np.where(errors > 0, np.inf, 0.0), where=spread > 0)
    return float(shares.max())


TASK = Task(
    name="classification",
    activation=activation,
    heads=heads,
    output_name=output_name,
    activate=lambda logits, activation, config: activate(logits, activation),
    agreement=agreement,
    answers=answers,
    largest_error=largest_error,
    rank=2,
    can_teach=True,
)
