"""Weights whose channels differ: the same function, other ranges. Rows and a table for `robustness.py`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import (
    NAME,
    append_row,
    beside_goal,
    chosen_photographs,
    float_answers,
    measure_file,
    prepared,
    read_rows,
)

import swiftformer_tf as sf

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # which hold a small model to the same
from support.hard_weights import Scaling, scale_channels

ROWS = Path(__file__).with_suffix(".csv")
CALIBRATION, PHOTOGRAPHS = 64, 100
# The reference kernels of 16-bit integers take seconds for a photograph.
FEWER_PHOTOGRAPHS = {"int16x8": 10}
SEEDS = 3
# Weights are then scaled alike by a guess from the weights.
UNCALIBRATED = "dynamic_int8, without calibration"
# Those whose ranges are at stake and that do not take long, of all seeds; then the others, of one.
QUICK = ("mixed_int8", "int8", "dynamic_int8")
PASSES = (
    *((seed, QUICK) for seed in range(SEEDS)),
    (0, ("static_int8", UNCALIBRATED, "float16", "float32")),
    (0, ("dynamic_int4", "int16x8")),
)
ROW_NAMES = ("float32", "float16", UNCALIBRATED, *list(sf.RECIPES)[2:])
# How far below the unscaled weights a file may be.
ALLOWED = 1.0
# What a float32 file of scaled weights keeps: without scaling it is the reference itself.
ENOUGH = 128.0
SOME, DEAD = 0.2, 0.05

# Columns of the table, each with the one that it is compared with.
SCALINGS = {
    "s = 0": Scaling(0),
    "s = 1": Scaling(1),
    "s = 2": Scaling(2),
    "s = 2, some": Scaling(2, share=SOME),
    "s = 0, dead": Scaling(0, dead=DEAD),
    "s = 2, dead": Scaling(2, dead=DEAD),
}
PLAIN = {name: "s = 0, dead" if scaling.dead else "s = 0" for name, scaling in SCALINGS.items()}


def measure_hard_weights(calibration: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Measures what `ROWS` lacks, one row after the other, each against the float32 Keras model."""
    shipped = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    chosen = chosen_photographs(calibration, CALIBRATION)
    inputs = prepared(chosen_photographs(folder, PHOTOGRAPHS), shipped.config)
    for seed, recipes in PASSES:
        for name, scaling in SCALINGS.items():
            # For weights that are not scaled, all seeds are alike, except for the channels that are dead.
            if seed and name == "s = 0":
                continue
            if missing := [recipe for recipe in recipes if not _found(name, recipe, seed)]:
                yield from _measured(shipped, name, scaling, seed, missing, chosen, inputs)


def _measured(
    shipped: sf.SwiftFormerForImageClassification,
    name: str,
    scaling: Scaling,
    seed: int,
    recipes: list[str],
    chosen: list[Path],
    inputs: np.ndarray,
) -> Iterator[dict[str, str]]:
    # The right answers are the unscaled weights'.
    deploys = []
    for each in (Scaling(0, dead=scaling.dead), scaling):
        model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
        scale_channels(model, each, np.random.default_rng(seed))
        deploys.append(sf.fuse(model))
    plain, scaled = deploys
    expected = float_answers(plain, inputs)
    calibrated = sf.calibrate(scaled, chosen)
    for recipe in recipes:
        count = FEWER_PHOTOGRAPHS.get(recipe, len(inputs))
        chosen_recipe = sf.RECIPES[recipe.partition(",")[0]]
        lite = sf.export(scaled, chosen_recipe, calibration=None if recipe == UNCALIBRATED else calibrated)
        found = measure_file(lite, inputs[:count], expected[:count])
        row = {
            "scaling": name,
            "recipe": recipe,
            "seed": str(seed),
            "images": str(count),
            "snr_db": f"{found.snr:.2f}",
            "agreement": f"{found.agreement:.4f}",
        }
        append_row(ROWS, row)
        yield row


def _found(name: str, recipe: str, seed: int | None = None) -> list[dict[str, str]]:
    rows = [row for row in read_rows(ROWS) if (row["scaling"], row["recipe"]) == (name, recipe)]
    return [row for row in rows if seed in (None, int(row["seed"]))]


def hard_weights_table() -> list[str]:
    """Lines of Markdown: mean, and the least of the seeds that were measured."""
    lines = [
        "## Weights whose channels differ",
        "",
        "`robustness.py --part hard` keeps each row in `hard_weights.csv`. Channels of each stage's residual",
        "stream, and of what a depthwise convolution passes to the next matrix, are multiplied by `2 **",
        "rng.normal(0, s)` in the Keras model and divided where they are read, so the function is unchanged.",
        f"Trained weights at 192 px, {CALIBRATION} training photographs for calibration, {PHOTOGRAPHS} validation",
        f"photographs ({FEWER_PHOTOGRAPHS['int16x8']} for int16x8). A cell has the SNR in dB and the agreement",
        f"with the float32 file of the unscaled weights: the mean over seeds ({SEEDS} for {', '.join(QUICK)}),",
        f"with the lowest SNR and the number of seeds in brackets. *Some*: {SOME:.0%} of the channels are scaled.",
        f"*Dead*: all are scaled, and another {DEAD:.0%} are always zero. The goal is that no file loses more than",
        f"{ALLOWED:.0f} dB compared with s = 0, and float32 keeps {ENOUGH:.0f} dB; where it is missed, the figure is",
        "bold.",
        "The shipped weights are exact in float16. After the multiplication they no longer are, which is probably why",
        "the float16 files of unscaled weights are better.",
        "",
        f"| recipe | {' | '.join(SCALINGS)} |",
        f"|---|{'---|' * len(SCALINGS)}",
    ]
    for recipe in ROW_NAMES:
        cells = []
        for name, plain in PLAIN.items():
            snr = {int(row["seed"]): float(row["snr_db"]) for row in _found(name, recipe)}
            goal = {int(row["seed"]): min(float(row["snr_db"]) - ALLOWED, ENOUGH) for row in _found(plain, recipe)}
            met = all(each >= goal.get(seed, goal.get(0, 0)) for seed, each in snr.items())
            same = [float(row["agreement"]) for row in _found(name, recipe)]
            least = f" ({min(snr.values()):.1f} of {len(snr)})" if len(snr) > 1 else ""
            shown = f"{np.mean(list(snr.values())):.1f}{least}, {np.mean(same):.1%}" if snr else "not measured"
            cells.append(beside_goal(shown, met, f"{min(goal.values()):.1f}" if goal else ""))
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return lines
