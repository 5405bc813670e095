"""`tf_model.h5` of transformers 4.x: read as it was written, and nothing else taken for it."""

import contextlib
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
from support.random_models import relative_error
from support.weight_files import GOLDEN, refused

from swiftformer_tf.checkpoints import Checkpoint, hdf5_file
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.porting import port

TF = GOLDEN / "tf"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The golden file, to be changed."""
    return Path(shutil.copy(TF / "tf_model.h5", tmp_path / "tf_model.h5"))


def test_a_port_computes_what_transformers_tensorflow_model_did() -> None:
    opened = Checkpoint.open(TF / "tf_model.h5")
    assert (opened.key_layout, opened.token_weights, opened.token_weights_assumed) == ("hf", "uniform", False)
    assert opened.config.labels == ("class 0", "class 1", "class 2")
    assert (opened.config.depths, opened.config.image_size) == ((2, 1), 32)
    expected = safetensors.numpy.load_file(TF / "expected.safetensors")
    assert relative_error(port(opened).model(expected["images"]), expected["logits"]) < 1e-5
    wrong = port(Checkpoint.open(TF / "tf_model.h5", token_weights="l2")).model
    assert relative_error(wrong(expected["images"]), expected["logits"]) > 0.1


def test_weights_go_on_to_the_other_formats_and_stay_equal(tmp_path: Path) -> None:
    opened = Checkpoint.open(TF / "tf_model.h5")
    opened.save(tmp_path / "x.safetensors")
    again = Checkpoint.open(tmp_path / "x.safetensors")
    assert again.config == opened.config
    assert all(np.array_equal(tensor, again.tensors[key]) for key, tensor in opened.tensors.items())


@pytest.mark.parametrize("scope", ["tf_swift_former_model", "my_model/tf_swift_former_model_3", ""])
def test_the_scopes_of_another_class_make_no_difference(scope: str, copy: Path, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone.h5"
    with h5py.File(copy) as old, h5py.File(backbone, "w") as new:
        body = old["swiftformer/tf_swift_former_for_image_classification/swiftformer"]
        parent = new.require_group(f"swiftformer/{scope}")
        old.copy(body, parent, "swiftformer")
    opened = Checkpoint.open(backbone)
    assert not opened.has_final_norm
    whole = Checkpoint.open(copy)
    assert all(np.array_equal(tensor, whole.tensors[key]) for key, tensor in opened.tensors.items())
    assert len(opened.tensors) == len(whole.tensors) - 8


def test_another_hdf5_file_is_refused_by_what_is_in_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["model_weights/dense/kernel:0"] = np.zeros((2, 2), np.float32)
    message = refused(
        tmp_path / "x.h5", "an HDF5 file with 'model_weights/dense/kernel:0' in it; expected the tf_model.h5"
    )
    assert (
        "Open a whole Keras model with keras.models.load_model(path), and a weights file (.weights.h5) with " in message
    )
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    refused(tmp_path / "empty.h5", "not a SwiftFormer")


def test_a_missing_variable_is_named(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        del file["norm/tf_swift_former_for_image_classification/norm/gamma:0"]
    refused(copy, r"missing \(1\): norm.weight")


def test_two_variables_of_one_name_are_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file["norm/another/norm/gamma:0"] = np.zeros(6, np.float32)
    refused(copy, "two variables map to norm.weight")


def test_what_is_not_stored_in_one_piece_in_the_file_is_not_read(copy: Path, tmp_path: Path) -> None:
    name = "norm/tf_swift_former_for_image_classification/norm/gamma:0"
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(24))
    layout = h5py.VirtualLayout((6,), np.float32)
    layout[:] = h5py.VirtualSource(str(copy), "norm/tf_swift_former_for_image_classification/norm/beta:0", (6,))
    for made in ("compressed", "never written", "external", "virtual"):
        with h5py.File(copy, "r+") as file:
            del file[name]
            if made == "compressed":
                file.create_dataset(name, data=np.zeros(6, np.float32), compression="gzip")
            elif made == "never written":
                file.create_dataset(name, (6,), np.float32)
            elif made == "external":
                file.create_dataset(name, (6,), np.float32, external=[(str(secret), 0, 24)])
            else:
                file.create_virtual_dataset(name, layout)
        refused(copy, "norm/gamma:0: declares 6 numbers but stores")


def test_links_are_not_followed(copy: Path, tmp_path: Path) -> None:
    name = "norm/tf_swift_former_for_image_classification/norm/gamma:0"
    other = shutil.copy(copy, tmp_path / "other.h5")
    for link in (h5py.ExternalLink(str(other), name), h5py.SoftLink(f"/{name.replace('gamma', 'beta')}")):
        with h5py.File(copy, "r+") as file:
            del file[name]
            file[name] = link
        refused(copy, r"missing \(1\): norm.weight")


def test_a_file_larger_than_any_is_not_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swiftformer_tf.checkpoints.container.MAX_ELEMENTS", 100)
    refused(copy, "but at most 100 are read")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_short(share: float, copy: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content[: int(len(content) * share)])
    refused(copy, r"damaged or cut short \(.*\); download or copy it again")


def test_no_flipped_bit_brings_down_the_reader(copy: Path) -> None:
    """A bit in the numbers themselves goes unseen: HDF5 has no checksum over them."""
    content, rng = copy.read_bytes(), np.random.default_rng(0)
    for position in rng.integers(8, len(content), 150):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        copy.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            hdf5_file.read(copy)
