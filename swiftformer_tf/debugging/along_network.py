"""Plots the signal-to-noise ratios of a file's tensors along the network."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from swiftformer_tf.debugging.tensor_report import TensorReport
from swiftformer_tf.report.palette import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ratios_along_network"]

# Tensors that are labeled by name in the picture.
NAMED = 5

INK, SOFT, LINE = "#1c2530", "#5b6673", "#d5dbe2"
AS_IT_RUNS, ALONE = PALETTE[0][0], PALETTE[3][0]


def ratios_along_network(tensors: Sequence[TensorReport], worst_first: Sequence[TensorReport]) -> "Figure":
    """Draws a line for the ratios with accumulated errors, and a dot for each operation on its own.

    Args:
        tensors: The tensors in the order of computation.
        worst_first: The same tensors, worst first; the first ones are labeled with their names.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    axes.tick_params(labelcolor=SOFT, color=LINE)
    running = [(each.position, each.snr) for each in tensors if each.snr is not None and math.isfinite(each.snr)]
    alone = [each for each in worst_first if each.own_snr is not None and math.isfinite(each.own_snr)]
    axes.plot(*zip(*running, strict=True), color=AS_IT_RUNS, linewidth=1.4, label="as the file runs")
    dots = [(each.position, each.own_snr) for each in alone if each.precision != "float32"]
    axes.plot(*zip(*dots, strict=True), "o", color=ALONE, markersize=3.5, label="own operation alone")
    for each in alone[:NAMED]:
        assert each.own_snr is not None
        axes.annotate(
            each.short_name, (each.position, each.own_snr), (5, -3), textcoords="offset points", fontsize=7, color=INK
        )
    stages = dict[str, int]()
    for each in tensors:
        stages.setdefault("-".join(each.part.split("-")[:2]), each.position)
    for name, position in stages.items():
        axes.axvline(position - 0.5, color=LINE, linewidth=0.8, zorder=0)
        axes.annotate(
            name.replace("stages-", "stage "),
            (position, 1),
            (2, 2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            fontsize=8,
            color=SOFT,
        )
    axes.set_xlabel("tensors in the order in which the file computes them", color=SOFT)
    axes.set_ylabel("signal-to-noise ratio, dB", color=SOFT)
    axes.set_xlim(-1, len(tensors))
    figure.legend(frameon=False, labelcolor=INK, loc="outside upper right", ncols=2)
    return figure
