"""Copies weights from checkpoints into Keras models and back, accounting for every tensor and every variable."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from swiftformer_tf.checkpoints import Checkpoint, KeyLayoutName
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError, ModelError
from swiftformer_tf.fusion.folding import BLOCKS
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel
from swiftformer_tf.pretrained_model import config_of
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import infer_head
from swiftformer_tf.variables import assign_tensors, checkpoint_of

__all__ = ["Ported", "port", "to_checkpoint"]


@dataclasses.dataclass(frozen=True)
class Ported:
    """A model with the weights of a checkpoint.

    Args:
        model: A `SwiftFormerForImageClassification`, or a `SwiftFormerModel` if the checkpoint ends after the last
            stage, without the classifier's normalization.
        sources: For the path of every variable in the model, the name of its tensor in the checkpoint.

    Examples:
        >>> from swiftformer_tf import PRETRAINED
        >>> ported = port(Checkpoint.open(PRETRAINED["swiftformer_xs_imagenette"]))
        >>> ported.model.config.variant, len(ported.sources) == len(ported.model.weights)
        ('xs', True)
    """

    model: SwiftFormerForImageClassification | SwiftFormerModel | SwiftFormerForSemanticSegmentation
    sources: Mapping[str, str]


def port(checkpoint: Checkpoint, *, dtype: Any = None) -> Ported:
    """Creates a Keras model that computes the same function as the PyTorch model.

    Args:
        checkpoint: The weights and their configuration.
        dtype: Keras dtype or dtype policy of the model; default is Keras's global policy.

    Raises:
        CheckpointError: A tensor or variable has no counterpart, or one of a different shape; the message lists both
            sides.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> port(to_checkpoint(model)).sources["stages-0-blocks-1/attn/w_g"]
        'stages.0.blocks.1.attn.w_g'
    """
    if not isinstance(checkpoint, Checkpoint):
        given = type(checkpoint).__name__
        raise CheckpointError(f"port: a {given}, expected a Checkpoint; Checkpoint.open(path) reads one")
    if checkpoint.segmenter:
        shapes = {key: tensor.shape for key, tensor in checkpoint.segmenter.items()}
        segmenter = SwiftFormerForSemanticSegmentation(checkpoint.model_config, head=infer_head(shapes), dtype=dtype)
        return Ported(segmenter, assign_tensors(segmenter, {**checkpoint.tensors, **checkpoint.segmenter}))
    kind = SwiftFormerForImageClassification if checkpoint.has_final_norm else SwiftFormerModel
    model = kind(checkpoint.config, dtype=dtype)
    return Ported(model, assign_tensors(model, checkpoint.tensors))


def to_checkpoint(
    model: keras.Model, *, key_layout: KeyLayoutName = "timm", config: SwiftFormerConfig | None = None
) -> Checkpoint:
    """Returns the weights of a model as a checkpoint, with the model's configuration.

    Weights that were loaded with `port` come out bit for bit, including an unused `w_g`. LoRA weights are merged into
    the kernels.

    Args:
        model: A model of this package, or a functional model on top of a backbone. In the latter case only the backbone
            is returned; other layers are left out.
        key_layout: The key layout that the checkpoint's `save` uses by default.
        config: Configuration of the backbone; required if no SwiftFormer in `model` has one, see `fuse`.

    Raises:
        ModelError: The model has no backbone or no configuration, or was quantized by Keras.
        CheckpointError: The weights are not finite, or belong to two backbones.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> to_checkpoint(model).tensors["head.weight"].shape
        (1000, 20)
    """
    if isinstance(model, (SwiftFormerForImageClassification, SwiftFormerModel, SwiftFormerForSemanticSegmentation)):
        return checkpoint_of(model, config or model.config, key_layout=key_layout)
    if not any(isinstance(each, BLOCKS) for each in model._flatten_layers()):
        raise ModelError(
            f"{model.name}: a {type(model).__name__}, expected a SwiftFormerForImageClassification or "
            "SwiftFormerModel, or layers on one; pass the model that was given to fuse"
        )
    return checkpoint_of(model, config or config_of(model), key_layout=key_layout, backbone_only=True)
