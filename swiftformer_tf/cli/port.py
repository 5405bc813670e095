"""`swiftformer-tf port`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import ASSUMED, EXISTING_FILE, ModelFile, note, token_weights_option, weights_option


@click.command()
@click.argument("checkpoint", type=ModelFile(), metavar="CHECKPOINT|MODEL.keras")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="What to write, by --to.")
@click.option(
    "--to",
    type=click.Choice(["keras", "hf", "timm", "timm_wrapper", "original"]),
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
    help="pixels and logits of a PyTorch run, as numpy.savez(FILE, pixels=pixels, logits=logits) writes them: says "
    "which --token-weights fit, and takes those.",
)
@click.option("--num-labels", type=click.IntRange(1), help="New heads for so many labels, of random weights.")
@click.option(
    "--labels", help="A file with a label a line, or 'imagenet': names of the outputs; another number is new."
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
    """Turn a PyTorch checkpoint into a Keras model, or either into a checkpoint; PyTorch is not needed.

    CHECKPOINT is a .pth, .bin, .safetensors or tf_model.h5 file of the original repository, Hugging Face or timm, a
    folder in one of their layouts, or an id on the Hugging Face hub.

    \b
    swiftformer-tf port swiftformer_xs.pth -o swiftformer_xs.keras
    swiftformer-tf port old_release.pth -o old.keras --token-weights uniform
    swiftformer-tf port timm/swiftformer_xs.dist_in1k -o xs.keras
    swiftformer-tf port fine_tuned.keras -o for_timm --to timm
    """
    from swiftformer_tf.checking import Expected, fitted
    from swiftformer_tf.checkpoints.relabeling import relabel, requested_labels
    from swiftformer_tf.checkpoints.saving import save_folder
    from swiftformer_tf.files import replacing
    from swiftformer_tf.loading import open_checkpoint
    from swiftformer_tf.porting import port as port_weights

    as_folder = output.suffix not in (".safetensors", ".pth", ".pt", ".bin")
    if to == "keras" and output.suffix != ".keras":
        raise click.BadParameter(
            f"{output}: expected a name that ends in .keras, or --to original, timm or hf for weights", param_hint="-o"
        )
    if to == "original" and as_folder:
        raise click.BadParameter(f"{output}: expected a name that ends in .safetensors or .pth", param_hint="-o")
    if not output.parent.is_dir():
        raise click.BadParameter(f"{output}: no such folder: {output.parent}; make it first", param_hint="-o")
    names = _labels(labels)
    if names and num_labels not in (None, len(names)):
        raise click.UsageError(f"--labels {labels} names {len(names)}, --num-labels asks for {num_labels}; give one")
    wanted = requested_labels(num_labels, names)
    opened = open_checkpoint(checkpoint, token_weights=token_weights, weights=weights)
    config = opened.config
    note(f"{opened.scheme} layout, {config.variant or 'non-standard'} architecture, {config.num_labels} labels")
    for seen in opened.notes:
        note(seen)
    if expected:
        opened, fit = fitted(opened, Expected.open(expected), token_weights=token_weights)
        note(str(fit))
    note(arithmetic(opened))
    if wanted is not None:
        opened, said = relabel(opened, wanted)
        note(f"labels: {said}")
    if to == "keras":
        ported = port_weights(opened)
        with replacing(output) as beside:
            ported.model.save(beside)
    elif as_folder:
        save_folder(opened, output, layout=to)
    else:
        opened.save(output, scheme=to)
    click.echo(f"{output}: {len(opened.tensors)} tensors")


def arithmetic(checkpoint: Any) -> str:
    """Says which arithmetic a checkpoint runs, and who said so."""
    return f"token weights: {checkpoint.token_weights}" + (f", {ASSUMED}" if checkpoint.token_weights_assumed else "")


def _labels(given: str | None) -> dict[int, str] | None:
    """Labels by index, of a file or of ImageNet."""
    from swiftformer_tf.images.labels import read_labels

    return dict(enumerate(read_labels(given))) if given else None
