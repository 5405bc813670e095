"""Random crops, and Keras's augmentation layers with a separate seed for every batch."""

from typing import Any

import keras
import numpy as np

from swiftformer_tf.training.recipes import Augmentation

__all__ = ["augment", "mix", "random_crop"]

# That of photographs, whatever Keras's default is.
LAYOUT: dict[str, Any] = {"data_format": "channels_last"}

Box = tuple[float, float, float, float]


def random_crop(rng: np.random.Generator, width: int, height: int, augmentation: Augmentation) -> Box:
    """Draws a box of random area, aspect ratio and position inside a photograph ("Inception" crop, arXiv:1409.4842).

    Keras has no such layer. A box that does not fit is redrawn; after ten attempts, the largest square is used.

    Returns:
        (left, top, right, bottom) in pixels, not rounded, as accepted by Pillow's `resize`.
    """
    for _ in range(10):
        area = width * height * rng.uniform(*augmentation.crop_scale)
        shape = np.exp(rng.uniform(*np.log(augmentation.crop_ratio)))
        box_width, box_height = float(np.sqrt(area * shape)), float(np.sqrt(area / shape))
        if box_width <= width and box_height <= height:
            left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
            return left, top, left + box_width, top + box_height
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def augment(images: np.ndarray, augmentation: Augmentation, seed: int) -> np.ndarray:
    """Applies color jitter, RandAugment and random erasing.

    Args:
        images: float32 pixels from 0 to 255, (B, H, W, 3), or grayscale (B, H, W, 1).
        augmentation: Which of these to apply, and how strongly.
        seed: Seed for this batch.

    Returns:
        As `images`.
    """
    # A layer's seed generator counts its calls, and so depends on what came before. One that is new for each batch
    # depends on the batch alone, which is what lets a training go on where it stopped.
    layers: list[keras.layers.Layer] = []
    pixels = {"value_range": (0, 255), "seed": seed, **LAYOUT}
    if strength := augmentation.rand_augment:
        layers.append(keras.layers.RandAugment(num_ops=2, factor=strength, **pixels))
    if strength := augmentation.color_jitter:
        around = (0.5 - strength / 2, 0.5 + strength / 2)  # Keras's saturation leaves a picture alone at one half
        layers.append(
            keras.layers.RandomColorJitter(
                brightness_factor=strength, contrast_factor=strength, saturation_factor=around, **pixels
            )
        )
    if share := augmentation.erase:
        # A single number would mean a share drawn between zero and it.
        layers.append(keras.layers.RandomErasing(factor=(share, share), scale=(0.05, 0.57), **pixels))
    channels = images.shape[-1]
    if channels == 1 and layers:
        images = np.repeat(images, 3, axis=-1)  # Keras's layers take colors alone, and leave gray gray
    for layer in layers:
        for part in layer._flatten_layers():  # to those of its color jitter, Keras does not hand it on (3.15)
            part.data_format = LAYOUT["data_format"]
        images = layer(images, training=True)
    return np.asarray(np.clip(keras.ops.convert_to_numpy(images)[..., :channels], 0, 255))


def mix(images: np.ndarray, labels: np.ndarray, augmentation: Augmentation, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Applies MixUp or CutMix, one of them for the whole batch.

    Args:
        images: (B, H, W, 3).
        labels: One-hot, (B, classes).
        augmentation: Which of these to apply, and how strongly.
        seed: Seed for this batch.

    Returns:
        As `images` and `labels`.
    """
    layers: list[keras.layers.Layer] = []
    if augmentation.mixup:
        layers.append(keras.layers.MixUp(alpha=augmentation.mixup, seed=seed, **LAYOUT))
    if augmentation.cutmix:
        layers.append(keras.layers.CutMix(factor=(augmentation.cutmix,) * 2, seed=seed, **LAYOUT))
    if not layers:
        return images, labels
    mixed = layers[seed % len(layers)]({"images": images, "labels": labels}, training=True)
    return keras.ops.convert_to_numpy(mixed["images"]), keras.ops.convert_to_numpy(mixed["labels"])
