"""`swiftformer-tf evaluate`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import (
    ModelFile,
    needs,
    note,
    print_json,
    print_table,
    progress_bar,
    token_weights_option,
    weights_option,
)
from swiftformer_tf.cli.segmentation import evaluate_masks


@click.command()
@click.argument("model", type=ModelFile())
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--labels",
    "label_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A line a photograph: its name and its class; or ILSVRC2012_validation_ground_truth.txt. "
    "Default: FOLDER's metadata.csv, or the names of its subfolders.",
)
@click.option(
    "--confusion",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=needs("matplotlib"),
    help="Draw the confusion matrix as a PNG.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Photographs at a time.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="For a .tflite file.")
@click.option(
    "--task",
    type=click.Choice(["classification", "segmentation"]),
    default="classification",
    show_default=True,
    help="For segmentation FOLDER is as for `train`.",
)
@token_weights_option
@weights_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def evaluate(
    model: Path,
    folder: Path,
    label_file: Path | None,
    confusion: Path | None,
    batch_size: int,
    threads: int,
    task: str,
    token_weights: Any,
    weights: str | None,
    as_json: bool,
) -> None:
    """Count how often a .keras or .tflite model or a checkpoint is right on labelled photographs.

    FOLDER has a subfolder a label, or a metadata.csv as in Hugging Face's ImageFolder: file_name, then a column of 0
    and 1 for each label, or of numbers. Of several labels the average precision and F1 of each are told, of numbers
    the mean absolute error.

    \b
    swiftformer-tf evaluate models/xs_int8.tflite imagenette/val --confusion confusion.png
    """
    if confusion and not confusion.parent.is_dir():
        raise click.UsageError(f"--confusion {confusion}: no such folder: {confusion.parent}")
    if task == "segmentation":
        if label_file:
            raise click.UsageError("--labels is not for --task segmentation; leave it out")
        evaluate_masks(model, folder, threads, confusion, as_json)
        return
    from swiftformer_tf.evaluation import Evaluation, labelled_for
    from swiftformer_tf.evaluation import evaluate as evaluate_photographs
    from swiftformer_tf.images.folders import check_images
    from swiftformer_tf.loading import open_any
    from swiftformer_tf.predicting import activated, predictor
    from swiftformer_tf.tasks.classification import require_single_label

    opened = open_any(model, token_weights=token_weights, weights=weights)
    predict, config = predictor(opened, num_threads=threads)
    config.transform.check_photographs()
    if confusion:
        require_single_label(config, "--confusion")
    images = labelled_for(config, folder, label_file=label_file)
    check_images(images.paths)
    with progress_bar("photographs", len(images.paths)) as progress:
        evaluation = evaluate_photographs(
            predict,
            config,
            images,
            classifier_activation=activated(opened),
            batch_size=batch_size,
            progress=progress,
        )
    result = {"model": str(model), "transform": config.transform.to_dict(), **evaluation.to_dict()}
    if as_json:
        print_json(result)
    else:
        note(f"classes: {evaluation.rule}")
        print_table(evaluation.table)
        click.echo(evaluation.summary)
    if confusion and isinstance(evaluation, Evaluation):  # Last: a picture that cannot be written costs no figures.
        evaluation.save_confusion(confusion)
        note(f"wrote {confusion}")
