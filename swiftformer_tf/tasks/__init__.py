"""The tasks: for each, what the outputs of a model mean, as functions of arrays and names."""

from collections.abc import Sequence

from swiftformer_tf.tasks import classification, features, semantic_segmentation
from swiftformer_tf.tasks.task import INDICES, Activation, Agreement, Output, Task

__all__ = ["INDICES", "TASKS", "Activation", "Agreement", "Output", "Task", "main_output"]

TASKS: dict[str, Task] = {task.name: task for task in (classification.TASK, features.TASK, semantic_segmentation.TASK)}


def main_output(outputs: Sequence[Output]) -> Output:
    """Returns the output to use where only one can be shown: the scores of the labels, or else the first output.

    Args:
        outputs: The outputs of a model, at least one.

    Examples:
        >>> features, logits = Output("embedding", (1, 8), "features"), Output("logits", (1, 3), "classification")
        >>> main_output([features, logits]).name
        'logits'
    """
    return next((each for each in outputs if TASKS[each.task].rank), outputs[0])
