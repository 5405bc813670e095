"""Weights whose channels differ: the same function, other ranges. Rows and a table for `robustness.py`."""

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from measuring import NAME, chosen_photographs, measure_file, prepared

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.quantization import Graph
from swiftformer_tf.quantization.equalization import channel_groups, rescale

ROWS = Path(__file__).with_suffix(".csv")
COLUMNS = ("recipe", "spread", "channels", "seed", "images", "snr_db")
RECIPES = ("dynamic_int8", "dynamic_int4", "mixed_int8", "int8", "static_int8")
CALIBRATION, PHOTOGRAPHS = 200, 300
SOME = 0.2


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Channels multiplied by `2 ** normal(0, spread)`, a share of them, and divided where they are read."""

    spread: float
    share: float = 1.0

    @property
    def channels(self) -> str:
        """Which ones, in a word."""
        return "all" if self.share == 1 else "some"


# In the order in which they are measured; of what is not scaled, one seed is all of them.
SCALINGS = (
    *((Scaling(spread), 0) for spread in (0, 2, 1)),
    (Scaling(2, SOME), 0),
    *((Scaling(spread), seed) for seed in (1, 2) for spread in (2, 1)),
    *((Scaling(2, SOME), seed) for seed in (1, 2)),
)


def measure_hard_weights(calibration: Path, folder: Path) -> Iterator[dict[str, str]]:
    """Measures what `ROWS` lacks, one row after the other, each against the float32 file."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    deploy = sf.fuse(model)
    calibrated = sf.calibrate(deploy, chosen_photographs(calibration, CALIBRATION))
    inputs = prepared(chosen_photographs(folder, PHOTOGRAPHS), model.config)
    runner = sf.LiteRunner(sf.export(deploy, sf.RECIPES["float32"], calibration=calibrated))
    expected = np.stack([runner(image[None]) for image in inputs]).astype(np.float64)
    for scaling, seed in SCALINGS:
        hard = scaled(calibrated, scaling, np.random.default_rng(seed))
        for recipe in RECIPES:
            key = (recipe, str(scaling.spread), scaling.channels, str(seed))
            if key in {tuple(row[name] for name in COLUMNS[:4]) for row in rows()}:
                continue
            lite = sf.export(deploy, sf.RECIPES[recipe], calibration=hard)
            found = measure_file(lite, inputs, expected)
            row = dict(zip(COLUMNS, (*key, str(len(inputs)), f"{found.snr:.2f}"), strict=True))
            _write([*rows(), row])
            click.echo(row)
            yield row


def scaled(calibrated: sf.Calibration, scaling: Scaling, rng: np.random.Generator) -> sf.Calibration:
    """What `calibrate` would find of the model with scaled channels, whose function is the same."""
    graph = Graph(calibrated.content)
    factors = []
    for group in channel_groups(graph):
        count = graph.shape(min(group.tensors))[-1]
        chosen = rng.random(count) < scaling.share
        factors.append((group, np.where(chosen, 2.0 ** rng.normal(0, scaling.spread, count), 1.0)))
    changed, statistics = rescale(graph, calibrated.statistics, factors)
    operations = [(op, op.version) for op in changed.operations]
    content = changed.rewritten(operations, changed.inputs, changed.outputs)
    # The tensors of `content` are numbered anew, in the same order.
    again = Graph(content)
    place = dict(zip(_computed(changed), _computed(again), strict=True))
    found = statistics.copy()
    for name in ("low", "high", "pixels", "moments"):
        values = {place[tensor]: value for tensor, value in getattr(statistics, name).items() if tensor in place}
        setattr(found, name, values)
    found.fixed_ranges = {place[tensor] for tensor in statistics.fixed_ranges if tensor in place}
    return sf.Calibration(content, found, calibrated.weights_sha256)


def _computed(graph: Graph) -> list[int]:
    return [*graph.inputs, *(output for op in graph.operations for output in op.outputs)]


def rows() -> list[dict[str, str]]:
    """What was measured."""
    if not ROWS.exists():
        return []
    with ROWS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(measured: list[dict[str, str]]) -> None:
    with replacing(ROWS) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(measured)


def table() -> list[str]:
    """Lines of Markdown: mean and least SNR over the seeds that were measured."""
    columns = [("0", "all"), ("1", "all"), ("2", "all"), ("2", "some")]
    lines = [
        "## Weights whose channels differ",
        "",
        "Made by `robustness.py --hard`, row by row in `hard_weights.csv`. Channels of each stage's residual",
        "stream, and of what a depthwise convolution hands on to a matrix, are multiplied by `2 ** rng.normal(0, s)`",
        "and divided where they are read: the function is the same. Trained weights at 192 px, the ranges of",
        f"{CALIBRATION} training photographs, {PHOTOGRAPHS} validation photographs. SNR in dB against the float32",
        f"file: the mean, and in brackets the least of the seeds; *some*: of {SOME:.0%} of the channels.",
        "",
        "| recipe | s = 0 | s = 1 | s = 2 | s = 2, some |",
        "|---|---|---|---|---|",
    ]
    for recipe in RECIPES:
        cells = []
        for spread, channels in columns:
            found = [
                float(row["snr_db"])
                for row in rows()
                if (row["recipe"], row["spread"], row["channels"]) == (recipe, spread, channels)
            ]
            seeds = f"{len(found)} seed{'s' * (len(found) > 1)}"
            cells.append(f"{np.mean(found):.1f} ({min(found):.1f}, {seeds})" if found else "not measured")
        lines.append(f"| {recipe} | {' | '.join(cells)} |")
    return lines
