"""A verification report in the terminal."""

from typing import Any

from swiftformer_tf.cli.console import note
from swiftformer_tf.verification import Report

__all__ = ["note_failures", "report_row"]


def report_row(report: Report) -> dict[str, str]:
    """One line of the table of `export` and `demo`."""
    measured = report.measured
    return {
        "file": measured["file"],
        "MB": f"{measured['bytes'] / 1e6:.2f}",
        "SNR dB": _figure(measured.get("snr_db"), ".1f"),
        "agreement": _figure(measured.get("agreement"), ".1%"),
        "images": str(measured.get("images", 0)),
        "partitions": str(measured["partitions"]),
        "ms": f"{measured['latency_ms']:.1f}",
        "verdict": "passed" if report.passed else "FAILED",
    }


def note_failures(report: Report) -> None:
    """Says each check that did not pass, and what would have."""
    for check in report.checks:
        if check.status != "passed":
            note(
                f"{report.measured['recipe']}: {check.name} {check.status}: {check.measured}; expected {check.expected}"
            )


def _figure(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
