"""Measures every recipe on labelled photographs, beside the goals: writes `quantization.md` here.

python docs/results/quantization.py imagenette/train imagenette/val
"""

import dataclasses
import time
from pathlib import Path

import click
import numpy as np

import swiftformer_tf as sf
from swiftformer_tf.data import balanced_sample, list_images
from swiftformer_tf.files import replacing
from swiftformer_tf.inputs import iterate_inputs
from swiftformer_tf.labelling import labelled_images
from swiftformer_tf.verification import agreement, signal_to_noise

PAGE = Path(__file__).with_suffix(".md")
NAME = "swiftformer_xs_imagenette"


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a recipe should reach: top-1 points lost at most, agreement and SNR in dB at least."""

    drop: float
    agreement: float
    snr: float


GOALS = {
    "float32": Goal(0.0, 1.0, 92),
    "float16": Goal(0.0, 0.999, 62),
    "dynamic_int8": Goal(0.1, 0.996, 42),
    "mixed_int8": Goal(0.2, 0.994, 34),
    "int8": Goal(0.3, 0.99, 30),
    "int16x8": Goal(0.05, 0.998, 42),
}


@click.command()
@click.argument("calibration", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--calibration-count", default=200, show_default=True, help="Photographs for the ranges.")
@click.option("--recipe", "names", multiple=True, default=list(sf.RECIPES), help="Default: all.")
def main(calibration: Path, folder: Path, calibration_count: int, names: tuple[str, ...]) -> None:
    """Compare every recipe with the float32 Keras model on the photographs of FOLDER."""
    model = sf.from_pretrained(NAME)
    images = labelled_images(folder, model.config.labels)
    transform = model.config.transform
    inputs = np.concatenate(list(iterate_inputs(list(images.paths), transform, raw=False)))
    expected = model.predict(inputs, batch_size=16, verbose=0).astype(np.float64)
    right = np.asarray(images.targets)
    chosen = balanced_sample(list_images(calibration), calibration_count)
    deploy = sf.fuse(model)
    top1 = float(np.mean(expected.argmax(axis=1) == right))
    lines = [
        f"# {NAME}: every recipe on {len(inputs)} photographs",
        "",
        f"Made by `python docs/results/quantization.py imagenette/train imagenette/val`; {calibration_count} training",
        f"photographs for calibration, at {model.config.image_size} px; the float32 Keras model has {top1:.2%}",
        "top-1. SNR of the logits, centred by the reference's mean. In brackets: the goal, where it is missed.",
        "",
        "| recipe | MB | SNR dB | agreement | top-1 | points lost | XNNPACK partitions | export, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        start = time.perf_counter()
        lite = sf.export(deploy, sf.RECIPES[name], calibration=chosen)
        seconds = time.perf_counter() - start
        runner = sf.LiteRunner(lite, num_threads=2)
        actual = np.stack([runner(image[None]) for image in inputs]).astype(np.float64)
        goal = GOALS[name]
        lost = 100 * (top1 - float(np.mean(actual.argmax(axis=1) == right)))
        snr, same = signal_to_noise(expected, actual) or 0.0, agreement(expected, actual)
        lines.append(
            f"| {name} | {len(lite.content) / 1e6:.2f} | {_beside(f'{snr:.1f}', snr >= goal.snr, goal.snr)} | "
            f"{_beside(f'{same:.2%}', same >= goal.agreement, f'{goal.agreement:.1%}')} | {top1 - lost / 100:.2%} | "
            f"{_beside(f'{lost:.2f}', lost <= goal.drop, goal.drop)} | {runner.partitions} | {seconds:.0f} |"
        )
        click.echo(lines[-1])
    with replacing(PAGE) as beside:
        beside.write_text("\n".join(lines) + "\n")


def _beside(measured: str, met: bool, goal: object) -> str:
    return measured if met else f"**{measured}** ({goal})"


if __name__ == "__main__":
    main()
