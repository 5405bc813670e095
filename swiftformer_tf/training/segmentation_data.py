"""Photographs and masks as a repeatable stream of training batches."""

import math
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ImageError, SwiftFormerError
from swiftformer_tf.images.masks import VOID, MaskFolder
from swiftformer_tf.training.processes import share_of_batch
from swiftformer_tf.training.segmentation_recipes import SegmentationRecipe

__all__ = ["MaskBatches", "augmented"]

# The purposes of random numbers: part of their seeds, so that no two purposes share a stream.
_ORDER, _AUGMENT = range(2)


def augmented(
    image: Image.Image,
    labels: np.ndarray,
    rng: np.random.Generator,
    recipe: SegmentationRecipe,
    size: tuple[int, int],
    *,
    scale: tuple[float, float],
    fill: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Scales and randomly crops a photograph and its mask in the same way.

    Keras's augmentations fill masks with class 0 and blend classes when they scale. Here, labels are scaled with
    nearest-neighbor interpolation, and pixels of the crop outside the photograph are void.

    Args:
        image: Photograph in RGB, or gray for a model with one channel.
        labels: Class of each pixel, uint8 (height, width).
        rng: Random generator.
        recipe: Recipe with the strength of each augmentation.
        size: (height, width) of the crop.
        scale: Minimum and maximum scale factor.
        fill: Value of each channel, from 0 to 255, outside the photograph.

    Returns:
        Pixels, float32 (height, width, channels) from 0 to 255, and labels, uint8 (height, width).
    """
    factor = math.exp(rng.uniform(*np.log(scale)))
    stretch = math.exp(rng.uniform(-1, 1) * math.log1p(recipe.stretch))
    scaled = (max(1, round(image.width * factor * stretch)), max(1, round(image.height * factor / stretch)))
    image = image.resize(scaled, Image.Resampling.BILINEAR)
    labels = np.asarray(Image.fromarray(labels).resize(scaled, Image.Resampling.NEAREST))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        strength = rng.uniform(1 - recipe.color_jitter, 1 + recipe.color_jitter)
        if recipe.color_jitter:
            image = enhance(image).enhance(strength)
    pixels = np.asarray(image).reshape(*labels.shape, len(fill))
    if rng.random() < 0.5 and recipe.flip:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    crop = np.full((*size, len(fill)), fill, np.float32)
    mask = np.full(size, VOID, np.uint8)
    # Where the photograph is larger, the crop moves in it; where it is smaller, it moves in the crop.
    ours, theirs = zip(*(_overlap(rng, side, have) for side, have in zip(size, labels.shape, strict=True)), strict=True)
    crop[ours], mask[ours] = pixels[theirs], labels[theirs]
    return crop, mask


def _overlap(rng: np.random.Generator, size: int, have: int) -> tuple[slice, slice]:
    """Along one axis, the part of a crop that is filled, and the part of the photograph that fills it."""
    both, place = min(size, have), int(rng.integers(0, abs(size - have) + 1))
    moved = slice(place, place + both)
    return (slice(0, both), moved) if have >= size else (moved, slice(0, both))


class MaskBatches:
    """Creates the batch of any step of a training, which depends only on the seed and the step.

    Args:
        folder: The photographs and masks.
        recipe: Batch size, crops and augmentation.
        config: Configuration of the model: size and normalization.
        seed: Seed of everything random.

    Raises:
        ImageError: There are fewer photographs than in one batch.
        ConfigError: The batch size is not divisible by the number of devices.
    """

    def __init__(
        self, folder: MaskFolder, recipe: SegmentationRecipe, config: SwiftFormerConfig, seed: int = 0
    ) -> None:
        if len(folder) < recipe.batch_size:
            raise ImageError(
                f"{len(folder)} photographs are fewer than one batch of {recipe.batch_size}; "
                "add some, or lower `batch_size`"
            )
        self.folder, self.recipe, self.config, self.seed = folder, recipe, config, seed
        self.share = share_of_batch(recipe.batch_size)
        self.steps = len(folder) // recipe.batch_size
        #: Why a batch could not be made; of the dataset it arrives as an error of TensorFlow's.
        self.failure: SwiftFormerError | None = None

    def dataset(self, first_epoch: int = 0) -> Any:
        """Creates a dataset from an epoch on: pixels float32 (batch, H, W, channels), labels int32 (batch, H, W, 1)."""
        import tensorflow as tf

        size = self.share.stop - self.share.start

        def load(step: Any) -> Any:
            images, labels = tf.numpy_function(self, [step], [tf.float32, tf.int32])
            images.set_shape((size, None, None, len(self.config.transform.mean)))
            labels.set_shape((size, None, None, 1))
            return images, labels

        steps = tf.data.Dataset.range(first_epoch * self.steps, self.recipe.epochs * self.steps)
        return steps.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self._batch(*divmod(int(step), self.steps))
        except SwiftFormerError as error:
            self.failure = error
            raise

    def _batch(self, epoch: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        count, transform = self.recipe.batch_size, self.config.transform
        order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.folder))
        chosen = order[position * count : (position + 1) * count][self.share]
        scale = self.recipe.whole_scale if self.recipe.is_whole(epoch) else self.recipe.scale
        chosen_pairs = ((index, *self.folder.read(index)) for index in map(int, chosen))
        pairs = [
            augmented(
                transform.in_channels(image),
                labels,
                np.random.default_rng((self.seed, _AUGMENT, epoch, index)),
                self.recipe,
                self.recipe.crop(epoch, self.config.input_size),
                scale=scale,
                fill=tuple(255 * mean for mean in transform.mean),
            )
            for index, image, labels in chosen_pairs
        ]
        images, masks = (np.stack(each) for each in zip(*pairs, strict=True))
        return transform.normalize(images), masks[..., None].astype(np.int32)
