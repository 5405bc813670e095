"""Trains segmenters on photographs and masks."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.evaluation import evaluate_segmentation
from swiftformer_tf.images.folders import check_images
from swiftformer_tf.images.masks import VOID, MaskFolder, count_pixels, same_classes
from swiftformer_tf.layers.resizing import resize_bilinear
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation, copy_backbone, copy_head
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.training.callbacks import AveragedWeights, Measured, Validation
from swiftformer_tf.training.optimization import ClippedAdamW, jit_compile, prepared
from swiftformer_tf.training.running import fingerprint, fit_in_folder
from swiftformer_tf.training.segmentation_data import MaskBatches
from swiftformer_tf.training.segmentation_recipes import SegmentationRecipe
from swiftformer_tf.variables import BACKBONE

__all__ = ["PixelCrossEntropy", "PolynomialDecay", "class_weights", "segmenter_on", "train_segmenter"]


@keras.saving.register_keras_serializable(PACKAGE)
class PolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, multiplied from the first step by a polynomial decay to zero: (1 - step / steps) ** power.

    Keras's schedule of this name has no warm-up.

    Args:
        learning_rate: Initial learning rate, apart from the warm-up.
        steps: Total number of steps of the training.
        power: Power of the polynomial.
        warmup_steps: Number of warm-up steps.

    Examples:
        >>> rate = PolynomialDecay(1.0, steps=100, power=1.0, warmup_steps=10)
        >>> [round(float(rate(step)), 3) for step in (0, 9, 50, 100)]
        [0.1, 0.91, 0.5, 0.0]
    """

    def __init__(self, learning_rate: float, steps: int, power: float = 0.9, warmup_steps: int = 0) -> None:
        super().__init__()
        self.learning_rate, self.steps, self.power, self.warmup_steps = learning_rate, steps, power, warmup_steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = ops.minimum(1.0, (step + 1) / max(1, self.warmup_steps))
        left = ops.maximum(0.0, 1 - step / self.steps)
        return self.learning_rate * rise * ops.power(left, self.power)

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("learning_rate", "steps", "power", "warmup_steps")}


@keras.saving.register_keras_serializable(PACKAGE)
class PixelCrossEntropy(keras.losses.Loss):
    """Pixelwise cross-entropy of logits that are resized to the size of the labels; void pixels are ignored.

    The loss is the mean over the pixels of the batch, weighted by class. Shapes: labels int (B, H, W, 1), logits (B, h,
    w, classes).

    Args:
        weights: Weight of each class; None for equal weights.

    Examples:
        >>> loss = PixelCrossEntropy()
        >>> round(float(loss(np.array([[[[0], [VOID]]]]), np.zeros((1, 1, 1, 2), "float32"))), 4)
        0.6931
    """

    def __init__(
        self, weights: Sequence[float] | None = None, name: str = "pixel_cross_entropy", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.weights = None if weights is None else [float(weight) for weight in weights]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        # Not `Loss.__call__`, which gives the labels the logits' type and averages what is a mean already.
        return self.call(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(y_true[..., 0], "int32")
        logits = resize_bilinear(ops.cast(y_pred, "float32"), ops.shape(labels)[1:3])
        counts = ops.not_equal(labels, VOID)
        labels = ops.where(counts, labels, 0)
        weights = ops.cast(counts, "float32")
        if self.weights is not None:
            weights = weights * ops.take(ops.convert_to_tensor(self.weights, "float32"), labels)
        each = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        # A batch of nothing but void has the loss 0.
        return ops.sum(each * weights) / ops.maximum(ops.sum(weights), 1e-6)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights}


def class_weights(pixels: np.ndarray, recipe: SegmentationRecipe) -> np.ndarray:
    """Returns class weights with which rare classes are learned too; their mean over all pixels is one.

    Args:
        pixels: Number of pixels of each class, (labels,).
        recipe: Recipe with `class_balance` and `class_weights`.

    Examples:
        >>> class_weights(np.array([100, 400, 1600]), SegmentationRecipe()).round(3).tolist()
        [3.0, 1.5, 0.75]
    """
    share = pixels / pixels.sum()
    weights = np.clip((np.median(share) / share) ** recipe.class_balance, *recipe.class_weights)
    return np.asarray(weights / (weights * share).sum())


def segmenter_on(
    backbone: keras.Model,
    config: SwiftFormerConfig,
    head: SegmentationHead,
    *,
    seed: int = 0,
    dtype: str = "float32",
) -> tuple[SwiftFormerForSemanticSegmentation, tuple[str, ...]]:
    """Creates a segmenter from the backbone of a trained model; its head is new or, from a segmenter, reused where it
    fits.

    Args:
        backbone: A classifier, backbone or segmenter of this package.
        config: Configuration of the segmenter; classes, image size and drop rates may differ from the backbone's.
        head: The head of the segmenter.
        seed: Seed for new weights; sets the global seeds of Keras, NumPy and Python.
        dtype: Keras dtype or dtype policy, such as `"mixed_bfloat16"`.

    Returns:
        The segmenter, and the paths of its newly initialized variables.

    Raises:
        ConfigError: The architecture differs; the message names the layer.

    Examples:
        >>> from swiftformer_tf import SwiftFormerForImageClassification
        >>> classifier = SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette")
        >>> config = classifier.config.replace(id2label={0: "road", 1: "sky"}, image_size=(96, 128))
        >>> model, new = segmenter_on(classifier, config, SegmentationHead(fpn_dim=16, head_dim=16))
        >>> len(new), new[0]
        (53, 'neck-lateral_convs-3-conv/kernel')
    """
    keras.utils.set_random_seed(seed)
    model = SwiftFormerForSemanticSegmentation(config, head=head, dtype=dtype)
    new = copy_backbone(model, backbone)
    return model, copy_head(model, backbone) if isinstance(backbone, SwiftFormerForSemanticSegmentation) else new


def train_segmenter(
    model: SwiftFormerForSemanticSegmentation,
    folder: MaskFolder,
    recipe: SegmentationRecipe,
    output: str | Path,
    *,
    validation: MaskFolder | None = None,
    seed: int = 0,
    source: str = "random",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[dict[str, float]]:
    """Trains a segmenter, or resumes an interrupted training, as `train_classifier` does for classifiers.

    Args:
        model: A segmenter, such as one from `segmenter_on`; training starts from its weights and changes them.
        folder: The photographs and masks, with the model's classes.
        recipe: The training recipe.
        output: Folder of the run, see `RunFolder`; its `run.json` says how to repeat the run.
        validation: Photographs and masks for `val_mean_iou`, by which the best epoch is chosen, and
            `val_pixel_accuracy`.
        seed: Seed for order, crops and augmentation.
        source: Origin of the model's weights, for `run.json`.
        callbacks: Additional callbacks for `fit`.

    Returns:
        The metrics, one row per epoch, including epochs before an interruption.

    Raises:
        ConfigError: The folder contains a run with different settings, the classes differ from the model's, its
            transform crops, or the loss is no longer finite.
        CheckpointError: The state in the folder cannot be read.
        ImageError: There are too few photographs, some cannot be read, masks do not fit, or a class has no pixels.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> from swiftformer_tf.images.masks import MaskClasses
        >>> sizes = {"depths": (1, 1), "embed_dims": (8, 12), "downsamples": (True, True), "image_size": 32}
        >>> config = SwiftFormerConfig(**sizes, id2label={0: "left", 1: "right"})
        >>> config = config.replace(transform=config.transform.replace(crop=None))
        >>> model = SwiftFormerForSemanticSegmentation(config, head=SegmentationHead(fpn_dim=8, head_dim=8))
        >>> recipe = SegmentationRecipe(epochs=1, batch_size=2, crop_size=(32, 32))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for kind, mode in (("images", "RGB"), ("masks", "L")):
        ...         Path(name, kind).mkdir()
        ...         for stem in "ab":
        ...             picture = Image.new(mode, (40, 40))
        ...             picture.paste((1,) * len(mode) if len(mode) > 1 else 1, (20, 0, 40, 40))
        ...             picture.save(Path(name, kind, f"{stem}.png"))
        ...     folder = MaskFolder.open(Path(name, "images"), MaskClasses(config.labels))
        ...     history = train_segmenter(model, folder, recipe, Path(name, "run"), validation=folder)
        ...     sorted(history[-1])
        ['epoch', 'learning_rate', 'loss', 'seconds', 'val_mean_iou', 'val_pixel_accuracy']
    """
    model.config.transform.check_photographs()
    model.config.transform.check_whole()
    for each in (folder, validation):
        if each is not None:
            same_classes(each, model.config.labels)
            check_images([*each.images, *each.masks])
    weights = class_weights(count_pixels(folder), recipe)
    for _ in validation or ():
        pass  # decodes every mask, so that one that cannot be used is named before an epoch is trained
    batches = MaskBatches(folder, recipe, model.config, seed)
    settings = {
        "task": "semantic_segmentation",
        "source": source,
        "config": model.config.to_dict(),
        "head": model.head.to_dict(),
        "dtype": model.dtype_policy.name,
        "frozen": [layer.name for layer in model.layers if not layer.trainable],
        "recipe": recipe.to_dict(),
        "seed": seed,
        **_content(folder),
        "validation": _content(validation) if validation else None,
    }
    steps = recipe.epochs * batches.steps
    optimizer = ClippedAdamW(
        PolynomialDecay(recipe.learning_rate, steps, recipe.power, min(recipe.warmup_steps, steps // 2)),
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        rate_shares=dict.fromkeys(BACKBONE, recipe.backbone_rate),
    )
    loss = PixelCrossEntropy(weights.tolist())
    model.compile(optimizer=prepared(optimizer, model), loss=loss, jit_compile=jit_compile())
    averages = AveragedWeights(model, recipe.ema)
    validating = Validation(averages, lambda each: _measured(each, validation)) if validation else None
    return fit_in_folder(model, averages, batches, recipe, Path(output), settings, validating, callbacks)


def _content(folder: MaskFolder) -> dict[str, Any]:
    """Describes a folder for `run.json`, with digests of the masks, since their content may be corrected later."""
    digests = [hashlib.sha256(mask.read_bytes()).hexdigest() for mask in folder.masks]
    return {
        "photographs": fingerprint(folder.images, [""] * len(folder)),
        "masks": fingerprint(folder.masks, digests),
        "classes": {"names": [*folder.classes.names], "colors": [[*color] for color in folder.classes.colors]},
    }


def _measured(model: keras.Model, folder: MaskFolder) -> Measured:
    return evaluate_segmentation(model.predict_on_batch, model.config, folder)
