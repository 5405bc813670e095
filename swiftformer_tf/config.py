"""The configuration of a SwiftFormer: one immutable value that travels with the weights."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from swiftformer_tf.errors import ConfigError, one_line
from swiftformer_tf.images.annotations import ProblemType
from swiftformer_tf.images.class_names import as_labels, is_one_line, labels_in, numbered_labels
from swiftformer_tf.images.colors import Color, as_colors, class_colors, is_color
from swiftformer_tf.images.transform import TRANSFORMS, Transform, is_number, is_whole

TokenWeights = Literal["l2", "uniform"]

# The forms in which weights are written: a Keras model, or another library's layout.
WeightForm = Literal["keras", "hf", "timm", "timm_wrapper", "original"]

VARIANTS: dict[str, dict[str, tuple[int, ...]]] = {
    "tiny": {"depths": (2, 1, 2, 1), "embed_dims": (8, 12, 16, 20)},
    "xs": {"depths": (3, 3, 6, 4), "embed_dims": (48, 56, 112, 220)},
    "s": {"depths": (3, 3, 9, 6), "embed_dims": (48, 64, 168, 224)},
    "l1": {"depths": (4, 3, 10, 5), "embed_dims": (48, 96, 192, 384)},
    "l3": {"depths": (4, 4, 12, 6), "embed_dims": (64, 128, 320, 512)},
}
"""Depths and widths of each variant by name, as fields of `SwiftFormerConfig`.

`"xs"`, `"s"`, `"l1"` and `"l3"` are those in table 4 of the paper (arXiv:2303.15446); `"tiny"` is a small one for
tests.

Examples:
    >>> VARIANTS["xs"]
    {'depths': (3, 3, 6, 4), 'embed_dims': (48, 56, 112, 220)}
"""

# Far beyond any SwiftFormer: without these limits, a few bytes in a file could request unlimited memory and time.
MAX_BLOCKS = 256
MAX_SIZE = 2**14
POSITIVE = f"a positive int up to {MAX_SIZE:,}"

# Activations that Hugging Face's `hidden_act` may name; `layers/activations.py` has the functions.
ACTIVATIONS = (
    "gelu",
    "gelu_python",
    "gelu_accurate",
    "gelu_fast",
    "gelu_new",
    "gelu_python_tanh",
    "gelu_pytorch_tanh",
    "quick_gelu",
    "hardswish",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "swish",
    "tanh",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SwiftFormerConfig:
    """Architecture, labels and evaluation transform of one SwiftFormer.

    The architecture fields and their defaults are those of Hugging Face's `SwiftFormerConfig`
    (transformers 5.23); `token_weights`, `distillation` and `transform` are this package's own.

    Args:
        image_size: Height and width, in pixels, of the input of a deploy graph; an int means a square. The Keras model
            itself accepts any size.
        num_channels: Number of channels of the input image.
        depths: Number of blocks per stage; the last block of each stage is the one with attention.
        embed_dims: Number of channels per stage.
        mlp_ratio: Ratio of hidden to outer channels in `ConvEncoder` and `Mlp`.
        downsamples: Whether a strided convolution follows stage `i`. Where the number of channels changes, there is one
            regardless. The last entry has no effect.
        hidden_act: Activation of the `Mlp`; the other blocks always use the exact GELU.
        down_patch_size: Kernel size of the downsampling convolutions.
        down_stride: Stride of the downsampling convolutions.
        down_pad: Zero padding of the downsampling convolutions, on every side.
        drop_path_rate: Stochastic depth rate of the last block; the rate rises linearly from 0 at the first block.
        drop_mlp_rate: Dropout rate in the `Mlp`.
        drop_conv_encoder_rate: Dropout rate on the residual branch of `ConvEncoder`.
        use_layer_scale: Whether attention and MLP have a layer scale. `ConvEncoder` and the local
            representation always have one.
        layer_scale_init_value: Initial value of the layer scales of attention and MLP.
        batch_norm_eps: Epsilon of every batch normalization.
        token_weights: `"l2"` normalizes the token weights over the tokens (original repository since July 2023, timm);
            `"uniform"` sets them all to one (first release, Hugging Face). Both use the same keys and shapes but
            compute different results, so this setting must match the weights.
        distillation: Whether there is a second head, trained by distillation from a teacher.
        id2label: Class names by index, 0 to n-1. If empty, the model has no head and returns pooled features.
        label_colors: (red, green, blue) of each label, from 0 to 255, in which masks are drawn: those of the class list
            that a segmenter was trained with. Empty if it had none; `colors` are then others.
        problem_type: Hugging Face's name for the kind of labels: `"single_label_classification"`,
            `"multi_label_classification"` or `"regression"`. None if not specified: as in transformers' pipeline,
            several labels then mean single-label classification, and a single label is a yes-or-no decision.
        transform: How evaluation prepares photographs for these weights. Its `size` follows `image_size`. If its `mean`
            and `std` are given for a different number of channels, their average is used for every channel, as in timm.

    Raises:
        ConfigError: An impossible value; the message names the field.

    Examples:
        >>> config = SwiftFormerConfig.from_variant("xs", token_weights="l2")
        >>> config.num_labels, config.depths
        (1000, (3, 3, 6, 4))
        >>> SwiftFormerConfig.from_dict(config.to_dict()) == config
        True
    """

    image_size: int | tuple[int, int] = 224
    num_channels: int = 3
    depths: tuple[int, ...] = VARIANTS["xs"]["depths"]
    embed_dims: tuple[int, ...] = VARIANTS["xs"]["embed_dims"]
    mlp_ratio: float = 4
    downsamples: tuple[bool, ...] = (True, True, True, True)
    hidden_act: str = "gelu"
    down_patch_size: int = 3
    down_stride: int = 2
    down_pad: int = 1
    drop_path_rate: float = 0.0
    drop_mlp_rate: float = 0.0
    drop_conv_encoder_rate: float = 0.0
    use_layer_scale: bool = True
    layer_scale_init_value: float = 1e-5
    batch_norm_eps: float = 1e-5
    token_weights: TokenWeights = "l2"
    distillation: bool = True
    id2label: Mapping[int, str] = dataclasses.field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    label_colors: tuple[Color, ...] = ()
    problem_type: ProblemType | None = None
    transform: Transform = TRANSFORMS["original"]

    def __new__(cls, *_: Any, **fields: Any) -> Self:
        if "num_labels" in fields:
            raise ConfigError("num_labels: set by id2label; give id2label=dict(enumerate(names)), one name per label")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        # JSON has lists and string keys; a frozen value wants tuples and whole numbers.
        for name in ("depths", "embed_dims", "downsamples"):
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name)))
        if not isinstance(self.image_size, int):
            object.__setattr__(self, "image_size", _as_tuple("image_size", self.image_size))
        object.__setattr__(self, "id2label", as_labels(self.id2label))
        object.__setattr__(self, "label_colors", as_colors(_as_tuple("label_colors", self.label_colors)))
        for name, ok, expected in self._rules():
            if not ok:
                raise ConfigError(f"{name}={getattr(self, name)!r}: expected {expected}")
        transform = self.transform.for_channels(self.num_channels).replace(size=self.input_size)
        object.__setattr__(self, "transform", transform)

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        """Yields each rule's field, whether it holds, and what was expected; later rules may rely on earlier ones."""
        stages = len(self.depths)
        per_stage = f"{stages} {{}}, one per entry of depths"
        size = self.image_size if isinstance(self.image_size, tuple) else (self.image_size,) * 2
        yield "image_size", len(size) == 2 and all(map(_positive, size)), f"{POSITIVE} or (height, width)"
        yield "num_channels", _positive(self.num_channels), POSITIVE
        blocks = stages > 0 and all(map(_positive, self.depths)) and sum(self.depths) <= MAX_BLOCKS
        yield "depths", blocks, f"a positive int per stage, at most {MAX_BLOCKS} in all"
        widths = len(self.embed_dims) == stages and all(map(_positive, self.embed_dims))
        yield "embed_dims", widths, per_stage.format(f"positive ints up to {MAX_SIZE:,}")
        yield "embed_dims", self.embed_dims[0] > 1, "a first entry of at least 2, which the stem halves"
        ratio = is_number(self.mlp_ratio) and self.mlp_ratio * min(self.embed_dims) >= 1
        yield "mlp_ratio", ratio, "a number that leaves every stage at least one hidden channel"
        hidden = self.mlp_ratio * max(self.embed_dims) <= MAX_SIZE
        yield "mlp_ratio", hidden, f"a number that gives no stage more than {MAX_SIZE:,} hidden channels"
        switches = len(self.downsamples) == stages and all(isinstance(item, bool) for item in self.downsamples)
        yield "downsamples", switches, per_stage.format("booleans")
        yield "hidden_act", self.hidden_act in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"
        yield "down_patch_size", _positive(self.down_patch_size), POSITIVE
        yield "down_stride", _positive(self.down_stride), POSITIVE
        padding = is_whole(self.down_pad) and 0 <= self.down_pad < self.down_patch_size
        yield "down_pad", padding, "an int from 0 to below down_patch_size"
        for name in ("drop_path_rate", "drop_mlp_rate", "drop_conv_encoder_rate"):
            yield name, _rate(getattr(self, name)), "a number from 0 to below 1"
        yield "use_layer_scale", isinstance(self.use_layer_scale, bool), "true or false"
        yield "layer_scale_init_value", is_number(self.layer_scale_init_value), "a finite number"
        yield "batch_norm_eps", is_number(self.batch_norm_eps) and self.batch_norm_eps > 0, "a positive number"
        yield "token_weights", self.token_weights in get_args(TokenWeights), "'l2' or 'uniform'"
        yield "distillation", isinstance(self.distillation, bool), "true or false"
        indices = list(self.id2label) == list(range(len(self.id2label)))
        yield "id2label", indices, "the class indices 0 to n-1, without gaps"
        single = all(map(is_one_line, self.labels))
        yield "id2label", single, "labels of one line each, since a label file has one per line"
        counted = len(self.label_colors) in (0, self.num_labels)
        yield "label_colors", counted and all(map(is_color, self.label_colors)), "red, green, blue (0 to 255) per label"
        known = self.problem_type is None or self.problem_type in get_args(ProblemType)
        yield "problem_type", known, f"one of {', '.join(get_args(ProblemType))}, or None"
        yield "transform", isinstance(self.transform, Transform), "a Transform"

    @property
    def num_labels(self) -> int:
        """Number of classes: the number of entries in `id2label`."""
        return len(self.id2label)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return tuple(self.id2label.values())

    @property
    def colors(self) -> tuple[Color, ...]:
        """The color of each class wherever masks are drawn: `label_colors`, or those of `class_colors`."""
        return self.label_colors or class_colors(self.num_labels)

    @property
    def input_size(self) -> tuple[int, int]:
        """`image_size` as (height, width)."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)

    @property
    def downsampled(self) -> tuple[bool, ...]:
        """Whether stage `i` is preceded by a downsampling module, by Hugging Face's rule (never before the first)."""
        widths = zip(self.downsamples, self.embed_dims, self.embed_dims[1:], strict=False)
        return (False, *(wanted or before != after for wanted, before, after in widths))

    @property
    def drop_path_rates(self) -> tuple[tuple[float, ...], ...]:
        """Stochastic depth rate of each block of each stage: 0 at the first block, `drop_path_rate` at the last."""
        last = max(sum(self.depths) - 1, 1)
        rates = [self.drop_path_rate * index / last for index in range(sum(self.depths))]
        starts = [sum(self.depths[:stage]) for stage in range(len(self.depths))]
        return tuple(tuple(rates[start : start + depth]) for start, depth in zip(starts, self.depths, strict=True))

    @classmethod
    def from_variant(cls, variant: str, **fields: Any) -> Self:
        """Returns the configuration of `"xs"`, `"s"`, `"l1"` or `"l3"` with 1000 labels; `fields` override its values.

        Raises:
            ConfigError: No such variant, or no such field.
        """
        if variant not in VARIANTS:
            raise ConfigError(f"variant={variant!r}: expected one of {', '.join(VARIANTS)}")
        return cls.from_fields({"id2label": numbered_labels(1000), **VARIANTS[variant], **fields})

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Creates a configuration from its fields; unlike `from_dict`, it rejects unknown ones.

        Raises:
            ConfigError: A name that is not a field, or an impossible value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - known - {"num_labels"}):  # which `__new__` answers
            raise ConfigError(f"{unknown[0]}: no such field; the fields are {', '.join(sorted(known))}")
        return cls(**fields)

    def replace(self, **fields: Any) -> Self:
        """Returns a copy with some fields changed, validated like a new configuration.

        With another number of labels, `label_colors` are dropped unless they are given too.
        """
        kept = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        labels = fields.get("id2label", self.id2label)
        if isinstance(labels, Mapping) and len(labels) != self.num_labels:
            kept["label_colors"] = ()
        return self.from_fields({**kept, **fields})

    @property
    def variant(self) -> str | None:
        """The name in `VARIANTS` with these depths and widths, or None."""
        mine = {"depths": self.depths, "embed_dims": self.embed_dims}
        return next((name for name, row in VARIANTS.items() if row == mine), None)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types, including `model_type`, in the form of Hugging Face's `config.json`.

        `label_colors` are included if there are any.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["id2label"] = {str(index): label for index, label in self.id2label.items()}
        fields["transform"] = self.transform.to_dict()
        if not self.label_colors:
            del fields["label_colors"]
        return {"model_type": "swiftformer", **json.loads(json.dumps(fields))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict` or Hugging Face's `config.json`; fields unknown to both are ignored.

        A dictionary without `token_weights` is taken to be Hugging Face's own, whose attention type is `"uniform"` in
        every version and whose transform is the plain bilinear resize of its image processor.

        Raises:
            ConfigError: Not a SwiftFormer configuration, or an impossible value.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"a configuration is a JSON object, not {type(values).__name__}")
        if "model_type" not in values:
            # timm's config.json has `architecture` and `pretrained_cfg` instead, and another attention type.
            raise ConfigError("model_type: missing; expected 'swiftformer', as in Hugging Face's config.json")
        if values["model_type"] != "swiftformer":
            raise ConfigError(f"model_type={values['model_type']!r}: expected 'swiftformer'")
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {name: value for name, value in values.items() if name in known}
        if fields.get("id2label") is None:  # transformers treats null as absent
            fields.pop("id2label", None)
            fields |= labels_in(values)
        if "token_weights" not in fields:
            fields = {"token_weights": "uniform", "transform": TRANSFORMS["hf"], **fields}
        for name in ("down_patch_size", "down_stride", "down_pad"):
            # Hugging Face takes one number an axis, too; its models are square all the same.
            if isinstance(value := fields.get(name), (list, tuple)) and value and value.count(value[0]) == len(value):
                fields[name] = value[0]
        if isinstance(fields.get("transform"), Mapping):
            fields["transform"] = Transform.from_dict(fields["transform"])
        return cls(**fields)

    def to_json(self) -> str:
        """Returns `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads the output of `to_json` or the text of a Hugging Face `config.json`.

        Raises:
            ConfigError: The text is not JSON, or see `from_dict`.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"the configuration is not JSON: {error}") from None
        return cls.from_dict(values)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads a JSON file with `from_json`; error messages name the file.

        Raises:
            ConfigError: See `from_json`.
            OSError: The file cannot be read.
        """
        try:
            return cls.from_json(Path(path).read_bytes())
        except ConfigError as error:
            raise ConfigError(f"{path}: {one_line(error)}") from None


def _as_tuple(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{name}={value!r}: expected a list")
    return tuple(value)


def _positive(value: Any) -> bool:
    return is_whole(value) and 0 < value <= MAX_SIZE


def _rate(value: Any) -> bool:
    return is_number(value) and 0 <= value < 1
