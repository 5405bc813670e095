"""Blocks of the pages: every command, option, path and name of the package exists, also where nobody runs them.

`make docs` runs the blocks of the tutorials (docs/conftest.py). Those of other pages need hours, a network or data.
"""

import ast
import importlib
import inspect
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
from support.pages import blocks, check, commands, parse

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "convert/README.md")),
        *(path for folder in ("docs", "tflite") for path in (ROOT / folder).rglob("*.md")),
    }
)
# What a block may be in: a shell, or a language that others check or that is data.
SHELLS = {"bash", "sh"}
LANGUAGES = SHELLS | {"bibtex", "js", "json", "kotlin", "py", "python", "text"}


def check_names(source: str) -> None:
    """Everything of the package that a Python block imports or calls is there, and takes the arguments by name."""
    tree = ast.parse(source)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {each.asname: importlib.import_module(each.name) for each in node.names if each.asname == "sf"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "swiftformer_tf":
            module = importlib.import_module(node.module or "")
            known |= {each.name: getattr(module, each.name) for each in node.names}

    def find(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return known.get(node.id)
        owner = find(node.value) if isinstance(node, ast.Attribute) else None
        return None if owner is None else getattr(owner, node.attr)  # type: ignore[attr-defined]

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            find(node)
        elif isinstance(node, ast.Call) and node.keywords and (called := find(node.func)) is not None:
            taken = inspect.signature(called).parameters
            anything = any(each.kind is each.VAR_KEYWORD for each in taken.values())
            for word in node.keywords:
                assert anything or word.arg in taken, f"{ast.unparse(node.func)}: no argument {word.arg}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_block_of_a_page_could_run(page: Path) -> None:
    text = page.read_text("utf-8")
    for language, content in blocks(text):
        assert language in LANGUAGES, f"a block in no language that is checked: {content}"
        for words in commands(content) if language in SHELLS else []:
            check(words)
        if language in ("py", "python"):
            check_names(content)
    for code in re.findall(r"`swiftformer-tf ([^`]+)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.S | re.M)):
        parse(shlex.split(code), whole=False)


def test_there_are_commands_to_check() -> None:
    found = [words for page in PAGES for _, content in blocks(page.read_text("utf-8")) for words in commands(content)]
    programs = [words[0] for words in found]
    assert programs.count("swiftformer-tf") > 25
    assert programs.count("make") > 10
    assert len([each for each in programs if each.endswith("python")]) > 8


def listed(text: str) -> dict[str, str]:
    """What is said of each target of the Makefile in a list of them."""
    return dict(re.findall(r"^(?:# )?make ([\w-]+) [# ]+(.+)$", text, re.MULTILINE))


def test_the_page_and_make_itself_list_all_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (targets,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    head = listed(makefile.partition("\n\n")[0])
    assert sorted(head) == sorted(targets.split())
    assert listed((ROOT / "docs" / "contributing.md").read_text("utf-8")) == head


@pytest.mark.posix
def test_make_alone_prints_the_list() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "make demo        from a checkpoint to verified TFLite models and a report"
    assert len(listed(done.stdout)) == len(done.stdout.splitlines()) - 2
    assert done.stdout.endswith("CONSTRAINTS=constraints.txt pins the versions that CI uses.\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("swiftformer-tf exprot x.pth -o models --recipe int8", "no command exprot"),
        ("swiftformer-tf export x.pth -o models --recipe int8 --calibrations photos", "No such option"),
        ("swiftformer-tf export x.pth -o models --recipe int7", "int7"),
        ("swiftformer-tf export x.pth --recipe int8", "no output"),
        ("swiftformer-tf evaluate run/model.keras", "no folder"),
        ("swiftformer-tf train photos -o run --epochs many", "'many' is not a valid integer"),
        ("swiftformer-tf train a -o run \\\n    --epoch 1", "No such option"),
        ("swiftformer-tf export run/model.keras photos x -o models --recipe int8", "too many arguments"),
        ("make dmeo", "dmeo"),
        ("make zoo PHOTOS=photos", "PHOTOS"),
        ("nice -n 5 python docs/results/robustnes.py", "robustnes"),
        ("chrt -f 50 .venv/bin/python tflite/benchmark.py photos --build-onyl", "no option --build-onyl"),
        ("swiftformer export x.pth || true", "no program that this test knows"),
    ],
)
def test_a_misspelled_command_is_noticed(command: str, said: str) -> None:
    words = commands(command)[0]
    with pytest.raises((AssertionError, OSError, click.ClickException), match=said):
        check(words)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("import swiftformer_tf as sf\nsf.fuze(model)", "fuze"),
        ("import swiftformer_tf as sf\nx = sf.RECIPE['int8']", "RECIPE"),
        ("import swiftformer_tf as sf\nsf.export(x, y, calibrate=z)", "sf.export: no argument calibrate"),
        ("from swiftformer_tf.training import train_segmenters", "train_segmenters"),
    ],
)
def test_a_misspelled_name_is_noticed(block: str, said: str) -> None:
    with pytest.raises((AssertionError, AttributeError), match=said):
        check_names(block)
