"""The colors of the page about verified files: the same everywhere, and seen by everyone."""

import importlib.resources
import re

import numpy as np
import pytest

from swiftformer_tf import RECIPES
from swiftformer_tf.report.palette import PALETTE, colors


def test_colors_are_the_same_everywhere_and_can_be_seen() -> None:
    assert [colors([name])[name] for name in RECIPES] == list(range(len(RECIPES)))
    assert colors(["mine", "int8"])["int8"] == colors(["int8"])["int8"]
    assert len(RECIPES) <= len(PALETTE)
    for index, paper in ((0, "#ffffff"), (1, "#14191f")):
        assert all(contrast(pair[index], paper) >= 3 for pair in PALETTE)  # WCAG 2.2, graphical objects


@pytest.mark.parametrize(("paper", "key_layout"), [("light", 0), ("dark", 1)])
def test_text_can_be_read_on_every_ground(paper: str, key_layout: int) -> None:
    text = importlib.resources.files("swiftformer_tf.report").joinpath("page.html").read_text("utf-8")
    found = re.findall(r":root \{([^}]*)\}", text)[key_layout]
    color = dict(re.findall(r"--([\w-]+): (#\w+)", found))
    grounds = {"ink": ("paper", "tint", "good-tint", "bad-tint"), "soft": ("paper", "tint")}
    grounds |= {"good": ("paper", "good-tint"), "bad": ("paper", "tint", "bad-tint")}
    for ink, below in grounds.items():
        for ground in below:
            assert contrast(color[ink], color[ground]) >= 4.5, (paper, ink, ground)  # WCAG 2.2, text


def test_contrast_is_wcags() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") < 4.5 < contrast("#767676", "#ffffff")


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    color = "#" + "".join(2 * digit for digit in color[1:]) if len(color) == 4 else color
    shares = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
