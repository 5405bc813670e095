"""The order of the rooms: what `[tool.importlinter]` of pyproject.toml says, and that it would be noticed.

Also that the scripts beside the package import each other in no circle, and that tests use no private name of it.
"""

import ast
import functools
import graphlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support.forks import Forks

ROOT = Path(__file__).parents[1]
SCRIPTS = [path for folder in ("tflite", "convert", "examples", "docs") for path in (ROOT / folder).rglob("*.py")]
# LiteRT's interpreter has this one, and so has what stands in for it.
FOREIGN = {"_get_ops_details"}
WALKS = ("checkpoint", "photograph")

LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        LINT, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_nothing_imports_a_room_above_it_and_nothing_runs_in_a_circle() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("path", "line", "told"),
    [
        ("errors.py", "from swiftformer_tf import cli", "swiftformer_tf.errors is not allowed to import"),
        (
            "layers/blocks.py",
            "def late():\n    import swiftformer_tf.model",
            "swiftformer_tf.layers is not allowed to import",
        ),
        ("litert/ops.py", "import swiftformer_tf.litert.inspection", "No cycles are allowed in swiftformer_tf.litert"),
        ("shed.py", "", "shed"),  # a module without a room
    ],
)
def test_another_order_is_noticed(path: str, line: str, told: str, tmp_path: Path) -> None:
    """On a copy in which a line was added."""
    for source in [*(ROOT / "swiftformer_tf").rglob("*.py"), ROOT / "pyproject.toml"]:
        copy = tmp_path / source.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text())
    with (tmp_path / "swiftformer_tf" / path).open("a") as file:
        file.write(f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert told in result.stdout


def test_the_screen_of_where_lines_belong_has_the_rooms_in_their_order() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    screen = (ROOT / "CONTRIBUTING.md").read_text()
    rows = [set(re.findall(r"`(\w+)/?`", row.split("|")[2])) for row in screen.splitlines() if row.startswith("|")]
    from_the_ground = [{room.strip() for room in line.split("|")} for line in reversed(contract["layers"])]
    assert [rooms for rooms in rows if rooms] == from_the_ground
    assert len(screen.splitlines()) <= 50


def test_the_picture_is_that_of_todays_rooms_and_arrows() -> None:
    """`python docs/pictures/house.py` draws it."""
    made = house("import house; print(house.picture(), end='')")
    assert (ROOT / "docs" / "pictures" / "house.svg").read_text() == made


@pytest.fixture(scope="module")
def walks(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each walk prints, in one process for all: to import every room takes longer than to walk through them."""
    folder = str(ROOT / "docs" / "pictures")
    script = f"""
import sys
sys.path.insert(0, {folder!r})
import house
for walk in {WALKS}:
    sys.argv[1:] = ["--walk", walk]
    print(f"walk {{walk}}:")
    house.main()
"""
    said = tmp_path_factory.mktemp("walks") / "said"
    assert forks.start("builtins:exec", script, {}, said=said)() == 0, said.with_suffix(".err").read_text()
    printed = said.with_suffix(".out").read_text()
    _, *parts = re.split(r"^walk (\w+):$", printed, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("walk", WALKS)
def test_the_page_tells_the_steps_of_todays_walks(walk: str, walks: dict[str, str]) -> None:
    """`python docs/pictures/house.py --walk` prints them."""
    page = (ROOT / "docs" / "contributing.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("|") and f"(`--walk {walk}`)" in line)
    assert re.findall(r"\d+", row) == re.findall(r"(\d+) (?:doorways|climbs)", walks[walk])


def test_the_page_tells_all_modules_that_name_tasks() -> None:
    """`python docs/pictures/house.py --walk task` prints them."""
    page = (ROOT / "docs" / "contributing.md").read_text()
    told = {*re.findall(r"`([a-z_/]+)`", page.partition("A new task is")[2])} - {"tasks/"}
    printed = house("import house; house.main()", "--walk", "task")
    assert told == {module for line in printed.splitlines() for module in line.partition(": ")[2].split(", ")}


def house(script: str, *arguments: str) -> str:
    """What docs/pictures/house.py prints in a process of its own, whose package it may change."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "docs" / "pictures")])
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env={"PYTHONPATH": paths}, capture_output=True, text=True, check=True).stdout


# The scripts beside the package, and the tests.


def imported_by(source: str, names: Iterable[str]) -> set[str]:
    """Which of these modules are imported: wherever that stands, inside functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found & {*names}


def order(sources: dict[str, str]) -> list[str]:
    """The modules, each behind those that it imports."""
    return list(graphlib.TopologicalSorter({n: imported_by(s, sources) for n, s in sources.items()}).static_order())


def test_the_scripts_import_each_other_in_no_circle() -> None:
    sources = {path.stem: path.read_text() for path in SCRIPTS}
    assert len(sources) == len(SCRIPTS)  # no two of one name
    made = order(sources)
    assert made.index("judging") < made.index("tables") < made.index("run") < made.index("segmenters")


@pytest.mark.parametrize(
    "line",
    [
        "import run",
        "from run import Client",
        "if TYPE_CHECKING:\n    from run import Client",
        "def late():\n    import run",
    ],
)
def test_a_circle_of_scripts_is_noticed(line: str) -> None:
    with pytest.raises(graphlib.CycleError, match=r"'run', 'tables', 'run'|'tables', 'run', 'tables'"):
        order({"run": "import tables", "tables": f"{line}\n", "kit": "import json"})


@functools.cache
def private_names() -> set[str]:
    """Functions, classes, attributes and variables of the package whose names begin with an underscore."""
    found = set()
    for path in (ROOT / "swiftformer_tf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add(node.asname or "")
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
    # What ends with an underscore as well is a protocol's, such as `_repr_html_`.
    return {name for name in found if re.fullmatch(r"_[A-Za-z]\w*(?<!_)", name)} - FOREIGN


def used_from(source: str, private: set[str]) -> Iterator[str]:
    """Private names that are imported, read as an attribute, or named in a string as what to replace."""
    for node in ast.walk(ast.parse(source)):
        names: Iterable[str] = ()
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("swiftformer_tf"):
            names = (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            names = [node.attr]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = node.value.split(".") if node.value.startswith("swiftformer_tf.") else [node.value]
        yield from (name for name in names if name in private)


def test_no_test_uses_a_private_name_of_the_package() -> None:
    private = private_names()
    found = {path.name: [*used_from(path.read_text(), private)] for path in Path(__file__).parent.rglob("*.py")}
    assert {name: used for name, used in found.items() if used} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from swiftformer_tf.images.transform import {}",
        "from swiftformer_tf.images import transform\ntransform.{}",
        'monkeypatch.setattr("swiftformer_tf.images.transform.{}", {{}})',
        'monkeypatch.setattr(transform, "{}", {{}})',
    ],
)
def test_a_private_name_in_a_test_is_noticed(line: str) -> None:
    name = "_" + "CROPS"  # put together, or this file would use it itself
    assert [*used_from(line.format(name), private_names())] == [name]
