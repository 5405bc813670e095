"""Photographs as the weights' sources prepare them: sizes worked out by hand, Pillow for the pixels."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.photographs import picture
from support.random_models import pictures

from swiftformer_tf import TRANSFORMS, ConfigError, ImageError, Transform
from swiftformer_tf.images.transform import IMAGENET_MEAN, IMAGENET_STD, MAX_SCALED

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR


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
def test_resize_and_center_crop(
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


def test_a_long_strip_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled as a whole, each of these would take 10 GB."""
    sizes, resize = [], Image.Image.resize

    def measured(self: Image.Image, size: tuple[int, int], *options: Any, **more: Any) -> Image.Image:
        sizes.append(size[0] * size[1])
        return resize(self, size, *options, **more)

    monkeypatch.setattr(Image.Image, "resize", measured)
    for transform in TRANSFORMS.values():
        for photograph in ((1, 60_000), (60_000, 1)):
            assert transform.crop_image(Image.new("RGB", photograph, (9, 8, 7))).tolist() == [[[9, 8, 7]] * 224] * 224
    assert max(sizes) <= MAX_SCALED


@pytest.mark.parametrize("photograph", [(500, 375), (31, 90), (90, 31), (7, 200), (224, 224)])
@pytest.mark.parametrize("name", ["original", "timm"])
def test_of_a_long_strip_the_crop_is_the_same(
    name: str, photograph: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(*photograph)
    whole = TRANSFORMS[name].crop_image(image)
    monkeypatch.setattr("swiftformer_tf.images.transform.MAX_SCALED", 0)
    difference = np.abs(TRANSFORMS[name].crop_image(image).astype(int) - whole)
    assert difference.max() <= 2
    assert difference.mean() < 0.01


def test_the_table_of_sources() -> None:
    rows = {name: (t.size, t.crop, t.interpolation, t.mean, t.std) for name, t in TRANSFORMS.items()}
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert rows == {
        "original": ((224, 224), 0.875, "bicubic", mean, std),
        "timm": ((224, 224), 0.95, "bicubic", mean, std),
        "hf": ((224, 224), None, "bilinear", mean, std),
    }


def test_normalization_in_float64() -> None:
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


IMPOSSIBLE: dict[str, list[Any]] = {
    "size": [(224,), (0, 224), 224, (224.0, 224), (True, 224), None, "224"],
    "crop": [0, -1, 1.01, "0.9", float("nan"), True],
    "crop_mode": ["border", None, 1],
    "backend": ["opencv", None, 1],
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
    with pytest.raises(ConfigError, match=r"^transform\.blur: no such field; the fields are backend, crop, crop_mo"):
        Transform.from_dict({"blur": 1})


def test_a_model_of_one_channel_sees_pillows_gray() -> None:
    """With the average of three means and deviations, as timm's loader takes it."""
    transform = Transform(size=(32, 32), crop=None).for_channels(1)
    image = picture(70, 50)
    expected = np.asarray(image.convert("L").resize((32, 32), BICUBIC))[..., None]
    np.testing.assert_array_equal(transform.crop_image(image), expected)
    assert (transform.mean, transform.std) == (pytest.approx((0.449,)), pytest.approx((0.226,)))


def test_other_channels_are_for_arrays() -> None:
    with pytest.raises(ImageError, match="the model takes 4 channels, which photographs do not have; pass arrays"):
        Transform(size=(32, 32)).for_channels(4).crop_image(picture(70, 50))


@pytest.mark.parametrize("crop", [None, 0.5])
@pytest.mark.parametrize("backend", ["pil", "torchvision"])
def test_a_mask_is_cut_as_its_photograph_is(crop: float | None, backend: Any) -> None:
    """Black and white in blocks: the photograph's edges are the mask's, which has no class in between."""
    mask = np.kron(np.random.default_rng(0).integers(0, 2, (6, 8), np.uint8), np.ones((16, 16), np.uint8))
    transform = Transform(size=(48, 64), crop=crop, interpolation="bilinear", backend=backend)
    seen = transform.crop_image(Image.fromarray(255 * mask).convert("RGB"))[..., 0]
    cut = transform.crop_mask(mask)
    assert cut.shape == (48, 64)
    assert set(np.unique(cut)) == {0, 1}
    assert np.mean((seen > 127) == cut) > 0.97
