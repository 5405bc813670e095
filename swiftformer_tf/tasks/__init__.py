"""What the outputs of a model mean, by task: functions of arrays and names."""

from swiftformer_tf.tasks import classification, features, semantic_segmentation
from swiftformer_tf.tasks.task import INDICES, Activation, Agreement, Output, Task

__all__ = ["INDICES", "TASKS", "Activation", "Agreement", "Output", "Task"]

TASKS: dict[str, Task] = {task.name: task for task in (classification.TASK, features.TASK, semantic_segmentation.TASK)}
