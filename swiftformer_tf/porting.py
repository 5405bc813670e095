"""Weights into Keras models and out of them, every tensor and every variable accounted for."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from swiftformer_tf.checkpoints import Checkpoint, KeyLayoutName
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError, ModelError
from swiftformer_tf.folding import BLOCKS
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel
from swiftformer_tf.pretrained_model import config_of
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import infer_head
from swiftformer_tf.variables import assign_tensors, checkpoint_of

__all__ = ["Ported", "port", "to_checkpoint"]


@dataclasses.dataclass(frozen=True)
class Ported:
    """A model with a checkpoint's weights.

    Args:
        model: A `SwiftFormerForImageClassification`; a `SwiftFormerModel` where the checkpoint ends with the last
            stage, without the classifier's normalization.
        sources: Name in the checkpoint by the variable's path in the model, for every variable.

    Examples:
        >>> from swiftformer_tf import PRETRAINED
        >>> ported = port(Checkpoint.open(PRETRAINED["swiftformer_xs_imagenette"]))
        >>> ported.model.config.variant, len(ported.sources) == len(ported.model.weights)
        ('xs', True)
    """

    model: SwiftFormerForImageClassification | SwiftFormerModel | SwiftFormerForSemanticSegmentation
    sources: Mapping[str, str]


def port(checkpoint: Checkpoint, *, dtype: Any = None) -> Ported:
    """A Keras model that computes what the PyTorch model did.

    Args:
        checkpoint: Weights and their configuration.
        dtype: Keras precision or policy of the model; default is Keras's global policy.

    Raises:
        CheckpointError: A tensor or a variable has no partner, or another shape; lists both sides.

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
    """The weights of a model as a checkpoint, with the configuration that the model carries.

    What `port` put in comes out bit by bit; a dead `w_g` is among it. LoRA is merged into the kernels.

    Args:
        model: A model of this package, or a functional model over a backbone, of which the backbone's part comes out
            and the head of other layers is left out.
        key_layout: Names that the checkpoint's `save` uses by default.
        config: Configuration of the backbone; needed where no SwiftFormer in `model` has one, see `fuse`.

    Raises:
        ModelError: A model without a backbone or without a configuration, or one that Keras quantized.
        CheckpointError: Its weights are not finite, or they are of two backbones.

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
