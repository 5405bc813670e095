"""`swiftformer-tf port`"""

from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import ModelFile, note, token_weights_option


@click.command()
@click.argument("checkpoint", type=ModelFile())
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The model to write, NAME.keras.")
@token_weights_option
def port(checkpoint: Path, output: Path, token_weights: Any) -> None:
    """Turn a PyTorch checkpoint into a Keras model; PyTorch is not needed.

    CHECKPOINT is a .pth, .bin or .safetensors file of the original repository, Hugging Face or timm.

    \b
    swiftformer-tf port swiftformer_xs.pth -o swiftformer_xs.keras
    swiftformer-tf port old_release.pth -o old.keras --token-weights uniform
    """
    from swiftformer_tf.checkpoints import Checkpoint
    from swiftformer_tf.files import replacing
    from swiftformer_tf.porting import port as port_weights

    if output.suffix != ".keras":
        raise click.BadParameter(f"{output}: expected a name that ends in .keras", param_hint="-o")
    opened = Checkpoint.open(checkpoint, token_weights=token_weights)
    config = opened.config
    note(f"{opened.scheme} layout, {config.variant or 'non-standard'} architecture, {config.num_labels} labels")
    note(arithmetic(opened))
    ported = port_weights(opened)
    with replacing(output) as beside:
        ported.model.save(beside)
    click.echo(f"{output}: {len(ported.sources)} tensors")


def arithmetic(checkpoint: Any) -> str:
    """Says which arithmetic a checkpoint runs, and who said so."""
    if checkpoint.token_weights_assumed:
        return (
            f"token weights: {checkpoint.token_weights}, assumed, since files of the original repository do not say; "
            "weights of its first release (before July 2023) want --token-weights uniform"
        )
    return f"token weights: {checkpoint.token_weights}"
