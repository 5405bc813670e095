"""Converts configurations from and to Hugging Face's and timm's `config.json`.

Both describe a model and how photographs are prepared for it; neither can express more than its own library computes.
"""

from collections.abc import Mapping
from typing import Any

from swiftformer_tf.checkpoints import image_processors
from swiftformer_tf.checkpoints.image_processors import whole_numbers
from swiftformer_tf.config import VARIANTS, SwiftFormerConfig
from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.class_names import numbered_labels
from swiftformer_tf.images.labels import imagenet_classes
from swiftformer_tf.images.transform import TRANSFORMS, Transform, is_number

__all__ = ["from_hf", "from_timm", "is_hf", "is_timm", "to_hf", "to_timm", "to_timm_wrapper"]

# timm's names of the variants, and of arguments that shapes of weights do not tell.
ARCHITECTURES = {f"swiftformer_{variant}": variant for variant in VARIANTS if variant != "tiny"}
TIMM_ARGUMENTS = ("down_stride", "down_pad", "layer_scale_init_value", "drop_path_rate")
# How it cuts a photograph. With the third, "border", it puts a border around what does not fill the size.
TIMM_CROP_MODES = ("center", "squash")
TIMM_CROP_PCT = 0.875
# What timm's code fixes, as far as this package can vary it.
TIMM_FIXED = {"hidden_act": "gelu", "batch_norm_eps": 1e-5}


def is_hf(values: Any) -> bool:
    """Whether this is Hugging Face's configuration of a SwiftFormer."""
    return isinstance(values, Mapping) and values.get("model_type") == "swiftformer"


def is_timm(values: Any) -> bool:
    """Whether this is timm's configuration of a SwiftFormer."""
    name = values.get("architecture") if isinstance(values, Mapping) else None
    return isinstance(name, str) and name.startswith("swiftformer")


def from_hf(values: Mapping[str, Any], processor: Mapping[str, Any] | None) -> SwiftFormerConfig:
    """Reads Hugging Face's `config.json` and, if there is one, `preprocessor_config.json`.

    If `config.json` was written by `to_hf`, it contains the transform, which is then used.

    Raises:
        ConfigError: A value is impossible, or the image processor does something that `Transform` does not support.
    """
    config = SwiftFormerConfig.from_dict(values)
    if processor is None or "transform" in values:
        return config
    transform = image_processors.read(processor)
    return config.replace(image_size=_image_size(*transform.size), transform=transform)


def to_hf(config: SwiftFormerConfig) -> dict[str, Any]:
    """Returns the content of Hugging Face's `config.json`, with this package's own fields added.

    Examples:
        >>> to_hf(SwiftFormerConfig(id2label={0: "cat"}))["label2id"]
        {'cat': 0}
    """
    labels = {label: index for index, label in config.id2label.items()}
    kind = "SwiftFormerForImageClassification" if config.num_labels else "SwiftFormerModel"
    values = {"architectures": [kind], **config.to_dict(), "label2id": labels}
    return {name: value for name, value in values.items() if (name, value) != ("problem_type", None)}


def from_timm(values: Mapping[str, Any]) -> SwiftFormerConfig:
    """Reads timm's `config.json`; without class names, 1000 classes are taken to be ImageNet's, as in timm.

    Raises:
        ConfigError: A value is impossible, or makes timm compute something that this package does not support.

    Examples:
        >>> from_timm({"architecture": "swiftformer_s", "num_classes": 1000}).labels[0]
        'tench'
    """
    # Before timm 0.9 all of it stood at the top.
    data = _mapping(values, "pretrained_cfg") if "pretrained_cfg" in values else values
    arguments = _mapping(values, "model_args")
    architecture = values["architecture"].partition(".")[0]
    row = VARIANTS.get(ARCHITECTURES.get(architecture, ""), {})
    depths, widths = arguments.get("layers", row.get("depths")), arguments.get("embed_dims", row.get("embed_dims"))
    if depths is None or widths is None:
        raise ConfigError(f"architecture={architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
    for name, usual in (("act_layer", "gelu"), ("output_stride", 32), ("global_pool", "avg")):
        if arguments.get(name, usual) not in (usual, None):
            raise ConfigError(f"model_args.{name}={arguments[name]!r}: expected {usual!r}")
    channels, height, width = whole_numbers("pretrained_cfg.input_size", data.get("input_size", (3, 224, 224)), 3)
    channels = arguments.get("in_chans", channels)  # of the model; the other is what the weights before were for
    fields = {name: arguments[name] for name in TIMM_ARGUMENTS if name in arguments}
    return SwiftFormerConfig(
        depths=depths,
        embed_dims=widths,
        downsamples=(True,) * (len(depths) if isinstance(depths, (list, tuple)) else 0),
        num_channels=channels,
        image_size=_image_size(height, width),
        id2label=_timm_labels(values, data),
        problem_type=values.get("problem_type"),
        transform=_timm_transform(data, (height, width)),
        **fields,
    )


def to_timm(config: SwiftFormerConfig, *, layer_scales: bool) -> dict[str, Any]:
    """Returns the content of timm's `config.json`.

    Args:
        config: Configuration of weights that can be used with timm.
        layer_scales: Whether the weights include layer scales, which timm has everywhere or nowhere.

    Raises:
        ConfigError: A value differs from one that is fixed in timm's code.
    """
    for name, fixed in TIMM_FIXED.items():
        if getattr(config, name) != fixed:
            raise ConfigError(f"{name}={getattr(config, name)!r}: timm's SwiftFormer supports only {fixed!r}")
    usual = SwiftFormerConfig(
        depths=config.depths, embed_dims=config.embed_dims, downsamples=(True,) * len(config.depths)
    )
    named = config.variant is not None and f"swiftformer_{config.variant}" in ARCHITECTURES
    ours = {
        "layers": (list(config.depths), named),
        "embed_dims": (list(config.embed_dims), named),
        "mlp_ratios": (config.mlp_ratio, config.mlp_ratio == usual.mlp_ratio),
        "downsamples": (list(config.downsampled), config.downsampled == usual.downsampled),
        "in_chans": (config.num_channels, config.num_channels == 3),
        "use_layer_scale": (layer_scales, layer_scales),
        **{
            name: (getattr(config, name), getattr(config, name) == getattr(usual, name))
            for name in ("down_patch_size", "down_stride", "down_pad")
        },
    }
    arguments = {name: value for name, (value, is_default) in ours.items() if not is_default}
    transform = config.transform
    if len(set(config.input_size)) == 2 and transform.crop_mode == "shortest_edge" and transform.crop:
        raise ConfigError(f"transform.size={transform.size} with crop_mode='shortest_edge': timm has no such crop")
    values = {
        "architecture": f"swiftformer_{config.variant}" if named else "swiftformer_xs",
        "num_classes": config.num_labels,
        "label_names": list(config.labels),
        # Also under Hugging Face's names, for readers that look for them.
        "id2label": {str(index): label for index, label in config.id2label.items()},
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [config.num_channels, *config.input_size],
            "interpolation": transform.interpolation,
            "crop_pct": transform.crop or 1.0,
            "crop_mode": "center" if transform.keeps_shape else "squash",
            "mean": list(transform.mean),
            "std": list(transform.std),
            "num_classes": config.num_labels,
            "first_conv": "stem.0",
            "classifier": ["head", "head_dist"],
        },
    }
    values |= {"problem_type": config.problem_type} if config.problem_type else {}  # Hugging Face's name as well
    return {**values, "model_args": arguments} if arguments else values


def to_timm_wrapper(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of `config.json` for transformers' `TimmWrapper` models.

    Args:
        values: The result of `to_timm`.

    Examples:
        >>> to_timm_wrapper({"num_classes": 2, "label_names": ["cat", "dog"]})["label2id"]
        {'cat': 0, 'dog': 1}
    """
    kind = "TimmWrapperForImageClassification" if values["num_classes"] else "TimmWrapperModel"
    labels = {label: index for index, label in enumerate(values["label_names"])}
    return {**values, "model_type": "timm_wrapper", "architectures": [kind], "label2id": labels, "do_pooling": True}


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name) or {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"{name}={found!r}: expected a JSON object")
    return found


def _image_size(height: int, width: int) -> int | tuple[int, int]:
    return height if height == width else (height, width)


def _timm_transform(data: Mapping[str, Any], size: tuple[int, int]) -> Transform:
    # timm treats null as absent, and accepts one number for all channels.
    given = {name: value for name, value in data.items() if value is not None}
    usual = TRANSFORMS["timm"]
    mode: Any = given.get("crop_mode", "center")
    # Not that of its own SwiftFormers: in a config.json, what is left out is what timm has for any model.
    share = given.get("crop_pct", TIMM_CROP_PCT)
    mean, std = ((x,) * 3 if is_number(x) else x for x in (given.get("mean", usual.mean), given.get("std", usual.std)))
    if mode not in TIMM_CROP_MODES:
        raise ConfigError(f"pretrained_cfg.crop_mode={mode!r}: expected one of {', '.join(TIMM_CROP_MODES)}")
    whole = mode == "squash" and share == 1
    return Transform(
        size=size,
        crop=None if whole else share,
        crop_mode="center" if whole else mode,
        interpolation=given.get("interpolation", usual.interpolation),
        mean=mean,
        std=std,
    )


def _timm_labels(values: Mapping[str, Any], data: Mapping[str, Any]) -> dict[int, str]:
    count = values.get("num_classes", data.get("num_classes", 1000))
    names = values.get("label_names") or data.get("label_names") or values.get("id2label")
    described = values.get("label_descriptions") or data.get("label_descriptions") or {}
    if not names:
        return dict(enumerate(imagenet_classes().values())) if count == 1000 else numbered_labels(count)
    if not isinstance(names, (list, tuple, Mapping)):
        raise ConfigError(f"label_names={names!r}: expected a list of names, or names by index")
    if not isinstance(described, Mapping):
        raise ConfigError(f"label_descriptions={described!r}: expected a description by name")
    listed = names if isinstance(names, Mapping) else dict(enumerate(names))
    return {index: str(described.get(str(name), name)) for index, name in listed.items()}
