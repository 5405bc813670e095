"""Processor time of exporting XS by six recipes, beside another checkout of the package: writes `export_time.md` here.

    git worktree add ../before 2198bf4
    python docs/results/export_time.py --before ../before

Both in turn, each export in a process of its own; seconds are user and system time of all its threads, from the Keras
model to the last verified file, without imports. Weights and pictures are random: they take as long as any others.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import click

from swiftformer_tf.files import replacing

IMAGE_SIZE, IMAGES = 224, 200
# Those that there were before, too.
RECIPES = ("float32", "float16", "dynamic_int8", "mixed_int8", "int8", "int16x8")
GOAL = 0.6
HERE = Path(__file__).resolve().parents[2]
PAGE = Path(__file__).with_suffix(".md")

EXPORT = """
import contextlib, json, sys, tempfile, time
import numpy as np
import swiftformer_tf as sf
from swiftformer_tf.pipeline import export_files

names, size, count = sys.argv[1], *map(int, sys.argv[2:])
model = sf.SwiftFormerForImageClassification(sf.SwiftFormerConfig.from_variant("xs", image_size=size))
images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
seconds = {}

@contextlib.contextmanager
def timed(step, total=None):
    start = time.process_time()
    yield lambda count: None
    seconds[step] = time.process_time() - start

start = time.process_time()
with tempfile.TemporaryDirectory() as folder:
    # A list: so the command gives them, and so they are read anew for each file.
    recipes = [sf.RECIPES[name] for name in names.split(",")]
    export_files(model, recipes, folder, stem="xs", calibration=list(images), progress=timed)
print(json.dumps({**seconds, "all": time.process_time() - start}))
"""


def exported(checkout: Path) -> dict[str, float]:
    """Seconds by step, and of all together."""
    command = [sys.executable, "-c", EXPORT, ",".join(RECIPES), str(IMAGE_SIZE), str(IMAGES)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def page(before: str, runs: dict[str, list[dict[str, float]]]) -> str:
    """The figures as Markdown: medians of the rounds."""
    medians = {
        name: {step: statistics.median(each[step] for each in rounds) for step in rounds[0]}
        for name, rounds in runs.items()
    }
    share = medians["now"]["all"] / medians["before"]["all"]
    steps = list(dict.fromkeys(step for each in medians.values() for step in each if step != "all"))
    rows = [
        f"| {step} | " + " | ".join(f"{each[step]:.1f}" if step in each else "-" for each in medians.values()) + " |"
        for step in [*steps, "all"]
    ]
    lines = [
        "# Processor time of an export by six recipes",
        "",
        f"Made by `python docs/results/export_time.py --before CHECKOUT` with a checkout of {before}, both in turn",
        f"({len(runs['now'])} rounds). XS at {IMAGE_SIZE} px, {IMAGES} images for calibration and verification.",
        "Seconds of user and system time of all threads, from the Keras model to the last verified file, without "
        "imports.",
        "",
        f"It now takes **{share:.2f}** of the earlier time; the goal is at most {GOAL}.",
        "",
        "| step | before | now |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


@click.command(help=__doc__)
@click.option("--before", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--rounds", type=click.IntRange(min=2), default=3, show_default=True)
def main(before: Path, rounds: int) -> None:
    """Prints the seconds of each step, and writes the page."""
    head = ["git", "-C", str(before), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    found: dict[str, list[dict[str, float]]] = {"before": [], "now": []}
    for _ in range(rounds):
        for name, checkout in (("before", before.resolve()), ("now", HERE)):
            found[name].append(exported(checkout))
            click.echo(f"{name:6} " + " ".join(f"{step} {seconds:.1f}" for step, seconds in found[name][-1].items()))
    with replacing(PAGE) as beside:
        beside.write_text(page(commit, found))


if __name__ == "__main__":
    main()
