"""Size and latency of every variant by every recipe, as the README tells them: writes `variants.md` here.

    python docs/results/variants.py FOLDER --variant xs --variant s

Weights are those of a new model, labels a thousand, pixels 224: neither size nor time depends on what the weights are.
Integers throughout are left out, since how many partitions XNNPACK makes of them hangs on scales, and so on weights:
`tflite/README.md` has them. Files stay in the folder, where a second run finds them; L3 takes longest to export.
"""

from pathlib import Path

import click
import numpy as np

import swiftformer_tf as sf
from swiftformer_tf.litert.benchmarking import FileTiming, benchmark_files

PAGE = Path(__file__).with_suffix(".md")
# Those that were published.
VARIANTS = ("xs", "s", "l1", "l3")
RECIPES = tuple(name for name, recipe in sf.RECIPES.items() if recipe.max_partitions == 1)
REPEATS = 40
# Ranges come from them; they change neither size nor time.
CALIBRATION_IMAGES = 4


def export_variant(variant: str, folder: Path) -> list[Path]:
    """Exports what the folder does not hold yet.

    Returns:
        The files in the order of `RECIPES`.
    """
    paths = [folder / f"{variant}_{name}.tflite" for name in RECIPES]
    missing = [(name, path) for name, path in zip(RECIPES, paths, strict=True) if not path.exists()]
    if missing:
        model = sf.SwiftFormerForImageClassification(sf.SwiftFormerConfig.from_variant(variant))
        deploy = sf.fuse(model)
        shape = (CALIBRATION_IMAGES, *model.config.input_size, model.config.num_channels)
        calibration = sf.calibrate(deploy, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
        for name, path in missing:
            needed = calibration if sf.RECIPES[name].has_integer_weights else None
            sf.export(deploy, sf.RECIPES[name], calibration=needed).save(path)
            click.echo(f"{path.name} {path.stat().st_size / 1e6:.2f} MB", err=True)
    return paths


def page(measured: dict[str, list[FileTiming]]) -> str:
    """The table, a row a recipe."""
    lines = [
        "# Variants by recipe",
        "",
        f"Made by `python docs/results/variants.py FOLDER`: 1000 labels, 224 px, random weights; medians of {REPEATS} "
        "runs on one thread of an x86 core with VNNI, with the files of a variant taking turns.",
        "",
        "| MB, ms, partitions | " + " | ".join(name.upper() for name in measured) + " |",
        "|---|" + "---|" * len(measured),
    ]
    for index, recipe in enumerate(RECIPES):
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
@click.option("--variant", "variants", multiple=True, type=click.Choice(VARIANTS), help="Default: all.")
def main(folder: Path, variants: tuple[str, ...]) -> None:
    """Exports, measures, writes the page."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {variant: export_variant(variant, folder) for variant in variants or VARIANTS}
    PAGE.write_text(page({variant: benchmark_files(files, repeats=REPEATS) for variant, files in paths.items()}))


if __name__ == "__main__":
    main()
