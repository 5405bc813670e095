"""What a reader is, and the good files that it reads: apart from the readers, whose imports take seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Reader", "seeds"]


class Reader(NamedTuple):
    """One way in.

    Args:
        read: Opens a file or folder and returns what it says, in JSON's types.
        write: Puts good files into an empty folder: each file, or each folder, is one seed.
        cases: How many `make fuzz` reads, the fewer the longer one takes.
        seconds: Processor time that one case may take.
        bytes: By how much one case may raise the memory of the process that reads. The seeds are below 200 kB.
    """

    read: Callable[[Path], Any]
    write: Callable[[Path], None]
    cases: int = 3000
    seconds: float = 10
    bytes: int = 512 * 2**20


def seeds(folder: Path) -> list[tuple[str, dict[str, bytes]]]:
    """The good files below a reader's folder: name of what is opened, and content of each file by name.

    A seed that is a folder is opened as one, unless a file in it has the folder's name.
    """
    found: list[tuple[str, dict[str, bytes]]] = []
    for path in sorted(folder.iterdir()):
        if path.is_file():
            found.append((path.name, {path.name: path.read_bytes()}))
        else:
            files = {each.name: each.read_bytes() for each in sorted(path.iterdir())}
            found.append((path.name if path.name in files else ".", files))
    return found
