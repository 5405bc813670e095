"""Draws `overview.svg`, the picture at the top of README.md: `python docs/pictures/overview.py`."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from swiftformer_tf import RECIPES
from swiftformer_tf.report.palette import PALETTE, colors

WIDTH, HEIGHT = 960, 256
TOP, BOX = 8, 200
STEPS = (
    ("PyTorch weights", ("original repository", "Hugging Face", "timm")),
    ("Keras model", ("train and fine-tune", "logits as PyTorch's", "save, load, predict")),
    ("Deploy graph", ("norms folded in", "fixed shapes", "the same function")),
)
VERBS = ("port", "fuse", "export")
LEFT, GAP, TFLITE_WIDTH = 16, 66, 196


def overview() -> str:
    """The picture as SVG, with ink for light and for dark paper."""
    width = (WIDTH - 2 * LEFT - TFLITE_WIDTH - 3 * GAP) / 3
    parts, x = [], float(LEFT)
    for (title, lines), verb in zip(STEPS, VERBS, strict=True):
        parts += [_box(x, width), _text(x + 16, TOP + 32, title, "title")]
        parts += [_text(x + 16, TOP + 68 + 26 * index, line, "soft") for index, line in enumerate(lines)]
        parts += _arrow(x + width, verb)
        x += width + GAP
    parts += [_box(x, TFLITE_WIDTH), _text(x + 16, TOP + 32, "TFLite models", "title")]
    parts += _recipes(x + 16, list(RECIPES))
    middle = LEFT + width + GAP + width / 2
    end = x + TFLITE_WIDTH / 2
    bottom = TOP + BOX
    parts.append(f'<path class="line" d="M{middle} {bottom}v36H{end}v-28" marker-end="url(#head)"/>')
    said = "verify: every file against its Keras model, on photographs"
    parts.append(_text((middle + end) / 2, bottom + 25, said, "verb", anchor="middle"))
    return "\n".join([_head(), *parts, "</svg>", ""])


def _head() -> str:
    names = [*RECIPES]
    places = colors(names)
    light, dark = (
        "".join(f".r{i} {{ fill: {PALETTE[places[n]][side]} }} " for i, n in enumerate(names)) for side in (0, 1)
    )
    title = "swiftformer_tf ports PyTorch checkpoints to Keras, fuses, exports TFLite models and verifies each"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t">
<title id="t">{title}</title>
<style>
text {{ font: 14px system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; fill: #1d2833 }}
.title {{ font-size: 16px; font-weight: 600 }} .soft {{ fill: #566573 }}
.verb {{ font-weight: 600; fill: #0b6e69 }}
.box {{ fill: #f5f7f9; stroke: #cfd7de }} .line {{ fill: none; stroke: #0b6e69; stroke-width: 2 }}
#head path {{ fill: #0b6e69 }}
{light}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e4e9ee }} .soft {{ fill: #9fadba }} .verb {{ fill: #54c7bd }}
.box {{ fill: #1b222a; stroke: #3a4651 }} .line {{ stroke: #54c7bd }} #head path {{ fill: #54c7bd }}
{dark}
}}
</style>
<defs><marker id="head" markerWidth="6" markerHeight="6" viewBox="0 0 8 8" refX="6" refY="4" orient="auto">
<path d="M0 0l8 4l-8 4z"/></marker></defs>"""


def _box(x: float, width: float) -> str:
    return f'<rect class="box" x="{x}" y="{TOP}" width="{width}" height="{BOX}" rx="10"/>'


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _arrow(x: float, verb: str) -> Sequence[str]:
    y = TOP + BOX / 2
    line = f'<path class="line" d="M{x + 6} {y}H{x + GAP - 8}" marker-end="url(#head)"/>'
    return line, _text(x + GAP / 2, y - 12, verb, "verb", anchor="middle")


def _recipes(x: float, names: Sequence[str]) -> Sequence[str]:
    parts, step = [], min(26, (BOX - 62) / len(names))
    for index, name in enumerate(names):
        y = TOP + 64 + step * index
        parts.append(f'<rect class="r{index}" x="{x}" y="{y - 10}" width="11" height="11" rx="2"/>')
        parts.append(_text(x + 20, y, name, "soft"))
    return parts


if __name__ == "__main__":
    Path(__file__).with_name("overview.svg").write_text(overview(), encoding="utf-8")
