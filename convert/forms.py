"""Forms in which people have checkpoints, each written by the library that writes it: the fifth table of `parity.py`.

All hold one small model, or its like. What is refused is read after the cure that the refusal names, run as it stands.
"""

import argparse
import copy
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning
import references
import safetensors.torch
import timm
import torch
import torch.distributed.checkpoint
import transformers
from comparing import error, images
from references import Architecture
from rows import FormCase
from timm.models._hub import save_for_hf
from timm.utils import CheckpointSaver, ModelEmaV3

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.porting import port

SMALL = Architecture((2, 1, 2, 1), (8, 12, 16, 20), labels=3)
SIZE = (64, 64)

# timm's own arguments for the same widths.
KWARGS = {"layers": list(SMALL.depths), "embed_dims": list(SMALL.embed_dims), "num_classes": SMALL.labels}


class Form(NamedTuple):
    """A file or folder that people have.

    Args:
        name: The form's name in the table.
        writer: What wrote it.
        write: Writes it, and returns the model that it holds.
    """

    name: str
    writer: str
    write: Callable[[Path], torch.nn.Module]


def small(seed: int = 3) -> torch.nn.Module:
    """timm's model with random weights of which each counts."""
    model = SMALL.timm()
    references.randomize(model, seed)
    return model


def _saved(change: Callable[[torch.nn.Module], Any]) -> Callable[[Path], torch.nn.Module]:
    """Writes with `torch.save` what `change` makes of a small model, whose logits are wanted."""

    def write(path: Path) -> torch.nn.Module:
        model = small()
        torch.save(change(model), path)
        return model

    return write


def _timm_saver(path: Path) -> torch.nn.Module:
    model, averaged = small(), ModelEmaV3(small(), decay=0.9)
    references.randomize(averaged.module, seed=4)
    optimizer = torch.optim.AdamW(model.parameters())
    arguments = argparse.Namespace(model="swiftformer_xs", lr=np.float64(1e-3))
    saver = CheckpointSaver(model, optimizer, arguments, averaged, checkpoint_dir=str(path.parent))
    saver.save_checkpoint(0, metric=71.5)
    (path.parent / "last.pth.tar").rename(path)
    return averaged.module  # which timm's own loader takes, too


def _timm_hub(path: Path) -> torch.nn.Module:
    model = timm.create_model("swiftformer_xs", pretrained=False, **KWARGS)
    references.randomize(model, seed=3)
    save_for_hf(
        model.eval(), path, model_args={k: v for k, v in KWARGS.items() if k != "num_classes"}, safe_serialization=True
    )
    return model


def _hf(**options: Any) -> Callable[[Path], torch.nn.Module]:
    def write(path: Path) -> torch.nn.Module:
        model = references.pair(SMALL, seed=3)[1]
        model.save_pretrained(path, **options)
        return model

    return write


def _hf_backbone(path: Path) -> torch.nn.Module:
    model = references.pair(SMALL, seed=3)[1]
    model.swiftformer.save_pretrained(path)
    return model.swiftformer


def _timm_wrapper(path: Path) -> torch.nn.Module:
    values = {
        "architecture": "swiftformer_xs",
        "num_classes": SMALL.labels,
        "label_names": ["a", "b", "c"],
        "model_args": {"layers": KWARGS["layers"], "embed_dims": KWARGS["embed_dims"]},
        "pretrained_cfg": {"input_size": [3, *SIZE], "crop_pct": 0.95, "num_classes": SMALL.labels},
    }
    model = transformers.TimmWrapperForImageClassification(transformers.TimmWrapperConfig.from_dict(values))
    references.randomize(model.timm_model, seed=3)
    model.eval().save_pretrained(path)
    return model


def _lightning(path: Path) -> torch.nn.Module:
    class Lit(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = small().train(False)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return self.model(batch[0]).sum() * 0

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    module = Lit()
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(1, 3, *SIZE)))
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pytorch_lightning.Trainer(max_steps=1, default_root_dir=path.parent, enable_checkpointing=False, **silent)
    trainer.fit(module, batches)
    trainer.save_checkpoint(path)
    return module.model.eval()


def _averaged(path: Path) -> torch.nn.Module:
    model = small()
    averaged = torch.optim.swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    torch.save(averaged.state_dict(), path)
    return model


def _fully_sharded(model: torch.nn.Module) -> dict[str, Any]:
    """What `fully_shard` of one process on the CPU leaves of a model, gathered."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.fsdp import fully_shard

    model = copy.deepcopy(model)
    for block in model.stages:
        fully_shard(block)
    fully_shard(model)
    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))


def _distributed(path: Path) -> torch.nn.Module:
    model = small()
    torch.distributed.checkpoint.save({"model": model.state_dict()}, checkpoint_id=path)
    return model


def _cast(dtype: torch.dtype, write: Callable[[Any, Path], None]) -> Callable[[Path], torch.nn.Module]:
    """Weights in another precision, and the model of what they were rounded to."""

    def save(path: Path) -> torch.nn.Module:
        model = small()
        state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()}
        write(state, path)
        model.load_state_dict({k: v.to(torch.float32) if v.is_floating_point() else v for k, v in state.items()})
        return model

    return save


def _safetensors(state: Any, path: Path) -> None:
    safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)


def _traced(path: Path) -> torch.nn.Module:
    model = small()
    torch.jit.trace(model, torch.zeros(1, 3, *SIZE)).save(str(path))
    return model


def _exported(path: Path) -> torch.nn.Module:
    model = small()
    torch.export.save(torch.export.export(model, (torch.zeros(1, 3, *SIZE),)), path)
    return model


def _features(path: Path) -> torch.nn.Module:
    widths = {key: value for key, value in KWARGS.items() if key != "num_classes"}
    model = timm.create_model("swiftformer_xs", features_only=True, **widths).eval()
    references.randomize(model, seed=3)
    torch.save(model.state_dict(), path)
    return model


def _sequential(*layers: str) -> Callable[[Path], torch.nn.Module]:
    """Both heads inside a `Sequential`, beside layers of these names."""

    def write(path: Path) -> torch.nn.Module:
        model = small()
        for name in ("head", "head_dist"):
            setattr(model, name, torch.nn.Sequential(*(getattr(torch.nn, n)() for n in layers), getattr(model, name)))
        torch.save(model.state_dict(), path)
        return model.eval()

    return write


def _arrays(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {key: tensor.numpy() for key, tensor in model.state_dict().items()}


def _npz(path: Path) -> torch.nn.Module:
    model = small()
    arrays: dict[str, Any] = _arrays(model)
    np.savez(path, **arrays)
    return model


def _with_loss(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights of classes are tensors of the loss, which is no part of the network."""
    parts = {"model": model, "criterion": torch.nn.CrossEntropyLoss(weight=torch.ones(SMALL.labels))}
    return torch.nn.ModuleDict(parts).state_dict()


def _tutorial(model: torch.nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return {
        "epoch": 5,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": torch.tensor(0.4),
    }


FORMS = (
    Form("last.pth.tar", "timm `CheckpointSaver` with `ModelEmaV3`", _timm_saver),
    Form("timm", "timm `save_for_hf`", _timm_hub),
    Form("hf", "transformers `save_pretrained`", _hf()),
    Form("hf_sharded", 'transformers `save_pretrained(max_shard_size="40KB")`', _hf(max_shard_size="40KB")),
    Form("hf_backbone", "transformers `SwiftFormerModel.save_pretrained`", _hf_backbone),
    Form("timm_wrapper", "transformers `TimmWrapperForImageClassification`", _timm_wrapper),
    Form("lightning.ckpt", "PyTorch Lightning `Trainer.save_checkpoint`", _lightning),
    Form("tutorial.pt", "the checkpoint of PyTorch's tutorial", _saved(_tutorial)),
    Form("swa.pt", "`torch.optim.swa_utils.AveragedModel`", _averaged),
    Form("parallel.pt", "`torch.nn.DataParallel`", _saved(lambda model: torch.nn.DataParallel(model).state_dict())),
    Form("compiled.pt", "`torch.compile`", _saved(lambda model: torch.compile(model).state_dict())),
    Form("fsdp.pt", "`torch.distributed.fsdp.fully_shard`, gathered", _saved(_fully_sharded)),
    Form("distributed", "`torch.distributed.checkpoint.save`", _distributed),
    Form("float16.pt", "`torch.save`, float16", _cast(torch.float16, torch.save)),
    Form("bfloat16.pt", "`torch.save`, bfloat16", _cast(torch.bfloat16, torch.save)),
    Form("float16.safetensors", "safetensors, float16", _cast(torch.float16, _safetensors)),
    Form("float8_e4m3fn.pt", "`torch.save`, float8_e4m3fn", _cast(torch.float8_e4m3fn, torch.save)),
    Form("float8_e5m2.safetensors", "safetensors, float8_e5m2", _cast(torch.float8_e5m2, _safetensors)),
    Form("features.pt", "timm `create_model(features_only=True)`", _features),
    Form("dropout_head.pt", "a head of `Sequential(Dropout, Linear)`", _sequential("Dropout")),
    Form(
        "set.pt",
        "`torch.save`, a set beside the weights",
        _saved(lambda m: {"state_dict": m.state_dict(), "seen": {1}}),
    ),
    Form(
        "bytes.pt",
        "`torch.save`, names in bytes as Python 2's pickles have them",
        _saved(lambda m: {name.encode(): tensor for name, tensor in m.state_dict().items()}),
    ),
    Form(
        "namespace.pt",
        "`torch.save` of an `argparse.Namespace`",
        _saved(lambda m: argparse.Namespace(epoch=3, weights=m.state_dict())),
    ),
    Form("pairs.pt", "`torch.save`, pairs of names and tensors", _saved(lambda m: list(m.state_dict().items()))),
    Form("loss.pt", "a module that holds the model and its loss", _saved(_with_loss)),
    Form("module.pt", "`torch.save(model)`", _saved(lambda model: model)),
    Form("traced.pt", "`torch.jit.trace(model, x).save`", _traced),
    Form("exported.pt2", "`torch.export.save`", _exported),
    Form("arrays.pt", "`torch.save` of NumPy arrays", _saved(lambda model: {"net": _arrays(model)})),
    Form("arrays.npz", "`numpy.savez`", _npz),
)


def form_cases() -> Iterator[FormCase]:
    """Each form, read or refused and cured, and the logits of what it holds."""
    for key, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "29512"}.items():
        os.environ.setdefault(key, value)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    warnings.filterwarnings("ignore", module="torch")
    try:
        for form in FORMS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, form.name)
                reference = form.write(path)
                checkpoint, read = _opened(path)
            yield FormCase(form.name, form.writer, read, _difference(checkpoint, reference))
    finally:
        torch.distributed.destroy_process_group()


def _opened(path: Path) -> tuple[Checkpoint, str]:
    """A checkpoint of a file, or of what the cure in its refusal makes of the file; and what was read."""
    try:
        checkpoint = Checkpoint.open(path)
    except CheckpointError as refusal:
        cure = _cure(str(refusal), path)
        said = str(refusal).removeprefix(f"{path}: ").partition(";")[0]
        return Checkpoint.open(cure), f"refused: {said.partition(', ')[0]}; read after the cure that it names"
    mapping = checkpoint.source.partition(", ")[2]
    notes = [re.sub(r"\(.*", "", note) for note in checkpoint.notes if "ignored" in note]
    return checkpoint, re.sub(r"'(\S*?)'", r"`\1`", "; ".join([f"{mapping or 'all'}, {checkpoint.key_layout}", *notes]))


def _cure(message: str, path: Path) -> Path:
    """Does what a refusal advises, word by word."""
    new_path = path.with_name("cured.pth")
    if command := re.search(r"python -m (\S+ \S+) FOLDER NEW\.pth", message):
        subprocess.run([sys.executable, "-m", *command[1].split(), path, new_path], check=True, capture_output=True)
        return new_path
    code = re.search(r"torch\.save\(.*?, (?:new_)?path\)", message)
    if code is None:
        raise AssertionError(f"no cure in {message!r}")
    exec(code[0], {"torch": torch, "numpy": np, "path": path, "new_path": new_path})
    return new_path


def _difference(checkpoint: Checkpoint, reference: torch.nn.Module) -> float:
    """The largest error of the logits, or of the feature maps where there are no heads."""
    pictures = images(SIZE, seed=6)
    model = port(checkpoint).model
    ours = model(pictures, training=False)
    with torch.no_grad():
        theirs = reference(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()))
    if isinstance(theirs, list):  # maps of the stages
        from swiftformer_tf.model import SwiftFormerModel

        maps = SwiftFormerModel(checkpoint.config, outputs="hidden_states", share_layers_with=model)
        ours = maps(pictures, training=False)
        stages = [np.asarray(state) for state in ours]
        return max(min(error(mine, expected.numpy().transpose(0, 2, 3, 1)) for mine in stages) for expected in theirs)
    if hasattr(theirs, "last_hidden_state"):
        maps = theirs.last_hidden_state.numpy()
        return error(np.asarray(ours), maps.transpose(0, 2, 3, 1) if maps.ndim == 4 else maps)
    return error(np.asarray(ours), getattr(theirs, "logits", theirs).numpy())
