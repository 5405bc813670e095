"""Images of masks with a color for each class, on their own or overlaid on a photograph."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from swiftformer_tf.images.colors import Color
from swiftformer_tf.images.masks import VOID

__all__ = ["mask_picture", "overlay"]


def mask_picture(mask: np.ndarray, colors: Sequence[Color]) -> Image.Image:
    """Converts a mask to a palette image, which `open_mask` can read.

    Args:
        mask: uint8 (height, width): class of each pixel, or `VOID`, which is black.
        colors: Colors of the classes.

    Examples:
        >>> mask_picture(np.array([[1, 0]], np.uint8), [(200, 0, 0), (0, 0, 200)]).getpixel((0, 0))
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
