"""Colors in which masks are drawn."""

import colorsys
from collections.abc import Iterable
from typing import Any

__all__ = ["Color", "as_colors", "class_colors", "is_color"]

# (red, green, blue), from 0 to 255.
Color = tuple[int, int, int]

# Step between hues, as a share of the color wheel: hues at this distance stay far apart, however many there are.
GOLDEN_ANGLE = 0.381966

# Two thirds of the colors are lighter or duller, so that neighbors of one hue are told apart.
SHADES = ((0.85, 0.95), (0.55, 0.7), (0.95, 0.6))


def class_colors(count: int) -> tuple[Color, ...]:
    """Returns a color for each class, the same for every call, for models whose training data named none.

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


def as_colors(values: Iterable[Any]) -> tuple[Any, ...]:
    """Converts JSON's lists to tuples, and leaves what cannot be a color to `is_color`."""
    return tuple(tuple(each) if isinstance(each, list) else each for each in values)


def is_color(value: Any) -> bool:
    """Whether a value is a `Color`.

    Examples:
        >>> is_color((0, 128, 255)), is_color((0, 128, 256))
        (True, False)
    """
    return isinstance(value, tuple) and len(value) == 3 and all(type(x) is int and 0 <= x <= 255 for x in value)
