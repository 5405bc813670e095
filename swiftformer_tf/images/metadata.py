"""Reads `metadata.csv`, which annotates the photographs in a folder, as in Hugging Face's ImageFolder."""

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from swiftformer_tf.errors import ImageError
from swiftformer_tf.files import read_text
from swiftformer_tf.images.folders import list_images

__all__ = ["FILE_NAME", "METADATA", "Metadata", "has_metadata", "read_metadata"]

METADATA = "metadata.csv"
FILE_NAME = "file_name"

# As spreadsheets save them: with commas, with semicolons where a comma is part of numbers, and "Unicode text".
_DELIMITERS = (",", ";", "\t")

_DECIMALS = re.compile(r"[+-]?\d*([.,])\d+(?:[eE][+-]?\d+)?")


@dataclasses.dataclass(frozen=True)
class Metadata:
    """A table with a row for each photograph in a folder.

    Args:
        path: Path of the file.
        photographs: Paths of the photographs, in the order of the rows.
        columns: Names of the columns, except for `file_name`.
        rows: For each photograph, the text of each column.
        lines: For each photograph, its line in the file, for error messages.
        decimal: The decimal separator of numbers.
    """

    path: Path
    photographs: tuple[Path, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    decimal: str

    def where(self, row: int, column: str) -> str:
        """Describes the position of a cell for error messages."""
        return f"{self.path}, line {self.lines[row]}, column {column!r}"


def has_metadata(folder: str | Path) -> bool:
    """Whether a folder has a `metadata.csv` with annotations of its photographs.

    Raises:
        ImageError: It has none, but one of its subfolders has, or there is a `metadata.jsonl` instead.
    """
    root = Path(folder)
    if (root / METADATA).is_file():
        return True
    if below := sorted(root.glob(f"*/{METADATA}")):
        raise ImageError(
            f"{root}: has no {METADATA}, but {below[0]} is one; give its folder, or if the subfolders are the "
            "classes, move it away"
        )
    if (lines := root / "metadata.jsonl").is_file():
        raise ImageError(
            f"{lines}: not supported; pandas.read_json({str(lines)!r}, lines=True).to_csv({str(root / METADATA)!r}, "
            "index=False) converts it; if the subfolders are the classes, move it away"
        )
    return False


def read_metadata(folder: str | Path) -> Metadata:
    """Reads the `metadata.csv` of a folder and checks it against the photographs that exist.

    The first line contains the names of the columns: `file_name`, relative to the folder, and others. Columns are
    separated by commas, semicolons or tabs; with semicolons or tabs, numbers may have a decimal comma, as written by
    some spreadsheets.

    Args:
        folder: Folder with `metadata.csv` and the photographs, which may be in subfolders.

    Raises:
        ImageError: The file is missing or damaged, or does not have one row for each photograph.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (8, 8)).save(Path(folder, "1.png"))
        ...     _ = Path(folder, "metadata.csv").write_text("file_name,rust,crack\\n1.png,1,0\\n")
        ...     read_metadata(folder).rows
        (('1', '0'),)
    """
    path = Path(folder) / METADATA
    try:
        text = read_text(path)
        delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
        head, *body = _table(text, delimiter)
    except (OSError, ValueError, csv.Error) as error:
        raise ImageError(f"{path}: cannot be read as a table ({error})") from None
    names = [name.strip() for name in head[1]]
    _check_columns(path, names)
    position = names.index(FILE_NAME)
    known = {photograph.relative_to(folder).as_posix(): photograph for photograph in list_images(folder)}
    lines: dict[Path, int] = {}
    for line, cells in body:
        if len(cells) != len(names):
            raise ImageError(f"{path}, line {line}: {len(cells)} columns, expected {len(names)} as in the first line")
        name = cells[position].strip()
        photograph = known.get(PurePosixPath(name.replace("\\", "/")).as_posix())
        if photograph is None:
            raise ImageError(f"{path}, line {line}: {name!r} is not a photograph in {folder}")
        if photograph in lines:
            before = lines[photograph]
            raise ImageError(f"{path}, line {line}: {name!r} is in line {before} too; expected one line per photograph")
        lines[photograph] = line
    if missing := sorted(set(known.values()) - set(lines)):
        raise ImageError(f"{missing[0]}: no line in {path}; every photograph needs one")
    rows = (tuple(cell.strip() for i, cell in enumerate(cells) if i != position) for _, cells in body)
    columns = tuple(name for name in names if name != FILE_NAME)
    cells_by_row = tuple(rows)
    decimal = _decimal(cells_by_row, delimiter)
    return Metadata(path, tuple(lines), columns, cells_by_row, tuple(lines.values()), decimal)


def _decimal(rows: Iterable[Iterable[str]], delimiter: str) -> str:
    """A comma, if it does not separate columns and is the only decimal separator used; a mixture is ambiguous."""
    marks = {match[1] for row in rows for cell in row if (match := _DECIMALS.fullmatch(cell))}
    return "," if delimiter != "," and marks == {","} else "."


def _table(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Non-empty lines with their line numbers; the first contains the names of the columns."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    table = [(reader.line_num, cells) for cells in reader if cells]
    if not table:
        raise csv.Error("it is empty")
    return table


def _check_columns(path: Path, names: Sequence[str]) -> None:
    expected = f"expected {FILE_NAME}, then a column for each label"
    if FILE_NAME not in names:
        raise ImageError(f"{path}: no column {FILE_NAME!r} among {', '.join(map(repr, names[:5]))}; {expected}")
    if len(names) == 1:
        raise ImageError(f"{path}: no column except {FILE_NAME!r}; {expected}")
    if twice := [name for name in names if names.count(name) > 1 or not name]:
        raise ImageError(f"{path}: column {twice[0]!r} appears twice or has no name; {expected}")
