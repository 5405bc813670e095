"""`swiftformer-tf export`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import (
    EXISTING,
    ImageSize,
    ModelFile,
    needs,
    note,
    photographs_in,
    print_json,
    print_table,
    progress_bar,
    token_weights_option,
)
from swiftformer_tf.cli.reports import html_option, note_failures, report_row, write_html
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.recipes import INFERENCE_TYPES, RECIPES


def _kotlin_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Before anything is computed."""
    from swiftformer_tf.deployment.android import kotlin_name

    return value and kotlin_name(param.opts[0], value, dots=param.name == "android_package")


@click.command()
@click.argument("model", type=ModelFile(), metavar="MODEL.keras|CHECKPOINT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to."
)
@click.option(
    "--recipe", "names", type=click.Choice(list(RECIPES)), multiple=True, required=True, help="May be given many times."
)
@click.option("--calibration", type=EXISTING, help="Folder of photographs that set the integer scales.")
@click.option(
    "--calibration-count", type=click.IntRange(min=1), default=200, show_default=True, help="How many of them to use."
)
@click.option(
    "--images", type=EXISTING, help="Folder of other photographs to verify on. Default: those of the calibration."
)
@click.option("--image-size", type=ImageSize(), help="Default: the model's own.")
@click.option(
    "--for",
    "target",
    type=click.Choice(list(TARGETS)),
    help="Make files that this library runs; sets the two options below.",
)
@click.option("--include-preprocessing", is_flag=True, help="Normalise inside: the model takes RGB from 0 to 255.")
@click.option(
    "--probabilities",
    is_flag=True,
    help="Answer with probabilities instead of logits: softmax or sigmoid, by the model's problem_type.",
)
@click.option("--input-type", type=click.Choice(["float32", "int8", "uint8", "int16"]), help="Of integer recipes.")
@click.option("--output-type", type=click.Choice(["float32", "int8", "uint8", "int16"]), help="Of integer recipes.")
@click.option("--labels", metavar="FILE|imagenet", help="A label a line, or ImageNet's. Default: the model's own.")
@click.option("--license", "license_text", help="Of the weights, for the files' metadata, such as Apache-2.0.")
@click.option(
    "--android",
    type=click.Path(path_type=Path, file_okay=False),
    callback=needs("jinja2"),
    help="Also write a folder for an Android project: the files, their labels, a Kotlin class.",
)
@click.option("--android-package", metavar="NAME", callback=_kotlin_name, help="Of that class. Default: swiftformer.")
@click.option(
    "--android-class", metavar="NAME", callback=_kotlin_name, help="What it is called. Default: as the files."
)
@click.option("--name", help="Start of the file names, without a folder. Default: that of MODEL.")
@token_weights_option
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
    input_type: Any,
    output_type: Any,
    labels: str | None,
    license_text: str | None,
    android: Path | None,
    android_package: str | None,
    android_class: str | None,
    name: str | None,
    token_weights: Any,
    html: Path | None,
    as_json: bool,
) -> None:
    """Export TFLite models, one for each recipe, and verify each.

    Writes NAME_RECIPE.tflite and, beside it, NAME_RECIPE.json with what was measured. Exit status 1 if a model that
    was written does not pass its checks.

    \b
    swiftformer-tf export swiftformer_xs.keras -o models --recipe float16
    swiftformer-tf export swiftformer_xs.pth -o models --recipe int8 --recipe float32 \\
        --calibration photos/train --images photos/val --include-preprocessing --input-type uint8
    swiftformer-tf export swiftformer_xs.keras -o models --recipe float16 --for mediapipe --android app/src/main
    """
    from swiftformer_tf.checkpoints.pretrained import license_of
    from swiftformer_tf.deployment.android import PACKAGE, write_android_folder
    from swiftformer_tf.images.labels import read_labels
    from swiftformer_tf.loading import open_model
    from swiftformer_tf.pipeline import export_files

    borders = {"input": input_type, "output": output_type}
    recipes = []
    for recipe in (RECIPES[each] for each in dict.fromkeys(names)):
        for side, wanted in borders.items():
            if wanted and wanted not in INFERENCE_TYPES[recipe.activations]:
                takers = [name for name, each in RECIPES.items() if wanted in INFERENCE_TYPES[each.activations]]
                raise click.UsageError(
                    f"--{side}-type {wanted}: recipe {recipe.name} has "
                    f"{' or '.join(INFERENCE_TYPES[recipe.activations])} there; "
                    f"leave the option out, or give it to {', '.join(takers)} alone"
                )
        recipes.append(recipe.replace(**{f"inference_{side}_type": each for side, each in borders.items() if each}))
    if target:
        for recipe in recipes:
            TARGETS[target].check(recipe)
    if calibration is None and (needy := [recipe.name for recipe in recipes if recipe.needs_calibration]):
        raise click.UsageError(f"recipe {needy[0]} needs calibration images: give --calibration FOLDER")
    if html and html.parent != output and not html.parent.is_dir():
        raise click.UsageError(f"--html {html}: no such folder: {html.parent}")
    # Before the model is opened: a folder without photographs is found out at once.
    calibrated_on = photographs_in(calibration, calibration_count) if calibration else None
    verified_on = photographs_in(images) if images else None
    opened = open_model(model, token_weights=token_weights)
    if calibrated_on or verified_on:
        opened.config.transform.check_photographs()
    options: dict[str, Any] = {"include_preprocessing": include_preprocessing}
    if probabilities:
        options["classifier_activation"] = _activation(opened.config)
    if target:
        options = TARGETS[target].fuse_options(opened.config)
    exported = export_files(
        opened,
        recipes,
        output,
        stem=name or model.stem,
        calibration=calibrated_on,
        images=verified_on,
        image_size=image_size,
        labels=read_labels(labels, opened.config.num_labels) if labels else None,
        license=license_text or license_of(model),
        progress=progress_bar,
        **options,
    )
    if android:
        write_android_folder(
            {each.path.name: each.model for each in exported},
            android,
            package=android_package or PACKAGE,
            class_name=android_class,
            readme=output / f"{name or model.stem}_android.md",
            verified=all(each.report.verdict == "passed" for each in exported),
        )
    reports = [each.report for each in exported]
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        on_calibration = verified_on is None and calibrated_on is not None
        title = "Verified on the photographs of --calibration; others say more: give --images FOLDER"
        print_table([report_row(report) for report in reports], title=title if on_calibration else None)
    for report in reports:
        note_failures(report)
    if verified_on is None and calibrated_on is None:
        note("Only the files themselves were checked: give --images FOLDER to compare with Keras")
    if html:
        write_html(html, [(each.model, each.report) for each in exported], verified_on or calibrated_on)
    if not all(report.passed for report in reports):
        ctx.exit(1)


def _activation(config: SwiftFormerConfig) -> str:
    from swiftformer_tf.tasks.classification import activation

    found = activation(config)
    if found is None:
        said = f"problem_type={config.problem_type!r}" if config.num_labels else "a model without labels"
        raise click.UsageError(f"--probabilities: {said}, whose answers are no probabilities; leave the option out")
    return found
