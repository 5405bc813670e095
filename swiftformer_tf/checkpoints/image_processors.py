"""Converts transforms from and to Hugging Face's `preprocessor_config.json`.

Missing values, and the meaning of a size given as one number, depend on the class of the image processor. A class that
is not in the table, or an option that `Transform` does not support, is rejected, since the pixels would silently
differ.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.transform import IMAGENET_MEAN, IMAGENET_STD, CropMode, Transform, is_number

__all__ = ["CLASSES", "read", "to_values", "whole_numbers"]

# Pillow's numbers, by which Hugging Face's image processors name an interpolation.
RESAMPLE = {2: "bilinear", 3: "bicubic"}


class _Class(NamedTuple):
    """The defaults of one of Hugging Face's image processors.

    Args:
        square: Whether a size given as one number means both sides; otherwise it means the shorter side.
        size: Size, as in the file.
        resample: Pillow's constant for the interpolation.
        mean: Mean per channel.
        std: Standard deviation per channel.
        crop: Size of the center crop; None for no crop.
        share: Share that is kept by the crop, for processors that specify it instead, below `WARPED` pixels.
    """

    square: bool
    size: int
    resample: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: int | None = None
    share: float | None = None


_HALF = (0.5, 0.5, 0.5)
_CLIP = _Class(
    square=False,
    size=224,
    resample=3,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    crop=224,
)

# From transformers 5.23, without "ImageProcessor": those whose pixels a transform makes.
CLASSES: dict[str, _Class] = {
    "ViT": _Class(square=True, size=224, resample=2, mean=_HALF, std=_HALF),
    "DeiT": _Class(square=True, size=256, resample=3, mean=_HALF, std=_HALF, crop=224),
    "CLIP": _CLIP,
    "Bit": _CLIP,
    "ConvNext": _Class(square=False, size=384, resample=3, mean=_HALF, std=_HALF, share=0.875),
    "MobileNetV2": _Class(square=False, size=256, resample=2, mean=_HALF, std=_HALF, crop=224),
    "Pvt": _Class(square=True, size=224, resample=3, mean=IMAGENET_MEAN, std=IMAGENET_STD),
}

# Edge from which ConvNext's processor does not crop.
WARPED = 384

# What no transform here does, and how a file without it gives the same pixels or results.
SWITCHES = {
    "do_flip_channel_order": "reverse the input channels of the first convolution (weight.flip(1) in PyTorch) and set "
    "it to false",
    "rescale_offset": "set it to false, rescale_factor to 1/255, and image_mean and image_std to the "
    "combination of both",
    "include_top": "set it to false, and image_mean and image_std to the combination of both normalizations",
    "do_pad": "set it to false, or pad the photographs yourself",
}


def read(values: Mapping[str, Any]) -> Transform:
    """Reads the transform from a `preprocessor_config.json`.

    If it does not name a class, transformers' class for SwiftFormer is used, `ViTImageProcessor`.

    Raises:
        ConfigError: The image processor does something that `Transform` does not support.

    Examples:
        >>> read({"image_processor_type": "DeiTImageProcessor"}).resized
        (256, 256)
    """
    for name, cure in SWITCHES.items():
        if values.get(name):
            raise ConfigError(f"{name}={values[name]!r}: not supported; {cure}")
    row = _class(values)
    # transformers treats null as absent.
    values = {name: value for name, value in values.items() if value is not None}
    if not values.get("do_resize", True):
        raise ConfigError("do_resize=False: leaves images of any size; set it to true and give the size")
    resample = values.get("resample", row.resample)
    if resample not in tuple(RESAMPLE):
        raise ConfigError(f"resample={resample!r}: expected 2 (bilinear) or 3 (bicubic)")
    size, crop, mode = _size(values, row)
    mean, std = _normalization(values, row)
    return Transform(
        size=size,
        crop=crop,
        crop_mode=mode,
        interpolation=RESAMPLE[resample],  # type: ignore[arg-type]
        # Whatever the name of the class: transformers 5 always loads the torchvision implementation.
        backend="torchvision",
        mean=mean,
        std=std,
    )


def to_values(transform: Transform) -> dict[str, Any]:
    """Converts a transform to the content of Hugging Face's `preprocessor_config.json`.

    If the surplus is odd, these processors start the crop at the lower of the two middle positions.

    Raises:
        ConfigError: No image processor makes such a crop from every photograph.

    Examples:
        >>> to_values(Transform())["size"]
        {'shortest_edge': 256}
    """
    height, width = transform.size
    values: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": {name: number for number, name in RESAMPLE.items()}[transform.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(transform.mean),
        "image_std": list(transform.std),
    }
    if transform.crop is None:
        return values
    resized_height, resized_width = transform.resized
    size = {"height": resized_height, "width": resized_width}
    if transform.keeps_shape:
        if resized_height != resized_width:
            raise ConfigError(
                f"transform.size={transform.size}: with crop_mode='center', Hugging Face's image processors need a "
                "square; use a square image_size, or crop=None"
            )
        size = {"shortest_edge": resized_height}
    crop = {"do_center_crop": True, "crop_size": {"height": height, "width": width}}
    return {**values, "image_processor_type": "CLIPImageProcessor", "size": size, **crop}


def _class(values: Mapping[str, Any]) -> _Class:
    field = "image_processor_type" if values.get("image_processor_type") else "feature_extractor_type"
    name = values.get(field) or "ViTImageProcessor"
    # One class under the names of its implementations and of transformers before 4.25.
    row = CLASSES.get(re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", str(name)))
    if row is None:
        known = ", ".join(f"{each}ImageProcessor" for each in CLASSES)
        raise ConfigError(
            f"{field}={name!r}: not supported; expected one of {known}: name, in "
            "preprocessor_config.json, the one that the weights are used with, and its size, mean and std"
        )
    return row


def _normalization(values: Mapping[str, Any], row: _Class) -> tuple[Any, Any]:
    """Mean and standard deviation for pixels from 0 to 1, whatever factor the processor rescales pixels by."""
    factor = values.get("rescale_factor", 1 / 255) if values.get("do_rescale", True) else 1.0
    if not is_number(factor) or factor <= 0:
        raise ConfigError(f"rescale_factor={factor!r}: expected a positive number, such as 1/255")
    given: list[Any] = [values.get("image_mean", row.mean), values.get("image_std", row.std)]
    if not values.get("do_normalize", True):
        given = [0.0, 1.0]
    # One number is that of every channel; what is no number is refused with the other values of a transform.
    given = [(value,) * len(row.mean) if is_number(value) else value for value in given]
    if math.isclose(255 * factor, 1, rel_tol=1e-6):
        return given[0], given[1]
    mean, std = (
        tuple(x / (255 * factor) if is_number(x) else x for x in value) if isinstance(value, (list, tuple)) else value
        for value in given
    )
    return mean, std


def _size(values: Mapping[str, Any], row: _Class) -> tuple[tuple[int, int], float | None, CropMode]:
    """(height, width) of the result, share that is kept by the crop, and crop mode."""
    size = values.get("size", row.size)
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else None if row.square else size
    crops = values.get("do_center_crop", row.crop is not None)
    if row.share is not None:
        if crops or edge is None:
            raise ConfigError(
                f"{'do_center_crop' if crops else f'size={size!r}'}: ConvNextImageProcessor takes a shortest_edge and "
                "crop_pct, without a second crop"
            )
        sides = _sides("size", edge)
        return (sides, values.get("crop_pct", row.share), "shortest_edge") if edge < WARPED else (sides, None, "center")
    if crops:
        crop_size = values.get("crop_size", row.crop)
        if crop_size is None:
            raise ConfigError("crop_size: missing; do_center_crop needs one, such as 224")
        return _crop(size, edge, crop_size)
    if edge is not None:
        raise ConfigError(
            f"size={size!r}: a shortest_edge without a crop leaves images of any shape; give height and width, or "
            "add a crop_size"
        )
    return _sides("size", size), None, "center"


def _crop(size: Any, edge: Any, crop_size: Any) -> tuple[tuple[int, int], float | None, CropMode]:
    height, width = _sides("crop_size", crop_size)
    mode: CropMode = "height_width" if edge is None else "shortest_edge"
    resized = _sides("size", size if edge is None else edge)
    transform = Transform(size=(height, width), crop=_share(max(height, width), max(resized)), crop_mode=mode)
    if transform.resized != resized:
        raise ConfigError(
            f"size={size!r} with crop_size={crop_size!r}: expected a crop within that size, with the same share of "
            "both sides where size has two"
        )
    return (height, width), transform.crop, mode


def _share(size: int, edge: int) -> float:
    """The share of a crop that leads back to this edge, whichever way the division is rounded; 1 if there is none."""
    share = min(size / edge, 1.0)
    return share if math.floor(size / share) == edge else math.nextafter(share, 0)


def _sides(name: str, value: Any) -> tuple[int, int]:
    if isinstance(value, Mapping):
        value = (value.get("height"), value.get("width"))
    height, width = whole_numbers(name, value if isinstance(value, (list, tuple)) else (value, value), 2)
    return height, width


def whole_numbers(name: str, value: Any, count: int) -> tuple[int, ...]:
    """Checks that a value is a list of `count` positive integers; the error message names it."""
    if (
        not isinstance(value, (list, tuple))
        or len(value) != count
        or not all(isinstance(x, int) and x > 0 for x in value)
    ):
        raise ConfigError(f"{name}={value!r}: expected {count} positive ints")
    return tuple(value)
