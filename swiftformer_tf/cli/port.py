"""`swiftformer-tf port`"""

from pathlib import Path
from typing import Any, get_args

import click

from swiftformer_tf.cli.console import EXISTING_FILE, ModelFile, note, token_weights_option, weights_option
from swiftformer_tf.cli.options import in_options
from swiftformer_tf.config import WeightForm


@click.command()
@click.argument("checkpoint", type=ModelFile(), metavar="CHECKPOINT|MODEL.keras")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File or folder to write, see --to."
)
@click.option(
    "--to",
    type=click.Choice(get_args(WeightForm)),
    default="keras",
    show_default=True,
    help="Write a Keras model NAME.keras, or weights for Hugging Face, timm or the original repository: a file "
    "(.safetensors, .pth, .pt, .bin) or, for all but original, a folder.",
)
@token_weights_option
@weights_option
@click.option(
    "--expected",
    type=EXISTING_FILE,
    help="Pixels and logits of a PyTorch run, written by numpy.savez(FILE, pixels=pixels, logits=logits). Reports "
    "which --token-weights fit, and uses them.",
)
@click.option("--num-labels", type=click.IntRange(1), help="New heads for this many labels, with random weights.")
@click.option(
    "--labels", help="File with a label per line, or 'imagenet'. For another number of labels, the heads are new."
)
def port(
    checkpoint: Path,
    output: Path,
    to: Any,
    token_weights: Any,
    weights: str | None,
    expected: Path | None,
    num_labels: int | None,
    labels: str | None,
) -> None:
    """Turn a PyTorch checkpoint into a Keras model, or back.

    PyTorch is not needed. CHECKPOINT is a .pth, .bin, .safetensors or tf_model.h5 file of the original repository,
    Hugging Face or timm, a folder in one of their layouts, or an id on the Hugging Face hub.

    \b
    swiftformer-tf port swiftformer_xs.pth -o swiftformer_xs.keras
    swiftformer-tf port old_release.pth -o old.keras --token-weights uniform
    swiftformer-tf port timm/swiftformer_xs.dist_in1k -o xs.keras
    swiftformer-tf port fine_tuned.keras -o for_timm --to timm
    """
    from swiftformer_tf.weight_files import port_file

    ported = port_file(
        checkpoint,
        output,
        to=to,
        token_weights=token_weights,
        weights=weights,
        expected=expected,
        num_labels=num_labels,
        labels=labels,
    )
    for each in ported.notes:
        note(in_options(each, port))
    click.echo(f"{output}: {len(ported.checkpoint.tensors)} tensors")
