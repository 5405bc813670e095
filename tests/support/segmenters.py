"""Small segmenters whose answers differ from place to place, and their files."""

import functools
from typing import Any

import numpy as np

from support.random_models import TWO_STAGES, fan_in, pictures, tiny_config
from swiftformer_tf import RECIPES, LiteModel, export, fuse
from swiftformer_tf.exporting import Calibration, calibrate
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.tasks import Activation
from swiftformer_tf.training import update_batch_norm

SIZE = (72, 90)  # no multiple of 32: maps are cut where a downsampling had rounded up
LABELS = {index: f"class {index}" for index in range(5)}
PIXELS = pictures(12, *SIZE)
# Four maps where the shape of the head is what matters: everything else is as well seen with two, in half the time.
STAGES: dict[int, dict[str, Any]] = {2: TWO_STAGES, 4: {}}


def segmenter(name: str = "semantic_fpn", stages: int = 2) -> SwiftFormerForSemanticSegmentation:
    return _segmenter(name, stages)


@functools.cache
def _segmenter(name: str, stages: int) -> SwiftFormerForSemanticSegmentation:
    """Random weights whose answers differ from place to place, as a trained one's do."""
    head = SegmentationHead(name=name, fpn_dim=16, head_dim=16)  # type: ignore[arg-type]
    config = tiny_config(image_size=SIZE, id2label=LABELS, **STAGES[stages])
    model = SwiftFormerForSemanticSegmentation(
        config.replace(transform=config.transform.replace(crop=None, interpolation="bilinear")), head=head
    )
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.path.endswith("/kernel"):
            shape = tuple(variable.shape)
            variable.assign(rng.normal(0, 1.4 / np.sqrt(fan_in(variable)), shape))
        elif variable.path.endswith("/scale"):
            variable.assign(rng.uniform(0.5, 1.0, tuple(variable.shape)))
        elif variable.path.endswith("/w_g"):
            variable.assign(rng.normal(size=tuple(variable.shape)))
    update_batch_norm(model, [model.config.transform.normalize(PIXELS)])
    return model


@functools.cache
def deployed(
    activation: Activation | None, name: str = "semantic_fpn", stages: int = 2
) -> tuple[DeployModel, Calibration]:
    deploy = fuse(segmenter(name, stages), classifier_activation=activation)
    return deploy, calibrate(deploy, PIXELS)


@functools.cache
def lite(recipe: str, activation: Activation | None = None, name: str = "semantic_fpn", stages: int = 2) -> LiteModel:
    deploy, calibration = deployed(activation, name, stages)
    return export(deploy, RECIPES[recipe], calibration=calibration)
