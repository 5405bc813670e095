"""What people's weight files hold beside and instead of plain tensors: inert values, modules, float8, programs, parts.

The kinds are those of public reports; the files are made here in the form in which PyTorch writes them.
"""

import collections
import datetime
import enum
import json
import pathlib
import random
import re
import zipfile
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from support.weight_files import TENSORS, Module, holds, refused, torch_save, torch_zip

from swiftformer_tf.checkpoints import Checkpoint

# What training files hold beside.


class Precision(enum.Enum):
    """A user's own, which is pickled as a call of its class with its value."""

    HALF = "half"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise AssertionError("called by a file")


class Speed(enum.IntEnum):
    """An enumeration of numbers."""

    FAST = 1


class Mode:
    """Pickled by its name alone, as an instance of a class of the user's."""


@pytest.mark.parametrize("protocol", range(2, 6))
def test_inert_values_are_passed_over_under_both_of_pythons_names(protocol: int, tmp_path: Path) -> None:
    content = {
        "state_dict": TENSORS,
        "sets": [{"head"}, frozenset("a"), range(3), slice(1), complex(1, 2), bytearray(b"a"), b"a", object],
        "kinds": [collections.Counter("a"), collections.deque([1]), collections.defaultdict(list), Fraction(1, 2)],
        "times": [
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
            datetime.timedelta(1),
            datetime.UTC,
            datetime.time(1),
        ],
        "places": [pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a")],
        "numbers": [np.float64(0.5), np.bool_(True), np.dtype("f4"), np.float32],
        "random": [np.random.default_rng(0), random.Random(0)],
        "iterators": [iter([1]), enumerate([1]), reversed([1]), type(None), re.compile("a")],
        "mode": Mode(),
    }
    assert holds(Checkpoint.open(torch_save(tmp_path / "a.pt", content, protocol)))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_users_enumeration_is_passed_over_and_not_called(protocol: int, tmp_path: Path) -> None:
    content = {"model": TENSORS, "args": {"precision": Precision.HALF, "speed": Speed.FAST}}
    path = torch_save(tmp_path / "a.pt", content, protocol)
    # Called with this value, it would tell.
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"half", b"none"))
    assert holds(Checkpoint.open(path))


@pytest.mark.parametrize("call", [b"csteps\nrun\n(X\x01\x00\x00\x00xtR", b"chttp\nHTTPStatus\n(K\xc8tR"])
def test_other_calls_are_refused_with_a_cure_that_runs_on_the_file(call: bytes, tmp_path: Path) -> None:
    """A function by its name, and what the standard library has, where nobody can tell what a call does."""
    message = refused(torch_zip(tmp_path / "a.pt", b"\x80\x02" + call + b"."), "refused: the file asks to call ")
    assert "torch.save(torch.load(path, weights_only=False)['model'], new_path)" in message


def test_whole_modules_get_the_message_made_for_them(tmp_path: Path) -> None:
    path = torch_save(tmp_path / "a.pt", {"epoch": 1, "run": {"model": Mode()}})
    message = refused(path, r"'run.model' is a whole test_checkpoints_values.Mode, expected a state dict")
    assert "torch.load(path, weights_only=False)['run']['model'].state_dict(), new_path" in message
    message = refused(
        torch_save(tmp_path / "b.pt", Mode()), "holds a test_checkpoints_values.Mode, expected a state dict"
    )
    assert "torch.save(torch.load(path, weights_only=False).state_dict(), new_path)" in message


def test_a_whole_module_beside_an_optimizer_is_the_one_that_is_named(tmp_path: Path) -> None:
    optimizer = {"state": {0: {"exp_avg": np.zeros(2, np.float32)}}}
    path = torch_save(tmp_path / "a.pt", {"args": Mode(), "runs": [{"model": Module()}], "optimizer": optimizer})
    message = refused(path, r"'runs.0.model' is a whole support.weight_files.Module, expected a state dict")
    assert "torch.load(path, weights_only=False)['runs'][0]['model'].state_dict(), new_path" in message
    # Another network's weights are still what they are, whatever stands beside them.
    other = {"args": Mode(), "model": {"conv1.weight": np.zeros(2, np.float32)}}
    refused(torch_save(tmp_path / "b.pt", other), "not a SwiftFormer: expected keys")


def test_arrays_of_numpy_are_named_with_a_cure_that_runs_as_it_stands(tmp_path: Path) -> None:
    """`make parity` runs it, see `convert/forms.py`."""
    content = {"net": {"ema": {key: tensor.astype(np.int16) for key, tensor in TENSORS.items()}}}  # no tensors there
    message = refused(torch_save(tmp_path / "a.pt", content), "a NumPy array where a tensor was expected")
    assert "for key, value in torch.load(path, weights_only=False)['net']['ema'].items()}, new_path)" in message


# Precisions.


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_float8_is_widened(name: str, tmp_path: Path) -> None:
    kind = np.dtype(getattr(ml_dtypes, name))
    small = {key: tensor.astype(kind) for key, tensor in TENSORS.items()}
    code = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}[name]
    ends = np.cumsum([0, *(tensor.size for tensor in small.values())]).tolist()
    header = {
        key: {"dtype": code, "shape": tensor.shape, "data_offsets": (start, end)}
        for (key, tensor), start, end in zip(small.items(), ends, ends[1:], strict=False)
    }
    text = json.dumps(header).encode()
    data = b"".join(tensor.tobytes() for tensor in small.values())
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert holds(Checkpoint.open(path), {key: x.astype(np.float32) for key, x in small.items()})


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("_rebuild_qtensor", "quantized by PyTorch; save the state dict of the float model"),
        ("_rebuild_sparse_tensor", r"a sparse tensor; save its \.to_dense\(\)"),
        ("_rebuild_meta_tensor_no_storage", "on the device 'meta', so it has no data"),
    ],
)
def test_other_kinds_of_tensors_are_named(call: str, reason: str, tmp_path: Path) -> None:
    key = b"X\x0d\x00\x00\x00norm.attn.w_g"
    pickled = b"\x80\x02}" + key + f"ctorch._utils\n{call}\n".encode() + b")Rs."
    refused(torch_zip(tmp_path / "a.pt", pickled), f"norm.attn.w_g: {reason}")


# Other things that PyTorch writes.


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            (".metadata", "__0_0.distcp"),
            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER NEW.pth makes one",
        ),
        (("mp_rank_00_model_states.pt",), r"DeepSpeed split into parts; .*: python zero_to_fp32.py FOLDER NEW_FOLDER"),
        (("checkpoint-500/model.safetensors",), "a folder without weights; .* there are some in checkpoint-500"),
    ],
)
def test_folders_of_parts(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    refused(tmp_path, message)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("constants.pkl", r"a TorchScript program; with PyTorch, torch.save\(torch.jit.load\(path\).state_dict\(\)"),
        ("archive_format", r"a program of torch.export; with PyTorch, torch.save\(dict\(torch.export.load\(path\)"),
        ("serialized_exported_program.json", "a program of torch.export"),
    ],
)
def test_programs_are_told_before_their_compressed_code(member: str, message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"N." * 100)
        archive.writestr(f"a/{member}", b"x" * 100)
    refused(tmp_path / "a.pt", message)
