"""Processor time of exporting XS by all recipes, beside another checkout of the package, in turn.

    python docs/results/export_time.py --before ../checkout-of-2198bf4

Each export runs in a process of its own; seconds are user and system time of all its threads, from the fused graph to
the last file, without imports. Weights and pictures are random: they take as long as any others.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import click

IMAGE_SIZE, IMAGES = 224, 200
HERE = Path(__file__).resolve().parents[2]

EXPORT = """
import json, sys, time
import numpy as np
import swiftformer_tf as sf

size, count = map(int, sys.argv[1:])
config = sf.SwiftFormerConfig.from_variant("xs", image_size=size)
deploy = sf.fuse(sf.SwiftFormerForImageClassification(config))
images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
start, seconds = time.process_time(), {}
calibration = sf.calibrate(deploy, images) if hasattr(sf, "calibrate") else images
seconds["calibrate"] = time.process_time() - start
for name, recipe in sf.RECIPES.items():
    before = time.process_time()
    sf.export(deploy, recipe, calibration=calibration)
    seconds[name] = time.process_time() - before
print(json.dumps({**seconds, "all": time.process_time() - start}))
"""


def exported(checkout: Path) -> dict[str, float]:
    """Seconds by step, and of all together."""
    command = [sys.executable, "-c", EXPORT, str(IMAGE_SIZE), str(IMAGES)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@click.command(help=__doc__)
@click.option("--before", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--rounds", default=1, show_default=True)
def main(before: Path, rounds: int) -> None:
    """Prints the seconds of each step, and the share of the whole."""
    found: dict[str, list[dict[str, float]]] = {"before": [], "now": []}
    for _ in range(rounds):
        for name, checkout in (("before", before.resolve()), ("now", HERE)):
            found[name].append(exported(checkout))
            click.echo(f"{name:6} " + " ".join(f"{step} {seconds:.1f}" for step, seconds in found[name][-1].items()))
    whole = {name: statistics.median(each["all"] for each in runs) for name, runs in found.items()}
    click.echo(f"share {whole['now'] / whole['before']:.2f}")


if __name__ == "__main__":
    main()
