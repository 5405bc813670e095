"""PyTorch files made to do harm: nothing is run, inflated or reached that should not be."""

import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.weight_files import GOLDEN, refused, state_dict, tensor, text, torch_zip

from swiftformer_tf.checkpoints import Checkpoint, container
from swiftformer_tf.checkpoints import torch_zip as torch_zip_module

NUMBERS = np.arange(4, dtype="<f4").tobytes()


def test_a_zip_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", state_dict(a=tensor(length=2**24, shape=(2**24,))))
        archive.writestr("archive/data/0", bytes(2**26))
    assert path.stat().st_size < 2**17
    refused(path, r"archive/data.pkl is compressed, to [\d,]+ of [\d,]+ bytes. torch.save does not compress")


def test_a_member_that_claims_to_be_larger_than_the_file(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "liar.pth", state_dict(a=tensor()), _0=NUMBERS)
    data = path.read_bytes()
    # Both sizes in the central directory's entry of the storage.
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"archive/data/0"))
    path.write_bytes(data[: entry + 20] + struct.pack("<II", 2**30, 2**30) + data[entry + 28 :])
    refused(path, "its members are larger than the file|damaged or cut short")


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "secret.pth", state_dict(a=tensor()), _0=NUMBERS)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "archive/data.pkl is encrypted")


def test_two_members_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "twice.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"N.")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("archive/data.pkl", b"N.")
    refused(path, "two of its members have the same name")


def test_a_tensor_larger_than_anything_is_not_made(tmp_path: Path) -> None:
    # One number, repeated by strides of zero.
    huge = tensor(length=1, shape=(2**20, 2**20), strides=(0, 0))
    path = torch_zip(tmp_path / "wide.pth", state_dict(a=huge), _0=NUMBERS[:4])
    refused(path, r"declares 1,099,511,627,776 numbers, but at most 268,435,456 are read")


def test_the_bound_holds_for_safetensors_too(good_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_ELEMENTS", 100)
    refused(good_files["safetensors"], "but at most 100 are read")


def test_a_pickle_larger_than_any_is_not_read(good_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_zip_module, "MAX_PICKLE_BYTES", 100)
    refused(good_files["pth"], "its data.pkl is larger than the 100 bytes that are read")


class Hostile:
    """Calls a function of its choice when unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["top", "model", "tensor", "args"])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"(posix|nt)\.system"),
        (eval, r"(builtins|__builtin__)\.eval"),
        (subprocess.Popen, r"(subprocess|commands)\.Popen"),
        (getattr, r"(builtins|__builtin__)\.getattr"),
        (__import__, r"(builtins|__builtin__)\.__import__"),
    ],
)
def test_code_is_refused_by_name_wherever_it_stands(
    function: Any, name: str, place: str, protocol: int, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    hostile = Hostile(function, f"touch {victim}")
    content = {
        "top": hostile,
        "model": {"model": hostile},
        "tensor": {"model": {"head.weight": hostile}},
        "args": {"model": {}, "args": [hostile]},
    }[place]
    path = torch_zip(tmp_path / "hostile.pth", pickle.dumps(content, protocol))
    refused(path, f"refused: the file asks to call {name}, .* Nothing was run")
    assert not victim.exists()


def test_code_inside_a_parameter_is_refused(tmp_path: Path) -> None:
    evil = b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\ncos\nsystem\n(" + text("true") + b"t}tR"
    refused(torch_zip(tmp_path / "a.pth", state_dict(a=evil)), "refused: the file asks to call os.system")


def test_the_reader_never_loads_pythons_unpickler() -> None:
    """With `pickle.Unpickler` and its like gone, files are read as before."""
    program = (
        "import pickle, _pickle, sys\n"
        "def gone(*a, **k): raise SystemExit('unpickled')\n"
        "from swiftformer_tf.checkpoints import Checkpoint\n"
        "for module in (pickle, _pickle):\n"
        "    for name in ('load', 'loads', 'Unpickler'): setattr(module, name, gone)\n"
        "pickle._Unpickler = gone\n"
        "print(Checkpoint.open(sys.argv[1]).key_layout)\n"
    )
    command = [sys.executable, "-c", program, str(GOLDEN / "training.pth")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "original"


# Tensors that reach where they must not.


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (tensor(offset=1), "a: reaches number 5 of a storage declared as 4 numbers, which has 16 bytes"),
        (tensor(shape=(2, 2), strides=(3, 1)), "a: reaches number 5 "),
        (tensor(length=3, shape=(3,)), "a: .* declared as 3 numbers, which has 16 bytes"),
        (tensor(length=8, shape=(8,)), "a: .* declared as 8 numbers, which has 16 bytes"),
        (tensor(kind="DoubleStorage"), "a: .* declared as 4 numbers, which has 16 bytes"),
        (tensor(offset=-1), "its pickle is damaged .*a tensor's storage"),
        (tensor(strides=(-1,)), "its pickle is damaged .*a tensor's storage"),
        (tensor(shape=(-4,)), "its pickle is damaged"),
        (tensor(shape=(2, 2)), "its pickle is damaged .*a tensor's shape"),
        (tensor(shape=(1,) * 9, strides=(1,) * 9), "its pickle is damaged .*a tensor's shape"),
        (tensor(storage="1"), r"a: its data \(archive/data/1\) is missing from the file"),
        (tensor(storage="../data.pkl"), r"a: its data \(archive/data/../data.pkl\) is missing from the file"),
        (tensor(kind="QInt8Storage"), "a: torch.QInt8Storage numbers are not supported"),
    ],
)
def test_storages_are_bounded(pickled: bytes, message: str, tmp_path: Path) -> None:
    refused(torch_zip(tmp_path / "a.pth", state_dict(a=pickled), _0=NUMBERS), message)


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"N.", "holds no tensors with names: found a NoneType; expected a state dict"),
        (
            b"\x80\x02ctimm.models.swiftformer\nSwiftFormer\n)\x81}b.",
            "holds a timm.models.swiftformer.SwiftFormer, expected",
        ),
        (state_dict(), "holds no tensors with names: found nothing; expected a state dict, by itself or under"),
        (state_dict(epoch=b"K\x01", loss=b"K\x02"), "holds no tensors with names: found epoch, loss"),
        (state_dict(a=tensor(), epoch=b"K\x01"), "epoch: a int where a tensor was expected"),
        (b"\x80\x02" + b"(" * 5, "its pickle is damaged"),
        (b"\x80\x02R.", r"its pickle is damaged \(an empty stack\)"),
        (b"\x80\x02K\x01)R.", r"its pickle is damaged \(a call of int\)"),
        (b"\x80\x02h\x05.", "its pickle is damaged"),
        (b"\x80\x02K\x01K\x02a.", r"its pickle is damaged \(items for int\)"),
        (b"\x80\x02\x82\x01.", r"its pickle is damaged \(instruction EXT1\)"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "its pickle is damaged"),
        (b"\x80\x02c\\q\nos\n.", "its pickle is damaged .*invalid escape sequence"),
        (b"", "its pickle is damaged"),
    ],
)
def test_pickles_that_are_no_state_dict(pickled: bytes, message: str, tmp_path: Path) -> None:
    refused(torch_zip(tmp_path / "a.pth", pickled, _0=NUMBERS), message)


def test_a_pickle_of_tuples_within_tuples_takes_no_time(tmp_path: Path) -> None:
    # Hashing the innermost one would visit 2**200 tuples.
    bomb = b"\x80\x02})" + b"2\x86" * 200 + b"K\x01s."
    refused(torch_zip(tmp_path / "a.pth", bomb), "holds no tensors")


def test_lists_within_lists_take_no_time(tmp_path: Path) -> None:
    # The place of the innermost one would have a million numbers.
    bomb = b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"."
    refused(torch_zip(tmp_path / "a.pth", bomb), "holds no tensors with names: found a list of 1;")


def test_a_memo_index_of_four_billion_takes_no_memory(tmp_path: Path) -> None:
    pickled = b"\x80\x02}r\xff\xff\xff\xff(" + text("a") + tensor() + b"u."
    refused(torch_zip(tmp_path / "a.pth", pickled, _0=NUMBERS), "not a SwiftFormer")


def test_big_endian_files_are_refused(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "a.pth", state_dict(a=tensor()), _0=NUMBERS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/byteorder", b"big")
    refused(path, "written on a big-endian machine")


def test_reading_needs_no_memory_for_what_is_beside_the_point(tmp_path: Path) -> None:
    """A storage that only the optimizer uses may even be missing."""
    source = GOLDEN / "training.pth"
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(tmp_path / "less.pth", "w") as less:
        names = archive.namelist()
        last = max(
            (name for name in names if re.search(r"/data/\d+$", name)), key=lambda name: int(name.split("/")[-1])
        )
        for name in names:
            if name != last:
                less.writestr(name, archive.read(name))
    assert Checkpoint.open(tmp_path / "less.pth").tensors.keys() == Checkpoint.open(source).tensors.keys()


def test_the_helpers_make_files_that_are_read(tmp_path: Path) -> None:
    """Or the refusals above would prove nothing."""
    read = torch_zip_module.read(
        torch_zip(tmp_path / "a.pth", state_dict(a__b=tensor(offset=1, shape=(3,))), _0=NUMBERS)
    )
    assert read.tensors["a.b"].tolist() == [1, 2, 3]
