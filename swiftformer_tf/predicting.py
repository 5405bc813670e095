"""Logits or probabilities of photographs, from whichever kind of model there is."""

from collections.abc import Callable

import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.loading import Opened
from swiftformer_tf.porting import port
from swiftformer_tf.tasks.classification import activate, activation
from swiftformer_tf.tasks.task import Activation

__all__ = ["Predictor", "activated", "predictor", "probabilities", "task_of"]

# Normalised images (N, height, width, channels) to outputs (N, num_labels), both float32; of a segmenter to logits or
# probabilities (N, h, w, num_labels), or to masks, uint8 (N, h, w).
Predictor = Callable[[np.ndarray], np.ndarray]


def predictor(opened: Opened, *, num_threads: int = 1) -> tuple[Predictor, SwiftFormerConfig]:
    """A function from normalised images to outputs, and the configuration that goes with it.

    Args:
        opened: What `open_any` returned.
        num_threads: Of LiteRT's interpreter; Keras uses all there are.

    Raises:
        ModelError: LiteRT cannot load the model.
    """
    if isinstance(opened, LiteModel):
        return _lite_predictor(opened, num_threads), opened.config
    model = port(opened).model if isinstance(opened, Checkpoint) else opened
    return model.predict_on_batch, model.config


def activated(opened: Opened) -> Activation | None:
    """What a model makes probabilities of its logits with itself; None where it answers with logits or numbers."""
    return opened.classifier_activation if isinstance(opened, LiteModel) else None


def task_of(opened: Opened) -> str:
    """What its outputs mean: a key of `tasks.TASKS`."""
    if isinstance(opened, LiteModel):
        return opened.main_output.task
    if isinstance(opened, Checkpoint):
        return "classification" if opened.config.num_labels else "features"
    return str(opened.task)


def probabilities(outputs: np.ndarray, opened: Opened) -> np.ndarray:
    """Outputs of `opened` as people read them, (N, num_labels): probabilities, or numbers by its `problem_type`."""
    if activated(opened):
        return outputs
    return np.asarray(activate(outputs, activation(opened.config)))


def _lite_predictor(lite: LiteModel, num_threads: int) -> Predictor:
    runner = LiteRunner(lite, num_threads=num_threads)

    def predict(images: np.ndarray) -> np.ndarray:
        given = lite.config.transform.denormalize(images) if lite.include_preprocessing else images
        return np.stack([runner(image[None]) for image in given])

    return predict
