"""The parts of `convert/zoo.py` that need no PyTorch; `make parity` runs it whole (convert/zoo_trial.py)."""

import os
import subprocess
from pathlib import Path

import pytest
import zoo_card
import zoo_failures
from huggingface_hub.errors import LocalEntryNotFoundError

from swiftformer_tf import CheckpointError

NAME = "timm/swiftformer_xs.dist_in1k"
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (CheckpointError("no weights\nhere"), f"{NAME}: no weights here"),
        (CheckpointError(f"{NAME}: no weights"), f"{NAME}: no weights"),
        (ConnectionError("refused"), f"{NAME}: ConnectionError: refused"),
        (LocalEntryNotFoundError("no hub"), f"{NAME}: LocalEntryNotFoundError: no hub"),
    ],
)
def test_what_is_known_takes_one_line(problem: Exception, line: str, tmp_path: Path) -> None:
    assert zoo_failures.explain(NAME, problem, tmp_path / "zoo" / "x.log") == line
    assert not list(tmp_path.iterdir())


def test_what_nobody_foresaw_leaves_its_traceback(tmp_path: Path) -> None:
    """A bug of ours in one line would tell nobody where it is."""
    log = tmp_path / "zoo" / "x.log"
    try:
        raise KeyError("made_of")
    except KeyError as problem:
        line = zoo_failures.explain(NAME, problem, log)
    assert line == f"{NAME}: KeyError: 'made_of' (traceback: {log})"
    written = log.read_text()
    assert written.startswith("Traceback (most recent call last):\n")
    assert f'File "{__file__}", line ' in written
    assert written.endswith("KeyError: 'made_of'\n")


@pytest.mark.parametrize("given", [".", "val/..", "../imagenette/"])
def test_photographs_are_called_as_their_folder_is(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imagenette" / "val" / "tench").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "imagenette")
    assert zoo_card.dataset_name(Path(given)) == "imagenette"
    assert zoo_card.dataset_type(Path(given)) == "imagenette"


def make_zoo(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What `make zoo` would run in a folder."""
    clean = {name: value for name, value in os.environ.items() if name != "PHOTOGRAPHS" and "MAKE" not in name}
    command = ["make", "--file", str(ROOT / "Makefile"), "--dry-run", "--always-make", "zoo", *words]
    folder.joinpath("pyproject.toml").touch()
    return subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True)


@pytest.mark.skipif(os.name == "nt", reason="the Makefile is for POSIX")
def test_only_the_default_folder_of_photographs_may_be_absent(tmp_path: Path) -> None:
    assert "--photographs" not in make_zoo(tmp_path).stdout
    for done in (make_zoo(tmp_path, "PHOTOGRAPHS=typo"), make_zoo(tmp_path, PHOTOGRAPHS="typo")):
        assert done.returncode
        assert "PHOTOGRAPHS=typo: no such folder" in done.stderr
        assert "zoo.py" not in done.stdout
    for name in ("photographs", "my pictures"):
        tmp_path.joinpath(name).mkdir()
    assert make_zoo(tmp_path).stdout.rstrip().endswith('--photographs "photographs"')
    assert make_zoo(tmp_path, "PHOTOGRAPHS=my pictures").stdout.rstrip().endswith('--photographs "my pictures"')


def test_a_run_without_a_table_ends_without_another_error() -> None:
    """A step that always runs finds no table where an earlier one failed."""
    steps = (ROOT / ".github" / "workflows" / "zoo.yml").read_text("utf-8").split("\n      - ")
    (step,) = [each for each in steps if "run: cat zoo/README.md" in each]
    assert step.startswith("if: always() && hashFiles('zoo/README.md') != ''\n")
