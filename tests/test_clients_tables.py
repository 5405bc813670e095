"""The tables of clients' answers, the commands that fill them, and what a browser or a refusal says."""

import re
import sys
from pathlib import Path

import browser_client
import pytest
import tables
from judging import Result, Verdict
from refusing import refusal
from run import CLIENTS


def test_a_table_replaces_its_own_place_only() -> None:
    text = "a\n<!-- gpu -->\nold\n<!-- /gpu -->\nb\n<!-- arm64 -->\n<!-- /arm64 -->\n"
    verdicts = (
        Verdict("gpu", "WebGPU", "float32", "right", "", 5, 1e-8, 120.0, 5, {"ms": 2500.0}),
        Verdict("gpu", "WebGPU", "float16", "wrong", "off", 5, 1.0, 3.0, 2),
        Verdict("gpu", "older", "float32", "refused", "no such operation"),
    )
    without = ("y 2: no Python",)
    result = Result("gpu", versions={"x": "1"}, without=without, verdicts=verdicts, seconds=9.4, date="2026-11-29")
    made = tables.section(text, "gpu", tables.table(result, ["float32", "float16"]))
    assert made.startswith("a\n<!-- gpu -->\n| | float32 | float16 |\n|---|---|---|\n")
    assert "| WebGPU | 1e-08, 120 dB, 2.5 s (5/5) | **wrong**: 1e+00, 3 dB (2/5) |\n| older | refused |  |\n" in made
    assert "* older, float32: refused: no such operation\n* Left out: y 2: no Python.\n\n" in made
    assert "\n\nx 1, 2026-11-29, 9 s.\n<!-- /gpu -->" in made
    assert made.endswith("<!-- /gpu -->\nb\n<!-- arm64 -->\n<!-- /arm64 -->\n")


def test_the_table_of_runtimes_says_what_the_file_asks_for() -> None:
    verdicts = (
        Verdict("runtimes", "old", "int8", "refused", "new", runtime_version="2.8", min_runtime_version="2.9.0"),
        Verdict("runtimes", "new", "int8", "right", "", 5, 0.0, 30.0, 5, {}, "2.10", "2.9.0"),
    )
    made = tables.table(Result("runtimes", verdicts=verdicts), ["int8"])
    assert (
        "| old | too old (refused) |\n| new | equal, 30 dB (5/5) |\n| *required, according to the file* | 2.9.0 |\n"
        in made
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_has_a_place_in_the_readme(client: str) -> None:
    assert tables.section(tables.README.read_text(), client, "x")
    with pytest.raises(ValueError, match=r"0 places between <!-- nobody --> and <!-- /nobody -->: expected one"):
        tables.section(tables.README.read_text(), "nobody", "x")


@pytest.mark.parametrize(
    ("script", "end"),
    [("sys.exit('no page')", "node ended with status 1: no page"), ("time.sleep(60)", "no answer within 0.1 s")],
)
@pytest.mark.posix
def test_what_a_browser_said_counts_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script: str, end: str
) -> None:
    monkeypatch.setattr(browser_client, "TIMEOUT", 0.1 if "sleep" in script else 60)
    run = '{"variant": "wasm", "recipe": "int8", "outputs": [], "facts": {"ms": 3.5}}'
    code = f"import sys, time; print({run!r}, flush=True); {script}"
    said, why = browser_client.drive([sys.executable, "-c", code], {}, tmp_path / "job.json")
    assert why == end
    if "sleep" not in script:
        assert [each["recipe"] for each in said] == ["int8"]
        assert capsys.readouterr().out == "wasm int8: 3.5 ms a photograph\n"


def test_make_clients_runs_every_command() -> None:
    """A command is a script with arguments of its own; `run.py` starts the clients."""
    folder = Path(tables.__file__).parent
    commands = {path.name for path in folder.glob("*.py") if "ArgumentParser" in path.read_text()}
    makefile = (folder.parents[1] / "Makefile").read_text()
    (recipe,) = re.findall(r"^clients: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert commands == set(re.findall(r"\w+\.py", recipe))
    assert all(f"`{name}`" in (folder / "README.md").read_text() for name in commands)


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (RuntimeError("\nno such operation\n  in graph.cc:12\n\n"), "no such operation", "in graph.cc:12"),
        (ValueError("one"), "one", "one"),
        (RuntimeError("\n"), "RuntimeError", "RuntimeError"),
    ],
)
def test_a_refusal_is_one_line_whatever_was_raised(error: Exception, first: str, last: str) -> None:
    assert (refusal(error), refusal(error, line=-1)) == (first, last)
