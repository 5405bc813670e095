"""The page: verdict first, then the table, the photographs, the plots, and how it was made."""

import base64
import importlib.metadata
import io
import itertools
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from swiftformer_tf.errors import SwiftFormerError
from swiftformer_tf.inputs import ImageSource, iterate_inputs
from swiftformer_tf.litemodel import LiteModel
from swiftformer_tf.report import plots
from swiftformer_tf.verification import Report

__all__ = ["html_report"]

# Photographs on the page.
MAX_PHOTOGRAPHS = 24

# Classes in the plot of errors; of 1000 nobody reads the names.
MAX_CLASSES = 20


def html_report(
    results: Sequence[tuple[LiteModel, Report]], *, images: ImageSource | None = None, command: str = ""
) -> str:
    """One self-contained page about the files of one model; it asks nothing of any server.

    Args:
        results: Each file with its report, see `verification.verify`.
        images: The images of the reports, in the same form and order; the first are shown with their labels.
        command: How the page was made, for its last section.

    Returns:
        HTML.

    Raises:
        SwiftFormerError: Jinja or matplotlib is not installed.
    """
    try:
        import jinja2
        import matplotlib as _  # noqa: F401  the plots need it, and say so here
    except ModuleNotFoundError as error:
        raise SwiftFormerError(f"a page needs {error.name}: pip install 'swiftformer_tf[report]'") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("page.html").read_text())
    compared = [(lite, report) for lite, report in results if report.outputs is not None]
    config = results[0][0].config
    return template.render(
        title=f"SwiftFormer-{config.variant.upper()}" if config.variant else "SwiftFormer",
        config=config,
        passed=all(report.passed for _, report in results),
        failures=[(lite.recipe.name, c) for lite, r in results for c in r.checks if c.status != "passed"],
        rows=[_row(lite, report) for lite, report in results],
        photographs=_photographs(compared, images),
        recipes=[lite.recipe.name for lite, _ in compared],
        plots=_plots(results, compared),
        command=command,
        hashes=[(report.measured.get("file", lite.recipe.name), lite.sha256) for lite, report in results],
        versions={
            **{name: importlib.metadata.version(name) for name in ("swiftformer_tf",)},
            **results[0][1].measured["versions"],
            "Python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
        },
    )


def _row(lite: LiteModel, report: Report) -> dict[str, Any]:
    figures = report.measured
    return {
        "recipe": lite.recipe.name,
        "description": lite.recipe.description,
        "verdict": "passed" if report.passed else "failed",
        "megabytes": f"{figures['bytes'] / 1e6:.2f}",
        "latency": "-" if figures["latency_ms"] is None else f"{figures['latency_ms']:.1f}",
        "snr": "-" if figures.get("snr_db") is None else f"{figures['snr_db']:.1f}",
        "agreement": "-" if figures.get("agreement") is None else f"{figures['agreement']:.1%}",
        "partitions": "-" if figures["partitions"] is None else figures["partitions"],
        "images": figures.get("images", 0),
    }


def _photographs(compared: Sequence[tuple[LiteModel, Report]], images: ImageSource | None) -> list[dict[str, Any]]:
    """The first photographs, with the best label of the reference and of each file."""
    if images is None or not compared or not compared[0][0].labels:
        return []
    lite, report = compared[0]
    assert report.outputs is not None
    labels, shown = lite.labels, []
    pictures = iterate_inputs(images, lite.config.transform, raw=True)
    for index, pixels in enumerate(itertools.islice(pictures, MAX_PHOTOGRAPHS)):
        wanted = int(report.outputs.expected[index].argmax())
        answers = [int(r.outputs.actual[index].argmax()) for _, r in compared if r.outputs is not None]
        shown.append(
            {
                "source": _data_url(pixels[0]),
                "label": labels[wanted],
                "others": [
                    (each.recipe.name, labels[answer])
                    for (each, _), answer in zip(compared, answers, strict=True)
                    if answer != wanted
                ],
            }
        )
    return shown


def _plots(
    results: Sequence[tuple[LiteModel, Report]], compared: Sequence[tuple[LiteModel, Report]]
) -> list[tuple[str, list[str]]]:
    names = [lite.recipe.name for lite, _ in results]
    figures = [report.measured for _, report in results]
    shown = []
    if timed := [
        (n, f["latency_ms"], f["bytes"] / 1e6) for n, f in zip(names, figures, strict=True) if f["latency_ms"]
    ]:
        shown.append(("Latency", [plots.latencies(*zip(*timed, strict=True))]))
    outputs = [report.outputs for _, report in compared if report.outputs is not None]
    recipes = [lite.recipe.name for lite, _ in compared]
    if outputs:
        scatter = [plots.logits(name, each) for name, each in zip(recipes, outputs, strict=True)]
        shown.append(("Outputs, Keras against TFLite", scatter))
        labels = results[0][0].labels
        if 0 < len(labels) <= MAX_CLASSES:
            shown.append(("Error of each class", [plots.error_per_class(recipes, outputs, labels)]))
    shown.append((f"Operations of {names[-1]}", [plots.op_census(figures[-1]["ops"])]))
    return shown


def _data_url(pixels: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
