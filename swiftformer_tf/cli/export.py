"""`swiftformer-tf export`"""

from pathlib import Path
from typing import Any, get_args

import click

from swiftformer_tf.cli.console import (
    EXISTING,
    ImageSize,
    ModelFile,
    note,
    print_json,
    print_table,
    progress_bars,
    token_weights_option,
    weights_option,
)
from swiftformer_tf.cli.options import ArgumentOption
from swiftformer_tf.cli.reports import command_line, html_option, note_failures, report_row, report_title
from swiftformer_tf.deployment.chips import WHICH_RECIPE
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.recipes import ALL, RECIPES, InferenceType, cautions, choose_recipes, require_calibration


def _output_tasks(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    if bad := [each for each in values if "=" not in each]:
        raise click.BadParameter(f"{bad[0]}: expected OUTPUT=TASK, such as scores=classification", param=option)
    return dict(each.split("=", 1) for each in values) or None


def _answers(*, mask: bool, probabilities: bool) -> Any:
    if mask and probabilities:
        raise click.UsageError("--mask and --probabilities exclude each other; give only one of them")
    return "argmax" if mask else "probabilities" if probabilities else None


@click.command()
@click.argument("model", type=ModelFile(), metavar="MODEL.keras|CHECKPOINT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to."
)
@click.option(
    "--recipe",
    "names",
    type=click.Choice([*RECIPES, ALL]),
    multiple=True,
    required=True,
    metavar="NAME",
    help=f"{', '.join(RECIPES)}, or all, which needs --calibration. May be repeated. {WHICH_RECIPE} "
    + " ".join(f"{caution}." for caution in cautions(RECIPES.values())),
)
@click.option("--calibration", type=EXISTING, help="Folder of photographs on which integer scales are calibrated.")
@click.option(
    "--calibration-count", type=click.IntRange(min=1), default=200, show_default=True, help="How many of them to use."
)
@click.option(
    "--images", type=EXISTING, help="Folder of other photographs to verify on. Default: the calibration photographs."
)
@click.option("--image-size", type=ImageSize(), help="Default: the model's own.")
@click.option(
    "--for",
    "target",
    type=click.Choice(list(TARGETS)),
    help="Make files for this library; sets the two options below.",
)
@click.option(
    "--include-preprocessing", is_flag=True, help="Normalize in the model, which then takes RGB from 0 to 255."
)
@click.option(
    "--probabilities",
    cls=ArgumentOption,
    arguments=["classifier_activation"],
    is_flag=True,
    help="Return probabilities instead of logits: softmax or sigmoid, by the model's problem_type. "
    "For a segmenter, at the size of the image.",
)
@click.option(
    "--mask",
    cls=ArgumentOption,
    arguments=["classifier_activation='argmax'"],
    is_flag=True,
    help="Return the class of each pixel; for a segmenter.",
)
@click.option("--input-type", type=click.Choice(get_args(InferenceType)), help="Input type of integer recipes.")
@click.option("--output-type", type=click.Choice(get_args(InferenceType)), help="Output type of integer recipes.")
@click.option(
    "--labels", metavar="FILE|imagenet", help="File with a label per line, or ImageNet's. Default: the model's own."
)
@click.option(
    "--task",
    "tasks",
    metavar="OUTPUT=TASK",
    multiple=True,
    callback=_output_tasks,
    help="What an output of your own head means, such as scores=classification. Default: features.",
)
@click.option("--license", "license_text", help="License of the weights, for the metadata, such as Apache-2.0.")
@click.option(
    "--android",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write a folder for an Android project: the files, their labels and a Kotlin class.",
)
@click.option(
    "--android-package",
    cls=ArgumentOption,
    arguments=["package"],
    metavar="NAME",
    help="Package of that class. Default: swiftformer.",
)
@click.option(
    "--android-class",
    cls=ArgumentOption,
    arguments=["class_name"],
    metavar="NAME",
    help="Name of that class. Default: from the file names.",
)
@click.option("--name", "stem", help="Start of the file names, without a folder. Default: from MODEL.")
@token_weights_option
@weights_option
@html_option
@click.option("--json", "as_json", is_flag=True, help="Print the reports as one JSON document.")
@click.pass_context
def export(
    ctx: click.Context,
    model: Path,
    output: Path,
    names: tuple[str, ...],
    calibration: Path | None,
    calibration_count: int,
    images: Path | None,
    image_size: Any,
    target: str | None,
    include_preprocessing: bool,
    probabilities: bool,
    mask: bool,
    input_type: Any,
    output_type: Any,
    labels: str | None,
    tasks: dict[str, str] | None,
    license_text: str | None,
    android: Path | None,
    android_package: str | None,
    android_class: str | None,
    stem: str | None,
    token_weights: Any,
    weights: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Export TFLite models, one per recipe, and verify each.

    Writes NAME_RECIPE.tflite and, beside it, NAME_RECIPE.json with what was measured. Exit status 1 if a model that
    was written does not pass its checks.

    \b
    swiftformer-tf export swiftformer_xs.keras -o models --recipe float16
    swiftformer-tf export swiftformer_xs.pth -o models --recipe mixed_int8 \\
        --calibration photos/train --images photos/val --include-preprocessing
    swiftformer-tf export swiftformer_xs.pth -o models --recipe static_int8 \\
        --calibration photos/train --input-type int8 --output-type int8
    swiftformer-tf export swiftformer_xs.keras -o models --recipe float16 \\
        --for mediapipe --android app/src/main
    """
    recipes = choose_recipes(names)
    require_calibration(recipes, calibration)
    classifier_activation = _answers(mask=mask, probabilities=probabilities)
    # After what is known without Keras.
    from swiftformer_tf.pipeline import export_files

    with progress_bars(*cautions(recipes)) as progress:
        exported = export_files(
            model,
            recipes,
            output,
            stem=stem,
            calibration=calibration,
            calibration_count=calibration_count,
            images=images,
            image_size=image_size,
            target=target,
            include_preprocessing=include_preprocessing,
            classifier_activation=classifier_activation,
            inference_input_type=input_type,
            inference_output_type=output_type,
            labels=labels,
            tasks=tasks,
            license=license_text,
            android=android,
            android_package=android_package,
            android_class=android_class,
            html=html,
            command=command_line(),
            token_weights=token_weights,
            weights=weights,
            progress=progress,
        )
    reports = [each.report for each in exported]
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        print_table([report_row(report) for report in reports], title=report_title(reports, output))
    note_failures(reports)
    if reports[0].saw_calibration:
        note("Verified on the calibration photographs; to verify on others, give --images FOLDER")
    if not reports[0].is_compared:
        note("Only the files themselves were checked: give --images FOLDER to compare with Keras")
    if html:
        note(f"{html}: the report as a page")
    if not all(report.passed for report in reports):
        ctx.exit(1)
