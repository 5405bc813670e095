"""Every recipe with other weights, sizes and calibration photographs: writes `robustness.md` here.

    python docs/results/robustness.py imagenette/train imagenette/val

Takes hours on two cores; `--case` and `--recipe` measure a part, `--part hard` weights whose channels differ, and
`--part draws` five sets of calibration photographs. Each row is kept in a CSV file here as soon as it is measured and
is not measured again: to measure anew, remove it there.
"""

import dataclasses
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from draws import draws_table, measure_draws
from hard_weights import hard_weights_table, measure_hard_weights
from measuring import (
    FEWER_PHOTOGRAPHS,
    GOALS,
    NAME,
    append_row,
    beside_goal,
    chosen_photographs,
    measure_recipe,
    prepared,
    read_rows,
    reference_logits,
)

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.images.folders import list_images
from swiftformer_tf.images.labels import labeled_images
from swiftformer_tf.training import adapted_model

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # random weights as the tests draw them
from support.random_models import LABELS, seeded_model

PAGE = Path(__file__).with_suffix(".md")
ROWS = Path(__file__).with_suffix(".csv")
# With random weights; with those that ship, all.
PHOTOGRAPHS = 300
STATISTICS = 64
# Deviation of random matrices times the root of their inputs: the median of those that ship (0.13 to 1.75).
GAIN = 0.54


@dataclasses.dataclass(frozen=True)
class Case:
    """One model, size and number of photographs for calibration; without a variant, the weights that ship."""

    image_size: int
    variant: str | None = None
    token_weights: str = "l2"
    calibration: int = 200


CASES = {
    "trained, calibrated with 100": Case(192, calibration=100),
    "trained, calibrated with 200": Case(192),
    "trained, calibrated with 500": Case(192, calibration=500),
    "trained, 128 px": Case(128),
    "trained, 160 px": Case(160),
    "trained, 224 px": Case(224),
    "trained, 256 px": Case(256),
    "trained, 288 px": Case(288),
    "XS random": Case(224, "xs"),
    "XS random, uniform": Case(224, "xs", "uniform"),
    "S random": Case(224, "s"),
    "L1 random": Case(224, "l1"),
    "L3 random": Case(224, "l3"),
}
# What has rows of its own, each in a file beside its module.
PARTS = {"hard": measure_hard_weights, "draws": measure_draws}

# Columns of the CSV file. `distinct` and `commonest` describe all photographs of the case: how many answers the
# reference gives, and the share of the commonest one. `lost` are points of top-1: empty for random weights, and in rows
# from before it was measured.
COLUMNS = ("case", "recipe", "images", "snr_db", "agreement", "distinct", "commonest", "lost")


@click.command()
@click.argument("calibration", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--case", "names", multiple=True, type=click.Choice(list(CASES)), help="Default: all.")
@click.option("--recipe", "recipes", multiple=True, type=click.Choice(list(GOALS)), help="Default: all.")
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Default: the cases alone.")
def main(
    calibration: Path, folder: Path, names: tuple[str, ...], recipes: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    """Compare every recipe with the float32 Keras model in each case, on photographs of FOLDER."""
    for part in parts:
        for row in PARTS[part](calibration, folder):
            click.echo(row)
            _write_page()
    if parts:
        _write_page()
        return
    paths = chosen_photographs(folder, len(list_images(folder)))
    for name in names or CASES:
        done = {row["recipe"] for row in read_rows(ROWS) if row["case"] == name}
        if missing := [recipe for recipe in recipes or GOALS if recipe not in done]:
            chosen = chosen_photographs(folder, PHOTOGRAPHS) if CASES[name].variant else paths
            _measure(name, missing, calibration, folder, chosen)
            _write_page()
    _write_page()


def _write_page() -> None:
    with replacing(PAGE) as beside:
        beside.write_text(_page(), "utf-8")


def _measure(name: str, recipes: list[str], calibration: Path, folder: Path, paths: list[Path]) -> None:
    case = CASES[name]
    model = _model(case, calibration)
    inputs = prepared(paths, model.config)
    expected = reference_logits(model, inputs)
    answers = Counter(expected.argmax(axis=1).tolist())
    deploy = sf.fuse(model)
    calibrated = sf.calibrate(deploy, chosen_photographs(calibration, case.calibration))
    for recipe in recipes:
        count = FEWER_PHOTOGRAPHS.get(recipe, len(inputs))
        found = measure_recipe(deploy, recipe, calibrated, inputs[:count], expected[:count])
        commonest = max(answers.values()) / len(expected)
        lost: float | str = ""
        if case.variant is None:
            right = _targets(folder, paths[:count], model.config.labels)
            lost = 100 * float(np.mean(expected[:count].argmax(axis=1) == right) - np.mean(found.answers == right))
        row = (name, recipe, count, found.snr, found.agreement, len(answers), commonest, lost)
        append_row(ROWS, dict(zip(COLUMNS, row, strict=True)))
        click.echo(f"{name}, {recipe}: {found.snr:.1f} dB, {found.agreement:.2%}, lost {lost}")


def _targets(folder: Path, paths: list[Path], labels: Sequence[str]) -> np.ndarray:
    """Index of the right answer for each photograph."""
    found = labeled_images(folder, labels)
    targets = dict(zip(found.paths, found.targets, strict=True))
    return np.asarray([targets[path] for path in paths])


def _model(case: Case, calibration: Path) -> sf.SwiftFormerForImageClassification:
    """The weights that ship at another size, or random ones with the statistics of training photographs."""
    size = {"image_size": case.image_size}
    if case.variant is None:
        shipped = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
        transform = shipped.config.transform.replace(size=(case.image_size, case.image_size))
        return adapted_model(shipped, shipped.config.replace(**size, transform=transform))
    config = sf.SwiftFormerConfig.from_variant(
        case.variant, id2label=LABELS, token_weights=case.token_weights, distillation=False, **size
    )
    return seeded_model(config, prepared(chosen_photographs(calibration, STATISTICS), config), gain=GAIN)


def _page() -> str:
    rows = read_rows(ROWS)
    trained = max((int(row["images"]) for row in rows if not CASES[row["case"]].variant), default=0)
    lines = [
        "# Other weights, sizes and calibration photographs",
        "",
        "```sh",
        "python docs/results/robustness.py imagenette/train imagenette/val",
        "```",
        "",
        f"measures all {trained} validation photographs for trained weights and {PHOTOGRAPHS} for random ones, the",
        f"same number from each class (int16x8 takes seconds per photograph: {FEWER_PHOTOGRAPHS['int16x8']}), and",
        "keeps each row in `robustness.csv`. Files are calibrated on 200 training photographs unless the case",
        "says otherwise. *Trained* weights are the ones that ship, at 192 px unless the case says otherwise.",
        f"*Random* weights are for 224 px and {len(LABELS)} labels: normal with deviation {GAIN} / sqrt(fan-in),",
        "the median of the trained matrices; layer scales from 0.5 to 1 (trained: 0.9 in local parts, 0.1 in",
        f"attention and MLPs); BatchNorm with the statistics of {STATISTICS} training photographs (`seeded_model`",
        "in `tests/support/random_models.py`).",
        "",
        "A cell has the SNR of the logits in dB, centered by the reference's mean; the top-1 agreement with the",
        "float32 Keras model; and, where it was measured, the points of top-1 lost. The goals are those for",
        "[trained weights at 192 px](quantization.md); where one is missed, the figure is bold and the goal follows",
        "in brackets.",
        "",
        f"| case | answers, commonest | {' | '.join(GOALS)} |",
        f"|---|---|{'---|' * len(GOALS)}",
    ]
    for name in CASES:
        cells = {row["recipe"]: _cell(row) for row in rows if row["case"] == name}
        if cells:
            row = max((row for row in rows if row["case"] == name), key=lambda row: int(row["images"]))
            share = float(row["commonest"])
            lines.append(
                f"| {name} | {row['distinct']}, {share:.0%} | "
                + " | ".join(cells.get(recipe, "not measured") for recipe in GOALS)
                + " |"
            )
    lines += [
        "",
        "*Answers* is the number of different classes that the reference gives, with the share of the most common one.",
        "",
        "Measured on 2026-11-26, before recipes changed: trained weights without points lost; random weights in",
        "float32, float16, dynamic_int8, mixed_int8 and int16x8; and int8 of `uniform`. The other rows of this",
        "table, and those of weights whose channels differ, are of 2026-11-29, before int8, static_int8 and, in its",
        "few operations of integers, mixed_int8 searched the ranges of sums, and before dynamic_int4 equalized",
        "channels ([constants](constants.md)). Today's recipes made the files of the five sets of calibration",
        "photographs, and the rows of 2026-11-30 in [quantization.md](quantization.md). Of random weights (300",
        "photographs), that search alone changed int8 from 20.2 to 20.5 dB in XS, from 19.1 to 19.3 in S and from 20.9",
        "to 22.0 in L1, and static_int8 from 20.2 to 20.6, from 19.1 to 19.3 and from 20.7 to 22.0, by hand on",
        "2026-11-30. The goal for static_int8 of random weights is to stay within 1 dB of int8.",
        "",
        "Random weights amplify noise more than trained ones. float16 shows by how much, since it only rounds",
        "weights, by one part in 2048. The logits of random weights are also closer together, so the same noise",
        "changes more answers. With a deviation of 1.4 / sqrt(fan-in), tried first, XS `uniform` had 48.4, 27.1,",
        "15.1, 13.0 and 28.6 dB from float16 to int16x8.",
    ]
    if unmeasured := [name for name in CASES if name not in {row["case"] for row in rows}]:
        lines += ["", f"Not measured yet: {'; '.join(unmeasured)}."]
    return "\n".join([*lines, "", *hard_weights_table(), "", *draws_table()]) + "\n"


def _cell(row: dict[str, str]) -> str:
    goal, snr, same = GOALS[row["recipe"]], float(row["snr_db"]), float(row["agreement"])
    # A few photographs cannot show a share as near to one as the goal: one of them may differ.
    allowed = max(1 - goal.agreement, 1 / int(row["images"]) if goal.agreement < 1 else 0)
    shown = beside_goal(f"{snr:.1f}", snr >= goal.snr, goal.snr)
    shown += ", " + beside_goal(f"{same:.1%}", 1 - same <= allowed + 1e-9, f"{goal.agreement:.1%}")
    if not row["lost"]:
        return shown
    lost = float(row["lost"])
    return f"{shown}, {beside_goal(f'{lost:.2f}', round(lost, 4) <= goal.drop, goal.drop)}"


if __name__ == "__main__":
    main()
