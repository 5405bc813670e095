"""Images of masks with a color for each class, on their own or overlaid on a photograph."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from swiftformer_tf.images.masks import VOID

__all__ = ["Color", "class_colors", "mask_picture", "overlay"]

Color = tuple[int, int, int]

# Step between hues, as a share of the color wheel: hues at this distance stay far apart, however many there are.
GOLDEN_ANGLE = 0.381966

# Two thirds of the colors are lighter or duller, so that neighbors of one hue are told apart.
SHADES = ((0.85, 0.95), (0.55, 0.7), (0.95, 0.6))


def class_colors(count: int) -> tuple[Color, ...]:
    """Returns a color for each class, the same for every call.

    Args:
        count: Number of classes.

    Returns:
        (red, green, blue) of each class, from 0 to 255.

    Examples:
        >>> class_colors(3)
        ((242, 36, 36), (80, 178, 108), (92, 7, 153))
    """
    colors = []
    for index in range(count):
        saturation, value = SHADES[index % len(SHADES)]
        rgb = colorsys.hsv_to_rgb(index * GOLDEN_ANGLE % 1, saturation, value)
        red, green, blue = (int(255 * each) for each in rgb)
        colors.append((red, green, blue))
    return tuple(colors)


def mask_picture(mask: np.ndarray, colors: Sequence[Color]) -> Image.Image:
    """Converts a mask to a palette image, which `open_mask` can read.

    Args:
        mask: uint8 (height, width): class of each pixel, or `VOID`, which is black.
        colors: Colors of the classes.

    Examples:
        >>> mask_picture(np.array([[1, 0]], np.uint8), class_colors(2)).getpixel((0, 0))
        1
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colors)] = colors
    picture = Image.fromarray(mask)
    picture.putpalette(palette.ravel().tolist())
    return picture


def overlay(photograph: Image.Image, mask: np.ndarray, colors: Sequence[Color], *, opacity: float = 0.5) -> Image.Image:
    """Overlays a mask on its photograph.

    Args:
        photograph: The photograph in RGB.
        mask: uint8 (height, width), of the same size as the photograph, which is left unchanged where the mask is
            `VOID`.
        colors: Colors of the classes.
        opacity: Opacity of the mask, from 0 to 1.

    Examples:
        >>> overlay(Image.new("RGB", (1, 1)), np.zeros((1, 1), np.uint8), [(200, 0, 0)]).getpixel((0, 0))
        (100, 0, 0)
    """
    shown = mask_picture(mask, colors).convert("RGB")
    weights = Image.fromarray(np.where(mask == VOID, 0, round(255 * opacity)).astype(np.uint8))
    return Image.composite(shown, photograph, weights)
