"""Files appear whole or not at all."""

import errno
import os
import re
import stat
import time
from pathlib import Path

import pytest

from swiftformer_tf.errors import ConfigError
from swiftformer_tf.files import ABANDONED_SECONDS, WAITING, check_place, filling, replacing


def test_a_place_is_looked_at_before_the_work(tmp_path: Path) -> None:
    check_place(tmp_path / "plot.png")
    check_place(tmp_path / "new" / "page.html", made=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=re.escape(f"no such folder: {tmp_path / 'new'}; make it first")):
        check_place(tmp_path / "new" / "plot.png")


@pytest.mark.linux
def test_a_place_where_nobody_can_write_is_refused_before_the_work() -> None:
    with pytest.raises(OSError, match="cannot be written"):
        check_place("/proc/self/plot.png")


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
    with pytest.raises(OSError, match=r"cannot be written \(No such file or directory\)"), replacing(path):
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


@pytest.mark.posix
def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path(os.devnull)):
        with (
            pytest.raises(FileExistsError, match=f"not a regular file, so it is not replaced.*: '{path}'"),
            replacing(path),
        ):
            pass  # pragma: no cover
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


CURES = {
    errno.ENOSPC: "free some space on its disk, or write to another one",
    errno.EDQUOT: "free some space on its disk, or write to another one",
    errno.EROFS: "choose a folder that you may write to",
    errno.EACCES: "choose a folder that you may write to",
}


@pytest.mark.parametrize("number", CURES)
def test_an_error_names_the_file_and_the_cure(number: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".") as caught, replacing(tmp_path / "x") as beside:
        raise OSError(number, os.strerror(number), str(beside))
    told = f"cannot be written ({os.strerror(number)}); {CURES[number]}; what was there is untouched"
    assert (caught.value.errno, caught.value.strerror, caught.value.filename) == (number, told, str(tmp_path / "x"))


def fill_the_disk(path: Path) -> None:
    """What is written instead of `path` goes to the device that has no room for anything."""
    with replacing(path) as beside:
        beside.symlink_to(Path(os.devnull).with_name("full"))
        beside.write_text("too much")


@pytest.mark.linux
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        fill_the_disk(tmp_path / "x")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "x"))
    assert "cannot be written (No space left on device); free some space" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_an_error_of_libraries_without_a_number_is_told_in_their_words(tmp_path: Path) -> None:
    told = re.escape("cannot be written (9 requested and 4 written); what was")
    with pytest.raises(OSError, match=told) as caught, replacing(tmp_path / "x"):
        raise OSError("9 requested and 4 written")
    assert caught.value.filename == str(tmp_path / "x")


# Folders.


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A folder with old files and with one of the user's."""
    folder = tmp_path / "net"
    (folder / "deep").mkdir(parents=True)
    for name in ("config.json", "deep/weights", "mine"):
        (folder / name).write_text(f"old {name}")
    return folder


def fill(folder: Path, *names: str) -> None:
    with filling(folder) as beside:
        for name in names:
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_text(f"new {name}")


NAMES = ("config.json", "deep/weights", "fresh")


def test_filling_replaces_its_files_and_leaves_others(net: Path, tmp_path: Path) -> None:
    fill(net, *NAMES)
    assert contents(net) == {**{name: f"new {name}" for name in NAMES}, "mine": "old mine"}
    fill(tmp_path / "other", *NAMES)
    assert contents(tmp_path / "other") == {name: f"new {name}" for name in NAMES}
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == stat.S_IMODE(net.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["net", "other"]


@pytest.mark.parametrize("moves", range(3))
@pytest.mark.parametrize("links", [True, False])
def test_a_move_that_fails_takes_back_those_before_it(
    moves: int, links: bool, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, move, done = contents(net), os.replace, 0

    def some(source: Path, target: Path) -> None:
        nonlocal done
        if done == moves:
            done = -100
            raise PermissionError(errno.EPERM, "Operation not permitted", str(source), None, str(target))
        done += 1
        move(source, target)

    def none(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "replace", some)
    if not links:
        monkeypatch.setattr(os, "link", none)
    with pytest.raises(OSError, match="choose a folder that you may write to") as caught:
        fill(net, *NAMES)
    assert caught.value.filename == str(net / sorted(NAMES)[moves])
    assert contents(net) == before


def test_a_folder_in_a_files_place_changes_nothing(net: Path) -> None:
    (net / "zoo").mkdir()
    before = contents(net)
    with pytest.raises(OSError, match="cannot be written") as caught:
        fill(net, *NAMES, "zoo")
    assert caught.value.filename == str(net / "zoo")
    assert contents(net) == before


def test_a_file_is_no_folder_to_fill(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError, match=re.escape(f"a file; expected a folder: '{tmp_path / 'file'}'")):
        fill(tmp_path / "file", "x")
    with pytest.raises(FileNotFoundError, match=re.escape(f"no such folder: '{tmp_path / 'no'}'")):
        fill(tmp_path / "no" / "net", "x")
    assert contents(tmp_path) == {"file": "mine"}


@pytest.mark.linux
def test_a_folder_where_nobody_can_make_one_is_named() -> None:
    with pytest.raises(OSError, match="cannot be written") as caught:
        fill(Path("/proc/self"), "x")
    assert caught.value.filename == "/proc/self"


@pytest.mark.linux
def test_one_inside_the_other_is_told_of_the_file_that_was_asked_for(net: Path) -> None:
    before = contents(net)
    with pytest.raises(OSError, match=r"^\[Errno 28\] cannot be written \(No space") as caught, filling(net) as beside:
        fill_the_disk(beside / "config.json")
    assert str(caught.value).count("cannot be written") == 1
    assert caught.value.filename == str(net / "config.json")
    assert contents(net) == before


def test_what_a_killed_process_left_goes_after_a_day(net: Path) -> None:
    old, recent, mine = (net / name for name in (f"{WAITING}old", f"{WAITING}recent", ".hidden"))
    for folder in (old, recent, mine):
        folder.mkdir()
        (folder / "half").write_text("half")
    for folder, age in (
        (old, ABANDONED_SECONDS + 60),
        (recent, ABANDONED_SECONDS - 60),
        (mine, 10 * ABANDONED_SECONDS),
    ):
        os.utime(folder, (time.time() - age,) * 2)
    with replacing(net / "config.json") as beside:
        beside.write_text("new")
    assert (old.exists(), recent.exists(), mine.exists()) == (False, True, True)
