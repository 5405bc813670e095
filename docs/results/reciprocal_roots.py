"""RSQRT or EXP and LOG, in `int8` on a CPU: writes `reciprocal_roots.md` here.

    PYTHONPATH=tests python docs/results/reciprocal_roots.py FOLDER PHOTOGRAPHS --variant xs --variant l1

XS has the weights that ship; others have random ones whose scales are like trained weights' (as in `variants.py`). All
files of a variant and size take turns. On a machine that is busy with other work, export first (`--export-only`) and
measure under real-time priority: `chrt -f 50`.
"""

from collections.abc import Iterable
from pathlib import Path

import click
from support.random_models import pictures, seeded_model

import swiftformer_tf as sf
from swiftformer_tf.images.folders import ImageFolder, balanced_sample
from swiftformer_tf.litert.benchmarking import FileTiming, benchmark_files, is_real_time

PAGE = Path(__file__).with_suffix(".md")
WEIGHTS = {"xs": "swiftformer_xs_imagenette"}
SIZES = (224, 448)
FORMS = {"EXP and LOG": sf.RECIPES["int8"], "RSQRT": sf.RECIPES["int8"].replace(lower_rsqrt=False)}
REPEATS = 60
CALIBRATION_IMAGES = 16
# As in variants.py and robustness.py.
GAIN = 0.54


def export_forms(
    forms: dict[str, sf.Recipe], variant: str, size: int, photographs: list[Path], folder: Path
) -> list[Path]:
    """Exports what the folder does not hold yet.

    Returns:
        The files in the order of `forms`.
    """
    paths = [folder / f"{variant}_{size}_{form.replace(' ', '_')}.tflite" for form in forms]
    if all(path.exists() for path in paths):
        return paths
    deploy = sf.fuse(_model(variant), image_size=size)
    calibration = sf.calibrate(deploy, photographs)
    for path, recipe in zip(paths, forms.values(), strict=True):
        sf.export(deploy, recipe, calibration=calibration).save(path)
        click.echo(f"{path.name} {path.stat().st_size / 1e6:.2f} MB", err=True)
    return paths


def _model(variant: str) -> sf.SwiftFormerForImageClassification:
    if variant in WEIGHTS:
        return sf.SwiftFormerForImageClassification.from_pretrained(WEIGHTS[variant])
    config = sf.SwiftFormerConfig.from_variant(variant)
    return seeded_model(config, config.transform.normalize(pictures(4, *config.input_size)), gain=GAIN)


def page(measured: dict[tuple[str, int], list[FileTiming]], *, real_time: bool) -> str:
    """What was measured and how."""
    circumstances = ["Measured under real-time priority, all other work stopped."] if real_time else []
    lines = [
        "# RSQRT, or EXP and LOG",
        "",
        "Made by `PYTHONPATH=tests python docs/results/reciprocal_roots.py FOLDER PHOTOGRAPHS`: `int8` with",
        "1 / sqrt(x) as EXP(-LOG(x) / 2), as the recipe has it, and as LiteRT's RSQRT (`lower_rsqrt=False`). XS has",
        f"the weights that ship, others random ones whose scales are like trained weights'. Medians of {REPEATS} runs,",
        "taking turns, on one thread of an x86 core with VNNI; in parentheses the number of XNNPACK partitions.",
        *circumstances,
        "",
        *table(FORMS, measured),
    ]
    return "\n".join([*lines, ""])


def table(forms: Iterable[str], measured: dict[tuple[str, int], list[FileTiming]]) -> list[str]:
    """Two forms beside each other, a row for each variant and size."""
    first, second = forms
    lines = [f"| variant | pixels | {first}, ms | {second}, ms | {first} / {second} |", "|---|---|---|---|---|"]
    for (variant, size), files in measured.items():
        ratio = files[0].timing.median / files[1].timing.median
        cells = [f"{each.timing.median:.2f} ({each.partitions})" for each in files]
        lines.append(f"| {variant.upper()} | {size} | {' | '.join(cells)} | {ratio:.3f} |")
    return lines


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("photographs", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--variant", "variants", multiple=True, type=click.Choice(["xs", "s", "l1", "l3"]), default=("xs", "l1"))
@click.option("--export-only", is_flag=True, help="Measure nothing, write no page.")
def main(folder: Path, photographs: Path, variants: tuple[str, ...], export_only: bool) -> None:
    """Exports, measures, writes the page."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = balanced_sample(ImageFolder.open(photographs).paths, CALIBRATION_IMAGES)
    cases = [(variant, size) for variant in variants for size in SIZES]
    files = {case: export_forms(FORMS, *case, chosen, folder) for case in cases}
    if not export_only:
        measured = {case: benchmark_files(paths, repeats=REPEATS) for case, paths in files.items()}
        PAGE.write_text(page(measured, real_time=is_real_time()))


if __name__ == "__main__":
    main()
