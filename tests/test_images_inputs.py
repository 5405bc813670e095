"""Images in every form that a caller may have them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.random_models import pictures

from swiftformer_tf import ImageError, Transform
from swiftformer_tf.images.inputs import image_inputs

TRANSFORM = Transform(size=(24, 32))
PIXELS = pictures(3, 24, 32)


def inputs(images: Any, *, raw: bool = False) -> np.ndarray:
    results = list(image_inputs(images, TRANSFORM, raw=raw))
    assert all(each.shape == (1, 24, 32, 3) and each.dtype == np.float32 for each in results)
    return np.concatenate(results)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "b" / "1.png", tmp_path / "a" / "2.png", tmp_path / "3.png"]
    for path, picture in zip(paths, pictures(3, 40, 50), strict=True):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    return paths


@pytest.mark.parametrize("raw", [False, True])
def test_files_go_through_the_transform(photographs: list[Path], raw: bool) -> None:
    expected = np.stack([TRANSFORM.crop_image(Image.open(path)) for path in photographs])
    expected = expected.astype(np.float32) if raw else TRANSFORM.normalize(expected)
    np.testing.assert_array_equal(inputs(photographs, raw=raw), expected)
    np.testing.assert_array_equal(inputs([str(path) for path in photographs], raw=raw), expected)
    # A folder gives the same files, sorted by path.
    np.testing.assert_array_equal(inputs(photographs[2].parent, raw=raw), expected[[2, 1, 0]])


def generated() -> Iterator[np.ndarray]:
    yield from PIXELS


@pytest.mark.parametrize(
    "images",
    [PIXELS, list(PIXELS), [PIXELS[:2], PIXELS[2:]], PIXELS.astype(np.uint8), [(picture, 7) for picture in PIXELS]],
    ids=["array", "list", "batches", "uint8", "with labels"],
)
def test_uint8_is_pixels(images: Any) -> None:
    np.testing.assert_array_equal(inputs(images), TRANSFORM.normalize(PIXELS))
    np.testing.assert_array_equal(inputs(images, raw=True), PIXELS.astype(np.float32))


def test_a_generator_is_read_once() -> None:
    np.testing.assert_array_equal(inputs(generated()), TRANSFORM.normalize(PIXELS))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_normalized_pixels(dtype: Any) -> None:
    normalized = TRANSFORM.normalize(PIXELS).astype(dtype)
    np.testing.assert_array_equal(inputs(normalized), normalized.astype(np.float32))
    np.testing.assert_allclose(inputs(normalized, raw=True), PIXELS, atol=0.2 if dtype == np.float16 else 1e-3)


def test_one_image_counts_as_a_batch_of_one() -> None:
    np.testing.assert_array_equal(inputs(PIXELS[0]), TRANSFORM.normalize(PIXELS[:1]))


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("labeled", [False, True])
def test_a_tensorflow_dataset(batched: bool, labeled: bool) -> None:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((PIXELS, [0, 1, 2]) if labeled else PIXELS)
    if batched:
        dataset = dataset.batch(2)
    np.testing.assert_array_equal(inputs(dataset), TRANSFORM.normalize(PIXELS))


def test_images_are_read_one_at_a_time(photographs: list[Path]) -> None:
    iterator = image_inputs([photographs[0], "missing.png"], TRANSFORM)
    assert next(iterator).shape == (1, 24, 32, 3)
    with pytest.raises(ImageError, match=r"^missing\.png: no such file"):
        next(iterator)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (PIXELS[:0], "no images: the array, dataset or list is empty"),
        ([], "no images: the array, dataset or list is empty"),
        (iter(()), "no images: the array, dataset or list is empty"),
        (pictures(1, 32, 24), "an image of shape (32, 24, 3): expected (24, 32, 3); resize it, or give its file"),
        (PIXELS[..., :1], "an image of shape (24, 32, 1): expected (24, 32, 3)"),
        (PIXELS[..., 0, 0], "an array of shape (3, 24): expected (N, height, width, channels) or one image"),
        ([np.float32(3)], "an array of shape (): expected"),
        (PIXELS[None], "an array of shape (1, 3, 24, 32, 3): expected"),
        (PIXELS.astype(np.int32), "an image of type int32: expected uint8 pixels or normalized floats"),
        (PIXELS > 5, "an image of type bool: expected uint8 pixels or normalized floats"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, message: str) -> None:
    with pytest.raises(ImageError, match=re.escape(message)):
        inputs(images)


def test_an_empty_folder_and_a_missing_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=re.escape(f"{tmp_path}: no photographs in this folder")):
        inputs(tmp_path)
    with pytest.raises(ImageError, match=re.escape(f"{tmp_path / 'no'}: no such folder")):
        inputs(tmp_path / "no")
