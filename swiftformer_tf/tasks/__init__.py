"""The tasks: for each, what the outputs of a model mean, as functions of arrays and names."""

from collections.abc import Sequence

from swiftformer_tf.tasks import classification, features, semantic_segmentation
from swiftformer_tf.tasks.task import INDICES, Activation, Agreement, Output, Task

__all__ = ["CUSTOM_HEAD", "INDICES", "TASKS", "Activation", "Agreement", "Output", "Task", "main_index", "main_output"]

TASKS: dict[str, Task] = {task.name: task for task in (classification.TASK, features.TASK, semantic_segmentation.TASK)}

# The task of a model with a custom head, which declares none: its outputs count as features.
CUSTOM_HEAD = features.TASK.name


def main_output(outputs: Sequence[Output]) -> Output:
    """Returns the output to use where only one can be shown, see `main_index`.

    Args:
        outputs: The outputs of a model, at least one.

    Examples:
        >>> features, logits = Output("embedding", (1, 8), "features"), Output("logits", (1, 3), "classification")
        >>> main_output([features, logits]).name
        'logits'
    """
    return outputs[main_index([each.task for each in outputs])]


def main_index(tasks: Sequence[str]) -> int:
    """Returns the index of the output to use where only one can be shown: the scores of labels, or else the first.

    Args:
        tasks: The task of each output, at least one.

    Examples:
        >>> main_index(["features", "classification", "semantic-segmentation"]), main_index(["features", "features"])
        (1, 0)
    """
    return next((index for index, each in enumerate(tasks) if TASKS[each].rank), 0)
