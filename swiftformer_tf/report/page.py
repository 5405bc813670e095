"""The page: the verdict first, then files, plots, photographs, and how it was created."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import SwiftFormerError, figure_or_dash, number_of, require_packages
from swiftformer_tf.files import check_place, replacing
from swiftformer_tf.images.inputs import ImageSource
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.report import plots
from swiftformer_tf.report.palette import PALETTE, colors
from swiftformer_tf.report.photographs import legend, photograph_groups
from swiftformer_tf.tasks import TASKS
from swiftformer_tf.verification import Outputs, Verdict, VerificationCheck, VerificationReport

__all__ = ["check_page", "html_report", "save_page"]

# Classes in the plot of errors.
MAX_CLASSES = 20

# The question behind each check of `verify`, in the order of the page.
QUESTIONS = {
    "finite": "All outputs are finite",
    "snr": "Outputs are close to those of Keras",
    "largest_error": "Predicted numbers are close to those of Keras",
    "cosine": "Features point in the same direction as in Keras",
    "agreement": "Top labels, classes of pixels, or nearest images of features are the same as in Keras",
    "no_flex": "Only LiteRT's built-in operations",
    "static_shapes": "Every shape is fixed",
    "unique_names": "Every tensor has a unique name",
    "unused_parts": "Nothing in the file is unused",
    "quantization": "Integer scales satisfy strict readers",
    "versions": "Operations have the first version that they need",
    "inference_types": "Input and output have the recipe's types",
    "integer": "Integer throughout",
    "weights": "Matrices are stored as the recipe says",
    "int4_inputs": "No int4 matrix has an odd number of inputs",
    "int4_packing": "int4 rows are packed without gaps",
    "partitions": "Few XNNPACK partitions",
    "metadata": "TFLite Metadata describes the file correctly",
    "labels": "The labels in the file are the model's",
    "raw_pixels": "The input takes pixel bytes unchanged",
}
# The name of a single number in a file's outputs, by task.
UNITS = {"logits": "logit", "probabilities": "probability", "mask": "class", "features": "feature"}

MARKS = {"passed": "✓", "failed": "✗", "refused": "?", "not compared": "-"}

# How the page describes files that did not pass, worst first.
HEADLINES: dict[Verdict, str] = {
    "failed": "failed",
    "refused": "could not be judged on these photographs",
    "not compared": "passed the checks of the file itself, but not compared with Keras",
}

Results = Sequence[tuple[LiteModel, VerificationReport]]


def html_report(
    results: Results,
    *,
    images: ImageSource | None = None,
    names: Sequence[str] | None = None,
    about_images: str = "",
    command: str = "",
) -> str:
    """Creates a self-contained HTML page about the files of one model; it loads nothing from any server.

    Args:
        results: Each file with its report, see `verify`.
        images: The images that the reports are based on, in the same form and order; some are shown with their labels.
        names: Caption of each image. Default: the file names, or numbers.
        about_images: A sentence about the images.
        command: The command that created the page, for its last section.

    Returns:
        The HTML, identical for identical arguments.

    Raises:
        SwiftFormerError: Jinja or matplotlib is not installed, or there is no result.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> from swiftformer_tf import verify
        >>> report = verify(lite, reference=model, images=np.zeros((1, 32, 32, 3), np.uint8))
        >>> page = html_report([(lite, report)], command="by hand")
        >>> page[:15], "float32" in page, "by hand" in page
        ('<!doctype html>', True, True)
    """
    require_packages("a page", "jinja2", "matplotlib")
    import jinja2

    if not results:
        raise SwiftFormerError("a page needs at least one file and its report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    first, config = results[0][0], results[0][0].config
    places = colors([lite.recipe.name for lite, _ in results])
    styles = {name: f"var(--recipe-{index})" for name, index in places.items()}
    compared = [(lite, report.outputs) for lite, report in results if report.outputs is not None]
    verdicts = [report.verdict for _, report in results]
    # The worst one is that of the page.
    worst: Verdict = next((each for each in HEADLINES if each in verdicts), "passed")
    return template.render(
        title=f"SwiftFormer-{config.variant.upper()}" if config.variant else "SwiftFormer",
        config=config,
        counted_labels=number_of(config.num_labels, "label"),
        include_preprocessing=first.include_preprocessing,
        gives=_gives(first),
        palette=PALETTE,
        compared_on=_compared_on(results),
        verdict=worst,
        mark=MARKS[worst],
        headline=_headline(worst, verdicts.count(worst), len(results)),
        failures=[(lite.recipe.name, c.explanation) for lite, r in results for c in r.checks if c.status != "passed"],
        threads=number_of(max(report.measured.get("num_threads", 1) for _, report in results), "thread"),
        rows=[_row(lite, report, styles) for lite, report in results],
        checks=_checks(results),
        bars=_bars(results, places),
        **_output_plots(results, compared, places),
        about_images=about_images + " " if about_images else "",
        groups=photograph_groups(compared, images, names, styles),
        legend=legend(first),
        operations=_operations([report.measured["ops"] for _, report in results]),
        limits=_limits(results, compared),
        command=command,
        hashes=[(report.measured.get("file", lite.recipe.name), lite.sha256) for lite, report in results],
        versions={
            "swiftformer_tf": importlib.metadata.version("swiftformer_tf"),
            **results[0][1].measured["versions"],
            "Python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
        },
    )


def check_page(path: str | Path, *, made: str | Path | None = None) -> None:
    """Checks that `save_page` will be able to write the page, so that an error is raised before any work is done.

    Args:
        path: Path of the page.
        made: A folder that will have been created by then.

    Raises:
        ConfigError: The folder does not exist.
        OSError: The folder cannot be written to.
        SwiftFormerError: Jinja or matplotlib is not installed.

    Examples:
        >>> check_page("report.html")
        >>> check_page("nowhere/report.html", made="nowhere")
        >>> check_page("nowhere/report.html")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ConfigError: nowhere/report.html: no such folder: nowhere; make it first
    """
    require_packages("a page", "jinja2", "matplotlib")
    check_place(path, made=made)


def save_page(path: str | Path, results: Results, **options: Any) -> None:
    """Writes the page of `html_report` atomically.

    Args:
        path: Path of the page.
        results: See `html_report`.
        **options: See `html_report`.

    Raises:
        SwiftFormerError: See `html_report`.
        OSError: The page cannot be written; an existing file is unchanged.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> from swiftformer_tf import verify
        >>> report = verify(lite, reference=model, images=np.zeros((1, 32, 32, 3), np.uint8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_page(Path(folder, "report.html"), [(lite, report)])
        ...     [path.name for path in Path(folder).iterdir()]
        ['report.html']
    """
    page = html_report(results, **options)
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")


def _headline(worst: Verdict, count: int, total: int) -> str:
    if worst == "passed":
        return "The file passed every check" if total == 1 else f"All {total} files passed every check"
    return f"The file {HEADLINES[worst]}" if total == 1 else f"{count} of {total} files {HEADLINES[worst]}"


def _compared_on(results: Results) -> str:
    report = results[0][1]
    figures = report.measured
    if not figures.get("images"):
        return "Checked against the recipe only."
    source = ", the same that set the integer scales: new ones would say more" if report.saw_calibration else ""
    return f"Compared with its Keras model on {number_of(figures['images'], 'image')}{source}."


def _gives(lite: LiteModel) -> str:
    """Describes the outputs, unless they are only the logits of labels."""
    if len(lite.outputs) > 1 or not lite.labels:
        return ", ".join(f"{each.name} ({' x '.join(map(str, each.shape[1:]))})" for each in lite.outputs)
    return {"logits": "", "mask": "a mask"}.get(lite.answers, lite.answers)


def _row(lite: LiteModel, report: VerificationReport, styles: Mapping[str, str]) -> dict[str, Any]:
    recipe, figures = lite.recipe, report.measured
    least = recipe.least_agreement(TASKS[lite.main_output.task].unit)
    most = recipe.max_partitions
    return {
        "recipe": recipe.name,
        "description": recipe.description,
        "color": styles[recipe.name],
        "verdict": report.verdict,
        "mark": MARKS[report.verdict],
        "cells": [
            (name, figure_or_dash(value, form), wanted, check.status if (check := _check(report, asked)) else "")
            for name, value, form, wanted, asked in (
                ("Size, MB", figures["bytes"] / 1e6, ".2f", "", ""),
                ("Latency, ms", figures["latency_ms"], ".1f", "", ""),
                ("SNR, dB", report.least("snr_db"), ".1f", f"≥ {recipe.min_snr:g}", "snr"),
                (
                    "Agreement",
                    report.least("agreement"),
                    ".1%",
                    f"≥ {100 * least:g}%",
                    "agreement",
                ),
                ("Partitions", figures["partitions"], "d", "" if most is None else f"≤ {most}", "partitions"),
            )
        ],
    }


def _check(report: VerificationReport, name: str) -> VerificationCheck | None:
    """Finds a check by name; if there are several, such as one per output, the one that did not pass."""
    found = [check for check in report.checks if name in (check.name, check.question)]
    return next((check for check in found if check.status != "passed"), found[0] if found else None)


def _checks(results: Results) -> list[tuple[str, str, list[tuple[str, str, str]]]]:
    """One row per check: its name, its question, and the mark, status and measurement of each file."""
    asked = {check.name: check.question for _, report in results for check in report.checks}
    places = {name: place for place, name in enumerate(QUESTIONS)}
    order = sorted(asked, key=lambda name: (places[asked[name]], name))
    lines = []
    for name in order:
        found = [_check(report, name) for _, report in results]
        marks = [(MARKS[each.status], each.status, each.measured) if each else ("-", "not asked", "") for each in found]
        lines.append((name, QUESTIONS[asked[name]], marks))
    return lines


def _bars(results: Results, places: Mapping[str, int]) -> list[tuple[str, str]]:
    shown = []
    for caption, axis, form, values in (
        ("Latency", "milliseconds an image, this CPU", ".1f", [r.measured["latency_ms"] for _, r in results]),
        ("Size", "megabytes", ".2f", [r.measured["bytes"] / 1e6 for _, r in results]),
    ):
        known = [(lite.recipe.name, v) for (lite, _), v in zip(results, values, strict=True) if v]
        if known:
            names, lengths = zip(*known, strict=True)
            shown.append((caption, plots.bars(names, lengths, [places[n] for n in names], axis=axis, form=form)))
    return shown


def _output_plots(
    results: Results, compared: Sequence[tuple[LiteModel, Outputs]], places: Mapping[str, int]
) -> dict[str, Any]:
    if not compared or np.issubdtype(compared[0][1].expected.dtype, np.integer):  # of classes there is nothing to plot
        return {"scatters": [], "unit": "", "shown_dots": "", "shown_classes": "", "errors": ""}
    labels = compared[0][0].labels
    unit = UNITS[compared[0][0].answers]
    names = [lite.recipe.name for lite, _ in compared]
    indices = [places[name] for name in names]
    outputs = [_by_channel(each) for _, each in compared]
    every = np.concatenate([np.ravel(side) for each in outputs for side in (each.expected, each.actual)])
    every = every[np.isfinite(every)]
    limits = (float(every.min()), float(every.max())) if every.size and np.ptp(every) else (0.0, 1.0)
    measured = {lite.recipe.name: report.measured.get("snr_db") for lite, report in results}
    total = outputs[0].expected.shape[1]
    labels = labels or tuple(f"feature {index}" for index in range(total))
    classes = plots.worst_classes(outputs, MAX_CLASSES)
    every_dot = outputs[0].expected.size <= plots.MAX_POINTS
    return {
        "scatters": [
            (
                name,
                figure_or_dash(measured[name], ".1f"),
                plots.logits(name, each, index, unit=unit, limits=limits),
            )
            for name, each, index in zip(names, outputs, indices, strict=True)
        ],
        "unit": unit,
        "shown_dots": "" if every_dot else f", {plots.MAX_POINTS} of {outputs[0].expected.size:,} at most",
        "shown_classes": "" if total <= MAX_CLASSES else f"The {MAX_CLASSES} of {total} with the largest error. ",
        "errors": plots.error_per_class(names, outputs, labels, classes, indices, unit=unit),
    }


def _by_channel(outputs: Outputs) -> Outputs:
    """Reshapes maps to rows, one per pixel."""
    channels = outputs.expected.shape[-1]
    return Outputs(outputs.expected.reshape(-1, channels), outputs.actual.reshape(-1, channels))


def _operations(counts: Sequence[Mapping[str, int]]) -> list[tuple[str, list[tuple[int, str]]]]:
    """One row per kind of operation, most frequent first, with the count in each file and its share of the largest."""
    totals: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            totals[name] = totals.get(name, 0) + count
    largest = max((count for each in counts for count in each.values()), default=1)
    return [
        (name.lower(), [(each.get(name, 0), f"{each.get(name, 0) / largest:.2f}") for each in counts])
        for name in sorted(totals, key=lambda name: (-totals[name], name))
    ]


def _limits(results: Results, compared: Sequence[Any]) -> list[str]:
    said = [
        "A phone: every figure is of this computer's CPU, through LiteRT's interpreter.",
        "GPU, NPU and DSP delegates: none was run.",
        "Accuracy: files are compared with the Keras model, not with the truth.",
    ]
    if len(compared) < len(results):
        said.append("The outputs of files that were not run or not compared with Keras: their columns are empty.")
    return said
