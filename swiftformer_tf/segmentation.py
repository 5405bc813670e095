"""SwiftFormer for semantic segmentation: heads on the four feature maps, as a functional `keras.Model`."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import keras

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.transform import Transform
from swiftformer_tf.layers.base import BATCH_NORM_MOMENTUM
from swiftformer_tf.layers.resizing import BilinearResize, BilinearUpsampling, NearestUpsampling
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel, check_config
from swiftformer_tf.pretrained_model import PretrainedModel
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.segmentation_heads import (
    FEATURE_NORM,
    SEGMENTATION_HEADS,
    SegmentationHead,
    feature_norm,
    infer_head,
)
from swiftformer_tf.variables import assign_head, assign_tensors, backbone_of

__all__ = [
    "HEAD_LAYERS",
    "SwiftFormerForSemanticSegmentation",
    "copy_backbone",
    "copy_head",
]


#: Prefixes of the names of a head's layers.
HEAD_LAYERS = (FEATURE_NORM.replace(".", "-"), "neck-", "decode_head-")


@keras.saving.register_keras_serializable(PACKAGE)
class SwiftFormerForSemanticSegmentation(PretrainedModel):
    """SwiftFormer with a segmentation head, a functional `keras.Model`: logits for every fourth row and column.

    Input: pixels normalized by `config.transform`, (B, H, W, num_channels), with any H and W.

    Output: float32 logits, (B, H/4, W/4, num_labels), with sizes rounded up.

    Args:
        config: Architecture of the backbone; `id2label` names the classes.
        head: The head that computes logits from the feature maps.
        dtype: Keras dtype or policy, such as `"mixed_float16"`; default is Keras's global policy. Logits are
            float32 under every mixed policy.
        name: Name of the model.

    Raises:
        ConfigError: There are no labels, or the backbone's stages do not halve the size.

    Examples:
        >>> import numpy as np
        >>> config = SwiftFormerConfig.from_variant("tiny", id2label={0: "road", 1: "sky"})
        >>> model = SwiftFormerForSemanticSegmentation(config, head=SEGMENTATION_HEADS["all_mlp"])
        >>> tuple(model(np.zeros((1, 64, 90, 3), "float32")).shape)
        (1, 16, 23, 2)
    """

    def __init__(
        self,
        config: SwiftFormerConfig,
        *,
        head: SegmentationHead = SEGMENTATION_HEADS["semantic_fpn"],
        dtype: Any = None,
        name: str = "swiftformer_for_semantic_segmentation",
    ) -> None:
        check_config(config)
        if not isinstance(head, SegmentationHead):
            near = head if head in list(SEGMENTATION_HEADS) else "all_mlp"
            raise ConfigError(f"head={head!r}: expected a SegmentationHead, such as SEGMENTATION_HEADS[{near!r}]")
        if not config.num_labels:
            raise ConfigError("id2label={}: a segmenter needs a label for each class")
        if config.down_stride != 2 and any(config.downsampled):
            raise ConfigError(
                f"down_stride={config.down_stride}: expected 2, since a segmentation head needs stages that halve "
                "the size"
            )
        backbone = SwiftFormerModel(config, out_indices=range(len(config.depths)), dtype=dtype)
        policy = backbone.dtype_policy
        make, maps = _Head(config, head, policy), list(backbone.outputs)
        if head.feature_norms:
            maps = [make.norm(feature_norm(stage).replace(".", "-"), each) for stage, each in enumerate(maps)]
        hidden = _HEADS[head.name](make, maps)
        hidden = keras.layers.SpatialDropout2D(
            head.dropout, data_format="channels_last", dtype=policy, name="decode_head-dropout"
        )(hidden)
        logits = _conv(config.num_labels, 1, dtype=policy.variable_dtype, name="decode_head-conv_seg")(hidden)
        super().__init__(inputs=backbone.input, outputs=logits, name=name)
        self.head = head
        self._finish(config, policy, {"head": head.to_dict()})

    @property
    def task(self) -> str:
        """The task of the outputs: a key of `tasks.TASKS`."""
        return "semantic-segmentation"

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        return super().from_config({**config, "head": SegmentationHead.from_dict(config["head"])})

    @classmethod
    def _from_stored(
        cls,
        stored: Checkpoint | PretrainedModel,
        name: str | Path,
        wanted: Mapping[int, str] | None,
        arguments: Mapping[str, Any],
    ) -> Self:
        config, given = stored.config, dict(arguments)
        if isinstance(stored, cls):
            given.setdefault("head", stored.head)
        else:
            config = config.replace(transform=whole_photograph(config.transform))
        if isinstance(stored, Checkpoint) and stored.segmenter:
            config = config.replace(id2label=stored.segmenter_labels, label_colors=stored.segmenter_colors)
            given.setdefault("head", infer_head({key: each.shape for key, each in stored.segmenter.items()}))
        model = cls(config if wanted is None else config.replace(id2label=wanted), **given)
        if isinstance(stored, Checkpoint):
            backbone = SwiftFormerModel(backbone_of(stored).config, dtype=model.dtype_policy)
            assign_tensors(backbone, backbone_of(stored).tensors)
            new = copy_backbone(model, backbone)
            if stored.segmenter:
                new = assign_head(model, stored.segmenter)
        else:
            new = copy_backbone(model, stored)
            if isinstance(stored, cls):
                new = copy_head(model, stored)
        if new:
            warnings.warn(
                f"{name}: new in the head, with random weights that are to be trained ({len(new)}): {', '.join(new)}",
                stacklevel=3,
            )
        return model


def whole_photograph(transform: Transform) -> Transform:
    """Returns a classifier's transform for a segmenter, which sees the whole photograph.

    Examples:
        >>> whole_photograph(Transform(crop=0.875)).crop is None
        True
    """
    return transform.replace(crop=None, crop_mode="center")


def copy_backbone(
    model: SwiftFormerForSemanticSegmentation,
    source: SwiftFormerModel | SwiftFormerForImageClassification | SwiftFormerForSemanticSegmentation,
) -> tuple[str, ...]:
    """Copies the weights of a trained model's backbone to a segmenter, and leaves its head unchanged.

    Args:
        model: The segmenter, which is changed in place.
        source: Any model of this package with the same architecture.

    Returns:
        Paths of the variables that are not copied: those of the head.

    Raises:
        ConfigError: The architectures differ; the message names the layer or field, and `model` is unchanged.

    Examples:
        >>> classifier = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> model = SwiftFormerForSemanticSegmentation(classifier.config, head=SEGMENTATION_HEADS["all_mlp"])
        >>> copy_backbone(model, classifier)[0]
        'decode_head-layers-0-conv/kernel'
    """
    theirs = {layer.name: layer for layer in source.layers}
    pairs, new = [], []
    for layer in model.layers:
        if layer.name.startswith(HEAD_LAYERS):
            new += [variable.path for variable in layer.weights]
            continue
        if not layer.weights:
            continue
        if (other := theirs.get(layer.name)) is None:
            raise ConfigError(f"{source.name}: it has no layer {layer.name}; expected the backbone of {model.name}")
        shapes = [tuple(variable.shape) for variable in layer.weights]
        if shapes != [tuple(variable.shape) for variable in other.weights]:
            raise ConfigError(
                f"{source.name}: its {layer.name} has other shapes; expected the backbone of {model.name}"
            )
        pairs.append((layer, other))
    if source.config.token_weights != model.config.token_weights:
        raise ConfigError(
            f"{source.name}: its token_weights is {source.config.token_weights!r}, "
            f"expected {model.config.token_weights!r}"
        )
    for layer, other in pairs:
        layer.set_weights(other.get_weights())
    return tuple(new)


def copy_head(model: SwiftFormerForSemanticSegmentation, source: SwiftFormerForSemanticSegmentation) -> tuple[str, ...]:
    """Copies the layers of a segmenter's head whose shapes match, and returns the paths of variables left unchanged.

    Nothing is copied if only the head of `source` reads normalized maps.
    """
    is_fit = model.head.feature_norms or not source.head.feature_norms
    theirs = {layer.name: layer for layer in source.layers if is_fit}
    new: list[str] = []
    for layer in model.layers:
        if not layer.name.startswith(HEAD_LAYERS) or not layer.weights:
            continue
        other = theirs.get(layer.name)
        if other is not None and [w.shape for w in other.weights] == [w.shape for w in layer.weights]:
            layer.set_weights(other.get_weights())
        else:
            new += [variable.path for variable in layer.weights]
    return tuple(new)


class _Head:
    """Creates the layers of a head, named so that a variable's path is its key in mmsegmentation's checkpoints."""

    def __init__(self, config: SwiftFormerConfig, head: SegmentationHead, policy: Any) -> None:
        self.head, self.policy, self.epsilon = head, policy, config.batch_norm_eps
        #: For each map, the number of times that its size was halved, starting from the first map.
        self.halvings = [sum(config.downsampled[: stage + 1]) for stage in range(len(config.depths))]

    def conv(self, filters: int, kernel_size: int, name: str, inputs: Any) -> Any:
        return _conv(filters, kernel_size, dtype=self.policy, name=name)(inputs)

    def norm(self, name: str, inputs: Any) -> Any:
        norm = keras.layers.BatchNormalization(
            momentum=BATCH_NORM_MOMENTUM, epsilon=self.epsilon, dtype=self.policy, name=name
        )
        return norm(inputs)

    def norm_relu(self, name: str, inputs: Any) -> Any:
        return keras.layers.ReLU(dtype=self.policy, name=f"{name}-activate")(self.norm(f"{name}-bn", inputs))

    def conv_module(self, name: str, inputs: Any) -> Any:
        """Applies a 3x3 convolution without bias, a batch normalization and ReLU."""
        conv = _conv(self.head.head_dim, 3, use_bias=False, dtype=self.policy, name=f"{name}-conv")
        return self.norm_relu(name, conv(inputs))

    def resized(self, name: str, inputs: Any, like: Any) -> Any:
        return BilinearResize(dtype=self.policy, name=name)(inputs, like)

    def summed(self, name: str, inputs: list[Any]) -> Any:
        return keras.layers.Add(dtype=self.policy, name=name)(inputs) if len(inputs) > 1 else inputs[0]


def _semantic_fpn(make: _Head, maps: list[Any]) -> Any:
    """Builds the pyramid from the smallest map up, enlarges its levels to the size of the first, and adds them."""
    width = make.head.fpn_dim
    laterals = [make.conv(width, 1, f"neck-lateral_convs-{level}-conv", each) for level, each in enumerate(maps)]
    for level in reversed(range(len(maps) - 1)):
        above, here = laterals[level + 1], laterals[level]
        if make.halvings[level + 1] > make.halvings[level]:
            above = NearestUpsampling(dtype=make.policy, name=f"neck-upsample-{level}")(above, here)
        laterals[level] = make.summed(f"neck-sum-{level}", [here, above])
    levels: list[Any] = []
    for level, lateral in enumerate(laterals):
        hidden = make.conv(width, 3, f"neck-fpn_convs-{level}-conv", lateral)
        for step in range(max(1, make.halvings[level])):
            hidden = make.conv_module(f"decode_head-scale_heads-{level}-{2 * step}", hidden)
            if make.halvings[level]:
                name = f"decode_head-scale_heads-{level}-{2 * step + 1}"
                hidden = BilinearUpsampling(dtype=make.policy, name=name)(hidden)
        # Doubled sizes exceed the first map's if a downsampling rounded up.
        levels.append(make.resized(f"decode_head-resize-{level}", hidden, levels[0]) if level else hidden)
    return make.summed("decode_head-sum", levels)


def _all_mlp(make: _Head, maps: list[Any]) -> Any:
    """Applies a linear layer to each map, resizes them to the size of the first, concatenates and mixes them."""
    levels: list[Any] = []
    for level, each in enumerate(maps):
        hidden = make.conv(make.head.head_dim, 1, f"decode_head-layers-{level}-conv", each)
        levels.append(make.resized(f"decode_head-resize-{level}", hidden, levels[0]) if level else hidden)
    wide = keras.layers.Concatenate(dtype=make.policy, name="decode_head-concat")(levels)
    mixed = _conv(make.head.head_dim, 1, use_bias=False, dtype=make.policy, name="decode_head-fuse-conv")(wide)
    return make.norm_relu("decode_head-fuse", mixed)


_HEADS: dict[str, Callable[[_Head, list[Any]], Any]] = {"semantic_fpn": _semantic_fpn, "all_mlp": _all_mlp}

_conv = partial(keras.layers.Conv2D, padding="same", data_format="channels_last", kernel_initializer="he_normal")
