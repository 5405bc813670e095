"""Parity with timm and Hugging Face without either: their weight files, and what they computed with them."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from support.weight_files import GOLDEN

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import TokenWeights
from swiftformer_tf.model import SwiftFormerModel
from swiftformer_tf.porting import port, to_checkpoint

EXPECTED = safetensors.numpy.load_file(GOLDEN / "expected.safetensors")

THRESHOLD = 1e-5
# What the wrong attention type must exceed, or these files could not tell the two apart.
CONTROL = 0.1

CASES: dict[str, tuple[TokenWeights | None, TokenWeights]] = {
    # What the caller says, and what it then is.
    "training.pth": (None, "l2"),
    "training.pth, uniform": ("uniform", "uniform"),
    "strided.pth": (None, "l2"),
    "bfloat16.safetensors": (None, "l2"),
    "float16.bin": (None, "uniform"),
    "shifted.pth": (None, "l2"),
    "hf/model.safetensors": (None, "uniform"),
}


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def logits(name: str, token_weights: TokenWeights | None) -> np.ndarray:
    checkpoint = Checkpoint.open(GOLDEN / name.split(",")[0], token_weights=token_weights)
    return np.asarray(port(checkpoint).model(EXPECTED["images"], training=False))


def test_every_golden_file_is_used() -> None:
    # Those in tf/ are for test_checkpoints_hdf5.py.
    paths = [path.relative_to(GOLDEN) for path in GOLDEN.rglob("*.*") if path.is_file()]
    files = {path.as_posix() for path in paths if path.parts[0] != "tf"}
    # The last two are for test_checkpoints_key_layouts.py and test_images_transform_golden.py.
    others = {"expected.safetensors", "hf/config.json", "legacy.pth", "keys_xs.tsv", "transforms.safetensors"}
    others |= {"original_tiny.pth", "original_tiny.npz"}  # for test_checking.py
    others |= {"cases_fast_processor.npz"}  # for test_cases.py
    others |= {"mmseg/iter_40000.pth", "mmseg/expected.safetensors"}  # for test_segmentation_checkpoints.py
    tested = {name.split(",")[0] for name in CASES} | others
    assert files == tested
    outputs = {name for name in EXPECTED if not name.startswith("hf/hidden_states.")}
    assert outputs == {*CASES, "images"}


def test_the_references_versions_are_recorded() -> None:
    with safetensors.safe_open(GOLDEN / "expected.safetensors", framework="numpy") as file:
        assert set(json.loads(file.metadata()["versions"])) == {"torch", "timm", "transformers"}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_the_references(name: str) -> None:
    said, becomes = CASES[name]
    checkpoint = Checkpoint.open(GOLDEN / name.split(",")[0], token_weights=said)
    assert checkpoint.token_weights == becomes
    assert checkpoint.token_weights_assumed == (checkpoint.key_layout == "original" and said is None)
    assert relative_error(logits(name, said), EXPECTED[name]) <= THRESHOLD


@pytest.mark.parametrize("name", CASES)
def test_the_other_attention_type_is_caught(name: str) -> None:
    other: dict[TokenWeights, TokenWeights] = {"l2": "uniform", "uniform": "l2"}
    assert relative_error(logits(name, other[CASES[name][1]]), EXPECTED[name]) > CONTROL


def test_hidden_states_are_hugging_faces() -> None:
    model = port(Checkpoint.open(GOLDEN / "hf" / "model.safetensors")).model
    states = SwiftFormerModel(model.config, outputs="hidden_states", share_layers_with=model)(
        EXPECTED["images"], training=False
    )
    # The stem, four stages, and two downsamplings: this model has none after its first stage.
    assert len(states) == 7
    for index, state in enumerate(states):
        assert relative_error(np.asarray(state), EXPECTED[f"hf/hidden_states.{index}"]) <= THRESHOLD


@pytest.mark.parametrize("key_layout", ["original", "hf"])
def test_written_back_it_is_the_references_file(key_layout: str, tmp_path: Path) -> None:
    golden = GOLDEN / {"original": "shifted.pth", "hf": "hf/model.safetensors"}[key_layout]
    checkpoint = Checkpoint.open(golden)
    to_checkpoint(port(checkpoint).model, key_layout=checkpoint.key_layout).save(tmp_path / golden.name)
    again = Checkpoint.open(tmp_path / golden.name)
    assert again.config == checkpoint.config
    assert again.tensors.keys() == checkpoint.tensors.keys()
    assert all(np.array_equal(again.tensors[key], tensor) for key, tensor in checkpoint.tensors.items())
