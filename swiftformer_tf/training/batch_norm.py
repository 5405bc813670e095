"""Recomputes BatchNorm statistics for the images that a model will see, if they differ from those in training."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from swiftformer_tf.errors import ConfigError

__all__ = ["update_batch_norm"]


def update_batch_norm(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Replaces the statistics of all BatchNorm layers with their mean over some batches; no other weights change.

    Objects look larger in random crops than in whole photographs, and the statistics depend on their size (Touvron et
    al., arXiv:1906.06423). After training on crops, or before using a different image size, recomputing the statistics
    on a few thousand training photographs, prepared as for evaluation, corrects this ("precise BatchNorm", Wu and
    Johnson, arXiv:2105.07576).

    Args:
        model: Trained classifier or segmenter; modified in place.
        batches: Normalized images, float32 (N, height, width, channels); a few dozen batches of 32 or more. All batches
            have the same weight.

    Raises:
        ConfigError: `batches` is empty.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=32))
        >>> update_batch_norm(model, [np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32")])
    """
    without_drops = {"drop_path_rate": 0.0, "drop_mlp_rate": 0.0, "drop_conv_encoder_rate": 0.0}
    copy = type(model).from_config({**model.get_config(), "config": model.config.replace(**without_drops).to_dict()})
    copy.set_weights(model.get_weights())
    norms = list(_batch_norms(copy.layers))
    count = 0
    for count, batch in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1 - 1 / count
        copy(batch, training=True)
    if not count:
        raise ConfigError("no images: the statistics need a few dozen or more")
    model.set_weights(copy.get_weights())


def _batch_norms(layers: Iterable[Any]) -> Iterator[keras.layers.BatchNormalization]:
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer
        elif isinstance(layer, keras.layers.Layer):
            yield from _batch_norms(vars(layer).values())
