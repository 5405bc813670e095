"""How evaluation prepares a photograph: the transforms of all weight sources as data, with a single implementation."""

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
from PIL import Image, UnidentifiedImageError

from swiftformer_tf.errors import ConfigError, ImageError
from swiftformer_tf.images.resampling import torchvision_resize

Interpolation = Literal["bicubic", "bilinear"]
CropMode = Literal["center", "squash", "shortest_edge", "height_width"]
Backend = Literal["pil", "torchvision"]

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# Pillow's modes by the number of channels.
_MODES = {1: "L", 3: "RGB"}

# Pixels of a scaled photograph, of which the crop is cut: more would be hundreds of megabytes.
MAX_SCALED = 2**25

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class _Crop(NamedTuple):
    """How a crop mode works.

    Args:
        keeps_shape: Whether the aspect ratio is kept, or height and width are scaled independently.
        square: Whether only the shorter edge is specified, so that the area to cover is a square.
        corner: Function from half of the surplus, in pixels, to the position where the crop starts.
    """

    keeps_shape: bool
    square: bool
    corner: Callable[[float], int]


# `round` takes a half to the even neighbor, as torchvision's CenterCrop does.
_CROPS: dict[str, _Crop] = {
    "center": _Crop(keeps_shape=True, square=False, corner=round),
    "squash": _Crop(keeps_shape=False, square=False, corner=round),
    "shortest_edge": _Crop(keeps_shape=True, square=True, corner=math.floor),
    "height_width": _Crop(keeps_shape=False, square=False, corner=math.floor),
}


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a JSON `value` is a finite number; true and false are not numbers."""
    # Not `math.isfinite`, which fails on an int that no float can hold.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transform:
    """Resizes, crops and normalizes photographs in the way in which the weights were evaluated.

    Args:
        size: (height, width) of the result in pixels.
        crop: Share of the resized image that the center crop keeps: the photograph is scaled according to `crop_mode`,
            then `size` is cut from its center. None resizes directly to `size`, without keeping the aspect ratio.
        crop_mode: How the photograph is scaled before the crop. `"center"` (timm and the original repository) keeps the
            aspect ratio and scales it to just cover `size / crop`. `"squash"` (timm) scales height and width to `size /
            crop`. `"shortest_edge"` (a size of Hugging Face's image processors) keeps the aspect ratio and scales the
            shorter edge to `max(size) / crop`. `"height_width"` (their other kind of size) is like `"squash"`. If the
            surplus is odd, the crop of Hugging Face's modes starts at the lower of the two middle positions.
        interpolation: `"bicubic"` or `"bilinear"`, as implemented by `backend`.
        backend: Whose rounding to reproduce: that of `"pil"` (Pillow), used by timm and the original repository, or of
            `"torchvision"`, used by Hugging Face's pipelines. Their pixels differ by at most 1 of 255.
        mean: Mean per channel, for pixels from 0 to 1. A single entry means grayscale photographs (Pillow's mode `L`).
        std: Standard deviation per channel, for pixels from 0 to 1.

    Raises:
        ConfigError: An impossible value; the message names the field.

    Examples:
        >>> TRANSFORMS["original"].crop, TRANSFORMS["hf"].crop
        (0.875, None)
    """

    size: tuple[int, int] = (224, 224)
    crop: float | None = 0.875
    crop_mode: CropMode = "center"
    interpolation: Interpolation = "bicubic"
    backend: Backend = "pil"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)) or not all(map(is_number, value)):
                raise ConfigError(f"transform.{name}={value!r}: expected a list of numbers")
            object.__setattr__(self, name, tuple(value))
        rules = [
            ("size", len(self.size) == 2 and all(isinstance(x, int) and x > 0 for x in self.size), "(height, width)"),
            (
                "crop",
                self.crop is None or (is_number(self.crop) and 0 < self.crop <= 1),
                "above 0 and at most 1, or null",
            ),
            ("crop_mode", self.crop_mode in get_args(CropMode), f"one of {', '.join(_CROPS)}"),
            ("interpolation", self.interpolation in get_args(Interpolation), f"one of {', '.join(_RESAMPLING)}"),
            ("backend", self.backend in get_args(Backend), f"one of {', '.join(get_args(Backend))}"),
            (
                "std",
                len(self.std) == len(self.mean) and all(x > 0 for x in self.std),
                "a positive number per entry of mean",
            ),
        ]
        for name, ok, expected in rules:
            if not ok:
                raise ConfigError(f"transform.{name}={getattr(self, name)!r}: expected {expected}")

    def replace(self, **fields: Any) -> Self:
        """Returns a copy with some fields changed, validated like a new transform."""
        return dataclasses.replace(self, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict`.

        Raises:
            ConfigError: An unknown field or an impossible value.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"transform.{unknown[0]}: no such field; the fields are {', '.join(sorted(known))}")
        return cls(**values)

    def check_photographs(self) -> None:
        """Checks that the transform has one or three channels, as photographs do.

        Raises:
            ImageError: The transform has a different number of channels.
        """
        if len(self.mean) not in _MODES:
            raise ImageError(
                f"the model takes {len(self.mean)} channels, which photographs do not have; pass arrays instead of "
                "files to swiftformer_tf's Python functions"
            )

    def check_whole(self) -> None:
        """Checks that the transform does not crop, so that a mask of what a model sees covers the whole photograph.

        Raises:
            ConfigError: The transform crops.

        Examples:
            >>> Transform(crop=None).check_whole()
        """
        if self.crop is not None:
            raise ConfigError(
                f"transform.crop={self.crop}: a segmenter must see whole photographs, as its masks cover them whole; "
                "expected crop=None: make the model with config.replace(transform=config.transform.replace(crop=None))"
            )

    def for_channels(self, count: int) -> Self:
        """Returns the transform for a number of channels; if it differs, `mean` and `std` are averaged, as in timm."""
        if count == len(self.mean):
            return self
        mean, std = (float(np.mean(values)) for values in (self.mean, self.std))
        return self.replace(mean=(mean,) * count, std=(std,) * count)

    @property
    def keeps_shape(self) -> bool:
        """Whether the aspect ratio of a photograph is kept."""
        return self.crop is not None and _CROPS[self.crop_mode].keeps_shape

    @property
    def resized(self) -> tuple[int, int]:
        """(height, width) before the crop: the size of the photograph or, with its aspect ratio kept, of what it
        covers.

        Examples:
            >>> Transform(size=(160, 224), crop=0.875).resized
            (182, 256)
            >>> Transform(size=(160, 224), crop=0.875, crop_mode="shortest_edge").resized
            (256, 256)
        """
        if self.crop is None:
            return self.size
        height, width = (math.floor(side / self.crop) for side in self.size)
        return (max(height, width),) * 2 if _CROPS[self.crop_mode].square else (height, width)

    def crop_image(self, image: Image.Image) -> np.ndarray:
        """Resizes and crops a photograph to the pixels that the model sees, before normalization.

        Args:
            image: A photograph in RGB; for a model with one channel it is converted to Pillow's mode `L`.

        Returns:
            uint8 array (height, width, channels).

        Raises:
            ImageError: See `check_photographs`.
        """
        pixels = self._cropped(self.in_channels(image), _RESAMPLING[self.interpolation])
        return pixels if pixels.ndim == 3 else pixels[..., None]

    def crop_mask(self, mask: np.ndarray) -> np.ndarray:
        """Crops the mask of a photograph like `crop_image`, with nearest-neighbor interpolation.

        Args:
            mask: uint8 (height, width), of the same size as the photograph.

        Examples:
            >>> Transform(size=(1, 2), crop=None).crop_mask(np.array([[3, 3, 7, 7]], np.uint8)).tolist()
            [[3, 7]]
        """
        return self._cropped(Image.fromarray(mask), Image.Resampling.NEAREST)

    def in_channels(self, image: Image.Image) -> Image.Image:
        """Converts a photograph to the mode that the model takes: Pillow's `RGB` or, with one channel, `L`.

        Raises:
            ImageError: See `check_photographs`.
        """
        self.check_photographs()
        return image.convert(_MODES[len(self.mean)])

    def _cropped(self, image: Image.Image, resampling: Image.Resampling) -> np.ndarray:
        height, width = self.size
        if self.crop is None:
            return self._resized(image, (width, height), resampling)
        scaled = self._scaled(image)
        corner = _CROPS[self.crop_mode].corner
        left, top = corner((scaled[0] - width) / 2), corner((scaled[1] - height) / 2)
        box = (left, top, left + width, top + height)
        if scaled[0] * scaled[1] > MAX_SCALED:
            # A strip a thousand times as long as wide. Not for all pictures: rounding differs in some last bits.
            across, down = image.width / scaled[0], image.height / scaled[1]
            seen = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            return np.asarray(image.resize((width, height), resampling, box=seen))
        return self._resized(image, scaled, resampling)[top : top + height, left : left + width]

    def _resized(self, image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
        if self.backend == "pil" or resampling is Image.Resampling.NEAREST:
            return np.asarray(image.resize(size, resampling))
        pixels = np.asarray(image).reshape(image.height, image.width, -1)
        return torchvision_resize(pixels, size[::-1], self.interpolation)

    def _scaled(self, image: Image.Image) -> tuple[int, int]:
        """(width, height) of the scaled photograph, rounded like the reference implementations so that pixels match."""
        height, width = self.resized
        if not self.keeps_shape:
            return width, height
        if height == width:  # torchvision's Resize of the shorter edge
            shorter = min(image.size)
            return int(width * image.width / shorter), int(height * image.height / shorter)
        ratio = min(image.height / height, image.width / width)  # timm's ResizeKeepRatio
        return round(image.width / ratio), round(image.height / ratio)

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """Normalizes pixels from 0 to 255: `(pixels / 255 - mean) / std`, float32, same shape."""
        scaled = np.asarray(pixels, np.float32) / np.float32(255)
        return (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)

    def denormalize(self, inputs: np.ndarray) -> np.ndarray:
        """Reverts `normalize`: returns pixels from 0 to 255, float32, same shape."""
        scaled = np.asarray(inputs, np.float32) * np.asarray(self.std, np.float32)
        return (scaled + np.asarray(self.mean, np.float32)) * np.float32(255)

    @property
    def largest(self) -> float:
        """The largest absolute value that a normalized pixel can have.

        Examples:
            >>> round(TRANSFORMS["timm"].largest, 2)
            2.64
        """
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        return float((np.maximum(mean, 1 - mean) / std).max())

    def __call__(self, image: Image.Image | str | Path) -> np.ndarray:
        """Prepares a photograph, or the file at a path, for the network: float32 (height, width, channels)."""
        return self.normalize(self.crop_image(image if isinstance(image, Image.Image) else open_image(image)))


TRANSFORMS: dict[str, Transform] = {
    "original": Transform(crop=224 / 256, interpolation="bicubic"),
    "timm": Transform(crop=0.95, interpolation="bicubic"),
    "hf": Transform(crop=None, interpolation="bilinear", backend="torchvision"),
}
"""The evaluation transform of each source of weights, by the key layout of its checkpoints.

Sources: the original repository's evaluation code, timm's `pretrained_cfg` and Hugging Face's image processor.

Examples:
    >>> for name, transform in TRANSFORMS.items():
    ...     print(name, transform.size, transform.crop, transform.interpolation)
    original (224, 224) 0.875 bicubic
    timm (224, 224) 0.95 bicubic
    hf (224, 224) None bilinear
"""


def open_image(path: str | Path) -> Image.Image:
    """Opens a photograph in RGB, as an image viewer shows it.

    It is rotated according to its EXIF data if they can be read. The first frame of an animation is used; transparent
    parts become white; 16-bit images are reduced to their upper 8 bits.

    Raises:
        ImageError: The file is not an image that Pillow can decode, has more pixels than Pillow accepts (179 million),
            or has a pixel format without a defined white level; the message names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _as_rgb(_upright(image))
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads to
        raise ImageError(f"{path}: cannot be read as a picture ({undecoded_reason(error, path)})") from None


# EXIF's orientations other than upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Kinds of pictures that Pillow does not decode everywhere, by what is near the start of a file.
_FOREIGN = {
    "HEIC": re.compile(rb"^.{4}ftyp(hei|hev|mif1|msf1)", re.DOTALL),
    "AVIF": re.compile(rb"^.{4}ftypavi", re.DOTALL),
    "JPEG XL": re.compile(rb"^(\xff\x0a|.{4}JXL )", re.DOTALL),
    "SVG": re.compile(rb"<svg"),
    "PDF": re.compile(rb"^%PDF"),
}


def _upright(image: Image.Image) -> Image.Image:
    # Not Pillow's `exif_transpose`, which also writes the EXIF anew and fails where another field of it is damaged.
    try:
        turn = _TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # damaged in whatever way; a viewer shows the picture as it lies
        return image
    return image if turn is None else image.transpose(turn)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floats, whose white level is undefined; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        # 16 bits a pixel, which Pillow would clip and not scale.
        pixels = np.asarray(image)
        # Numbers of 32 bits that 8 would hold are no dark picture of 16 bits.
        eight = image.mode == "I" and 0 < pixels.max() < 0x100
        if pixels.min() < 0 or pixels.max() > 0xFFFF or eight:
            raise ValueError("its pixels are 32-bit numbers, whose white level is undefined; save it with 8 or 16 bits")
        return Image.fromarray((pixels >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")


def undecoded_reason(error: Exception, path: str | Path) -> str:
    """Describes briefly why Pillow could not decode a file."""
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; make it smaller"
    if isinstance(error, UnidentifiedImageError):
        with open(path, "rb") as file:
            start = file.read(1024)
        if not start:
            return "it is empty"
        for kind, beginning in _FOREIGN.items():
            if beginning.search(start):
                return f"{kind}, which is not supported; save it as JPEG or PNG"
        return "not a format that Pillow knows"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
