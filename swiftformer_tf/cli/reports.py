"""Verification reports in the terminal."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from swiftformer_tf.cli.console import note, short_names
from swiftformer_tf.errors import figure_or_dash, number_of

if TYPE_CHECKING:
    from swiftformer_tf.verification import VerificationReport

__all__ = ["command_line", "file_rows", "html_option", "note_failures", "report_row", "report_title", "shown_verdict"]

html_option = click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report as a page with plots, too.",
)


def report_row(report: "VerificationReport") -> dict[str, str]:
    """Returns a row of the table of `export` and `demo`, whose files differ by recipe; see also `file_rows`."""
    measured = report.measured
    return {
        "recipe": measured["recipe"],
        "MB": f"{measured['bytes'] / 1e6:.2f}",
        "SNR dB": figure_or_dash(report.least("snr_db"), ".1f"),
        "agreement": figure_or_dash(report.least("agreement"), ".1%"),
        "partitions": figure_or_dash(measured["partitions"], "d"),
        "ms": figure_or_dash(measured["latency_ms"], ".1f"),
        "verdict": shown_verdict(report),
    }


def file_rows(reports: "Sequence[VerificationReport]") -> tuple[str, list[dict[str, str]]]:
    """Returns what all files begin with, and the table of `verify`, whose files may come from anywhere."""
    common, names = short_names([report.measured["file"] for report in reports])
    rows = [{"file": name, **report_row(report)} for name, report in zip(names, reports, strict=True)]
    for row in rows:
        del row["recipe"]  # 80 columns have no room for it next to file names
    return common, rows


def report_title(reports: "Sequence[VerificationReport]", folder: Path) -> str:
    """Returns the title of a table: where the files are, and which images they were compared on."""
    measured = reports[0].measured
    pattern = measured["file"].removesuffix(f"{measured['recipe']}.tflite") + "RECIPE.tflite"
    if not reports[0].is_compared:
        return f"{folder / pattern}, not compared with Keras"
    seen = number_of(measured.get("images", 0), measured["verified_on"].removesuffix("s"))
    return f"{folder / pattern}, compared with Keras on {seen}"


def shown_verdict(report: "VerificationReport") -> str:
    """Returns the verdict as one word; a failure in capitals, so that it is not overlooked in a long log."""
    word = report.verdict
    return word.upper() if word == "failed" else word


def note_failures(reports: "Sequence[VerificationReport]") -> None:
    """Prints each check that did not pass, and what would have passed."""
    names = [report.measured["recipe"] for report in reports]
    if len({*names}) < len(names):  # of `verify`
        names = [Path(report.measured["file"]).name for report in reports]
    for name, report in zip(names, reports, strict=True):
        for check in report.checks:
            if check.status != "passed":
                note(f"{name}: {check.explanation}")


def command_line() -> str:
    """Returns the command as typed, for the page that says how it was created."""
    return shlex.join(["swiftformer-tf", *sys.argv[1:]])
