"""Blocks of the pages: every command, option, path and name of the package exists, also where nobody runs them.

`make docs` runs the blocks of the tutorials (docs/conftest.py). Those of other pages need hours, a network or data.
"""

import ast
import importlib
import inspect
import itertools
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from swiftformer_tf.cli import cli
from swiftformer_tf.recipes import choose_recipes

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
# Run another command, and take so many words before it.
PREFIXES = {"chrt": 2, "nice": 2}
# Not ours: their options are theirs to check.
FOREIGN = {"cd", "git", "npm", "pip", "rm", "true", "vela"}


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block."""
    return re.findall(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)


def commands(script: str) -> list[list[str]]:
    """The words of each command of a shell block."""
    found: list[list[str]] = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for is_separator, words in itertools.groupby(lexer, lambda word: set(word) <= set("|&;")):
            found += [] if is_separator else [list(words)]
    return found


def check(words: list[str]) -> None:
    """Raises an error for a command that is none of ours, or that we would refuse before it reads a file."""
    program, *arguments = words
    if program in PREFIXES:
        check(words[1 + PREFIXES[program] :])
    elif program == "swiftformer-tf":
        parse(arguments)
    elif program == "make":
        check_target(arguments)
    elif Path(program).name in ("python", "python3"):
        check_script(arguments)
    elif program not in FOREIGN:
        raise AssertionError(f"{program}: no program that this test knows")


def parse(arguments: list[str], *, whole: bool = True) -> None:
    """As the command line does, but for whether files exist."""
    if not whole and (not arguments or arguments[0] not in cli.commands):
        return  # words about the program
    name = arguments[0]
    if name not in cli.commands:
        assert name in ("--help", "--version"), f"no command {name}"
        return
    command = cli.commands[name]
    context = click.Context(command, info_name=name, resilient_parsing=not whole)
    values, rest, _ = command.make_parser(context).parse_args(arguments[1:])
    assert not rest, f"{name}: too many arguments: {rest}"
    for param in command.params:
        value = values.get(param.name or "")
        missing = value is None or param.value_is_missing(value)
        assert not (whole and param.required and missing), f"{name}: no {param.name}"
        if not (missing or isinstance(param.type, click.Path)):
            param.type_cast_value(context, value)
    if whole and name == "export":
        types = {f"inference_{side}_type": values.get(f"{side}_type") for side in ("input", "output")}
        choose_recipes(values["names"], **types)


def check_target(arguments: list[str]) -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    for word in arguments:
        name, is_variable, _ = word.partition("=")
        assert re.search(rf"^{re.escape(name)} *\?=" if is_variable else rf"^{re.escape(name)}:", text, re.M), word


def check_script(arguments: list[str]) -> None:
    """The script is there, and each option stands in its source."""
    if arguments[0] == "-m":
        assert arguments[1] in ("pip", "pytest", "venv"), arguments
        return
    source = (ROOT / arguments[0]).read_text("utf-8")
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    for word in arguments[1:]:
        assert not word.startswith("-") or word in texts, f"{arguments[0]}: no option {word}"


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
