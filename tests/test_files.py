"""Files appear whole or not at all."""

import os
import re
import stat
from pathlib import Path

import pytest

from swiftformer_tf.files import replacing


@pytest.mark.parametrize("existing", [True, False])
def test_a_block_that_ends_well_replaces(tmp_path: Path, existing: bool) -> None:
    path = tmp_path / "model.keras"
    if existing:
        path.write_text("old")
    with replacing(path) as beside:
        assert beside.name == "model.keras"
        assert beside.parent != path.parent
        assert beside.parent.parent == tmp_path  # the same file system, or the move would be a copy
        beside.write_text("new")
        assert not path.exists() or path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model.keras"]


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")

    def fail_halfway() -> None:
        with replacing(str(path)) as beside:
            beside.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_a_block_that_writes_nothing_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_the_folder_must_be_there_and_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=re.escape(f"no such folder: '{tmp_path / 'no'}'")),
        replacing(tmp_path / "no" / "x"),
    ):
        pass  # pragma: no cover
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(FileNotFoundError, match="no such folder"), replacing(file / "x"):
        pass  # pragma: no cover


def test_the_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with replacing(tmp_path / "replaced") as beside:
        beside.write_text("")
    plain, replaced = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "replaced"))
    assert replaced == plain
