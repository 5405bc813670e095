"""Weight files that are damaged, hostile, incomplete or something else: a clear error, and nothing lost."""

import contextlib
import gzip
import pickle
import random
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from support.weight_files import GOLDEN, SMALL, random_checkpoint, random_tensors, refused

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints import torch_zip as torch_zip_module
from swiftformer_tf.checkpoints.key_layouts import from_canonical
from swiftformer_tf.errors import CheckpointError

NUMBERS = np.arange(4, dtype="<f4").tobytes()


# Files that are no weight file at all.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"GIF89a", "not a weight file; expected a PyTorch file"),
        (b"\x00" * 100, "not a weight file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n" + b"\x00" * 50, r"damaged or cut short"),
        (pickle.dumps({"a": 1}), r"a bare pickle, not written by PyTorch, .*torch.from_numpy\(array\)"),
        (gzip.compress(b"a", mtime=0), "compressed with gzip; decompress it first"),
        (b"PK\x05\x06" + b"\x00" * 18, "not a weight file"),
    ],
)
def test_not_a_weight_file(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    refused(path, message)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.pth", "no such file")
    refused(tmp_path, "a folder without weights; expected one of model.safetensors, model.safetensors.index.json, ")


def test_unreadable_file(good_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    refused(good_files["pth"], r"cannot be read \(Permission denied\)")


def test_a_real_file_of_pytorch_before_1_6() -> None:
    refused(GOLDEN / "legacy.pth", "a bare pickle, as PyTorch wrote before version 1.6")


def test_other_zip_archives(tmp_path: Path) -> None:
    for name, members, message in (
        (
            "model.keras",
            ("config.json", "model.weights.h5"),
            "a zip archive, but a Keras model; rename it to end in .keras",
        ),
        ("photos.zip", ("a.jpg",), "a zip archive, but not a PyTorch file"),
        ("script.pt", ("script/data.pkl", "script/constants.pkl"), "a TorchScript program"),
        ("two.pth", ("a/data.pkl", "b/data.pkl"), "not a PyTorch file: expected one data.pkl"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in members:
                archive.writestr(member, b"N.")
        refused(tmp_path / name, message)


# Damage on the way.


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_cut_short(suffix: str, share: float, good_files: dict[str, Path]) -> None:
    data = good_files[suffix].read_bytes()
    good_files[suffix].write_bytes(data[: int(len(data) * share)])
    refused(good_files[suffix], "damaged or cut short|not a weight file")


def test_a_flipped_bit_in_the_numbers_is_found(good_files: dict[str, Path]) -> None:
    data = bytearray(good_files["pth"].read_bytes())
    with zipfile.ZipFile(good_files["pth"]) as archive:
        member = archive.getinfo("archive/data/5")
    data[member.header_offset + 30 + len(member.filename) + 3] ^= 1
    good_files["pth"].write_bytes(data)
    refused(good_files["pth"], "damaged or cut short .*Bad CRC-32 for file 'archive/data/5'")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_no_flipped_bit_brings_down_the_reader(suffix: str, good_files: dict[str, Path]) -> None:
    """safetensors has no checksum, so a flipped bit in a number may pass there; in a zip it may not."""
    good, generator = good_files[suffix].read_bytes(), random.Random(0)
    whole = Checkpoint.open(good_files[suffix])
    for _ in range(300):
        data = bytearray(good)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        good_files[suffix].write_bytes(data)
        try:
            found = Checkpoint.open(good_files[suffix])
        except CheckpointError:
            continue
        assert found.config.depths == whole.config.depths
        if suffix == "pth":
            assert all(np.array_equal(found.tensors[key], x) for key, x in whole.tensors.items())


def test_no_change_to_the_pickle_brings_down_the_reader(tmp_path: Path) -> None:
    """With a right checksum, unlike a flipped bit: what somebody might craft."""
    with zipfile.ZipFile(GOLDEN / "training.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, generator = next(name for name in members if name.endswith("data.pkl")), random.Random(0)
    for _ in range(60):
        data = bytearray(members[name])
        for _ in range(generator.randrange(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with zipfile.ZipFile(tmp_path / "mutant.pth", "w") as archive:
            for member, content in members.items():
                archive.writestr(member, bytes(data) if member == name else content)
        with contextlib.suppress(CheckpointError):
            Checkpoint.open(tmp_path / "mutant.pth")


# Weights that are not those of a SwiftFormer, or not all of them.


def save(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    safetensors.numpy.save_file(tensors, path)
    return path


def test_everything_that_does_not_fit_is_listed_under_the_files_own_names(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    names = from_canonical(tensors, "original")
    renamed = {names[key]: tensor for key, tensor in tensors.items()}
    del renamed["network.0.1.attn.Proj.weight"], renamed["patch_embed.4.running_var"]
    renamed["head.extra"] = np.zeros(1, np.float32)
    renamed["network.2.0.linear.fc2.weight"] = np.zeros((6, 23, 1, 1), np.float32)
    message = refused(save(tmp_path / "a.safetensors", renamed), "96 tensors, but the architecture that they imply has")
    assert "missing (2): patch_embed.4.running_var, network.0.1.attn.Proj.weight;" in message
    assert "unexpected (1): head.extra;" in message
    assert "mis-shaped (1): network.2.0.linear.fc2.weight is (6, 23, 1, 1), expected (6, 24, 1, 1)" in message


def test_long_lists_are_cut(tmp_path: Path) -> None:
    dropped = ("stages.0.blocks.0.pw", "stages.0.blocks.0.norm", "stages.1.downsample.norm", "stem.4")
    tensors = {key: x for key, x in random_tensors(SMALL).items() if not key.startswith(dropped)}
    assert re.search(r"missing \(16\): .* and 8 more", refused(save(tmp_path / "a.safetensors", tensors), "missing"))


@pytest.mark.parametrize(
    "key", ["stem.0.weight", "stages.0.blocks.1.attn.w_g", "stages.1.blocks.0.linear.fc1.weight", "head.weight"]
)
def test_a_tensor_that_tells_the_architecture_is_missing(key: str, tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    del tensors[key]
    refused(save(tmp_path / "a.safetensors", tensors), f"missing: {key}, from which the architecture is read")


@pytest.mark.parametrize("module", ["stages.1.blocks", "stages.0.blocks.1"])
def test_a_stage_or_a_block_is_missing(module: str, tmp_path: Path) -> None:
    config = SMALL.replace(depths=(3, 1, 1), embed_dims=(4, 4, 4), downsamples=(True, True, True))
    tensors = {key: x for key, x in random_tensors(config).items() if not key.startswith(module)}
    refused(save(tmp_path / "a.safetensors", tensors), rf"missing: {module}(.0)?, although later blocks are there")


def test_one_high_number_does_not_imply_a_huge_model(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    tensors |= {
        key.replace("blocks.1.", "blocks.999999."): x for key, x in tensors.items() if "stages.0.blocks.1." in key
    }
    refused(save(tmp_path / "a.safetensors", tensors), "missing: stages.0.blocks.2, although")


def test_names_in_messages_are_fit_for_a_terminal(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    tensors["\x1b[2J\n\udc80" + "x" * 10_000] = np.zeros(1, np.float32)
    torch_zip_module.write(tmp_path / "a.pth", tensors, None, None)
    message = refused(tmp_path / "a.pth", r"unexpected \(1\): \\x1b\[2J\\n\\udc80x+\.\.\.$")
    assert len(message) < 2000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_numbers_that_are_not_finite(value: float, suffix: str, tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    tensors["head.bias"][1] = value
    path = tmp_path / f"a.{suffix}"
    if suffix == "pth":
        torch_zip_module.write(path, tensors, "model", None)
    else:
        save(path, tensors)
    refused(path, r"not finite in float32 \(1\): head.bias")


def test_a_float64_beyond_float32(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    tensors["norm.bias"] = np.full(6, 1e300)
    refused(save(tmp_path / "a.safetensors", tensors), r"not finite in float32 \(1\): norm.bias")


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    tensors["head.weight"] = tensors["head.weight"].astype(np.int8)
    refused(save(tmp_path / "a.safetensors", tensors), "head.weight: int8 numbers, expected floating point")


def test_detection_backbones_and_other_networks(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL.replace(id2label={}), final_norm=False)
    renamed = {name: tensors[key] for key, name in from_canonical(tensors, "original").items()}
    renamed["norm0.weight"] = np.ones(4, np.float32)
    refused(save(tmp_path / "a.safetensors", renamed), "a backbone for detection or segmentation: it has norm0")
    other = {"conv1.weight": np.ones((2, 3, 7, 7), np.float32), "fc.bias": np.ones(2, np.float32)}
    refused(save(tmp_path / "b.safetensors", other), "not a SwiftFormer: .* found 2 keys")


def test_a_damaged_configuration_in_the_file(tmp_path: Path) -> None:
    for record, message in (
        ("{", "the configuration is not JSON"),
        ('{"model_type": "swiftformer", "depths": 3}', "depths=3"),
    ):
        torch_zip_module.write(tmp_path / "a.pth", random_tensors(SMALL), "model", record)
        refused(tmp_path / "a.pth", message)


def test_a_damaged_config_json_beside_the_file(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "hf", tmp_path / "hf")
    for content, message in (("{", "is not JSON"), ('{"model_type": "swiftformer", "depths": 3}', "depths=3")):
        (tmp_path / "hf" / "config.json").write_text(content)
        refused(tmp_path / "hf" / "model.safetensors", f"config.json beside it.*{message}")


# Checkpoints made by hand, and saving.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.bias": np.zeros(3, np.float32)}, r"mis-shaped \(1\): head.bias is \(3,\), expected \(2,\)"),
        ({"head.bias": np.zeros(2, np.float64)}, "head.bias: float64, expected float32"),
        ({"head.bias": np.full(2, np.nan, np.float32)}, r"not finite in float32 \(1\): head.bias"),
        ({"tail.bias": np.zeros(2, np.float32)}, r"unexpected \(1\): tail.bias"),
    ],
)
def test_a_checkpoint_checks_itself(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(tensors={**random_tensors(SMALL), **change}, config=SMALL)


def test_names_of_choices_are_checked(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="key_layout='keras': expected one of original, hf, timm"):
        random_checkpoint(key_layout="keras")
    with pytest.raises(CheckpointError, match="key_layout='keras': expected one of original, hf, timm"):
        random_checkpoint().save(tmp_path / "a.pth", key_layout="keras")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="dtype='int8': expected one of float32, float16"):
        random_checkpoint().save(tmp_path / "a.pth", dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"a.onnx: expected a name ending in .safetensors or .pth, .pt, .bin"):
        random_checkpoint().save(tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_saving_into_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*/no'$"):
        random_checkpoint().save(tmp_path / "no" / "a.pth")


def test_float16_must_hold_the_values(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    tensors["norm.running_var"][0] = 1e6
    with pytest.raises(
        CheckpointError, match=r"norm.running_var: has values that float16 cannot represent; " r"write float32"
    ):
        Checkpoint(tensors=tensors, config=SMALL).save(tmp_path / "a.safetensors", dtype="float16")
    assert list(tmp_path.iterdir()) == []
