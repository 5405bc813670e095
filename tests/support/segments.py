"""A tiny segmenter, and drawn pictures of two classes beside their masks."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.random_models import TWO_STAGES, randomized
from swiftformer_tf import SwiftFormerConfig
from swiftformer_tf.images.masks import MaskClasses
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.training.segmentation_recipes import SegmentationRecipe

CLASSES = MaskClasses(("sky", "ground", "void"), ((0, 0, 255), (0, 128, 0), (0, 0, 0)))
SMALL = SegmentationHead(fpn_dim=8, head_dim=8)
RECIPE = SegmentationRecipe(epochs=3, batch_size=4, crop_size=(32, 32), warmup_steps=1, learning_rate=1e-2, ema=0.5)


def tiny(**fields: Any) -> SwiftFormerConfig:
    """Two stages for two classes: with four, heads are those of `support.segmenters`."""
    labels = {0: "sky", 1: "ground"}
    config = SwiftFormerConfig(**{**TWO_STAGES, "id2label": labels, "image_size": (40, 64), **fields})
    return config.replace(transform=config.transform.replace(crop=None, interpolation="bilinear"))


def cropping() -> SwiftFormerForSemanticSegmentation:
    """A segmenter that sees the middle of a photograph."""
    config = tiny()
    return SwiftFormerForSemanticSegmentation(config.replace(transform=config.transform.replace(crop=0.9)), head=SMALL)


#: How it is refused, wherever its masks would be laid over whole photographs.
CROPS = (
    r"transform\.crop=0\.9: a segmenter must see whole photographs, as its masks cover them whole; expected crop=None: "
    r"make the model with config\.replace\(transform=config\.transform\.replace\(crop=None\)\)$"
)


def segmenter(head: SegmentationHead = SMALL, **fields: Any) -> SwiftFormerForSemanticSegmentation:
    """With random weights, and other fields of its configuration."""
    model: SwiftFormerForSemanticSegmentation = SwiftFormerForSemanticSegmentation(tiny(**fields), head=head)
    return randomized(model)


def write_pairs(root: Path, count: int = 6) -> Path:
    """Blue above, green below, the horizon elsewhere in each, with a void border."""
    for kind in ("images", "masks"):
        (root / kind / "train").mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels, mask = np.zeros((40, 64, 3), np.uint8), np.full((40, 64), 2, np.uint8)
        horizon = 10 + 3 * index
        pixels[:horizon], pixels[horizon:] = (60, 90, 220), (40, 140, 40)
        mask[1:horizon], mask[horizon:-1] = 0, 1
        Image.fromarray(pixels).save(root / "images" / "train" / f"{index}.png")
        Image.fromarray(mask).save(root / "masks" / "train" / f"{index}.png")
    (root / "classes.csv").write_text("sky,#0000ff\nground,green\nvoid,black\n")
    return root / "images" / "train"
