"""`swiftformer-tf info`"""

import shutil
import textwrap
from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import ModelFile, print_json, weights_option
from swiftformer_tf.cli.options import in_options
from swiftformer_tf.cli.port import port

# Rows whose names say more than those of the JSON document, which stay as they are for its readers.
ROW_NAMES = {"bytes": "size", "scheme": "key layout"}


@click.command()
@click.argument("path", type=ModelFile(), metavar="CHECKPOINT|MODEL.keras|MODEL.tflite")
@weights_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document, configuration included.")
def info(path: Path, weights: str | None, as_json: bool) -> None:
    """Describe a file: architecture, labels, transform.

    \b
    swiftformer-tf info swiftformer_xs.pth
    swiftformer-tf info swiftformer_xs_mixed_int8.tflite --json
    """
    from swiftformer_tf.info import describe_file

    facts = describe_file(path, weights=weights)
    if as_json:
        print_json({"file": str(path), **facts})
        return
    click.echo(path)
    rows = _rows(facts)
    column = max(map(len, rows)) + 4
    for name, value in rows.items():
        click.echo("\n".join(_folded(f"  {name:<{column - 2}}", value)))


def _folded(name: str, value: str) -> list[str]:
    """Wraps a value to the width of the terminal; a word too long to stand next to its name goes below it."""
    width = shutil.get_terminal_size().columns
    beside = max(map(len, value.split()), default=0) <= width - len(name)
    first, indent = (name, " " * len(name)) if beside else ("    ", "    ")
    lines = textwrap.wrap(
        value,
        width,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines if beside else [name.rstrip(), *lines]


def _rows(facts: dict[str, Any]) -> dict[str, str]:
    """Converts the facts to human-readable rows."""
    rows = {}
    for name, value in facts.items():
        if name == "bytes":
            rows[ROW_NAMES[name]] = f"{value / 1e6:.2f} MB"
        elif name == "metadata" and value:
            rows |= {f"metadata {key}".replace("_", " "): _text(item) for key, item in value.items()}
        elif name not in ("config", "token_weights_assumed") and value != []:
            rows[ROW_NAMES.get(name, name.replace("_", " "))] = _text(value)
    if facts.get("token_weights_assumed"):
        from swiftformer_tf.weight_files import ASSUMED

        rows["token weights"] += f", {in_options(ASSUMED, port)}"
    return rows


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        # Names may have spaces in them.
        comma = ", " if any(isinstance(item, str) for item in value) else " "
        more = f"{comma}... ({len(value)})" if len(value) > 10 else ""
        return comma.join(_text(item) for item in value[:10]) + more
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
