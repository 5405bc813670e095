"""A small training that uses everything that has a state."""

import os
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from support.killed_commands import kill_at
from support.random_models import pictures
from swiftformer_tf import SwiftFormerConfig, Transform
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.labels import labeled_images
from swiftformer_tf.training import Augmentation, Teacher, TrainingRecipe, new_model, train_classifier

LABELS = ("cat", "dog", "eel")

RECIPE = TrainingRecipe(
    epochs=3,
    batch_size=6,
    learning_rate=1e-3,
    warmup_epochs=1,
    clip_norm=1.0,
    ema=0.9,
    image_scales=(0.5, 1.0),
    distillation="soft",
    temperature=2.0,
    teacher_head_weight=0.5,
    teacher_views=2,
    layer_scale_init_value=0.1,
    drop_path_rate=0.2,
    augmentation=Augmentation(crop_scale=(0.5, 1.0), color_jitter=0.2, erase=0.5),
)


def write_photographs(root: Path, each: int = 7) -> Path:
    """Three classes of small pictures, each with more of one color."""
    for index, picture in enumerate(pictures(3 * each, 48, 40) // 2):
        picture[..., index % 3] += 80
        path = root / LABELS[index % 3] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


def color_teacher() -> Teacher:
    """Knows four classes by the mean color."""
    directions = np.random.default_rng(1).normal(size=(3, 4))
    return Teacher(
        lambda images: images.mean(axis=(1, 2)) @ directions, Transform(size=(24, 24)), (*LABELS, "fox"), "colors"
    )


# Two blocks, of which the second is dropped with the rate of the recipe, and one of its kind.
ONE_STAGE: dict[str, Any] = {"depths": (2,), "embed_dims": (16,), "downsamples": (True,)}


def config(**fields: Any) -> SwiftFormerConfig:
    labels, transform = dict(enumerate(LABELS)), Transform(size=(64, 64), crop=1.0)
    return SwiftFormerConfig(**{**ONE_STAGE, "image_size": 64, "id2label": labels, "transform": transform, **fields})


def run(root: Path, output: Path, recipe: TrainingRecipe = RECIPE, **options: Any) -> list[dict[str, float]]:
    """Trains on the photographs and validates on the same."""
    return train_classifier(
        new_model(config(), recipe, seed=3),
        ImageFolder.open(root),
        recipe,
        output,
        **{"teacher": color_teacher(), "validation": labeled_images(root, LABELS), "seed": 3, **options},
    )


class KilledInStep(keras.callbacks.Callback):
    """SIGKILL ends the process after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_in_step(root: str, output: str, steps: int) -> None:
    """`run`, ended after so many steps."""
    run(Path(root), Path(output), callbacks=[KilledInStep(steps)])


def killed_in_save(root: str, output: str, save: int) -> None:
    """`run`, ended in the save of that number, from 1: all files of the epoch are in their places but its state."""
    kill_at(save, str(Path(output, "state.safetensors")))
    run(Path(root), Path(output))
