"""Blocks of the documentation's pages, and whether their commands would run."""

import ast
import itertools
import re
import shlex
from pathlib import Path

import click

from support import TESTS
from swiftformer_tf.cli import cli
from swiftformer_tf.recipes import choose_recipes

__all__ = ["blocks", "check", "commands", "parse"]

ROOT = TESTS.parent
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
