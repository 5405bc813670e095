"""The order of the rooms: what `[tool.importlinter]` of pyproject.toml says, and that it would be noticed."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

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
        ("layers.py", "def late():\n    import swiftformer_tf.model", "swiftformer_tf.layers is not allowed to import"),
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


def test_every_room_is_in_the_picture_and_in_the_screen_of_where_lines_belong() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    rooms = {room.strip() for line in contract["layers"] for room in line.split("|")}
    picture = (ROOT / "docs" / "pictures" / "house.svg").read_text()
    screen = (ROOT / "CONTRIBUTING.md").read_text()
    told = set(re.findall(r"`(\w+)[/`]", screen))
    assert {room for room in rooms if f">{room}</text>" not in picture} == set()  # python docs/pictures/house.py
    assert rooms - told == set()
    assert len(screen.splitlines()) <= 50
