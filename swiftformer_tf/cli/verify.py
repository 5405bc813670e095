"""`swiftformer-tf verify`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import (
    EXISTING,
    EXISTING_FILE,
    ModelFile,
    note,
    print_json,
    print_table,
    progress_bar,
    token_weights_option,
    weights_option,
)
from swiftformer_tf.cli.reports import command_line, html_option, note_failures, shown_verdict


@click.command()
@click.argument("model", type=EXISTING_FILE, metavar="MODEL.tflite")
@click.option("--reference", type=ModelFile(), required=True, help="The model or checkpoint that it came from.")
@click.option("--images", type=EXISTING, required=True, help="Folder of photographs that calibration did not see.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="For the latency.")
@token_weights_option
@weights_option
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as a JSON document.")
@click.pass_context
def verify(
    ctx: click.Context,
    model: Path,
    reference: Path,
    images: Path,
    threads: int,
    token_weights: Any,
    weights: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Check a TFLite model against its Keras model and its recipe.

    Exit status 0 if every check passed, 1 if one did not, 2 for misuse.

    \b
    swiftformer-tf verify models/xs_int8.tflite --reference xs.keras --images photos/val
    """
    from swiftformer_tf.pipeline import verify_file

    with progress_bar("verify") as count:
        report = verify_file(
            model,
            reference=reference,
            images=images,
            num_threads=threads,
            html=html,
            command=command_line(),
            token_weights=token_weights,
            weights=weights,
            progress=count,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_table([vars(check) for check in report.checks], title=str(model))
        figures = report.measured
        facts = [figures["recipe"], f"{figures['bytes'] / 1e6:.2f} MB"]
        if figures["latency_ms"] is not None:
            facts += [
                f"{figures['latency_ms']:.1f} ms on {threads} thread{'s' * (threads > 1)}",
                f"{figures['partitions']} XNNPACK partitions",
                f"{figures['images']} images",
            ]
        click.echo(", ".join(facts))
        click.echo(shown_verdict(report))
    note_failures([report])
    if html:
        note(f"{html}: the report as a page")
    if not report.passed:
        ctx.exit(1)
