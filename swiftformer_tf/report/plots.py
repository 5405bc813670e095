"""The plots of the page, as SVG that stands in it."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from swiftformer_tf.verification import Outputs

__all__ = ["error_per_class", "latencies", "logits", "op_census"]

INK, ACCENT, FAINT = "#5b6b7b", "#0b7a75", "#c9d3dc"

# More points than this only make the page heavy.
MAX_POINTS = 2000

# Operations that are named in the census; the rest is one bar.
MAX_OPS = 8


def latencies(names: Sequence[str], milliseconds: Sequence[float], megabytes: Sequence[float]) -> str:
    """Bars of the latency by recipe, with the size written beside them."""
    figure, axes = _figure(6, 0.45 * len(names) + 0.8)
    positions = np.arange(len(names))[::-1]
    axes.barh(positions, milliseconds, color=ACCENT, height=0.6)
    axes.set_yticks(positions, names)
    axes.set_xlabel("milliseconds an image, one thread, this machine")
    for position, ms, size in zip(positions, milliseconds, megabytes, strict=True):
        axes.annotate(f" {ms:.1f} ms, {size:.1f} MB", (ms, position), va="center", color=INK, fontsize=9)
    axes.set_xlim(0, 1.35 * max(milliseconds))
    return _svg(figure)


def logits(name: str, outputs: Outputs) -> str:
    """Outputs of the file against those of the reference: a line where they are equal."""
    figure, axes = _figure(3, 3)
    expected, actual = outputs.expected.ravel(), outputs.actual.ravel()
    step = max(1, len(expected) // MAX_POINTS)
    limits = [float(expected.min()), float(expected.max())]
    axes.plot(limits, limits, color=FAINT, linewidth=3, zorder=0)
    axes.scatter(expected[::step], actual[::step], s=4, color=ACCENT, linewidths=0, alpha=0.6)
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("Keras")
    axes.set_ylabel("TFLite")
    return _svg(figure)


def error_per_class(names: Sequence[str], outputs: Sequence[Outputs], labels: Sequence[str]) -> str:
    """Root mean square error of each class's output, by recipe, on a logarithmic scale."""
    figure, axes = _figure(6, 0.3 * len(labels) + 1.1)
    positions = np.arange(len(labels))[::-1]
    for index, (name, each) in enumerate(zip(names, outputs, strict=True)):
        errors = np.sqrt(np.mean((each.actual - each.expected) ** 2, axis=0))
        axes.plot(np.maximum(errors, 1e-9), positions, "o", markersize=5, color=f"C{index}", label=name)
    axes.set_yticks(positions, labels)
    axes.set_xscale("log")
    axes.set_xlabel("root mean square error of the output")
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.9 / (0.3 * len(labels) + 1.1)), ncols=3, frameon=False)
    return _svg(figure)


def op_census(counts: dict[str, int]) -> str:
    """Bars of how many operations of each kind a file has."""
    shown = dict(list(counts.items())[:MAX_OPS])
    if rest := sum(counts.values()) - sum(shown.values()):
        shown["others"] = rest
    figure, axes = _figure(6, 0.3 * len(shown) + 0.8)
    positions = np.arange(len(shown))[::-1]
    axes.barh(positions, list(shown.values()), color=FAINT, height=0.6)
    axes.set_yticks(positions, [name.lower() for name in shown])
    for position, count in zip(positions, shown.values(), strict=True):
        axes.annotate(f" {count}", (count, position), va="center", color=INK, fontsize=9)
    return _svg(figure)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    for item in (*axes.spines.values(),):
        item.set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.title.set_color(INK)
    return figure, axes


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    out = io.StringIO()
    # Text stays text, ids do not change from run to run, and no date is written.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "swiftformer_tf"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
