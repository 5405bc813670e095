"""Files appear whole or not at all, and text is read however an editor wrote it."""

import codecs
import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from swiftformer_tf.errors import ConfigError

__all__ = ["check_place", "filling", "identity", "read_text", "replacing"]

# Start of the names of hidden folders in which files wait until they are whole, and their age from which on they belong
# to a process that was killed: no file takes so long to write.
WAITING = ".swiftformer_tf-"
ABANDONED_SECONDS = 24 * 3600

_ROOM = "free some space on its disk, or write to another one"
_RIGHTS = "choose a folder that you may write to"
_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHTS),
}


# What Windows's editors and shells put in front of a text. UTF-32's begins as UTF-16's does, and comes first.
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: str | Path) -> str:
    """A text file in UTF-8, or in what its byte order mark says; lines end in `\\n`, whatever they end in there.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no text in UTF-8 and has no byte order mark, or has NUL characters.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.txt")
        ...     _ = path.write_bytes("cat\\r\\ndog\\r\\n".encode("utf-16"))
        ...     read_text(path)
        'cat\\ndog\\n'
    """
    data = Path(path).read_bytes()
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not {encoding.upper()}; save it as UTF-8") from None
    if "\0" in text:
        raise ValueError("it has NUL characters, as UTF-16 without a byte order mark; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_place(path: str | Path, *, made: str | Path | None = None) -> None:
    """Raises if `replacing` could not write there; called before the work begins.

    Args:
        path: Path of the file or folder to write.
        made: A folder that will be there by then.

    Raises:
        ConfigError: No such folder.
        OSError: It cannot be written to.

    Examples:
        >>> check_place("no/plot.png")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ConfigError: no/plot.png: no such folder: no; make it first
    """
    target = Path(path)
    if made is not None and target.parent == Path(made):
        return
    if not target.parent.is_dir():
        raise ConfigError(f"{target}: no such folder: {target.parent}; make it first")
    with _waiting_room(target, target.parent):
        pass


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` when the block ends well.

    Whatever goes wrong inside, a file that stood at `path` is untouched and nothing is left beside it. A process that
    is killed leaves a hidden folder, which a later call removes when it is a day old.

    Args:
        path: Where the finished file belongs; its folder must exist.

    Yields:
        The path to write to, of the same name, since Keras and h5py choose a format by the suffix.

    Raises:
        OSError: No such folder, `path` is a folder or a device, or it cannot be written to; with `path` as its
            `filename`, and the cure.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(f"{folder}/labels.txt") as beside:
        ...         _ = beside.write_text("tench")
        ...     Path(folder, "labels.txt").read_text(), os.listdir(folder)
        ('tench', ['labels.txt'])
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        raise FileExistsError(
            errno.EEXIST, "not a regular file, so it is not replaced; choose another name", str(target)
        )
    with _waiting_room(target, target.parent) as room:
        beside = room / target.name
        yield beside
        _flush(beside)
        os.replace(beside, target)


def identity(path: str | Path) -> str:
    """Name and digest of a file, wherever it is; of anything else its path.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "labels.txt").write_text("tench")
        ...     identity(f"{folder}/labels.txt")[:27]
        'labels.txt (sha256 e0d3b7bc'
    """
    path = Path(path)
    if not path.is_file():
        return str(path)
    with open(path, "rb") as stream:
        return f"{path.name} (sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()})"


@contextlib.contextmanager
def filling(folder: str | Path) -> Iterator[Path]:
    """An empty folder to write to, whose files move into `folder` when the block ends well.

    What `folder` holds under other names stays. Whatever goes wrong, all files in it are what they were. A process
    that is killed while the files move, which is a moment, leaves whole files, some of them old.

    Args:
        folder: Where the finished files belong, in folders or not; is made if it is not there. The folder around it
            must exist.

    Yields:
        The folder to write to.

    Raises:
        OSError: No such folder around it, it is a file, or it cannot be written to; with `folder` or the file in it as
            its `filename`, and the cure.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise FileExistsError(errno.EEXIST, "a file; expected a folder", str(target))
    # Inside a folder that is there: it may be a file system of its own, and a move into it would be a copy.
    with _waiting_room(target, target if target.is_dir() else target.absolute().parent) as room:
        new = room / "new"
        new.mkdir()
        yield new
        names = sorted(path.relative_to(new) for path in new.rglob("*") if path.is_file())
        for name in names:
            _flush(new / name)
        if target.is_dir():
            _move(names, new, target, room / "old")
        else:
            os.rename(new, target)


def _move(names: list[Path], new: Path, target: Path, old: Path) -> None:
    """Moves files of `new` into `target`, all of them or none; `old` keeps what they replace until then."""
    for name in names:
        for folder in (target, old):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (target / name).exists():
            _link(target / name, old / name)
    moved = []
    try:
        for name in names:
            os.replace(new / name, target / name)
            moved.append(name)
    except BaseException:
        for name in moved:
            if (old / name).exists():
                os.replace(old / name, target / name)
            else:
                (target / name).unlink()
        raise


def _link(source: Path, copy: Path) -> None:
    try:
        os.link(source, copy)
    except OSError:  # a file system without hard links, or a folder, which is an error here too
        shutil.copy2(source, copy)


class _UnwrittenError(OSError):
    """What went wrong, and the cure; `filename` is the file that was asked for, and not one in a waiting room."""


@contextlib.contextmanager
def _waiting_room(target: Path, around: Path) -> Iterator[Path]:
    """A hidden folder on the file system of `target`, gone at the end; errors are told of `target`."""
    if not around.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))
    _remove_abandoned(around)
    room = None
    try:
        # In a folder of its own, and not under a temporary name: so the file gets the mode of any new file.
        with tempfile.TemporaryDirectory(prefix=WAITING, dir=around) as name:
            room = Path(name)
            yield room
    except OSError as error:
        reason = error.strerror or str(error)
        if not isinstance(error, _UnwrittenError):
            cure = _CURES.get(error.errno or 0)
            reason = f"cannot be written ({reason}){f'; {cure}' if cure else ''}; what was there is untouched"
        raise _UnwrittenError(error.errno, reason, str(_asked_for(error, target, room))) from error


def _asked_for(error: OSError, target: Path, room: Path | None) -> Path:
    """The file in `target` that an error is about, as far as it says so."""
    name = Path(str(error.filename or ""))
    if room and name.is_relative_to(room / "new"):
        return target / name.relative_to(room / "new")
    hidden = any(part.startswith(WAITING) for part in name.parts)
    return name if name.is_relative_to(target) and not hidden else target


def _remove_abandoned(around: Path) -> None:
    for room in around.glob(f"{WAITING}*"):
        with contextlib.suppress(OSError):
            if time.time() - room.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(room, ignore_errors=True)


def _flush(path: Path) -> None:
    """Waits until a file is on the disk: some disks are only found to be full then."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
