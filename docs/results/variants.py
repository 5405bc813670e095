"""Size and latency of every published variant by every recipe: writes `variants.md` here, whose rows the README has.

    PYTHONPATH=tests python docs/results/variants.py FOLDER --export-only
    PYTHONPATH=tests chrt -f 40 python docs/results/variants.py FOLDER

The models have 1000 labels at 224 px, and random weights with the statistics of pictures: the scales of `int8` and
`static_int8` decide how many partitions XNNPACK makes of a file, and so its time. Files stay in the folder, where a
second run finds them.
"""

import itertools
from pathlib import Path

import click
from support.random_models import pictures, seeded_model

import swiftformer_tf as sf
from swiftformer_tf.litert.benchmarking import FileTiming, benchmark_files

PAGE = Path(__file__).with_suffix(".md")
# Those that were published.
VARIANTS = ("xs", "s", "l1", "l3")
# How often a file is run; LiteRT's reference kernels, which compute `int16x8`, take a second.
REPEATS = {name: 5 if name == "int16x8" else 40 for name in sf.RECIPES}
# They give the statistics and the ranges. The gain is that of the weights that ship, as in robustness.py.
CALIBRATION_IMAGES, GAIN = 4, 0.54


def export_variant(variant: str, folder: Path) -> list[Path]:
    """Exports what the folder does not hold yet.

    Returns:
        The files in the order of `swiftformer_tf.RECIPES`.
    """
    paths = [folder / f"{variant}_{name}.tflite" for name in sf.RECIPES]
    missing = [(name, path) for name, path in zip(sf.RECIPES, paths, strict=True) if not path.exists()]
    if missing:
        config = sf.SwiftFormerConfig.from_variant(variant)
        pixels = pictures(CALIBRATION_IMAGES, *config.input_size)
        deploy = sf.fuse(seeded_model(config, config.transform.normalize(pixels), gain=GAIN))
        calibration = sf.calibrate(deploy, pixels)
        for name, path in missing:
            needed = calibration if sf.RECIPES[name].has_integer_weights else None
            sf.export(deploy, sf.RECIPES[name], calibration=needed).save(path)
            click.echo(f"{path.name} {path.stat().st_size / 1e6:.2f} MB", err=True)
    return paths


def measure(files: list[Path]) -> list[FileTiming]:
    """The times of a variant's files, in the order of `swiftformer_tf.RECIPES`; those with as many runs take turns."""
    repeats = dict(zip(files, REPEATS.values(), strict=True))
    groups = itertools.groupby(files, repeats.__getitem__)
    return [timed for count, group in groups for timed in benchmark_files(list(group), repeats=count)]


def page(measured: dict[str, list[FileTiming]]) -> str:
    """The table, a row a recipe."""
    lines = [
        "# Variants by recipe",
        "",
        "Made by `PYTHONPATH=tests chrt -f 40 python docs/results/variants.py FOLDER`: 1000 labels, 224 px, random "
        f"weights; medians of {REPEATS['float32']} runs ({REPEATS['int16x8']} of `int16x8`, for which LiteRT has only "
        "reference kernels) on one thread of an x86 core with VNNI and AMX, with the files of a variant taking turns.",
        "",
        "XNNPACK computes a file in one partition if it supports all operations. How many it makes of `int8` and "
        "`static_int8` depends on their scales, and so on the weights, which have the statistics of pictures here; "
        "[tflite/README.md](../../tflite/README.md) has the times of trained ones.",
        "",
        "| MB, ms, partitions | " + " | ".join(name.upper() for name in measured) + " |",
        "|---|" + "---|" * len(measured),
    ]
    for index, recipe in enumerate(sf.RECIPES):
        cells = [
            f"{each.size / 1e6:.1f}, {each.timing.median:.1f}, {each.partitions}"
            for each in (files[index] for files in measured.values())
        ]
        lines.append(f"| `{recipe}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *architectures(), ""])


def architectures() -> list[str]:
    """Lines of the table of all variants, a row a variant."""
    lines = [
        "## Depths and widths",
        "",
        "Table 4 of the paper (arXiv:2303.15446). `tiny` was never published: it is for tests and examples, and for a "
        "first run of `train --variant tiny`.",
        "",
        "| variant | blocks of each stage | channels of each stage |",
        "|---|---|---|",
    ]
    for name, row in sf.VARIANTS.items():
        cells = (", ".join(map(str, row[field])) for field in ("depths", "embed_dims"))
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--export-only", is_flag=True, help="Makes the files that the folder lacks, and measures nothing.")
def main(folder: Path, export_only: bool) -> None:
    """Exports, measures, writes the page."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {variant: export_variant(variant, folder) for variant in VARIANTS}
    if not export_only:
        PAGE.write_text(page({variant: measure(files) for variant, files in paths.items()}))


if __name__ == "__main__":
    main()
