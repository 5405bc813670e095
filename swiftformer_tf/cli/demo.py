"""`swiftformer-tf demo`"""

from pathlib import Path

import click

from swiftformer_tf.cli.console import EXISTING, note, print_json, print_table, progress_bar
from swiftformer_tf.cli.options import in_options
from swiftformer_tf.cli.reports import command_line, note_failures, report_row, report_title
from swiftformer_tf.cli.serve import litert_js_option, serve_page


@click.command()
@click.option("--images", type=EXISTING, help="Folder of photographs. Default: a few that scikit-image ships.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="swiftformer-demo",
    show_default=True,
    help="Folder to write to.",
)
@click.option("--serve", is_flag=True, help="Then open a page that runs the models in the browser, see serve --help.")
@litert_js_option
@click.option("--json", "as_json", is_flag=True, help="Print the reports as a JSON document.")
@click.pass_context
def demo(ctx: click.Context, images: Path | None, output: Path, serve: bool, litert_js: Path, as_json: bool) -> None:
    """Go from a checkpoint to verified TFLite files.

    Ports, fuses, exports in every recipe and verifies the weights that ship with the package: a SwiftFormer-XS in
    PyTorch's layout, trained on ten classes.

    \b
    swiftformer-tf demo
    swiftformer-tf demo --images photos/ -o out
    """
    from swiftformer_tf.demonstration import demonstrate

    made = demonstrate(
        output,
        images=images,
        command=command_line(),
        litert_js=litert_js if serve else None,
        progress=progress_bar,
    )
    reports = [each.report for each in made.exported]
    if made.remark:
        note(in_options(made.remark, demo))
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        print_table([report_row(report) for report in reports], title=report_title(reports, output))
    note_failures(reports)
    note(f"{made.page}: the report as a page")
    if serve:
        serve_page([each.path for each in made.exported], litert_js=litert_js)
    if not all(report.passed for report in reports):
        ctx.exit(1)
