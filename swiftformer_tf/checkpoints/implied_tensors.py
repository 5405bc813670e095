"""Tensors that a file may leave out, since what they would hold changes nothing."""

import math
from collections.abc import Mapping

import numpy as np

from swiftformer_tf.checkpoints import tensor_specs
from swiftformer_tf.config import SwiftFormerConfig

__all__ = ["all_or_no_layer_scales", "equal_heads", "unit_layer_scales", "zero_biases"]


def zero_biases(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Zeros for heads that were created without a bias."""
    heads = {head: tensors.get(f"{head}.weight") for head in ("head", "head_dist")}
    return {
        f"{head}.bias": np.zeros(len(weight), np.float32)
        for head, weight in heads.items()
        if weight is not None and weight.ndim and f"{head}.bias" not in tensors
    }


def unit_layer_scales(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Ones for a model that was created without any layer scale."""
    if any(".layer_scale" in key for key in tensors):
        return {}
    blocks = {
        key.removesuffix(".dwconv.weight"): len(tensor)
        for key, tensor in tensors.items()
        if key.endswith(".dwconv.weight")
    }
    return {f"{block}.layer_scale.gamma": np.ones((width, 1, 1), np.float32) for block, width in blocks.items()}


def all_or_no_layer_scales(tensors: dict[str, np.ndarray], config: SwiftFormerConfig) -> dict[str, np.ndarray]:
    """The same function, without any layer scale if all that exist are ones, or else with all of them."""
    scales = {key: tensor for key, tensor in tensors.items() if key.endswith(".layer_scale.gamma")}
    if all((tensor == 1).all() for tensor in scales.values()):
        return {key: tensor for key, tensor in tensors.items() if key not in scales}
    shapes = tensor_specs.expected_shapes(config.replace(use_layer_scale=True))
    added = {
        key: np.ones(shape, np.float32) for key, shape in shapes.items() if key not in tensors and "layer_scale_" in key
    }
    return tensors | added


def equal_heads(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether the head for distillation is the other one again."""
    return all(
        f"head_dist.{leaf}" in tensors
        and np.array_equal(tensors.get(f"head.{leaf}", math.nan), tensors[f"head_dist.{leaf}"])
        for leaf in ("weight", "bias")
    )
