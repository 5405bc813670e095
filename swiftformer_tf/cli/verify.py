"""`swiftformer-tf verify`"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from swiftformer_tf.cli.reports import command_line, file_rows, html_option, note_failures, shown_verdict
from swiftformer_tf.errors import number_of

if TYPE_CHECKING:
    from swiftformer_tf.verification import VerificationReport


@click.command()
@click.argument("models", type=EXISTING_FILE, metavar="MODEL.tflite...", nargs=-1, required=True)
@click.option("--reference", type=ModelFile(), required=True, help="The model or checkpoint that they came from.")
@click.option("--images", type=EXISTING, required=True, help="Folder of photographs that calibration did not see.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads for the latency.")
@token_weights_option
@weights_option
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print a list of reports as a JSON document.")
@click.pass_context
def verify(
    ctx: click.Context,
    models: tuple[Path, ...],
    reference: Path,
    images: Path,
    threads: int,
    token_weights: Any,
    weights: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Check TFLite files against their Keras model.

    For one file every check is shown, for several files one line each. A file is also checked against its recipe.
    Exit status 0 if every check passed, 1 if one did not, 2 for invalid arguments or input.

    \b
    swiftformer-tf verify models/xs_mixed_int8.tflite --reference xs.pth \\
        --images photos
    swiftformer-tf verify models/*.tflite --reference xs.pth --images photos
    """
    from swiftformer_tf.pipeline import verify_files

    reports = verify_files(
        models,
        reference=reference,
        images=images,
        num_threads=threads,
        html=html,
        command=command_line(),
        token_weights=token_weights,
        weights=weights,
        progress=progress_bar,
    )
    if as_json:
        print_json([report.to_dict() for report in reports])
    elif len(reports) == 1:
        _show_checks(reports[0])
    else:
        common, rows = file_rows(reports)
        files = f"; files {common}*.tflite" if common else ""
        print_table(rows, title=f"Compared with {reference} on the photographs of {images}{files}")
    note_failures(reports)
    if html:
        note(f"{html}: the report as a page")
    if not all(report.passed for report in reports):
        ctx.exit(1)


def _show_checks(report: "VerificationReport") -> None:
    figures = report.measured
    print_table([vars(check) for check in report.checks], title=figures["file"])
    facts = [figures["recipe"], f"{figures['bytes'] / 1e6:.2f} MB"]
    if figures["latency_ms"] is not None:
        facts += [
            f"{figures['latency_ms']:.1f} ms on {number_of(figures['num_threads'], 'thread')}",
            number_of(figures["partitions"], "XNNPACK partition"),
            number_of(figures["images"], "image"),
        ]
    click.echo(", ".join(facts))
    click.echo(shown_verdict(report))
