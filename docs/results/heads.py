"""Every head of the tests through every recipe: writes `heads.md` here.

    python docs/results/heads.py

Takes two minutes on two cores.
"""

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import click

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.litert.inspection import inspect_model

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # the heads, with weights as the tests draw them
from support.heads import HEADS, calibrated, made

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """# Heads

Made by `python docs/results/heads.py`: heads that people put on a SwiftFormer, exported with every recipe. The
backbones are tiny, with random weights: four stages for heads that take several maps, one or two for the others.
`tests/support/heads.py` has the code of each head, and `tests/test_heads.py` enforces these figures. A tiny model loses
more to integers than a trained XS, whose figures are on [Quantization](quantization.md), and one of four stages more
than one of a single stage.

The lowest signal-to-noise ratio of any output in dB, with the mean subtracted, on eight images used for calibration:

"""

PARTITIONS = """
XNNPACK partitions by recipe, and the operations that `mixed_int8` computes in float, by LiteRT's names; those up to
the first matrices, which read the image, are not counted. Most belong to the backbone: residual sums, depthwise
convolutions and the norms of the attention. `int8`, `static_int8` and `int16x8` compute none of them in float.

"""

BACKBONE = ("ADD", "DEPTHWISE_CONV_2D", "GELU", "MAXIMUM", "MEAN", "MUL", "RSQRT")


def measured(name: str) -> tuple[dict[str, float], dict[str, int], Counter[str]]:
    """A head's least SNR and partitions by recipe, and the operations left in float in `mixed_int8`."""
    model, deploy, pixels = made(name)
    ratios, partitions, floats = {}, {}, Counter[str]()
    for recipe in sf.RECIPES.values():
        lite = sf.export(deploy, recipe, calibration=calibrated(name))
        report = sf.verify(lite, reference=model, images=pixels[:8])
        outputs = report.measured.get("outputs", {"": report.measured})
        ratios[recipe.name] = min(each["snr_db"] for each in outputs.values())
        partitions[recipe.name] = report.measured["partitions"]
        if recipe.name == "mixed_int8":
            inspection = inspect_model(lite)
            behind = tuple(op for op in inspection.ops if not op.is_first)
            floats = Counter(dataclasses.replace(inspection, ops=behind).float_ops)
    return ratios, partitions, floats


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command(help=__doc__)
def main() -> None:
    ratios, pieces = [], []
    for name, make in HEADS.items():
        snr, partitions, floats = measured(name)
        click.echo(f"{name}: {', '.join(f'{value:.1f}' for value in snr.values())}")
        ratios.append([f"`{name}`", str(make.__doc__).rstrip("."), *(f"{value:.0f}" for value in snr.values())])
        own = [f"{count} {each}" for each, count in sorted(floats.items()) if each not in BACKBONE]
        common = sum(floats[each] for each in BACKBONE)
        pieces.append([f"`{name}`", *map(str, partitions.values()), f"{common}", ", ".join(own)])
    recipes = [f"`{name}`" for name in sf.RECIPES]
    with replacing(PAGE) as beside:
        beside.write_text(
            INTRODUCTION
            + table(["head", "what it is", *recipes], ratios)
            + PARTITIONS
            + table(["head", *recipes, "of the backbone's kinds", "others"], pieces)
        )


if __name__ == "__main__":
    main()
