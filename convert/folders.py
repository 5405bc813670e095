"""Folders that this package writes, loaded by timm and transformers themselves: the fourth table of `parity.py`."""

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import references
import timm
import torch
import transformers
from comparing import OTHER, SIZES, images
from rows import FolderCase, folder_row

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.saving import Layout
from swiftformer_tf.cli.port import port as port_command
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.porting import port

Loader = Callable[[Path], tuple[torch.nn.Module, dict[int, str]]]

LABELS = {index: f"class {index}" for index in range(1000)}


def by_timm(folder: Path) -> tuple[torch.nn.Module, dict[int, str]]:
    """timm's model of a folder, and its labels."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return model.eval(), dict(enumerate(model.pretrained_cfg["label_names"]))


def by_transformers(folder: Path) -> tuple[torch.nn.Module, dict[int, str]]:
    """Hugging Face's model of a folder, and its labels; weights that are missing or left over are an error."""
    model, said = transformers.AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True)
    if wrong := {name: keys for name, keys in said.items() if keys}:
        raise AssertionError(f"transformers does not take all weights of the folder: {wrong}")
    return model.eval(), model.config.id2label


def _command(model: SwiftFormerForImageClassification, folder: Path, layout: Layout) -> None:
    """`swiftformer-tf port model.keras -o FOLDER --to LAYOUT`."""
    path = folder.with_suffix(".keras")
    model.save(path)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        port_command.main([str(path), "-o", str(folder), "--to", layout], standalone_mode=False)


WRITERS: dict[str, Callable[[SwiftFormerForImageClassification, Path, Layout], None]] = {
    "save_pretrained": lambda model, folder, layout: model.save_pretrained(folder, layout=layout),
    "port --to": _command,
}


def folder_cases(l2: torch.nn.Module, uniform: torch.nn.Module) -> Iterator[FolderCase]:
    """Both layouts, written in both ways, on the weights of a pair."""
    pictures = images(SIZES[0], seed=5)
    libraries: tuple[tuple[Layout, torch.nn.Module, Loader], ...] = (
        ("timm", l2, by_timm),
        ("hf", uniform, by_transformers),
    )
    for layout, reference, load in libraries:
        with tempfile.TemporaryDirectory() as root:
            model, wrong = _ported(reference, Path(root))
            expected = references.logits(reference, pictures)
            for written, write in WRITERS.items():
                folder = Path(root, written.replace(" ", ""))
                write(model, folder, layout)
                loaded, labels = load(folder)
                yield folder_row(
                    layout,
                    written,
                    np.asarray(model(pictures, training=False)),
                    np.asarray(wrong(pictures, training=False)),
                    theirs=references.logits(loaded, pictures),
                    expected=expected,
                    labels=labels == LABELS,
                )


def _ported(
    reference: torch.nn.Module, folder: Path
) -> tuple[SwiftFormerForImageClassification, SwiftFormerForImageClassification]:
    """The port of a reference's weights with `LABELS`, and that of the other attention type."""
    references.save_safetensors(reference.state_dict(), folder / "weights.safetensors")
    checkpoint = Checkpoint.open(folder / "weights.safetensors")
    models = []
    for token_weights in (checkpoint.token_weights, OTHER[checkpoint.token_weights]):
        config = checkpoint.config.replace(token_weights=token_weights, id2label=LABELS)
        models.append(port(dataclasses.replace(checkpoint, config=config)).model)
    return models[0], models[1]
