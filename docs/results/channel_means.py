"""Means over channels as 1x1 convolutions or as MEAN, in `int8` on a CPU: writes `channel_means.md` here.

    PYTHONPATH=tests python docs/results/channel_means.py FOLDER PHOTOGRAPHS

XS with the weights that ship, at 224; both files take turns. On a machine that is busy with other work, export first
(`--export-only`) and measure under real-time priority, as in `reciprocal_roots.py`.
"""

import dataclasses
from pathlib import Path

import click
import numpy as np
from reciprocal_roots import CALIBRATION_IMAGES, REPEATS, export_forms, table

import swiftformer_tf as sf
from swiftformer_tf.images.folders import ImageFolder, balanced_sample
from swiftformer_tf.litert.benchmarking import FileTiming, Timing, benchmark_files, is_real_time

PAGE = Path(__file__).with_suffix(".md")
CASE = ("xs", 224)
FORMS = {"1x1 convolutions": sf.RECIPES["int8"], "MEAN": sf.RECIPES["int8"].replace(lower_mean=False)}


# Where a graph's buffers come to lie is worth a few per cent: each round loads both files anew, in the other order.
ROUNDS = 10


def rounds(paths: list[Path]) -> list[list[FileTiming]]:
    """Timings of both files in the order of `FORMS`, by round."""
    found = []
    for count in range(ROUNDS):
        step = -1 if count % 2 else 1
        found.append(benchmark_files(paths[::step], repeats=REPEATS)[::step])
    return found


def page(measured: list[list[FileTiming]], *, real_time: bool) -> str:
    """What was measured and how."""
    ratios = sorted(first.timing.median / second.timing.median for first, second in measured)
    files = [
        dataclasses.replace(each[0], timing=Timing(tuple(run for file in each for run in file.timing.runs)))
        for each in zip(*measured, strict=True)
    ]
    circumstances = ["Measured under real-time priority, beside other work."] if real_time else []
    lines = [
        "# Means over channels",
        "",
        "Made by `PYTHONPATH=tests python docs/results/channel_means.py FOLDER PHOTOGRAPHS`: `int8` with means over",
        "channels as 1x1 convolutions with equal weights, as the recipe has them, and as LiteRT's MEAN",
        "(`lower_mean=False`). Both compute the same integers. XS with the weights that ship; medians of",
        f"{ROUNDS} rounds of {REPEATS} runs, taking turns, on one thread; each round loads both files anew. In",
        "parentheses the number of XNNPACK partitions.",
        *circumstances,
        "",
        *table(FORMS, {CASE: files}),
        "",
        f"By round, the ratio was {ratios[0]:.3f} to {ratios[-1]:.3f}, with a median of {np.median(ratios):.3f}.",
    ]
    return "\n".join([*lines, ""])


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("photographs", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--export-only", is_flag=True, help="Measure nothing, write no page.")
def main(folder: Path, photographs: Path, export_only: bool) -> None:
    """Exports, measures, writes the page."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = balanced_sample(ImageFolder.open(photographs).paths, CALIBRATION_IMAGES)
    paths = export_forms(FORMS, *CASE, chosen, folder)
    if not export_only:
        PAGE.write_text(page(rounds(paths), real_time=is_real_time()))


if __name__ == "__main__":
    main()
