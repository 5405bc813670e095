"""Converts weight files of any layout to a Keras model, or to a file or folder of another layout."""

import dataclasses
from pathlib import Path
from typing import get_args

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.checkpoint import TORCH_SUFFIXES
from swiftformer_tf.checkpoints.relabeling import relabel, requested_labels
from swiftformer_tf.checkpoints.saving import save_folder
from swiftformer_tf.config import TokenWeights, WeightForm
from swiftformer_tf.errors import CheckpointError, ConfigError, number_of
from swiftformer_tf.files import check_place, replacing
from swiftformer_tf.images.labels import read_labels
from swiftformer_tf.loading import open_checkpoint

__all__ = ["ASSUMED", "PortedFile", "port_file"]

WEIGHT_SUFFIXES = (".safetensors", *TORCH_SUFFIXES)

# The note about the attention type of a checkpoint that does not record it.
ASSUMED = (
    "assumed, since files of the original repository do not say; weights of its first release (before July 2023) need "
    "`token_weights='uniform'`"
)


@dataclasses.dataclass(frozen=True)
class PortedFile:
    """The result of `port_file`.

    Args:
        path: Path of the file or folder.
        checkpoint: The weights in it.
        notes: Human-readable lines about what was found in the source and how it was converted.
    """

    path: Path
    checkpoint: Checkpoint
    notes: tuple[str, ...]


def port_file(
    source: str | Path,
    output: str | Path,
    *,
    to: WeightForm = "keras",
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    expected: str | Path | None = None,
    num_labels: int | None = None,
    labels: str | Path | None = None,
) -> PortedFile:
    """Converts a checkpoint to a Keras model, or either to a checkpoint, as `swiftformer-tf port` does.

    Args:
        source: A checkpoint, a `.keras` model, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        output: For `"keras"`, a path that ends in `.keras`; otherwise a file (`.safetensors`, `.pth`, `.pt`, `.bin`)
            or, except for `"original"`, a folder.
        to: The format to write: a Keras model, or weights for Hugging Face, timm, transformers' wrapper of timm or the
            original repository.
        token_weights: See `Checkpoint.open`.
        weights: See `Checkpoint.open`.
        expected: File with the `pixels` and `logits` of a PyTorch run, see `Expected.open`, which determines the
            `token_weights`.
        num_labels: Number of labels for which to create new heads with random weights.
        labels: A file with one label per line, or `"imagenet"`: names for the outputs. If their number differs, new
            heads are created.

    Raises:
        CheckpointError: The weights cannot be used, or the layout cannot represent them.
        ConfigError: The output path does not match `to`, its folder does not exist, or the labels contradict each
            other.
        ModelError: The `.keras` file cannot be used.
        OSError: The file cannot be written; an existing file is unchanged.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ported = port_file("swiftformer_xs_imagenette", Path(folder, "xs.safetensors"), to="timm")
        ...     ported.path.name, len(ported.checkpoint.tensors), ported.notes[0]
        ('xs.safetensors', 290, 'timm layout, xs architecture, 10 labels')
    """
    from swiftformer_tf.checking import Expected, fitted

    output = Path(output)
    _check_output(output, to)
    wanted = _wanted_labels(num_labels, labels)
    checkpoint = open_checkpoint(source, token_weights=token_weights, weights=weights)
    config = checkpoint.config
    notes = [
        f"{checkpoint.key_layout} layout, {config.variant or 'non-standard'} architecture, "
        f"{number_of(config.num_labels, 'label')}",
        *checkpoint.notes,
    ]
    if expected:
        checkpoint, fit = fitted(checkpoint, Expected.open(expected), token_weights=token_weights)
        notes.append(str(fit))
    assumed = f", {ASSUMED}" if checkpoint.token_weights_assumed else ""
    notes.append(f"token weights: {checkpoint.token_weights}{assumed}")
    if wanted is not None:
        checkpoint, said = relabel(checkpoint, wanted)
        notes.append(f"labels: {said}")
    _write(checkpoint, output, to)
    return PortedFile(output, checkpoint, tuple(notes))


def _check_output(output: Path, to: WeightForm) -> None:
    if to not in get_args(WeightForm):
        raise ConfigError(f"to={to!r}: expected one of {', '.join(get_args(WeightForm))}")
    if to == "keras" and output.suffix != ".keras":
        raise ConfigError(
            f"{output}: expected a name that ends in .keras; for weights, choose original, timm or hf with `to`"
        )
    if to == "original" and output.suffix not in WEIGHT_SUFFIXES:
        raise ConfigError(f"{output}: expected a name that ends in .safetensors or .pth")
    check_place(output)


def _wanted_labels(num_labels: int | None, labels: str | Path | None) -> dict[int, str] | None:
    names = dict(enumerate(read_labels(labels))) if labels else None
    if names and num_labels not in (None, len(names)):
        raise ConfigError(
            f"labels {labels} has {len(names)} names, but num_labels is {num_labels}; give one of the two"
        )
    return requested_labels(num_labels, names)


def _write(checkpoint: Checkpoint, output: Path, to: WeightForm) -> None:
    if to == "keras":
        from swiftformer_tf.porting import port

        model = port(checkpoint).model
        with replacing(output) as beside:
            model.save(beside)
    elif output.suffix in WEIGHT_SUFFIXES:
        if to == "timm_wrapper":
            raise CheckpointError(f"{output}: timm_wrapper is written as a folder; expected a name without a suffix")
        checkpoint.save(output, key_layout=to)
    else:
        save_folder(checkpoint, output, layout=to)  # type: ignore[arg-type]  # "original" is a file
