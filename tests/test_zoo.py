"""The parts of `convert/zoo.py` that need no PyTorch; `make parity` runs it whole (convert/zoo_trial.py)."""

from pathlib import Path

import pytest
import zoo_card
import zoo_failures
from huggingface_hub.errors import LocalEntryNotFoundError

from swiftformer_tf import CheckpointError

NAME = "timm/swiftformer_xs.dist_in1k"


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
