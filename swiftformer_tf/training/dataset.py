"""Photographs as a repeatable stream of training batches."""

from typing import Any

import numpy as np
from PIL import Image

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ImageError, SwiftFormerError
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.transform import open_image
from swiftformer_tf.training.augmentation import augment, mix, random_crop
from swiftformer_tf.training.processes import share_of_batch
from swiftformer_tf.training.recipes import TrainingRecipe
from swiftformer_tf.training.teachers import TeacherLogits

__all__ = ["Batches", "steps_per_epoch", "training_dataset"]

# The purposes of random numbers: part of their seeds, so that no two purposes share a stream.
_ORDER, _CROP, _FLIP, _AUGMENT, _MIX = range(5)


def steps_per_epoch(folder: ImageFolder | AnnotatedImages, recipe: TrainingRecipe) -> int:
    """Returns the number of full batches per epoch; the photographs left over are different ones in every epoch.

    Args:
        folder: The photographs.
        recipe: The recipe, for its batch size.

    Raises:
        ImageError: There are fewer photographs than in one batch.

    Examples:
        >>> from pathlib import Path
        >>> from swiftformer_tf.images.folders import ImageFolder
        >>> folder = ImageFolder(paths=(Path("a.jpg"),) * 10, labels=(0,) * 10, class_names=("cat",))
        >>> steps_per_epoch(folder, TrainingRecipe(batch_size=4))
        2
    """
    if len(folder) < recipe.batch_size:
        raise ImageError(
            f"{len(folder)} photographs are fewer than one batch of {recipe.batch_size}; add some, or lower "
            "`batch_size`"
        )
    return len(folder) // recipe.batch_size


def training_dataset(
    folder: ImageFolder | AnnotatedImages,
    recipe: TrainingRecipe,
    config: SwiftFormerConfig,
    *,
    seed: int = 0,
    first_epoch: int = 0,
    teacher: TeacherLogits | None = None,
) -> Any:
    """Creates a dataset of batches from `first_epoch` on, for `fit` with the number of steps from `steps_per_epoch`.

    Batch k depends only on the seed and on k: order, crops and augmentation come from generators seeded with (seed,
    epoch, ...). A resumed training therefore sees the same batches as an uninterrupted one, and batches are created in
    parallel without losing their order.

    Args:
        folder: The photographs and labels.
        recipe: Batch size, image sizes and augmentation.
        config: Configuration of the model: size and normalization.
        seed: Seed of everything random.
        first_epoch: Epoch to start with, counted from 0.
        teacher: Teacher whose logits are added to the targets.

    Returns:
        `tf.data.Dataset` of (images, labels); with a teacher, of (images, (labels, the teacher's logits for these
        labels)); or, if the recipe has a third head for the teacher, of (images, (labels, these logits, all of the
        teacher's logits)). Images are float32 (batch, size, size, 3); labels are float32 (batch, num_labels), one-hot
        or the targets of `AnnotatedImages`.

    Raises:
        ImageError: There are fewer photographs than in one batch; or, during iteration, a photograph cannot be read.
        ConfigError: The batch size is not divisible by the number of devices.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from swiftformer_tf.images.folders import ImageFolder
        >>> config = SwiftFormerConfig.from_variant("tiny", image_size=32, id2label={0: "cat", 1: "dog"})
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for label in config.labels:
        ...         Path(name, label).mkdir()
        ...         Image.new("RGB", (40, 40)).save(Path(name, label, "1.png"))
        ...     batches = training_dataset(ImageFolder.open(name), TrainingRecipe(batch_size=2), config)
        ...     images, labels = next(iter(batches))
        >>> images.shape, labels.shape
        (TensorShape([2, 32, 32, 3]), TensorShape([2, 2]))
    """
    return Batches(folder, recipe, config, seed, teacher).dataset(first_epoch)


class Batches:
    """Creates the batch of any step of a training; see `training_dataset` for the arguments.

    Raises:
        ImageError: There are fewer photographs than in one batch.
        ConfigError: The batch size is not divisible by the number of devices.
    """

    def __init__(
        self,
        folder: ImageFolder | AnnotatedImages,
        recipe: TrainingRecipe,
        config: SwiftFormerConfig,
        seed: int = 0,
        teacher: TeacherLogits | None = None,
    ) -> None:
        self.folder, self.recipe, self.config, self.seed, self.teacher = folder, recipe, config, seed, teacher
        self.share = share_of_batch(recipe.batch_size)
        self.steps = steps_per_epoch(folder, recipe)
        #: Why a batch could not be made; of the dataset it arrives as an error of TensorFlow's.
        self.failure: SwiftFormerError | None = None

    def dataset(self, first_epoch: int = 0) -> Any:
        """The dataset that `training_dataset` returns."""
        import tensorflow as tf

        size = self.share.stop - self.share.start
        widths = [None, len(self.folder.class_names)]
        if teacher := self.teacher:
            widths += [len(teacher.classes), teacher.num_labels][: 2 if self.recipe.teacher_head_weight else 1]

        def load(step: Any) -> Any:
            images, *targets = tf.numpy_function(self, [step], [tf.float32] * len(widths))
            images.set_shape((size, None, None, len(self.config.transform.mean)))
            for target, width in zip(targets, widths[1:], strict=True):
                target.set_shape((size, width))
            return images, tuple(targets) if self.teacher else targets[0]

        steps = tf.data.Dataset.range(first_epoch * self.steps, self.recipe.epochs * self.steps)
        return steps.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)

    def rng(self, *key: int) -> np.random.Generator:
        """Random generator for this training and key, independent of what was drawn before."""
        return np.random.default_rng((self.seed, *key))

    def __call__(self, step: int) -> list[np.ndarray]:
        try:
            return self._batch(int(step))
        except SwiftFormerError as error:
            self.failure = error
            raise

    def _batch(self, step: int) -> list[np.ndarray]:
        epoch, position = divmod(step, self.steps)
        augmentation, views = self.recipe.augmentation, self.recipe.teacher_views if self.teacher else 0
        chosen, copies = self._chosen(epoch, position)
        # Other processes prepare their own share of the batch; only mixing needs all of it.
        needed = np.arange(len(chosen)) if augmentation.mixes else np.arange(len(chosen))[self.share]
        view = epoch % views if views else epoch
        crops = {row: (self._photograph(chosen[row]), chosen[row], view, copies[row]) for row in needed}
        side = self.recipe.image_size(epoch, max(self.config.input_size))
        images = np.zeros((len(chosen), side, side, len(self.config.transform.mean)), np.float32)
        for row, crop in crops.items():
            images[row] = self._crop(side, *crop)
        if augmentation.flip:
            mirrored = self.rng(_FLIP, epoch, position).random(len(images)) < 0.5
            images[mirrored] = images[mirrored, :, ::-1]
        images = augment(images, augmentation, self._int_seed(_AUGMENT, epoch, position))
        labels = self.folder.targets_of(chosen)
        images, labels = mix(images, labels, augmentation, self._int_seed(_MIX, epoch, position))
        images, labels = images[self.share], labels[self.share]
        batch = [self.config.transform.normalize(images), labels]
        if self.teacher is None:
            return batch
        # Kept answers are about the plain crop at the teacher's size; others about exactly what the student sees.
        size = self.teacher.image_size
        if views:
            first = self.share.start
            answers = self.teacher.kept(view, chosen[self.share], lambda row: self._crop(size, *crops[first + row]))
        else:
            answers = self.teacher.ask(images)
        batch.append(answers[:, self.teacher.classes])
        return [*batch, answers] if self.recipe.teacher_head_weight else batch

    def _chosen(self, epoch: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the photographs in a batch, and the number of each one's crop in the epoch."""
        repeats, size = self.recipe.augmentation.repeats, self.recipe.batch_size
        order = self.rng(_ORDER, epoch).permutation(len(self.folder))
        row = np.arange(position * size, (position + 1) * size)
        return order[row // repeats], row % repeats

    def _crop(self, side: int, photograph: Image.Image, index: int, view: int, copy: int) -> np.ndarray:
        rng = self.rng(_CROP, view, index, copy)
        box = random_crop(rng, *photograph.size, self.recipe.augmentation)
        pixels = photograph.resize((side, side), Image.Resampling.BICUBIC, box=box)
        return np.asarray(pixels, np.float32).reshape(side, side, -1)

    def _photograph(self, index: int) -> Image.Image:
        return self.config.transform.in_channels(open_image(self.folder.paths[index]))

    def _int_seed(self, *key: int) -> int:
        return int(self.rng(*key).integers(2**31))
