"""Examples of the README, the tutorials, the notebooks and the help: they take the recipes that we recommend."""

import json
import re
from pathlib import Path

import click
import pytest
from support.pages import blocks, check, commands

from swiftformer_tf import RECIPES, ConfigError
from swiftformer_tf.cli import cli
from swiftformer_tf.deployment.chips import ADVICE

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "npu.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
RECIPE = "|".join(sorted(RECIPES, key=len, reverse=True))
# Where an example names a recipe: as an option, at the end of a file's name, and in Python.
NAMED = rf"--recipe (\w+)|\b(?:\w*?_)??({RECIPE})\.tflite|RECIPES\[\"(\w+)\"\]|export_files\([^)]*\"({RECIPE})\""


def named(example: str) -> set[str]:
    """The recipes that an example names."""
    return {name for names in re.findall(NAMED, example) for name in names if name}


def of_help(command: click.Command) -> str:
    """The examples in a command's help."""
    return (command.help or "").partition("\b\n")[2].partition("\n\n")[0]


def of_notebook(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]


EXAMPLES = {
    "help": of_help(cli),
    **{f"help of {name}": of_help(command) for name, command in cli.commands.items()},
    **{
        path.name: "\n".join([*(content for _, content in blocks(text)), *re.findall(r"`(sf\.[^`]+)`", text)])
        for path in PAGES
        for text in [path.read_text("utf-8")]
    },
    **{path.name: "\n".join(of_notebook(path)) for path in NOTEBOOKS},
}
# Made for integer files: in others, most tensors are floats and lose nothing.
DEBUGGED = {"help of debug-quantization": {"int8"}, "quantization.md": {"int8"}}


@pytest.mark.parametrize("where", EXAMPLES)
def test_examples_take_the_recipes_that_we_recommend(where: str) -> None:
    assert named(EXAMPLES[where]) - DEBUGGED.get(where, set()) <= ADVICE.keys()


def test_there_are_examples_to_check() -> None:
    first = next(iter(ADVICE))
    assert len([where for where, example in EXAMPLES.items() if first in named(example)]) > 15
    for where, recipes in DEBUGGED.items():
        assert "debug-quantization" in EXAMPLES[where]
        assert recipes <= named(EXAMPLES[where])


@pytest.mark.parametrize(
    "example",
    [
        "swiftformer-tf export xs.pth -o models --recipe float16 --recipe int8",
        "swiftformer-tf evaluate models/xs_int8.tflite photos",
        'lite = sf.export(deploy, sf.RECIPES["int8"])',
        'sf.export_files("xs.keras", ["float16", "int8"], "models")',
        'sf.export_files("xs.keras", "int8",\n"models")',
    ],
)
def test_another_recipe_is_noticed(example: str) -> None:
    assert "int8" in named(example)
    assert not named(example) <= ADVICE.keys()


@pytest.mark.parametrize("where", [where for where in EXAMPLES if where.startswith("help")])
def test_each_example_of_the_help_could_run(where: str) -> None:
    for words in commands(EXAMPLES[where]):
        check(words)


def test_an_example_whose_recipe_has_no_such_input_is_noticed() -> None:
    (words,) = commands("swiftformer-tf export x.pth -o models --recipe int8 --recipe float32 --input-type uint8")
    with pytest.raises(ConfigError, match="inference input type uint8: recipe float32 supports float32"):
        check(words)
