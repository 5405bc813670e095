"""`swiftformer-tf info`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import ModelFile, print_json


@click.command()
@click.argument("path", type=ModelFile(), metavar="CHECKPOINT|MODEL.keras|MODEL.tflite")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document, configuration included.")
def info(path: Path, as_json: bool) -> None:
    """What a file is: architecture, arithmetic, labels, transform, size.

    \b
    swiftformer-tf info swiftformer_xs.pth
    swiftformer-tf info swiftformer_xs_int8.tflite --json
    """
    from swiftformer_tf.describing import describe
    from swiftformer_tf.loading import open_any

    facts = describe(open_any(path))
    if as_json:
        print_json({"file": str(path), **facts})
        return
    facts.pop("config")
    click.echo(path)
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"  {name.replace('_', ' '):<{width}}  {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        shown = [_text(item) for item in value[:10]]
        return " ".join(shown) + (f" ... ({len(value)})" if len(value) > 10 else "")
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
