"""Adapts trained weights to a different number of input channels."""

import dataclasses
import math

import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.errors import ConfigError

__all__ = ["with_input_channels"]

STEM = "stem.0.weight"


def with_input_channels(checkpoint: Checkpoint, num_channels: int) -> Checkpoint:
    """Adapts a checkpoint's first convolution to a different number of channels, as timm's `in_chans` does.

    A single channel gets the sum of the kernels, so that a grayscale photograph has the same result as one with three
    equal channels. More than three get the three kernels in turn, scaled so that their sum is unchanged. The means and
    standard deviations of the transform are replaced by their average.

    Args:
        checkpoint: Checkpoint with three channels, or with `num_channels`, which is returned unchanged.
        num_channels: Number of channels of the result.

    Raises:
        ConfigError: The weights do not have three channels, or `num_channels` is invalid.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification, to_checkpoint
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> with_input_channels(to_checkpoint(model), 1).tensors["stem.0.weight"].shape
        (4, 1, 3, 3)
    """
    before = checkpoint.config.num_channels
    if num_channels == before:
        return checkpoint
    if before != 3:
        raise ConfigError(f"num_channels={num_channels}: the weights take {before}; expected weights with 3 channels")
    config = checkpoint.config.replace(num_channels=num_channels)
    kernel = checkpoint.tensors[STEM]
    if num_channels == 1:
        kernel = kernel.sum(axis=1, keepdims=True)
    else:
        repeated = np.tile(kernel, (1, math.ceil(num_channels / 3), 1, 1))[:, :num_channels]
        kernel = repeated * np.float32(3 / num_channels)
    tensors = {**checkpoint.tensors, STEM: np.ascontiguousarray(kernel, np.float32)}
    return dataclasses.replace(checkpoint, tensors=tensors, config=config)
