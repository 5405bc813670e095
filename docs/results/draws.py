"""What a file's answers owe to the photographs that calibrated it. Rows and a table for `robustness.py`."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import NAME, UNSEEN, append_row, beside_goal, float_answers, measure_file, prepared, read_rows

import swiftformer_tf as sf
from swiftformer_tf.images.folders import balanced_sample, list_images
from swiftformer_tf.images.labels import labeled_images

ROWS = Path(__file__).with_suffix(".csv")
CALIBRATION = 200
# Seeds of the draws; that of all other pages is 0.
DRAWS = range(1, 6)
# The integer recipe for NPUs differs from int8 in few operations, and has its turn last.
PASSES = (("mixed_int8", "int8"), ("static_int8",))
# Points lost in the mean and at most, and agreement in the mean at least.
GOALS = {"mixed_int8": (0.1, 0.2, 0.996), "int8": (0.2, 0.4, 0.993), "static_int8": (0.2, 0.4, 0.993)}


def measure_draws(calibration: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Measures what `ROWS` lacks, one row after the other, on all photographs of a folder."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    images = labeled_images(folder, model.config.labels)
    inputs, right = prepared(images.paths, model.config), np.asarray(images.targets)
    deploy = sf.fuse(model)
    expected = float_answers(deploy, inputs)
    was_right = expected.argmax(axis=1) == right
    for recipes, draw in itertools.product(PASSES, DRAWS):
        done = {row["recipe"] for row in read_rows(ROWS) if row["draw"] == str(draw)}
        missing = [recipe for recipe in recipes if recipe not in done]
        if not missing:
            continue
        calibrated = sf.calibrate(deploy, balanced_sample(list_images(calibration), CALIBRATION, seed=draw))
        for recipe in missing:
            found = measure_file(sf.export(deploy, sf.RECIPES[recipe], calibration=calibrated), inputs, expected)
            is_right = found.answers == right
            row = {
                "draw": str(draw),
                "recipe": recipe,
                "images": str(len(inputs)),
                "snr_db": f"{found.snr:.2f}",
                "agreement": f"{found.agreement:.5f}",
                "won": str(int((is_right & ~was_right).sum())),
                "lost": str(int((was_right & ~is_right).sum())),
            }
            append_row(ROWS, row)
            yield row


def draws_table() -> list[str]:
    """Lines of Markdown: a row for each recipe, with each of the draws that were measured."""
    rows = read_rows(ROWS)
    count = rows[0]["images"] if rows else "the"
    lines = [
        "## Five sets of calibration photographs",
        "",
        f"`robustness.py --part draws` keeps each row in `draws.csv`: {CALIBRATION} training photographs, the same",
        f"number from each class, drawn at random {len(DRAWS)} times; all {count} validation photographs at 192",
        "px. *Won* are the photographs that the file classifies correctly and float32 does not, *lost* the",
        "reverse. Where a goal is missed, the figure is bold and the goal follows in brackets.",
        "",
        "The goals were set for unseen photographs; those for [a single set](quantization.md) are other ones:",
        "",
        *(
            f"* {recipe}: agreement {least:.1%} in the mean; points lost at most {mean} in the mean, {worst} at worst"
            for recipe, (mean, worst, least) in GOALS.items()
        ),
        "",
        *UNSEEN,
        "",
        "| recipe | SNR dB | agreement, mean (least) | points lost, mean | worst | won, lost |",
        "|---|---|---|---|---|---|",
    ]
    for recipe, (mean, worst, least) in GOALS.items():
        found = [row for row in rows if row["recipe"] == recipe]
        if not found:
            lines.append(f"| {recipe} | not measured | | | | |")
            continue
        points = [100 * (int(row["lost"]) - int(row["won"])) / int(row["images"]) for row in found]
        same, snr = ([float(row[name]) for row in found] for name in ("agreement", "snr_db"))
        cells = (
            f"{min(snr):.1f} to {max(snr):.1f}",
            beside_goal(f"{np.mean(same):.2%} ({min(same):.2%})", bool(np.mean(same) >= least), f"{least:.1%}"),
            beside_goal(f"{np.mean(points):.2f}", bool(np.mean(points) <= mean), mean),
            beside_goal(f"{max(points):.2f}", max(points) <= worst, worst),
            "; ".join(f"{row['won']}, {row['lost']}" for row in found),
        )
        drawn = "" if len(found) == len(DRAWS) else f", {len(found)} draws"
        lines.append(f"| {recipe}{drawn} | {' | '.join(cells)} |")
    return lines
