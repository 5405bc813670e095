"""Weights within what Python has instead of a dict, and beside what training leaves there.

Every file is the weights of `support.weight_files.TENSORS` in another container, so the right value is these tensors to
the last bit. The containers were first written by PyTorch 2.15, torchmetrics 1.9 and `torch.compile`, whose bytes
`torch_save` repeats.
"""

import argparse
import collections
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.weight_files import (
    SMALL,
    TENSORS,
    Module,
    holds,
    random_checkpoint,
    refused,
    text,
    torch_save,
    torch_zip,
)

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.saving import save_folder

AVERAGED = {key: tensor * 2 for key, tensor in TENSORS.items()}


class Box(dict):
    """A dict with other manners, as configuration libraries have them."""


class Ordered(collections.OrderedDict):
    """Pickled as a call of its class."""


class Called(dict):
    """Pickled as a call of its class with what it holds, as mmengine's `ConfigDict`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class Slots:
    """An instance without a `__dict__`."""

    __slots__ = ("model",)

    def __init__(self, model: Any) -> None:
        self.model = model


class Run(NamedTuple):
    """A tuple with names."""

    model: Any
    epoch: int


class Settings:
    """Has a class within."""

    class Mode(Box):
        """Pickled below protocol 4 as an attribute of the class around it."""


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({key.encode(): tensor for key, tensor in TENSORS.items()}, ""),
        ({b"model": TENSORS}, "model"),
        (list(TENSORS.items()), ""),
        (collections.defaultdict(dict, model=TENSORS), "model"),
        (collections.defaultdict(None, TENSORS), ""),
        (collections.UserDict(TENSORS), "data"),
        (argparse.Namespace(model=TENSORS, epoch=3), "model"),
        (types.SimpleNamespace(net=types.SimpleNamespace(ema=TENSORS)), "net.ema"),
        (collections.deque([TENSORS]), "0"),
        (Box(model=Box(TENSORS)), "model"),
        (Ordered(model=Ordered(TENSORS)), "model"),
        (Called(model=Called(TENSORS)), "model"),
        (Slots(TENSORS), "model"),
        (Run(TENSORS, 3), "0"),
        ({"model": TENSORS, "settings": Settings.Mode(a=1), "method": [].append}, "model"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_holds_the_weights_is_looked_into(content: Any, name: str, protocol: int, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", content, protocol))
    assert holds(checkpoint)
    assert checkpoint.source.endswith(f"a.pt, {name!r}" if name else "a.pt")
    assert checkpoint.notes == ()


def test_names_of_bytes_choose_as_others_do(tmp_path: Path) -> None:
    path = torch_save(tmp_path / "a.pt", {b"state_dict": TENSORS, b"state_dict_ema": AVERAGED})
    assert holds(Checkpoint.open(path), AVERAGED)
    assert holds(Checkpoint.open(path, weights="state_dict"))


def test_a_cure_says_attributes_as_attributes(tmp_path: Path) -> None:
    path = torch_save(tmp_path / "a.pt", argparse.Namespace(runs=[{"net": Module()}]))
    message = refused(path, r"'runs.0.net' is a whole support.weight_files.Module, expected a state dict")
    assert "torch.load(path, weights_only=False).runs[0]['net'].state_dict(), new_path" in message


def test_what_has_no_names_is_said_to_have_none(tmp_path: Path) -> None:
    start = "holds no tensors with names: found "
    refused(torch_save(tmp_path / "a.pt", TENSORS["head.bias"]), f"{start}one tensor; expected a state dict")
    refused(torch_save(tmp_path / "b.pt", argparse.Namespace(lr=0.1)), f"{start}a argparse.Namespace of lr; expected")
    numbered = {np.str_(key): tensor for key, tensor in TENSORS.items()}
    refused(torch_save(tmp_path / "c.pt", numbered), "not a SwiftFormer: .*multiarray.scalar")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (b"ctorch._dynamo.eval_frame\nOptimizedModule\n(ctimm.models.swiftformer\nSwiftFormer\n)\x81}", "timm.models"),
        (b"ctorch.fx.graph_module\nreduce_graph_module\n(}", r"torch\.fx\.GraphModule"),
    ],
)
def test_compiled_and_traced_modules_are_whole_modules(call: bytes, name: str, tmp_path: Path) -> None:
    parameters = text("_parameters") + b"}s"
    built = b"b" if b"Optimized" in call else b""
    path = torch_zip(tmp_path / "a.pt", b"\x80\x02" + call + parameters + built + b"}tR.")
    refused(path, rf"holds a {name}[\w.]*, expected a state dict; with PyTorch, torch.save\(torch.load")


def test_a_method_that_is_called_is_refused_by_its_name(tmp_path: Path) -> None:
    call = b"c__builtin__\ngetattr\ncos\npath\n" + text("system") + b"\x86R" + text("true") + b"\x85R."
    refused(torch_zip(tmp_path / "a.pt", b"\x80\x02" + call), r"refused: the file asks to call os\.path\.system")


def test_distributed_tensors_are_named_with_their_cure(tmp_path: Path) -> None:
    """As `fully_shard` leaves them in a state dict: a call within a call."""
    call = b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_wrapper_subclass\n"
    call += b"ctorch.distributed.tensor\nDTensor\n)}tR"
    pickled = b"\x80\x02}" + text("norm.attn.w_g") + call + b"s."
    message = refused(torch_zip(tmp_path / "a.pt", pickled), "norm.attn.w_g: a tensor of a subclass, such as a distr")
    assert ".full_tensor()" in message


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp"])
def test_one_file_of_a_folder_of_parts(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x02")
    refused(tmp_path / name, "one file of a checkpoint in parts, as torch.distributed.checkpoint writes it; .*FOLDER")


# Beside the weights.


def test_what_metrics_and_losses_keep_is_passed_over_by_name(tmp_path: Path) -> None:
    """torchmetrics' states that were made persistent, in a Lightning module with two losses."""
    beside = {
        "accuracy.tp": np.ones(2, np.int64),
        "matrix.confmat": np.ones((2, 2), np.int64),
        "seen.mask": np.ones(2, bool),
        "ce_loss.weight": np.ones(2, np.float32),
        "train.Loss.weight": np.ones(2, np.float32),
        "bce.pos_weight": np.ones(2, np.float32),
    }
    content = {"state_dict": {"model." + key: tensor for key, tensor in TENSORS.items()} | beside, "ema": AVERAGED}
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", content), weights="state_dict")
    assert holds(checkpoint)
    passed = "accuracy.tp, matrix.confmat, seen.mask, ce_loss.weight, train.Loss.weight, bce.pos_weight"
    assert checkpoint.notes[-1] == f"ignored, since they are not weights: {passed}"
    # Likewise in a class made of the model's own.
    inherited = Checkpoint.open(torch_save(tmp_path / "c.pt", TENSORS | beside))
    assert holds(inherited)
    assert inherited.notes == checkpoint.notes[-1:]
    # A floating-point tensor that is no loss's is another module: a normalization, say, without which answers differ.
    content["state_dict"]["mean"] = np.ones(3, np.float32)
    refused(torch_save(tmp_path / "b.pt", content), r"next to tensors of another module \(1\): mean; with")


def test_names_for_another_number_of_outputs_are_told(tmp_path: Path) -> None:
    save_folder(random_checkpoint(SMALL.replace(token_weights="uniform")), tmp_path / "a", layout="hf")
    told = "the configuration names 2 classes, the head has 3: they are numbered"
    weights = TENSORS | {f"{head}.weight": np.ones((3, 6), np.float32) for head in ("head", "head_dist")}
    weights |= {f"{head}.bias": np.ones(3, np.float32) for head in ("head", "head_dist")}
    three = Checkpoint(tensors=weights, config=SMALL.replace(id2label=dict(enumerate("abc")), token_weights="uniform"))
    three.save(tmp_path / "a" / "b.pth", key_layout="hf")
    checkpoint = Checkpoint.open(tmp_path / "a" / "b.pth")
    assert (checkpoint.config.labels, checkpoint.notes) == (("LABEL_0", "LABEL_1", "LABEL_2"), (told,))
    assert Checkpoint.open(tmp_path / "a").notes == ()


@pytest.mark.parametrize("layer", ["fc.1", "classifier.head"])
def test_a_classifier_within_a_sequential_of_another_name_gets_the_cure(layer: str, tmp_path: Path) -> None:
    tensors = {
        key.replace("head.", f"{layer}."): tensor for key, tensor in TENSORS.items() if not key.startswith("head_dist.")
    }
    message = refused(torch_save(tmp_path / "a.pt", tensors), rf"unexpected \(2\): {layer}.weight, {layer}.bias; if")
    assert f"key.replace('{layer}.', 'head.')" in message
