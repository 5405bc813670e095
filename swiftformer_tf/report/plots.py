"""The plots on the page, as inline SVG that takes its colors from the style of the page."""

import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from swiftformer_tf.report.palette import PALETTE
from swiftformer_tf.verification import Outputs

__all__ = ["bars", "error_per_class", "logits", "worst_classes"]

# Drawn in these, and replaced by the variables of the page's style, so that dark paper gets light ink.
VARIABLES = {
    "#010203": "var(--ink)",
    "#010204": "var(--soft)",
    "#010205": "var(--line)",
    "#010206": "var(--paper)",
    **{f"#0102{16 + index:02x}": f"var(--recipe-{index})" for index in range(len(PALETTE))},
}
INK, SOFT, LINE, PAPER, *RECIPE = VARIABLES
MARKERS = "osD^vPXh"

# More points than this only make the page heavy.
MAX_POINTS = 600


def bars(names: Sequence[str], values: Sequence[float], colors: Sequence[int], *, axis: str, form: str) -> str:
    """Draws a bar for each recipe, with its value next to it.

    Args:
        names: Names of the recipes.
        values: Lengths of the bars.
        colors: Indices in `PALETTE`.
        axis: Title of the axis, including the unit.
        form: Format of a value, such as `".1f"`.
    """
    figure, axes = _figure(4.3, 0.34 * len(names) + 0.65)
    positions = np.arange(len(names))[::-1]
    axes.barh(positions, values, color=[RECIPE[color] for color in colors], height=0.62)
    _labeled(axes, positions, names)
    axes.set_xlabel(axis)
    for position, value in zip(positions, values, strict=True):
        axes.annotate(
            format(value, form), (value, position), (4, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_xlim(0, 1.2 * max(values))
    axes.tick_params(axis="y", length=0)
    said = ", ".join(f"{name} {value:{form}}" for name, value in zip(names, values, strict=True))
    return _svg(figure, f"Bars, {axis}: {said}", axis)


def logits(name: str, outputs: Outputs, color: int, *, unit: str, limits: tuple[float, float]) -> str:
    """Plots the outputs of a file against those of the reference, with a line where they are equal.

    Args:
        name: Name of the recipe.
        outputs: Outputs of the file and of the reference.
        color: Index in `PALETTE`.
        unit: What an output is, such as `"logit"`.
        limits: Limits of both axes, the same for all files on a page.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    figure, axes = _figure(2.15, 2.15)
    expected, actual = outputs.expected.ravel(), outputs.actual.ravel()
    step = -(-len(expected) // MAX_POINTS)
    dots = np.stack([expected, np.clip(actual, *limits)], axis=-1)[::step]
    dots = dots[np.isfinite(dots).all(axis=1)]
    axes.plot(limits, limits, color=SOFT, linewidth=0.8, zorder=3)
    if len(dots):
        # One path of lines without length, whose round ends are the dots: a marker each would be four times as heavy.
        path = Path(np.repeat(dots, 2, axis=0), np.tile([Path.MOVETO, Path.LINETO], len(dots)))
        path.should_simplify = False
        style: dict[str, Any] = {"fill": False, "edgecolor": RECIPE[color], "linewidth": 3, "capstyle": "round"}
        axes.add_patch(PathPatch(path, **style))
    margin = 0.04 * (limits[1] - limits[0])
    axes.set_xlim(limits[0] - margin, limits[1] + margin)
    axes.set_ylim(limits[0] - margin, limits[1] + margin)
    axes.locator_params(nbins=6, integer=unit != "probability")
    axes.set_aspect("equal")
    axes.set_xlabel(f"Keras, {unit}")
    axes.set_ylabel(f"TFLite, {unit}")
    return _svg(figure, f"Each {unit} of {name} against Keras's: dots along the line on which they are equal", name)


def worst_classes(outputs: Sequence[Outputs], most: int) -> list[int]:
    """Returns the classes with the largest root mean square error in any file, at most `most`, in their own order."""
    errors = np.max([_errors(each) for each in outputs], axis=0)
    return sorted(np.argsort(-np.nan_to_num(errors, nan=np.inf), kind="stable")[:most].tolist())


def error_per_class(
    names: Sequence[str],
    outputs: Sequence[Outputs],
    labels: Sequence[str],
    classes: Sequence[int],
    colors: Sequence[int],
    *,
    unit: str,
) -> str:
    """Plots the root mean square error of each class's output, by recipe, on a logarithmic scale.

    Args:
        names: Names of the recipes.
        outputs: Outputs of each file and of its reference.
        labels: Labels of all classes.
        classes: Which classes to show.
        colors: Indices in `PALETTE`.
        unit: What an output is, such as `"logit"`.
    """
    height = 0.24 * len(classes) + 1.1
    figure, axes = _figure(4.3, height)
    positions = np.arange(len(classes))[::-1]
    for name, each, color in zip(names, outputs, colors, strict=True):
        errors = _errors(each)[list(classes)]
        errors = np.where(np.isfinite(errors), np.maximum(errors, 1e-9), np.nan)
        style: dict[str, Any] = {"markersize": 6, "markeredgecolor": PAPER, "markeredgewidth": 0.6, "clip_on": False}
        axes.plot(errors, positions, MARKERS[color], color=RECIPE[color], label=name, **style)
    _labeled(axes, positions, [_shortened(labels[index]) for index in classes])
    axes.set_xscale("log")
    drawn = np.concatenate([line.get_xdata() for line in axes.lines])
    drawn = np.log10(drawn[np.isfinite(drawn)]) if np.isfinite(drawn).any() else np.array([-3, 0])
    # From power to power of ten: between two of them the axis would have no number.
    low = math.floor(drawn.min())
    axes.set_xlim(10.0**low, 10.0 ** max(math.ceil(drawn.max()), low + 1))
    axes.set_xlabel(f"RMS error, {unit}")
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.locator_params(axis="x", numticks=6)
    legend = figure.legend(loc="outside upper left", ncols=3, frameon=False, handletextpad=0.1, columnspacing=1.2)
    for text in legend.get_texts():
        text.set(color=INK, parse_math=False)
    return _svg(figure, f"Error of each class by recipe: {', '.join(names)}", "classes")


def _errors(outputs: Outputs) -> np.ndarray:
    return np.asarray(np.sqrt(np.mean((outputs.actual - outputs.expected) ** 2, axis=0)))


def _shortened(label: str, most: int = 24) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _labeled(axes: Any, positions: np.ndarray, names: Sequence[str]) -> None:
    """Writes names along the vertical axis literally, so that a dollar sign does not start a formula."""
    axes.set_yticks(positions, names)
    for text in axes.get_yticklabels():
        text.set(parse_math=False, color=INK)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.01, h_pad=0.01))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    axes.tick_params(labelcolor=SOFT, color=LINE)
    axes.xaxis.label.set_color(SOFT)
    axes.yaxis.label.set_color(SOFT)
    return figure, axes


def _svg(figure: Any, description: str, salt: str) -> str:
    from html import escape

    from matplotlib import rc_context

    out = io.StringIO()
    # Text stays text, ids do not change from run to run and are not shared by two plots, and no date is written.
    rules: Any = {"svg.fonttype": "none", "svg.hashsalt": salt + description, "font.size": 9}
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context(rules), warnings.catch_warnings():
        # A label in a script that matplotlib's font lacks: the reader's browser has a font for it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        figure.savefig(out, format="svg", transparent=True, metadata=metadata)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for color, variable in VARIABLES.items():
        text = text.replace(color, variable)
    text = re.sub(r' d="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), text)
    referenced = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in referenced else "", text)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| width="[^"]*pt"| height="[^"]*pt"', "", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
