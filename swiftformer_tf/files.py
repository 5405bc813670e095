"""Writes files atomically, and reads text in the encodings that editors use."""

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


# Byte order marks that Windows editors and shells write. UTF-32's begins like UTF-16's, so it comes first.
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_text(path: str | Path) -> str:
    """Reads a text file in UTF-8, or in the encoding given by its byte order mark; line endings are converted to `\\n`.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not UTF-8 text and has no byte order mark, or contains NUL characters.

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
    """Raises an error if `replacing` could not write to a path; to be called before any work.

    Args:
        path: Path of the file or folder to write.
        made: A folder that will have been created by then.

    Raises:
        ConfigError: The folder does not exist.
        OSError: The folder cannot be written to.

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
    """Provides a temporary path that replaces `path` if the block succeeds.

    If the block fails, an existing file at `path` is unchanged and no temporary file is left. A process that is killed
    leaves a hidden folder, which a later call removes when it is a day old.

    Args:
        path: Path of the finished file; its folder must exist.

    Yields:
        The path to write to, with the same file name, since Keras and h5py choose a format by the suffix.

    Raises:
        OSError: The folder does not exist, `path` is a folder or a device, or it cannot be written to; the error has
            `path` as its `filename`, and says what to do.

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
    """Returns the name and digest of a file, wherever it is; for anything else, its path.

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
    """Provides an empty temporary folder whose files are moved to `folder` if the block succeeds.

    Other files in `folder` are kept. If anything fails, all files in it are unchanged. A process that is killed while
    the files are being moved, which takes only a moment, leaves complete files, some of which may be old.

    Args:
        folder: Folder for the finished files, which may be in subfolders; created if needed. Its parent folder must
            exist.

    Yields:
        The folder to write to.

    Raises:
        OSError: The parent folder does not exist, `folder` is a file, or it cannot be written to; the error has
            `folder` or the file in it as its `filename`, and says what to do.
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
    """Moves the files in `new` to `target`, all or none; files that they replace are kept in `old` until then."""
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


class UnwrittenError(OSError):
    """An error with a cure in its message; `filename` is the requested file, not a temporary one."""


@contextlib.contextmanager
def _waiting_room(target: Path, around: Path) -> Iterator[Path]:
    """Provides a temporary hidden folder on the file system of `target`; errors in it refer to `target`."""
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
        if not isinstance(error, UnwrittenError):
            cure = _CURES.get(error.errno or 0)
            reason = f"cannot be written ({reason}){f'; {cure}' if cure else ''}; what was there is untouched"
        raise UnwrittenError(error.errno, reason, str(_asked_for(error, target, room))) from error


def _asked_for(error: OSError, target: Path, room: Path | None) -> Path:
    """The file in `target` that an error refers to, if known."""
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
    """Waits until a file has been written to disk, since some disks report only then that they are full."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
