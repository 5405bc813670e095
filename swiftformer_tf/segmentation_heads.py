"""Segmentation heads as data."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, get_args

from swiftformer_tf.errors import CheckpointError, ConfigError

__all__ = ["FEATURE_NORM", "SEGMENTATION_HEADS", "SegmentationHead", "feature_norm", "infer_head"]

HeadName = Literal["semantic_fpn", "all_mlp"]

# Far beyond what any phone can run. Without this limit, a few bytes in a file could request all available memory.
MAX_WIDTH = 4096

#: Prefix of the names of the normalizations between the stages and a head, in mmsegmentation's checkpoints.
FEATURE_NORM = "backbone.norm"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentationHead:
    """A head that computes logits from the backbone's maps.

    Args:
        name: `"semantic_fpn"` is the paper's: a feature pyramid with a stack of 3x3 convolutions for each of its levels
            (Kirillov et al., arXiv:1901.02446). `"all_mlp"`, for phones, is SegFormer's (Xie et al.,
            arXiv:2105.15203): a 1x1 convolution for each map, all of them resized, concatenated and mixed.
        fpn_dim: Number of the pyramid's channels; used by `"semantic_fpn"` only.
        head_dim: Number of channels that the classifier reads.
        dropout: Share of the channels before the classifier that training drops.
        feature_norms: Whether there is a batch normalization between each stage and the head, as in backbones that the
            original repository builds with `fork_feat=True`.

    Raises:
        ConfigError: A value is invalid; the message names the field.

    Examples:
        >>> SegmentationHead(fpn_dim=64, head_dim=64)
        SegmentationHead(name='semantic_fpn', fpn_dim=64, head_dim=64, dropout=0.1, feature_norms=False)
    """

    name: HeadName = "semantic_fpn"
    fpn_dim: int = 256
    head_dim: int = 128
    dropout: float = 0.1
    feature_norms: bool = False

    def __post_init__(self) -> None:
        if self.name not in get_args(HeadName):
            raise ConfigError(f"head.name={self.name!r}: expected one of {', '.join(get_args(HeadName))}")
        for field in ("fpn_dim", "head_dim"):
            value = getattr(self, field)
            if type(value) is not int or not 0 < value <= MAX_WIDTH:
                raise ConfigError(f"head.{field}={value!r}: expected a whole number from 1 to {MAX_WIDTH}")
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise ConfigError(f"head.dropout={self.dropout!r}: expected a number from 0 to below 1")
        if type(self.feature_norms) is not bool:
            raise ConfigError(f"head.feature_norms={self.feature_norms!r}: expected true or false")

    @property
    def least_parameters(self) -> int:
        """Lower bound of the number of parameters of such a head, whatever the backbone."""
        return _KINDS[self.name].least_parameters(self)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict`.

        Raises:
            ConfigError: The value is not an object, or has an unknown field or an invalid value.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"head={values!r}: expected an object with the fields of a segmentation head")
        if unknown := sorted(set(values) - {field.name for field in dataclasses.fields(cls)}):
            raise ConfigError(f"head.{unknown[0]}: no such field")
        return cls(**values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kind:
    """How to recognize heads of one name.

    Args:
        mark: Name of a tensor that these heads have, and no others.
        width: The field that holds the length of this tensor's first axis.
        least_parameters: See `SegmentationHead.least_parameters`.
    """

    mark: str
    width: str
    least_parameters: Callable[[SegmentationHead], int]


_KINDS: dict[HeadName, _Kind] = {
    "semantic_fpn": _Kind(
        mark="neck.lateral_convs.0.conv.weight",
        width="fpn_dim",
        # One of the head's convolutions.
        least_parameters=lambda head: 9 * head.fpn_dim * max(head.fpn_dim, head.head_dim),
    ),
    "all_mlp": _Kind(
        mark="decode_head.fuse.conv.weight",
        width="head_dim",
        # The matrix that mixes the channels of a single map.
        least_parameters=lambda head: head.head_dim**2,
    ),
}


def infer_head(shapes: Mapping[str, tuple[int, ...]]) -> SegmentationHead:
    """Infers the head from the shapes of tensors.

    Args:
        shapes: PyTorch's shapes by mmsegmentation's names.

    Raises:
        CheckpointError: The tensors are not those of a head in this package.

    Examples:
        >>> mixing, last = "decode_head.fuse.conv.weight", "decode_head.conv_seg.weight"
        >>> infer_head({mixing: (64, 256, 1, 1), last: (2, 64, 1, 1)})
        SegmentationHead(name='all_mlp', fpn_dim=256, head_dim=64, dropout=0.1, feature_norms=False)
    """
    for name, kind in _KINDS.items():
        if kind.mark not in shapes:
            continue
        widths = {"head_dim": _side(shapes, "decode_head.conv_seg.weight", 1), kind.width: _side(shapes, kind.mark, 0)}
        has_norms = any(key.startswith(FEATURE_NORM) for key in shapes)
        try:
            return SegmentationHead(name=name, feature_norms=has_norms, **widths)
        except ConfigError as error:
            raise CheckpointError(f"decode_head: {error}") from None
    raise CheckpointError(
        f"decode_head: none of this package's heads, {', '.join(get_args(HeadName))}; found "
        f"{', '.join(sorted(shapes)[:3])}, ..."
    )


def feature_norm(stage: int) -> str:
    """Returns the name of the normalization of a stage's output; the original repository also counts downsamplings.

    Examples:
        >>> [feature_norm(stage) for stage in range(4)]
        ['backbone.norm0', 'backbone.norm2', 'backbone.norm4', 'backbone.norm6']
    """
    return f"{FEATURE_NORM}{2 * stage}"


def _side(shapes: Mapping[str, tuple[int, ...]], key: str, axis: int) -> int:
    shape = shapes.get(key, ())
    if len(shape) != 4:
        raise CheckpointError(f"{key}: shape {shape}, expected the four axes of a 2-D convolution's kernel")
    return shape[axis]


SEGMENTATION_HEADS: dict[str, SegmentationHead] = {
    "semantic_fpn": SegmentationHead(),
    "semantic_fpn_64": SegmentationHead(fpn_dim=64, head_dim=64),
    "all_mlp": SegmentationHead(name="all_mlp", head_dim=64),
}
"""Heads by name: Semantic FPN as related papers configure it, a narrower one for phones, and the light one.

Examples:
    >>> SEGMENTATION_HEADS["semantic_fpn"]
    SegmentationHead(name='semantic_fpn', fpn_dim=256, head_dim=128, dropout=0.1, feature_norms=False)
"""
