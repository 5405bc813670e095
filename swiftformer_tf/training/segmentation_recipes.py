"""Training recipes for segmenters, as data."""

import dataclasses
from typing import Self

from swiftformer_tf.training.fields import RecipeFields, check_rules, check_types

__all__ = ["SEGMENTATION_RECIPES", "SegmentationRecipe"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationRecipe(RecipeFields):
    """All settings of a segmenter's training apart from the model and the photographs.

    Args:
        epochs: Number of passes over the photographs.
        batch_size: Number of photographs per step.
        learning_rate: Peak learning rate of the schedule, for the head.
        backbone_rate: Learning rate of the backbone, as a fraction of the head's.
        warmup_steps: Number of steps of linear warm-up, at most half of the training's.
        power: Power of the polynomial decay of the learning rate to zero.
        weight_decay: Weight decay of AdamW, applied to kernels but not to biases, norms and layer scales.
        clip_norm: Maximum global norm of the gradient; None disables clipping.
        ema: Decay per step of the averaged weights, which are the ones evaluated and saved.
        crop_size: (height, width) in pixels of the crop from the scaled photograph; at most the model's own size.
        scale: Minimum and maximum factor by which a photograph is scaled.
        whole_epochs: Share of the epochs, at the end of the training, that use crops of the model's own size.
        whole_scale: `scale` in these epochs.
        stretch: Maximum relative change of the aspect ratio.
        flip: Whether half of the crops are mirrored horizontally.
        color_jitter: Maximum relative change of brightness, contrast and saturation.
        class_balance: The weight of a class is the median frequency divided by its own frequency, to this power; 0
            gives equal weights.
        class_weights: Minimum and maximum weight of a class, before all are scaled to a mean of 1 over all pixels.
        drop_path_rate: Stochastic depth rate of the last block.

    Raises:
        ConfigError: An impossible value; the message names the field.

    Examples:
        >>> recipe = SegmentationRecipe(epochs=10, whole_epochs=0.3)
        >>> [recipe.crop(epoch, (360, 480)) for epoch in (0, 6, 7)]
        [(256, 352), (256, 352), (352, 480)]
        >>> recipe.crop(0, (128, 400))
        (128, 352)
    """

    epochs: int = 33
    batch_size: int = 8
    learning_rate: float = 1.5e-3
    backbone_rate: float = 0.4
    warmup_steps: int = 100
    power: float = 0.9
    weight_decay: float = 0.01
    clip_norm: float | None = 5.0
    ema: float = 0.998
    crop_size: tuple[int, int] = (256, 352)
    scale: tuple[float, float] = (0.55, 1.9)
    whole_epochs: float = 0.3
    whole_scale: tuple[float, float] = (0.7, 1.4)
    stretch: float = 0.1
    flip: bool = True
    color_jitter: float = 0.4
    class_balance: float = 0.5
    class_weights: tuple[float, float] = (0.5, 3.0)
    drop_path_rate: float = 0.05

    def __post_init__(self) -> None:
        check_types("recipe", self)
        rules = [
            *((name, getattr(self, name) >= 1, "1 or more") for name in ("epochs", "batch_size")),
            *((name, getattr(self, name) > 0, "a positive number") for name in ("learning_rate", "power")),
            *((name, getattr(self, name) >= 0, "0 or more") for name in ("warmup_steps", "weight_decay")),
            ("clip_norm", self.clip_norm is None or self.clip_norm > 0, "a positive number or none"),
            *((name, 0 <= getattr(self, name) < 1, "0 to below 1") for name in ("ema", "stretch", "drop_path_rate")),
            *(
                (name, 0 <= getattr(self, name) <= 1, "0 to 1")
                for name in ("backbone_rate", "whole_epochs", "color_jitter", "class_balance")
            ),
            ("crop_size", min(self.crop_size) >= 32, "a height and a width of 32 or more"),
            *(
                (name, 0 < getattr(self, name)[0] <= getattr(self, name)[1], "two positive numbers, the smaller first")
                for name in ("scale", "whole_scale", "class_weights")
            ),
        ]
        check_rules("recipe", self, rules)

    def is_whole(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, is one of the last, which use crops of the model's own size."""
        return epoch >= round(self.epochs * (1 - self.whole_epochs))

    def crop(self, epoch: int, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the crops in an epoch, for a model of `size`: multiples of 32, rounded down."""
        # Beyond the model's own size there would be nothing but void in photographs of that size.
        wanted = size if self.is_whole(epoch) else map(min, self.crop_size, size)
        height, width = (max(32, side // 32 * 32) for side in wanted)
        return height, width

    def with_batch_size(self, batch_size: int) -> Self:
        """Returns the recipe for a different batch size, with its learning rate scaled in proportion."""
        return self.replace(batch_size=batch_size, learning_rate=self.learning_rate * batch_size / self.batch_size)

    def with_epochs(self, epochs: int) -> Self:
        """Returns the recipe for a different number of epochs."""
        return self.replace(epochs=epochs)


SEGMENTATION_RECIPES: dict[str, SegmentationRecipe] = {
    "short": SegmentationRecipe(),
    # mmsegmentation's Semantic FPN for the paper's family: 40,000 steps of 32 crops of ADE20K's 20,210 photographs.
    "paper": SegmentationRecipe(
        epochs=64,
        batch_size=32,
        learning_rate=2e-4,
        backbone_rate=1.0,
        warmup_steps=0,
        weight_decay=1e-4,
        clip_norm=None,
        ema=0.0,
        crop_size=(512, 512),
        scale=(0.5, 2.0),
        whole_epochs=0.0,
        stretch=0.0,
        class_balance=0.0,
    ),
}
"""Training recipes for segmenters by name.

`"short"` is for a few hundred photographs, a backbone trained on photographs, and a CPU; the published CamVid
result has its crops, rates and class weights. `"paper"` is the configuration that the paper's family uses for ADE20K,
on many GPUs.
"""
