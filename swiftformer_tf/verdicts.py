"""The verdict on a file in one or two words, the same in tables, JSON and pages."""

from typing import Literal

from swiftformer_tf.verification import Check, Report

__all__ = ["Verdict", "told", "verdict"]

Verdict = Literal["passed", "failed", "refused", "not compared"]


def verdict(report: Report) -> Verdict:
    """The worst that a report has to say.

    A file that only its own checks have seen may still answer nonsense: it is `"not compared"`, which is no pass.

    Example:
        >>> verdict(Report((Check("no_flex", "passed", measured="none", expected="none"),), {}))
        'not compared'
    """
    statuses = {check.status for check in report.checks}
    if "failed" in statuses:
        return "failed"
    if "refused" in statuses:
        return "refused"
    return "passed" if report.outputs is not None else "not compared"


def told(check: Check) -> str:
    """A check that did not pass, what would have, and the cure where the photographs are at fault.

    Example:
        >>> told(Check("snr", "failed", measured="12.3 dB", expected="at least 20 dB"))
        'snr failed: 12.3 dB; expected at least 20 dB'
    """
    cure = "; give photographs of more classes" if check.status == "refused" else ""
    return f"{check.name} {check.status}: {check.measured}; expected {check.expected}{cure}"
