"""`swiftformer-tf demo`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import EXISTING, note, photographs_in, print_json, print_table, progress_bar, require
from swiftformer_tf.cli.reports import note_failures, report_row, write_html
from swiftformer_tf.cli.serve import litert_js_option, serve_page

NAME = "swiftformer_xs_imagenette"


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
    """The main job from end to end: checkpoint, port, fuse, export in every recipe, verify.

    Uses the weights that ship with the package, a PyTorch-layout file of a SwiftFormer-XS trained on ten classes.

    \b
    swiftformer-tf demo
    swiftformer-tf demo --images photos/ -o out
    """
    from swiftformer_tf.checkpoints import Checkpoint
    from swiftformer_tf.checkpoints.pretrained import license_of, weights_path
    from swiftformer_tf.deployment.serving import runtime_folder
    from swiftformer_tf.files import replacing
    from swiftformer_tf.images.samples import PHOTOGRAPHS, photographs
    from swiftformer_tf.pipeline import export_files
    from swiftformer_tf.porting import port
    from swiftformer_tf.recipes import RECIPES

    # Their absence is better known now than after the work.
    require("demo", "jinja2", "matplotlib")
    if serve:
        runtime_folder(litert_js)
    checkpoint = Checkpoint.open(weights_path(NAME))
    calibration: Any
    holdout: Any
    names, about = None, ""
    if images:
        paths = photographs_in(images, 400)
        calibration, holdout = paths[0::2], paths[1::2]
    else:
        shown, others = photographs(checkpoint.config.transform)
        calibration, holdout, names = shown.pixels, others.pixels, others.names
        about = (
            f"Square crops of {len(PHOTOGRAPHS)} pictures that come with scikit-image. The model knows "
            f"{checkpoint.config.num_labels} things ({', '.join(checkpoint.config.labels)}), and few of the pictures "
            "show one: it names the most alike, and what counts is that each file names the same."
        )
        note(
            f"Photographs: {len(calibration)} crops of {len(PHOTOGRAPHS)} pictures to calibrate, {len(holdout)} other "
            "crops of them to verify. That is enough to show the way, and too few to calibrate well: give --images "
            "FOLDER for your own."
        )
    output.mkdir(parents=True, exist_ok=True)
    model = port(checkpoint).model
    with replacing(output / f"{NAME}.keras") as beside:
        model.save(beside)
    exported = export_files(
        model,
        RECIPES.values(),
        output,
        stem=NAME,
        calibration=calibration,
        images=holdout,
        license=license_of(weights_path(NAME)),
        progress=progress_bar,
    )
    reports = [each.report for each in exported]
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        print_table([report_row(report) for report in reports], title=f"Written to {output}, verified against Keras")
    for report in reports:
        note_failures(report)
    results = [(each.model, each.report) for each in exported]
    write_html(output / "report.html", results, holdout, names=names, about_images=about)
    if serve:
        serve_page([each.path for each in exported], litert_js=litert_js)
    if not all(report.passed for report in reports):
        ctx.exit(1)
