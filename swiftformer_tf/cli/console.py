"""Parameter types and output functions shared by the subcommands."""

import contextlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from swiftformer_tf.config import TokenWeights
from swiftformer_tf.errors import ConfigError, SwiftFormerError

if TYPE_CHECKING:
    from rich.progress import Progress

    from swiftformer_tf.progress import Progress as Bars

__all__ = [
    "EVALUATE_OPTIONS",
    "EXISTING",
    "EXISTING_FILE",
    "TASK_OPTIONS",
    "ImageSize",
    "ModelFile",
    "note",
    "print_json",
    "print_table",
    "progress_bar",
    "progress_bars",
    "progress_display",
    "regular_notes",
    "short_names",
    "token_weights_option",
    "weights_option",
]

EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

# Cells with at most this many characters are never folded.
SHORT = 14
# The width that the widest table, that of `benchmark`, leaves for names in 80 columns.
NAME_WIDTH = 12
_FIGURE = re.compile(r"-$|[<>]?[-+]?\d|exact$|inf$|nan$")

# Interval at which a command reports its progress if no bar is shown.
NOTE_SECONDS = 60.0

# What `--task` takes where models are trained, and the library's word for it; and where they are evaluated.
TASK_OPTIONS: dict[str, Any] = {"classification": "classification", "segmentation": "semantic-segmentation"}
EVALUATE_OPTIONS: dict[str, Any] = {**TASK_OPTIONS, "features": "features"}

token_weights_option = click.option(
    "--token-weights",
    type=click.Choice(get_args(TokenWeights)),
    help="Attention type that a checkpoint was trained with. Default: what its layout implies.",
)

weights_option = click.option(
    "--weights", metavar="NAME", help="Which set of weights in a training file, such as state_dict or ema."
)


class ModelFile(click.Path):
    """An existing file or folder, the name of weights that ship with the package, or an id on the hub."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)
        self.name = "FILE|FOLDER|NAME"  # after click's own, which is "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from swiftformer_tf.checkpoints.pretrained import check_found

        # An id is not fetched before all arguments are known to be good, and what names the model to the user names it
        # as the user did.
        try:
            check_found(value)
        except SwiftFormerError as error:
            self.fail(str(error), param, ctx)
        return Path(value)


class ImageSize(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """`224` or `192x256` (height x width)."""

    name = "SIZE|HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, (int, tuple)):
            return value
        parts = value.lower().split("x")
        if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"{value!r}: expected pixels such as 224, or height x width such as 192x256", param, ctx)
        height, width = int(parts[0]), int(parts[-1])
        return height if height == width else (height, width)


def note(message: str) -> None:
    """Prints a message on standard error, so that standard output contains only the result."""
    click.echo(message, err=True)


def print_json(value: Any) -> None:
    """Prints a JSON document on standard output."""
    click.echo(json.dumps(value, indent=2))


def print_table(rows: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Prints rows with the same keys as a table on standard output, as wide as the terminal or 80 columns.

    Text that does not fit is wrapped, including long words; short values, such as numbers, are not broken.
    """
    if not rows:
        raise ConfigError("nothing to show")
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in rows[0]:
        cells = [str(row[name]) for row in rows]
        table.add_column(
            name,
            justify="right" if all(_FIGURE.match(cell) for cell in cells) else "left",
            no_wrap=max(len(line) for cell in cells for line in cell.split("\n")) <= SHORT,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console = Console(highlight=False)
    if title:
        console.print(escape(title), style="italic", overflow="fold")
    console.print(table)


def short_names(paths: Sequence[str | Path]) -> tuple[str, list[str]]:
    """Names of files for a narrow column of a table: without what they have in common, and folded between words.

    Folders are part of them only where files of several folders have the same name.

    Returns:
        What all names begin with, for the table's title, or `""`; and the rest of each, without `.tflite`.

    Examples:
        >>> short_names(["models/xs_int8.tflite", "models/xs_mixed_int8.tflite"])
        ('xs_', ['int8', 'mixed_int8'])
        >>> short_names(["models/swiftformer_xs_int8.tflite"])
        ('', ['swiftformer_\\nxs_int8'])
    """
    names = [Path(path).name.removesuffix(".tflite") for path in paths]
    if len({*names}) < len(names):
        names = [Path(path).as_posix().removesuffix(".tflite") for path in paths]
    columns = itertools.takewhile(lambda signs: len({*signs}) == 1, zip(*names, strict=False))
    common = "".join(first for first, *_ in columns) if len(names) > 1 else ""
    common = common[: max(map(common.rfind, "/_-")) + 1]
    if common in names:
        common = ""
    return common, [_folded(name.removeprefix(common)) for name in names]


def _folded(name: str) -> str:
    """Breaks a name into lines that end where its words do."""
    lines = [""]
    for word in re.findall(r"[^/_-]+[/_-]*|[/_-]+", name):
        if lines[-1] and len(lines[-1] + word) > NAME_WIDTH:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


@contextlib.contextmanager
def progress_bar(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on standard error; the block calls the yielded function with the count so far."""
    from rich.markup import escape

    with progress_display(counted=total is not None) as progress:
        task = progress.add_task(escape(title), total=total)
        yield lambda count: progress.update(task, completed=count)


def progress_display(*, counted: bool) -> "Progress":
    """Creates Rich's display for progress bars, on standard error if it is a terminal.

    Args:
        counted: Whether the total is known, so that the time left is shown instead of the elapsed time.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    times = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else (TimeElapsedColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *times)
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def progress_bars(*notes: str) -> Iterator["Bars"]:
    """Yields `progress_bar` for the steps of a command that, in a pipe, says once a minute which of them it does.

    Args:
        notes: Printed when the first step begins: arguments are known to be good then, and the work is ahead.
    """
    ahead = iter(notes)
    with regular_notes() as doing:

        @contextlib.contextmanager
        def bar(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
            for message in ahead:
                note(message)

            def show(count: int) -> None:
                shown(count)
                doing(f"{title}, {count}/{total}" if total else title)

            with progress_bar(title, total) as shown:
                doing(title)
                yield show

        yield bar


@contextlib.contextmanager
def regular_notes() -> Iterator[Callable[[str], None]]:
    """Prints once a minute what the block does, by a clock of its own, so that a long step is not silent.

    The block calls the yielded function with what it begins to do. Nothing is printed on a terminal, where a bar moves.
    """
    from rich.console import Console

    lock, done = threading.Lock(), threading.Event()
    doing = ""

    def begin(what: str) -> None:
        nonlocal doing
        with lock:  # so that nothing is reported after the end
            doing = what

    def tell() -> None:
        with contextlib.suppress(OSError):  # nobody reads any more, which the command's own next line finds out
            while not done.wait(NOTE_SECONDS):
                with lock:
                    if doing and not done.is_set():
                        note(doing)

    if Console(stderr=True).is_terminal:
        yield begin
        return
    clock = threading.Thread(target=tell, name="regular notes", daemon=True)
    clock.start()
    try:
        yield begin
    finally:
        done.set()
        clock.join()
