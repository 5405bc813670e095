"""A verification report in the terminal."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swiftformer_tf.cli.console import note

if TYPE_CHECKING:
    from swiftformer_tf.verification import VerificationReport

__all__ = ["command_line", "html_option", "note_failures", "report_row", "shown_verdict"]

html_option = click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report as a page with plots, too.",
)


def report_row(report: "VerificationReport") -> dict[str, str]:
    """One line of the table of `export` and `demo`."""
    measured = report.measured
    return {
        "file": measured["file"],
        "MB": f"{measured['bytes'] / 1e6:.2f}",
        "SNR dB": _figure(measured.get("snr_db"), ".1f"),
        "agreement": _figure(measured.get("agreement"), ".1%"),
        "images": str(measured.get("images", 0)),
        "partitions": _figure(measured["partitions"], "d"),
        "ms": _figure(measured["latency_ms"], ".1f"),
        "verdict": shown_verdict(report),
    }


def shown_verdict(report: "VerificationReport") -> str:
    """The verdict in a word; a failure in capitals, which is not overlooked in a long log."""
    word = report.verdict
    return word.upper() if word == "failed" else word


def note_failures(reports: "Sequence[VerificationReport]") -> None:
    """Says each check that did not pass, and what would have."""
    for report in reports:
        for check in report.checks:
            if check.status != "passed":
                note(f"{report.measured['recipe']}: {check.explanation}")


def command_line() -> str:
    """What was typed, for the page that says how it was made."""
    return shlex.join(["swiftformer-tf", *sys.argv[1:]])


def _figure(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
