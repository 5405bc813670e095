"""`swiftformer-tf evaluate`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import (
    EVALUATE_OPTIONS,
    ModelFile,
    note,
    print_json,
    print_table,
    progress_bar,
    token_weights_option,
    weights_option,
)


@click.command()
@click.argument("model", type=ModelFile())
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--labels",
    "label_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a photograph's name and class per line, or ILSVRC2012_validation_ground_truth.txt. "
    "Default: FOLDER's metadata.csv, or the names of its subfolders. For classifiers.",
)
@click.option(
    "--confusion",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the confusion matrix as a PNG, for single labels and segmentation.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Photographs at a time.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads for a .tflite file.")
@click.option(
    "--task",
    type=click.Choice(list(EVALUATE_OPTIONS)),
    help="Expected task of MODEL. Default: any. For segmentation, FOLDER is laid out as for `train`.",
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
    task: str | None,
    token_weights: Any,
    weights: str | None,
    as_json: bool,
) -> None:
    """Measure a model's accuracy on labeled photographs.

    MODEL is a .keras file (fused or not), a .tflite file or a checkpoint. FOLDER has a subfolder per label, or a
    metadata.csv as in Hugging Face's ImageFolder: file_name, then a column of 0 and 1 for each label, or of numbers.
    With several labels per photograph the average precision and F1 of each are shown, with numbers the mean absolute
    error. For a model without labels, the recall at 1 is shown: how often the photograph with the nearest features has
    the same class. For segmentation, FOLDER is laid out as for `train`.

    \b
    swiftformer-tf evaluate models/xs_mixed_int8.tflite imagenette/val \\
        --confusion confusion.png
    """
    from swiftformer_tf.accuracy import evaluate as evaluate_model

    accuracy = evaluate_model(
        model,
        folder,
        task=task and EVALUATE_OPTIONS[task],
        label_file=label_file,
        batch_size=batch_size,
        num_threads=threads,
        confusion=confusion,
        token_weights=token_weights,
        weights=weights,
        progress=progress_bar,
    )
    if as_json:
        print_json({"model": str(model), **accuracy.to_dict()})
    else:
        if accuracy.rule:
            note(f"classes: {accuracy.rule}")
        print_table(accuracy.scores.table)
        click.echo(accuracy.scores.summary)
    if confusion:
        note(f"wrote {confusion}")
