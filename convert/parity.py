"""Measures the Keras models against timm and Hugging Face on weight files that those wrote, and records the result.

    python convert/parity.py                  measure, write the tables into convert/README.md, fail beyond 1e-5
    python convert/parity.py --write-golden   also make tests/golden anew

Every figure is a largest absolute difference over the largest absolute value of the reference, in float32 on the CPU.
"""

import argparse
import copy
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden
import golden_transforms
import keras
import numpy as np
import references
import torch
import transformers
from backends import backend_cases
from comparing import OTHER, SIZES, error, images
from folders import folder_cases
from forms import form_cases
from references import Architecture
from rows import BackendCase, Cell, FileCase, FolderCase, FormCase

from swiftformer_tf.checkpoints import Checkpoint, KeyLayoutName
from swiftformer_tf.config import VARIANTS, TokenWeights
from swiftformer_tf.model import SwiftFormerModel
from swiftformer_tf.porting import port, to_checkpoint

README = Path(__file__).with_name("README.md")

SOURCES: tuple[tuple[KeyLayoutName, TokenWeights], ...] = (
    ("original", "l2"),
    ("original", "uniform"),
    ("hf", "uniform"),
    ("timm", "l2"),
)


def architecture(variant: str) -> Architecture:
    """A variant's depths and widths, with 1000 labels."""
    return Architecture(VARIANTS[variant]["depths"], VARIANTS[variant]["embed_dims"])


def trace(reference: torch.nn.Module, pictures: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Input and output, channels last, of the reference's stem, blocks and downsamplings, by our layers' names."""
    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    handles = []
    for name, module in layers(reference):

        def keep(_module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor, name: str = name) -> None:
            seen[name] = tuple(x.detach().numpy().transpose(0, 2, 3, 1).copy() for x in (inputs[0], output))

        handles.append(module.register_forward_hook(keep))
    references.logits(reference, pictures)
    for handle in handles:
        handle.remove()
    return seen


def layers(reference: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """The reference's modules that are one layer here, in data order."""
    if hasattr(reference, "stages"):
        yield "stem", reference.stem
        for index, stage in enumerate(reference.stages):
            if not isinstance(stage.downsample, torch.nn.Identity):
                yield f"stages-{index}-downsample", stage.downsample
            yield from ((f"stages-{index}-blocks-{number}", block) for number, block in enumerate(stage.blocks))
        return
    yield "stem", reference.swiftformer.patch_embed
    index = 0
    for module in reference.swiftformer.encoder.network:
        if hasattr(module, "blocks"):
            yield from ((f"stages-{index}-blocks-{number}", block) for number, block in enumerate(module.blocks))
            index += 1
        else:
            yield f"stages-{index}-downsample", module


def hidden_states(
    reference: torch.nn.Module, pictures: np.ndarray, traced: dict[str, tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    """Hugging Face's own hidden states; for timm, the outputs of the same modules."""
    if hasattr(reference, "swiftformer"):
        with torch.no_grad():
            tensors = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
            states = reference(tensors, output_hidden_states=True).hidden_states
        return [state.numpy().transpose(0, 2, 3, 1) for state in states]
    # The last block of a stage counts; later entries replace earlier ones.
    return list({re.sub(r"-blocks-\d+", "-blocks", name): output for name, (_, output) in traced.items()}.values())


def publish(key_layout: str, l2: torch.nn.Module, uniform: torch.nn.Module, folder: Path) -> Path:
    """The weights of a pair as this source publishes them."""
    if key_layout == "hf":
        uniform.save_pretrained(folder)
        return folder / "model.safetensors"
    if key_layout == "timm":
        references.save_safetensors(l2.state_dict(), folder / "timm.safetensors")
        return folder / "timm.safetensors"
    references.training_file(references.original_names(l2.state_dict()), folder / "original.pth")
    return folder / "original.pth"


def written_back(model: keras.Model, reference: torch.nn.Module, key_layout: KeyLayoutName, folder: Path) -> float:
    """What the reference computes with the file that we write, loaded strictly, against what it computed before."""
    path = folder / ("back.pth" if key_layout == "original" else "back.safetensors")
    to_checkpoint(model, key_layout=key_layout).save(path)
    fresh = copy.deepcopy(reference)
    references.randomize(fresh, seed=99)
    references.load(fresh, path)
    pictures = images(SIZES[0], seed=2)
    return error(references.logits(fresh, pictures), references.logits(reference, pictures))


def measure(
    variant: str, key_layout: KeyLayoutName, token_weights: TokenWeights, path: Path, reference: torch.nn.Module
) -> Cell:
    """One cell: a file as its source publishes it, against the reference with the same weights."""
    said = token_weights if key_layout == "original" else None
    checkpoint = Checkpoint.open(path, token_weights=said)
    if (checkpoint.key_layout, checkpoint.token_weights, checkpoint.config.variant) != (
        key_layout,
        token_weights,
        variant,
    ):
        raise AssertionError(f"{path}: recognized as {checkpoint.key_layout}, {checkpoint.token_weights}")
    model = port(checkpoint).model
    pictures = [images(size, seed=1) for size in SIZES]
    expected = [references.logits(reference, batch) for batch in pictures]
    # Once as a compiled graph and once op by op, which is quicker for a size that is used once.
    ours = [model.predict(pictures[0], verbose=0), np.asarray(model(pictures[1], training=False))]
    wrong = port(Checkpoint.open(path, token_weights=OTHER[token_weights])).model
    blocks = trace(reference, pictures[0])
    maps = SwiftFormerModel(checkpoint.config, outputs="hidden_states", share_layers_with=model)
    states = zip(
        map(np.asarray, maps(pictures[0], training=False)), hidden_states(reference, pictures[0], blocks), strict=True
    )
    return Cell(
        variant=variant,
        key_layout=key_layout,
        token_weights=token_weights,
        logits=error(ours[0], expected[0]),
        odd_size=error(ours[1], expected[1]),
        hidden_states=max(error(mine, theirs) for mine, theirs in states),
        blocks=max(error(np.asarray(model.get_layer(name)(x, training=False)), y) for name, (x, y) in blocks.items()),
        wrong=error(np.asarray(wrong(pictures[0], training=False)), expected[0]),
        back=written_back(model, reference, key_layout, path.parent),
    )


def cells(variants: list[str]) -> Iterator[Cell]:
    """Every variant under every key layout, and original names under both attention types."""
    for seed, variant in enumerate(variants):
        l2, uniform = references.pair(architecture(variant), seed)
        for key_layout, token_weights in SOURCES:
            with tempfile.TemporaryDirectory() as folder:
                path = publish(key_layout, l2, uniform, Path(folder))
                yield measure(variant, key_layout, token_weights, path, l2 if token_weights == "l2" else uniform)


def file_cases(l2: torch.nn.Module, uniform: torch.nn.Module) -> Iterator[FileCase]:
    """Formats and memory layouts: the reference reads the same file with PyTorch."""
    pictures = images(SIZES[0], seed=3)
    for case in references.cases(l2, uniform):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, case.name)
            case.save(path)
            model = port(Checkpoint.open(path)).model
        reference = copy.deepcopy(case.reference)
        references.load(reference, case.state)
        difference = error(np.asarray(model(pictures, training=False)), references.logits(reference, pictures))
        yield FileCase(case.name, case.holds, difference)


def tables(
    rows: list[Cell],
    files: list[FileCase],
    on_backends: list[BackendCase],
    in_folders: list[FolderCase],
    in_forms: list[FormCase],
) -> str:
    """What goes between the markers of the README."""
    versions = {**references.VERSIONS, "keras": keras.__version__, "backend": keras.backend.backend()}
    lines = [
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "| variant | names | attention type | logits | at 190 by 250 | hidden states | one block | control | back |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {c.variant} | {c.key_layout} | {c.token_weights} | {c.logits:.1e} | {c.odd_size:.1e} | "
            f"{c.hidden_states:.1e} | {c.blocks:.1e} | {c.wrong:.2f} | {'equal' if c.back == 0 else f'{c.back:.1e}'} |"
            for c in rows
        ),
        "",
        "| file | holds | logits |",
        "|---|---|---|",
        *(f"| `{case.file}` | {case.holds} | {case.logits:.1e} |" for case in files),
        "",
        "| backend | attention type | logits | at 190 by 250 | from TensorFlow | control |",
        "|---|---|---|---|---|---|",
        *(
            f"| {case.backend} | {case.token_weights} | {case.logits:.1e} | {case.odd_size:.1e} | "
            f"{case.tensorflow:.1e} | {case.wrong:.2f} |"
            for case in on_backends
        ),
        "",
        "| folder | written by | logits | control | back | labels |",
        "|---|---|---|---|---|---|",
        *(
            f"| {case.layout} | `{case.written}` | {case.logits:.1e} | {case.wrong:.2f} | "
            f"{'equal' if case.back == 0 else f'{case.back:.1e}'} | {'found' if case.labels else 'lost'} |"
            for case in in_folders
        ),
        "",
        "| form | written by | what is read | logits or maps |",
        "|---|---|---|---|",
        *(f"| `{case.file}` | {case.written} | {case.read} | {case.logits:.1e} |" for case in in_forms),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-golden", action="store_true", help="make tests/golden anew")
    parser.add_argument(
        "--variants", nargs="+", default=["xs", "s", "l1", "l3"], help="only these, for a quick look: the README stays"
    )
    arguments = parser.parse_args()
    transformers.logging.disable_progress_bar()
    if arguments.write_golden:
        folder = Path(__file__).parents[1] / "tests" / "golden"
        golden.write(folder)
        golden_transforms.write(folder / "transforms.safetensors")
    l2, uniform = references.pair(architecture("xs"), seed=7)
    rows = _shown(cells(arguments.variants))
    others = [_shown(cases(l2, uniform)) for cases in (file_cases, backend_cases, folder_cases)]
    others.append(_shown(form_cases()))
    if arguments.variants == parser.get_default("variants"):
        before, _, rest = README.read_text().partition("<!-- parity:begin -->\n")
        _, _, after = rest.partition("<!-- parity:end -->")
        README.write_text(f"{before}<!-- parity:begin -->\n{tables(rows, *others)}\n<!-- parity:end -->{after}")
    return 0 if all(case.passed for cases in (rows, *others) for case in cases) else 1


def _shown(cases: Iterator[Any]) -> list[Any]:
    """The cases of a table, each printed as soon as it is measured."""
    shown = []
    for case in cases:
        shown.append(case)
        print("ok  " if case.passed else "FAIL", case, flush=True)
    return shown


if __name__ == "__main__":
    sys.exit(main())
