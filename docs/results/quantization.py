"""Measures every recipe on labeled photographs, beside the goals: writes `quantization.md` here.

python docs/results/quantization.py imagenette/train imagenette/val
"""

import datetime
from pathlib import Path

import click
import numpy as np
from measuring import GOALS, NAME, UNSEEN, beside_goal, chosen_photographs, measure_recipe, prepared, reference_logits

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.images.labels import labeled_images
from swiftformer_tf.native_logs import native_stderr_silenced

PAGE = Path(__file__).with_suffix(".md")


def heading(photographs: int, calibration: int, size: int | tuple[int, int], top1: float) -> list[str]:
    """Lines of the page down to the head of the table, with the goals, which the table shows only if missed."""
    return [
        f"# {NAME}: every recipe on {photographs} photographs",
        "",
        f"Made by `python docs/results/quantization.py imagenette/train imagenette/val`; {calibration} training",
        f"photographs for calibration, at {size} px; the float32 Keras model has {top1:.2%}",
        "top-1. SNR of the logits, with the reference's mean subtracted. A goal that is missed is in parentheses. Each",
        "row is of the recipe as it was on its day; the seconds depend on what else the machine did.",
        "",
        *UNSEEN,
        "",
        "These are the goals for the single set of calibration photographs used here. Those for",
        "[five sets](robustness.md#five-sets-of-calibration-photographs) are other ones:",
        "",
        "| goal | SNR dB, at least | agreement, at least | points lost, at most |",
        "|---|---|---|---|",
        *(f"| `{name}` | {goal.snr:g} | {goal.agreement:.1%} | {goal.drop} |" for name, goal in GOALS.items()),
        "",
        "| recipe | MB | SNR dB | agreement | top-1 | points lost | XNNPACK partitions | export, s | measured |",
        "|---|---|---|---|---|---|---|---|---|",
    ]


@click.command()
@click.argument("calibration", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--calibration-count", default=200, show_default=True, help="Photographs for the ranges.")
@click.option("--recipe", "names", multiple=True, type=click.Choice(list(GOALS)), help="Others keep their last row.")
def main(calibration: Path, folder: Path, calibration_count: int, names: tuple[str, ...]) -> None:
    """Compare every recipe with the float32 Keras model on the photographs of FOLDER."""
    written = PAGE.read_text().splitlines() if PAGE.exists() else []
    table, *sections = "\n".join(written).split("\n## ")  # the sections below are other scripts'
    last = {name: line for line in table.splitlines() for name in GOALS if line.startswith(f"| {name} |")}
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    images = labeled_images(folder, model.config.labels)
    inputs = prepared(images.paths, model.config)
    expected = reference_logits(model, inputs)
    right = np.asarray(images.targets)
    chosen = chosen_photographs(calibration, calibration_count)
    deploy = sf.fuse(model)
    top1 = float(np.mean(expected.argmax(axis=1) == right))
    lines = heading(len(inputs), calibration_count, model.config.image_size, top1)
    for name, goal in GOALS.items():
        if names and name not in names:
            lines += [last[name]] if name in last else []
            continue
        found = measure_recipe(deploy, name, chosen, inputs, expected)
        kept = float(np.mean(found.answers == right))
        lost = 100 * (top1 - kept)
        lines.append(
            f"| {name} | {found.bytes / 1e6:.2f} | {beside_goal(f'{found.snr:.1f}', found.snr >= goal.snr, goal.snr)} "
            f"| {beside_goal(f'{found.agreement:.2%}', found.agreement >= goal.agreement, f'{goal.agreement:.1%}')} "
            f"| {kept:.2%} | {beside_goal(f'{lost:.2f}', round(lost, 4) <= goal.drop, goal.drop)} "
            f"| {found.partitions} | {found.seconds:.0f} | {datetime.date.today()} |"
        )
        click.echo(lines[-1])
    with replacing(PAGE) as beside:
        beside.write_text("\n".join([*lines, *(f"\n## {section}" for section in sections)]) + "\n", "utf-8")


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
