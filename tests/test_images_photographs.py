"""Files of every kind as a photograph viewer shows them, or refused by name."""

import json
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.commands import run
from support.photographs import DEEP, GRAY, PHOTOGRAPH, SHOWN, encoded, picture, rgb

from swiftformer_tf import ImageError
from swiftformer_tf.images.folders import list_images
from swiftformer_tf.images.transform import open_image


@pytest.mark.parametrize("name", SHOWN)
def test_it_looks_as_in_a_viewer(name: str, tmp_path: Path) -> None:
    data, expected, tolerance = SHOWN[name]
    (tmp_path / "picture").write_bytes(data)
    shown = open_image(tmp_path / "picture")
    assert shown.mode == "RGB"
    np.testing.assert_allclose(np.asarray(shown).astype(int), expected, atol=tolerance)


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
    9: lambda a: a,  # no such orientation
}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    return exif


EXACT: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 100, "subsampling": 0},
    "png": {},
    "tiff": {},
    "webp": {"lossless": True},
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", EXACT)
def test_exif_turns_it_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    (tmp_path / "camera").write_bytes(encoded(PHOTOGRAPH, kind, exif=turned(orientation), **EXACT[kind]))
    expected = UPRIGHT[orientation](np.asarray(PHOTOGRAPH)).astype(int)
    np.testing.assert_allclose(np.asarray(open_image(tmp_path / "camera")), expected, atol=6 if kind == "jpeg" else 0)


def test_a_deep_gray_picture_is_turned_too(tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(encoded(Image.fromarray(DEEP), "png", exif=turned(6)))
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "scan")), rgb(np.rot90(GRAY, -1)))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about the damage
@pytest.mark.parametrize("damage", [b"Exif\0\0no TIFF", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*"])
def test_damaged_exif_leaves_the_picture_as_it_lies(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(encoded(PHOTOGRAPH, "png", exif=damage))
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "x.png")), np.asarray(PHOTOGRAPH))


def header_of(width: int, height: int) -> bytes:
    """A BMP that promises so many pixels."""
    header = bytearray(encoded(Image.new("RGB", (2, 2)), "bmp"))
    header[18:26] = struct.pack("<ii", width, height)
    return bytes(header)


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "text": (b"not a picture", "not a format that Pillow knows"),
    "cut JPEG": (encoded(picture(64, 64), "jpeg")[:700], "image file is truncated"),
    "cut PNG": (encoded(picture(64, 64), "png")[:200], "image file is truncated"),
    "no PNG but its name": (b"\x89PNG\r\n\x1a\n" + bytes(40), ""),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which is not supported; save it as JPEG or PNG"),
    "JPEG XL": (b"\xff\x0a\xfa\x1f", "JPEG XL, which is not supported; save it as JPEG or PNG"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG, which is not supported"),
    "PDF": (b"%PDF-1.7\n", "PDF, which is not supported"),
    "bomb": (header_of(60_000, 60_000), "it has more than 178,956,970 pixels; make it smaller"),
    "floats": (
        encoded(Image.fromarray(GRAY.astype(np.float32) / 255), "tiff"),
        "its pixels are floats, whose white level is undefined; save it with 8 or 16 bits",
    ),
    "32 bits that 8 would hold": (
        encoded(Image.fromarray(GRAY.astype(np.int32)), "tiff"),
        "its pixels are 32-bit numbers, whose white level is undefined; save it with 8 or 16 bits",
    ),
    "32 bits": (
        encoded(Image.fromarray(GRAY.astype(np.int32) << 20), "tiff"),
        "its pixels are 32-bit numbers, whose white level is undefined; save it with 8 or 16 bits",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_named_with_the_cure(name: str, tmp_path: Path) -> None:
    data, reason = REFUSED[name]
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    said = f"{path}: cannot be read as a picture ({reason}"
    with pytest.raises(ImageError, match=f"^{re.escape(said)}") as caught:
        open_image(path)
    assert str(caught.value).count(str(path)) == 1


@pytest.fixture
def a_stranger() -> Iterator[None]:
    """Someone else than the owner of the test's files, who alone may read them."""
    if sys.platform == "win32":
        pytest.skip("on Windows, chmod does not keep anyone from reading a file")
    owner = os.geteuid()
    if owner == 0:
        os.seteuid(65534)
    yield
    os.seteuid(owner)


def test_a_file_without_permission_is_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "private.png"
    path.write_bytes(encoded(PHOTOGRAPH, "png"))
    path.chmod(0)
    request.getfixturevalue("a_stranger")
    with pytest.raises(
        ImageError, match=rf"^{re.escape(str(path))}: cannot be read as a picture \(Permission denied\)"
    ):
        open_image(path)


def test_a_missing_picture_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=rf"^{re.escape(str(tmp_path / 'no.jpg'))}: no such file"):
        open_image(tmp_path / "no.jpg")
    with pytest.raises(
        ImageError, match=rf"^{re.escape(str(tmp_path))}: cannot be read as a picture \(Is a directory\)"
    ):
        open_image(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about the damage
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "tiff", "webp"])
def test_whatever_the_damage_the_error_is_ours(kind: str, tmp_path: Path) -> None:
    whole = encoded(picture(24, 24), kind, **({} if kind == "gif" else {"exif": turned(6)}))
    rng = np.random.default_rng(0)
    refused: list[str] = []
    path = tmp_path / "damaged"
    for _ in range(150):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 5):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert open_image(path).mode == "RGB"
        except ImageError as error:
            refused.append(str(error))
    assert all(message.startswith(f"{path}: ") for message in refused)
    assert refused


# In folders.


def test_a_folder_with_the_name_of_a_picture_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "album.jpg" / "1.png").write_bytes(encoded(PHOTOGRAPH, "png"))
    assert list_images(tmp_path) == [tmp_path / "album.jpg" / "1.png"]


@pytest.mark.parametrize("suffix", ["heic", "HEIF", "svg", "jxl", "eps", "EMF"])
def test_pictures_that_would_be_left_out_in_silence_are_refused(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encoded(PHOTOGRAPH, "png"))
    (tmp_path / f"2.{suffix}").write_bytes(b"")
    said = f"{tmp_path / f'2.{suffix}'}: an image format that is not supported; save it as JPEG or PNG"
    with pytest.raises(ImageError, match=f"^{re.escape(said)}$"):
        list_images(tmp_path)


def test_a_link_to_nothing_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "moved.jpg")
    (path,) = list_images(tmp_path)
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        open_image(path)


def test_predict_takes_them_all(saved: Path, tmp_path: Path) -> None:
    for index, (data, _, _) in enumerate(SHOWN.values()):
        (tmp_path / f"{index}").write_bytes(data)
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    result = run("predict", saved, *paths, "--json")
    assert result.exit_code == 0, result.output
    assert [each["image"] for each in json.loads(result.stdout)] == paths
