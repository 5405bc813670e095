"""`swiftformer-tf predict`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import ModelFile, print_json, progress_bar, token_weights_option, weights_option


@click.command()
@click.argument("model", type=ModelFile())
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many labels or numbers to show.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for a segmenter's pictures: NAME_mask.png, the class of each pixel, and NAME_overlay.png; with their "
    "classes.csv.",
)
@token_weights_option
@weights_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def predict(
    model: Path,
    images: tuple[Path, ...],
    top: int,
    output: Path | None,
    token_weights: Any,
    weights: str | None,
    as_json: bool,
) -> None:
    """Label, segment or embed photographs with any model file.

    MODEL is a .keras or .tflite file or a checkpoint; a FOLDER stands for all photographs in it. Of a model without
    labels, the features of each photograph are printed, all of them with --json.

    \b
    swiftformer-tf predict models/xs_mixed_int8.tflite cat.jpg dog.png --top 3
    swiftformer-tf predict models/streets_mixed_int8.tflite photos/val -o masks
    """
    from swiftformer_tf.predicting import predict_photographs

    predictions = predict_photographs(
        model, images, top=top, output=output, token_weights=token_weights, weights=weights, progress=progress_bar
    )
    if as_json:
        print_json([each.result for each in predictions])
        return
    for each in predictions:
        click.echo("\n".join(each.lines))
