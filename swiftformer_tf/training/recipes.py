"""Training recipes as data: the paper's recipe for every variant, and a short one for small datasets."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from swiftformer_tf.config import VARIANTS
from swiftformer_tf.errors import ConfigError
from swiftformer_tf.training.fields import RecipeFields, check_rules, check_types, read_fields

__all__ = ["TRAINING_RECIPES", "Augmentation", "TrainingRecipe", "training_recipe"]

Distillation = Literal["hard", "soft"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Augmentation of training photographs; a value of zero disables a step.

    Crops are cut with Pillow; everything else is done by the Keras layers of the same names.

    Args:
        crop_scale: Minimum and maximum area of a random crop, as a share of the photograph's area.
        crop_ratio: Minimum and maximum aspect ratio of a crop, width divided by height.
        flip: Whether half of the crops are mirrored horizontally.
        color_jitter: Maximum relative change of brightness, contrast and saturation.
        rand_augment: `factor` of `keras.layers.RandAugment`, with two operations per image.
        erase: Share of images in which a rectangle is erased.
        mixup: `alpha` of `keras.layers.MixUp`.
        cutmix: `factor` of `keras.layers.CutMix`. If MixUp is enabled as well, one of the two is applied to each batch.
        repeats: Number of crops of each photograph in an epoch, which then covers correspondingly fewer photographs
            (repeated augmentation, arXiv:1902.05509).

    Raises:
        ConfigError: An impossible value; the message names the field.

    Examples:
        >>> Augmentation(mixup=0.8).mixes
        True
        >>> Augmentation(repeats=0)
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ConfigError: augmentation.repeats=0: expected 1 or more
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    color_jitter: float = 0.0
    rand_augment: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        check_types("augmentation", self)
        low, high = self.crop_scale
        narrow, wide = self.crop_ratio
        rules = [
            ("crop_scale", 0 < low <= high <= 1, "two shares above 0 and at most 1, the smaller first"),
            ("crop_ratio", 0 < narrow <= wide, "two positive numbers, the smaller first"),
            *((name, 0 <= getattr(self, name) <= 1, "0 to 1") for name in ("color_jitter", "rand_augment", "erase")),
            *((name, getattr(self, name) >= 0, "0 or more") for name in ("mixup", "cutmix")),
            ("repeats", self.repeats >= 1, "1 or more"),
        ]
        check_rules("augmentation", self, rules)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with one another."""
        return bool(self.mixup or self.cutmix)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRecipe(RecipeFields):
    """All settings of a training apart from the model, the photographs and the teacher.

    Args:
        epochs: Number of passes over the photographs.
        batch_size: Number of photographs per step.
        learning_rate: Peak learning rate of the schedule, for this `batch_size`.
        warmup_epochs: Number of epochs of linear warm-up.
        warmup_learning_rate: Learning rate at the start of the warm-up.
        final_learning_rate: Learning rate at the end of the cosine decay.
        weight_decay: Weight decay of AdamW, applied to kernels but not to biases, norms and layer scales.
        label_smoothing: Share of the target that is spread evenly over all classes.
        clip_norm: Maximum global norm of the gradient; None disables clipping.
        adaptive_clip: Maximum ratio of the norm of a unit's gradient to the norm of its weights (arXiv:2102.06171);
            None disables it.
        ema: Decay per step of the averaged weights, which are the ones evaluated and saved; 0 disables averaging.
        image_scales: Crop sizes in the course of the training, as fractions of the model's image size; the epochs are
            divided evenly among them.
        distillation: What `head_dist` learns from a teacher: `"hard"` for its decisions, `"soft"` for its
            probabilities.
        distillation_weight: Weight of `head_dist` in the loss, from 0 to 1; `head` has the rest.
        temperature: Temperature of soft distillation.
        teacher_head_weight: Weight in the loss of a third head, discarded after training, that learns the teacher's
            probabilities for all of the teacher's classes; 0 for none.
        teacher_views: Number of crops of each photograph that the epochs use in turn, so that the teacher's logits can
            be cached; 0 runs the teacher in every step.
        layer_scale_init_value: Initial value of the layer scales of attention and MLP in a new model.
        drop_path_rate: Stochastic depth rate of the last block of a new model.
        augmentation: See `Augmentation`.

    Raises:
        ConfigError: An impossible value; the message names the field.

    Examples:
        >>> recipe = training_recipe("short", "xs").replace(epochs=4)
        >>> [recipe.image_size(epoch, 224) for epoch in range(4)]
        [160, 160, 160, 224]
    """

    epochs: int = 300
    batch_size: int = 2048
    learning_rate: float = 2e-3
    warmup_epochs: int = 5
    warmup_learning_rate: float = 1e-6
    final_learning_rate: float = 1e-5
    weight_decay: float = 0.025
    label_smoothing: float = 0.1
    clip_norm: float | None = None
    adaptive_clip: float | None = None
    ema: float = 0.0
    image_scales: tuple[float, ...] = (1.0,)
    distillation: Distillation = "hard"
    distillation_weight: float = 0.5
    temperature: float = 1.0
    teacher_head_weight: float = 0.0
    teacher_views: int = 0
    layer_scale_init_value: float = 1e-5
    drop_path_rate: float = 0.0
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        check_types("recipe", self)
        clips = ((name, getattr(self, name)) for name in ("clip_norm", "adaptive_clip"))
        rules = [
            *((name, getattr(self, name) >= 1, "1 or more") for name in ("epochs", "batch_size")),
            ("learning_rate", self.learning_rate > 0, "a positive number"),
            *(
                (name, getattr(self, name) >= 0, "0 or more")
                for name in ("warmup_learning_rate", "final_learning_rate", "weight_decay")
            ),
            *((name, clip is None or clip > 0, "a positive number or none") for name, clip in clips),
            ("drop_path_rate", 0 <= self.drop_path_rate < 1, "0 to below 1"),
            ("warmup_epochs", 0 <= self.warmup_epochs < self.epochs, "0 to below epochs"),
            *((name, 0 <= getattr(self, name) < 1, "0 to below 1") for name in ("label_smoothing", "ema")),
            ("image_scales", self.image_scales and min(self.image_scales) > 0, "positive numbers"),
            ("distillation", self.distillation in get_args(Distillation), "'hard' or 'soft'"),
            ("distillation_weight", 0 <= self.distillation_weight <= 1, "0 to 1"),
            ("temperature", self.temperature > 0, "a positive number"),
            *((name, getattr(self, name) >= 0, "0 or more") for name in ("teacher_head_weight", "teacher_views")),
            (
                "teacher_views",
                not self.teacher_views or not (self.augmentation.mixes or self.augmentation.repeats > 1),
                "0 with mixup, cutmix or repeats, since a kept answer is about one unmixed crop",
            ),
        ]
        check_rules("recipe", self, rules)

    def image_size(self, epoch: int, size: int) -> int:
        """Side length of the crops in an epoch, counted from 0, for a model of `size`: a multiple of 32."""
        scale = self.image_scales[min(epoch * len(self.image_scales) // self.epochs, len(self.image_scales) - 1)]
        return size if scale == 1 else max(32, round(scale * size / 32) * 32)

    def with_batch_size(self, batch_size: int) -> Self:
        """Returns the recipe for a different batch size, with its learning rates scaled in proportion."""
        share = batch_size / self.batch_size
        rates = ("learning_rate", "warmup_learning_rate", "final_learning_rate")
        return self.replace(batch_size=batch_size, **{name: share * getattr(self, name) for name in rates})

    def with_epochs(self, epochs: int) -> Self:
        """Returns the recipe for a different number of epochs, with its warm-up shortened to fewer than these."""
        return self.replace(epochs=epochs, warmup_epochs=min(self.warmup_epochs, max(0, epochs - 1)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict`, including the augmentation.

        Raises:
            ConfigError: A field of the recipe or its augmentation is unknown or has an impossible value.

        Examples:
            >>> TrainingRecipe.from_dict({"epochs": 30, "augmentation": {"flip": False}}).augmentation.flip
            False
        """
        if isinstance(values, Mapping) and "augmentation" in values:
            inner = Augmentation(**read_fields(Augmentation, "augmentation", values["augmentation"]))
            values = {**values, "augmentation": inner}
        return super().from_dict(values)


# Section 4 and the released training code of the paper (arXiv:2303.15446), for ImageNet on many GPUs. What differs:
# `adaptive_clip` is timm's; Keras's RandAugment turns by up to 360 degrees times its factor, where the paper's
# magnitude 9 turns by 27, so that 0.1 (36 degrees) stands for it; the saturation of color jitter has another curve;
# erased pixels are noise in 5 x 5 to 57 x 57 % of the picture.
_PAPER = TrainingRecipe(
    adaptive_clip=0.01,
    ema=0.99996,
    augmentation=Augmentation(color_jitter=0.4, rand_augment=0.1, erase=0.25, mixup=0.8, cutmix=1.0, repeats=3),
)
_PAPER_S = _PAPER.replace(augmentation=dataclasses.replace(_PAPER.augmentation, mixup=0.0, cutmix=0.0))
_PAPER_XS = _PAPER.replace(augmentation=dataclasses.replace(_PAPER_S.augmentation, rand_augment=0.0))

# For some ten thousand photographs and a CPU: fewer and smaller pictures at first, milder augmentation, layer scales
# that let attention work from the start, and a teacher that tells more than a label does.
_SHORT = TrainingRecipe(
    epochs=14,
    batch_size=64,
    learning_rate=1.2e-3,
    warmup_epochs=1,
    weight_decay=0.05,
    clip_norm=1.0,
    ema=0.998,
    image_scales=(0.75, 0.75, 1.0),
    distillation="soft",
    temperature=2.0,
    teacher_head_weight=0.5,
    teacher_views=4,
    layer_scale_init_value=0.1,
    augmentation=Augmentation(crop_scale=(0.35, 1.0), color_jitter=0.2, erase=0.05),
)

TRAINING_RECIPES: dict[str, dict[str, TrainingRecipe]] = {
    "paper": {"tiny": _PAPER_XS, "xs": _PAPER_XS, "s": _PAPER_S, "l1": _PAPER, "l3": _PAPER},
    "short": dict.fromkeys(VARIANTS, _SHORT),
}
"""Training recipes by name and variant, as returned by `training_recipe`.

`"paper"` is for ImageNet from scratch on many GPUs, from section 4 of the paper (arXiv:2303.15446) and its released
training code. `"short"` is for about ten thousand photographs and a CPU.

Examples:
    >>> for name, by_variant in TRAINING_RECIPES.items():
    ...     recipe = by_variant["xs"]
    ...     print(name, recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.distillation)
    paper 300 2048 0.002 hard
    short 14 64 0.0012 soft
"""


def training_recipe(name: str, variant: str) -> TrainingRecipe:
    """Returns a recipe by name, for a variant.

    Args:
        name: A key of `TRAINING_RECIPES`.
        variant: A key of `VARIANTS`.

    Raises:
        ConfigError: No such recipe or variant.

    Examples:
        >>> training_recipe("paper", "l1").augmentation.cutmix
        1.0
    """
    if name not in TRAINING_RECIPES:
        raise ConfigError(f"recipe={name!r}: expected one of {', '.join(TRAINING_RECIPES)}")
    if variant not in TRAINING_RECIPES[name]:
        raise ConfigError(f"variant={variant!r}: expected one of {', '.join(VARIANTS)}")
    return TRAINING_RECIPES[name][variant]
