"""Files appear whole or not at all."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["filling", "replacing"]


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` when the block ends well.

    Whatever goes wrong inside, a file that stood at `path` is untouched and nothing is left beside it.

    Args:
        path: Where the finished file belongs; its folder must exist.

    Yields:
        The path to write to, of the same name, since Keras and h5py choose a format by the suffix.

    Raises:
        OSError: No such folder, or it cannot be written to.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(f"{folder}/labels.txt") as beside:
        ...         _ = beside.write_text("tench")
        ...     Path(folder, "labels.txt").read_text(), os.listdir(folder)
        ('tench', ['labels.txt'])
    """
    target = Path(path)
    if not target.parent.is_dir():
        # Said of the folder that was asked for, and not of the temporary one in it.
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))
    # In a folder of its own, and not under a temporary name: so the file gets the mode of any new file.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        beside = Path(folder, target.name)
        yield beside
        os.replace(beside, target)


@contextlib.contextmanager
def filling(folder: str | Path) -> Iterator[Path]:
    """An empty folder to write to, whose files move into `folder` when the block ends well.

    `folder` is made if it is not there. Whatever goes wrong inside, the files in it are untouched.

    Args:
        folder: Where the finished files belong; the folder around it must exist.

    Yields:
        The folder to write to.

    Raises:
        OSError: No such folder around it, it is a file, or it cannot be written to.
    """
    target = Path(folder)
    around = target.absolute().parent
    if not around.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=around) as beside:
        yield Path(beside)
        target.mkdir(exist_ok=True)
        for path in sorted(Path(beside).iterdir()):
            os.replace(path, target / path.name)
