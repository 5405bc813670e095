"""The results as tables, in marked places of the README one folder up."""

import re
from collections.abc import Sequence
from pathlib import Path

from judging import Result, Verdict

__all__ = ["README", "section", "table", "write_tables"]

README = Path(__file__).parents[1] / "README.md"


def write_tables(path: Path, results: Sequence[Result], recipes: Sequence[str]) -> None:
    """Replaces what stands between the marks of each client that ran; a client that was left out keeps its last table.

    Raises:
        ValueError: A mark is missing.
    """
    text = path.read_text()
    for result in results:
        if result.verdicts:
            text = section(text, result.client, table(result, recipes))
    path.write_text(text)


def section(text: str, name: str, content: str) -> str:
    """`text` with `content` between the marks `<!-- NAME -->` and `<!-- /NAME -->`.

    Raises:
        ValueError: The marks are not there exactly once.
    """
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(opening)}.*?{re.escape(closing)}", re.DOTALL)
    replaced, count = pattern.subn(lambda _: f"{opening}\n{content}\n{closing}", text)
    if count != 1:
        raise ValueError(f"{count} places between {opening} and {closing}: expected one")
    return replaced


def table(result: Result, recipes: Sequence[str]) -> str:
    """One client as Markdown: a row a variant, a column a recipe."""
    rows: dict[str, dict[str, Verdict]] = {}
    for verdict in result.verdicts:
        rows.setdefault(verdict.variant, {})[verdict.recipe] = verdict
    lines = [f"| | {' | '.join(recipes)} |", f"|---|{'---|' * len(recipes)}"]
    for variant, verdicts in rows.items():
        cells = [_cell(verdicts[name]) if name in verdicts else "" for name in recipes]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    if any(each.runtime_version for each in result.verdicts):
        cells = [
            next((each.min_runtime_version for each in result.verdicts if each.recipe == name), "") for name in recipes
        ]
        lines.append(f"| *required, according to the file* | {' | '.join(cells)} |")
    notes = [
        f"* {each.variant}, {each.recipe}: {_why(each)}"
        for each in result.verdicts
        if each.status != "right" and not each.too_old
    ]
    notes += [f"* Left out: {part}." for part in result.without]
    made_by = [f"{name} {version}" for name, version in result.versions.items()]
    made_by += [result.date] if result.date else []
    return "\n".join(
        [*lines, "", *notes, *([""] if notes else []), f"{', '.join([*made_by, f'{result.seconds:.0f} s'])}."]
    )


def _why(verdict: Verdict) -> str:
    if verdict.excuse:
        return f"known: {verdict.excuse} ({verdict.reason})"
    return verdict.known or f"{verdict.status}: {verdict.reason}"


def _cell(verdict: Verdict) -> str:
    if verdict.too_old and verdict.status != "right":
        return f"too old ({verdict.status})"
    if verdict.status in ("refused", "failed"):
        return verdict.status
    if "subgraphs" in verdict.facts:
        return _compiled(verdict)
    figures = "equal" if verdict.difference == 0 else f"{verdict.difference:.0e}"
    figures += f", {verdict.snr_db:.0f} dB"
    if (latency := verdict.facts.get("ms")) is not None:
        figures += f", {latency:.0f} ms" if latency < 1000 else f", {latency / 1000:.1f} s"
    figures += f" ({verdict.agreeing}/{verdict.photographs})"
    return f"{_mark(verdict)}{figures}"


def _mark(verdict: Verdict) -> str:
    """What stands before the figures of a wrong answer."""
    if verdict.status != "wrong":
        return ""
    return "known: " if verdict.excuse else "**wrong**: "


def _compiled(verdict: Verdict) -> str:
    """Whole or in how many parts, inferences a second and what the TFLite converter's own file has there.

    Decibels and labels are of the file before it was compiled: LiteRT here cannot run what the compiler made of it.
    """
    speed, peer = (facts["inferences_per_second"] for facts in (verdict.facts, verdict.facts["converter"]))
    if not verdict.facts["subgraphs"]:
        return "all on the CPU"
    left = sum(verdict.facts["on_cpu"].values())
    parts = (
        "whole"
        if verdict.facts["subgraphs"] == 1 and not left
        else f"{verdict.facts['subgraphs']} parts, {left} on CPU"
    )
    figures = f"{parts}, {speed:.0f}/s (converter {peer:.0f}/s), {verdict.snr_db:.0f} dB"
    figures += f" ({verdict.agreeing}/{verdict.photographs})"
    return f"{_mark(verdict)}{figures}"
