"""Photographs as the weights' sources prepare them: sizes worked out by hand, Pillow for the pixels."""

import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from random_models import pictures

from swiftformer_tf import TRANSFORMS, ConfigError, ImageError, Transform
from swiftformer_tf.preprocessing import IMAGENET_MEAN, IMAGENET_STD, open_image

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(pictures(1, height, width)[0])


@pytest.mark.parametrize(
    ("transform", "photograph", "scaled", "corner"),
    [
        # torchvision's Resize(256): short side 256, long side int(256 * 500 / 375); CenterCrop rounds half to even.
        (TRANSFORMS["original"], (500, 375), (341, 256), (58, 16)),
        (TRANSFORMS["original"], (375, 500), (256, 341), (16, 58)),
        (TRANSFORMS["original"], (256, 256), (256, 256), (16, 16)),
        (TRANSFORMS["original"], (60, 40), (384, 256), (80, 16)),
        # timm: the short side at floor(224 / 0.95).
        (TRANSFORMS["timm"], (500, 375), (313, 235), (44, 6)),
        (TRANSFORMS["timm"], (333, 500), (235, 352), (6, 64)),
        # A target that is not square covers floor(96 / 0.875) x floor(64 / 0.875).
        (Transform(size=(96, 64)), (100, 100), (109, 109), (22, 6)),
        (Transform(size=(96, 64)), (50, 200), (73, 292), (4, 98)),
        (Transform(size=(96, 64), crop=1.0), (64, 96), (64, 96), (0, 0)),
    ],
)
def test_resize_and_centre_crop(
    transform: Transform, photograph: tuple[int, int], scaled: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = picture(*photograph)
    (height, width), (left, top) = transform.size, corner
    expected = image.resize(scaled, BICUBIC).crop((left, top, left + width, top + height))
    np.testing.assert_array_equal(transform.crop_image(image), np.asarray(expected))


@pytest.mark.parametrize("photograph", [(500, 375), (30, 90), (224, 224)])
def test_without_a_crop_the_shape_goes(photograph: tuple[int, int]) -> None:
    image = picture(*photograph)
    expected = np.asarray(image.resize((224, 224), BILINEAR))
    np.testing.assert_array_equal(TRANSFORMS["hf"].crop_image(image), expected)


@pytest.mark.parametrize("photograph", [(1, 500), (500, 1), (3, 2), (1, 1)])
@pytest.mark.parametrize("transform", TRANSFORMS.values())
def test_extreme_shapes_have_the_size_wanted(transform: Transform, photograph: tuple[int, int]) -> None:
    assert transform.crop_image(picture(*photograph)).shape == (224, 224, 3)


def test_the_table_of_sources() -> None:
    rows = {name: (t.size, t.crop, t.interpolation, t.mean, t.std) for name, t in TRANSFORMS.items()}
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert rows == {
        "original": ((224, 224), 0.875, "bicubic", mean, std),
        "timm": ((224, 224), 0.95, "bicubic", mean, std),
        "hf": ((224, 224), None, "bilinear", mean, std),
    }


def test_normalisation_in_float64() -> None:
    pixels = pictures(1, 8, 9)[0]
    expected = (pixels.astype(np.float64) / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    result = TRANSFORMS["original"].normalize(pixels)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)
    back = TRANSFORMS["original"].denormalize(result)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(np.rint(back).astype(np.uint8), pixels)
    np.testing.assert_allclose(back, pixels, atol=1e-4)


def test_a_call_takes_a_picture_or_its_path(tmp_path: Path) -> None:
    image = picture(70, 50)
    image.save(tmp_path / "picture.png")
    transform = Transform(size=(32, 32))
    expected = transform.normalize(transform.crop_image(image))
    assert expected.shape == (32, 32, 3)
    np.testing.assert_array_equal(transform(image), expected)
    np.testing.assert_array_equal(transform(tmp_path / "picture.png"), expected)
    np.testing.assert_array_equal(transform(str(tmp_path / "picture.png")), expected)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, lambda a: np.rot90(a))],
)
def test_exif_rotation(orientation: int, upright: Any, tmp_path: Path) -> None:
    image, exif = picture(12, 8), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "camera.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "camera.png")), upright(np.asarray(image)))


GREY = np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def palette_with_transparency() -> bytes:
    image = picture(6, 4).quantize(8)
    return encoded(image, "png", transparency=bytes([0, 100, 200, 255, 255, 255, 255, 255]))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.fromarray(GREY), "png"), GREY),
        (encoded(Image.fromarray((GREY.astype(np.uint16) << 8) | 7), "png"), GREY),
        (encoded(Image.fromarray(GREY > 127), "png"), np.where(GREY > 127, 255, 0)),
        (encoded(Image.fromarray(np.dstack([GREY, GREY // 2])), "png"), GREY),
    ],
    ids=["grey", "16 bit", "black and white", "grey with alpha"],
)
def test_grey_pictures_become_rgb(data: bytes, expected: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(data)
    np.testing.assert_array_equal(np.asarray(open_image(path)), np.repeat(expected[..., None], 3, axis=-1))


def test_coloured_pictures_of_other_modes_become_rgb(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "jpeg"))
    assert open_image(path).getpixel((1, 1)) == pytest.approx((255, 0, 0), abs=2)
    path.write_bytes(encoded(Image.new("RGBA", (4, 4), (10, 200, 30, 128)), "png"))
    assert open_image(path).getpixel((1, 1)) == (10, 200, 30)
    path.write_bytes(palette_with_transparency())
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGBA"))[..., :3]
    np.testing.assert_array_equal(np.asarray(open_image(path)), expected)


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / "moving.gif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not a picture",
        encoded(picture(64, 64), "jpeg")[:700],
        encoded(picture(64, 64), "png")[:200],
        b"\x89PNG\r\n\x1a\n" + bytes(40),
    ],
    ids=["empty", "text", "cut JPEG", "cut PNG", "empty PNG"],
)
def test_an_unreadable_picture_is_named(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(damage)
    with pytest.raises(ImageError, match=rf"^{re.escape(str(path))}: cannot be read as a picture \(.+\)"):
        open_image(path)


def test_a_missing_picture_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=rf"^{re.escape(str(tmp_path / 'no.jpg'))}: no such file"):
        open_image(tmp_path / "no.jpg")
    with pytest.raises(ImageError, match=rf"^{re.escape(str(tmp_path))}: cannot be read as a picture"):
        open_image(tmp_path)


def test_an_overlarge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    # A BMP header that promises 60,000 x 60,000 pixels.
    header = bytearray(encoded(Image.new("RGB", (2, 2)), "bmp"))
    header[18:26] = (60_000).to_bytes(4, "little") * 2
    (tmp_path / "bomb.bmp").write_bytes(header)
    with pytest.raises(ImageError, match=r"bomb\.bmp: cannot be read as a picture"):
        open_image(tmp_path / "bomb.bmp")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, about the damage
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "tiff", "webp"])
def test_whatever_the_damage_the_error_is_ours(kind: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    whole = encoded(picture(24, 24), kind, **({} if kind == "gif" else {"exif": exif}))
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


IMPOSSIBLE: dict[str, list[Any]] = {
    "size": [(224,), (0, 224), 224, (224.0, 224), (True, 224), None, "224"],
    "crop": [0, -1, 1.01, "0.9", float("nan"), True],
    "interpolation": ["nearest", None, 3, ["bicubic"]],
    "mean": [None, 0.5, ("a",), (float("nan"), 0, 0), (0.5,)],
    "std": [None, (0.2, 0.2, 0), (0.2, 0.2), (-1, 1, 1), (float("inf"), 1, 1)],
}


def test_every_field_has_impossible_values() -> None:
    assert set(IMPOSSIBLE) == {field.name for field in dataclasses.fields(Transform)}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in IMPOSSIBLE for value in IMPOSSIBLE[field]])
def test_an_impossible_value_is_refused_by_name(field: str, value: Any) -> None:
    # Whether mean or std is too short is one question.
    named = "(mean|std)" if value == (0.5,) else field
    with pytest.raises(ConfigError, match=rf"^transform\.{named}=.*expected"):
        Transform(**{field: value})


def test_plain_types_round_trip_and_refuse_strangers() -> None:
    transform = Transform(size=(96, 64), crop=None, mean=(0.5,), std=(0.25,))
    assert transform.to_dict()["size"] == [96, 64]
    assert Transform.from_dict(transform.to_dict()) == transform
    with pytest.raises(ConfigError, match=r"^transform\.blur: no such field; the fields are crop, interpolation"):
        Transform.from_dict({"blur": 1})
