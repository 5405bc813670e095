"""Converts images in any form to model inputs, one at a time."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import ImageError
from swiftformer_tf.images.folders import list_images
from swiftformer_tf.images.transform import Transform, open_image

__all__ = ["ImageSource", "image_inputs", "in_batches", "known_count", "read_once"]

# A folder; files; pixels 0-255 as uint8 (N, H, W, C); normalized floats of that shape; or a `tf.data.Dataset` or
# another iterable of such images or batches, whose labels, if any, are ignored.
ImageSource = str | Path | np.ndarray | Iterable[Any]


def known_count(images: ImageSource | None) -> int | None:
    """Returns the number of images; None if it is known only after reading them.

    Args:
        images: Images in any form except a folder, whose files `photographs_in` lists.

    Examples:
        >>> known_count(np.zeros((3, 8, 8, 3))), known_count(["a.jpg", "b.jpg"]), known_count(iter([]))
        (3, 2, None)
    """
    if isinstance(images, (list, tuple)):
        single = (isinstance(each, (str, Path)) or np.ndim(_without_label(each)) == 3 for each in images)
        return len(images) if all(single) else None
    return len(images) if isinstance(images, np.ndarray) else None


def read_once(images: ImageSource) -> ImageSource:
    """Returns images that can be read again, the same in the same order: those of an iterable are kept in memory.

    A generator can be read only once, and a shuffled dataset has another order each time. Nothing is read until it is
    needed.

    Args:
        images: Images in any form; a folder, a list and an array are returned as they are.

    Examples:
        >>> again = read_once(np.full((2, 2, 3), value, np.uint8) for value in (5, 7))
        >>> [int(image.max()) for image in again], [int(image.max()) for image in again]
        ([5, 7], [5, 7])
    """
    return images if isinstance(images, (str, Path, np.ndarray, list, tuple, _Kept)) else _Kept(images)


class _Kept:
    """The elements of an iterable without their labels, kept as they are read for the first time."""

    def __init__(self, images: Iterable[Any]) -> None:
        self._images, self._seen = images, list[Any]()
        self._unread: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        self._unread = iter(self._images) if self._unread is None else self._unread
        for place in itertools.count():
            if place == len(self._seen):
                try:
                    each = next(self._unread)
                except StopIteration:
                    return
                self._seen.append(each if isinstance(each, (str, Path)) else np.array(_without_label(each)))
            yield self._seen[place]


def image_inputs(images: ImageSource, transform: Transform, *, raw: bool = False) -> Iterator[np.ndarray]:
    """Yields network inputs, float32 (1, height, width, channels), one image at a time.

    Args:
        images: A folder of photographs or a list of files, which `transform` prepares; an array (N, H, W, C); or a
            `tf.data.Dataset` or other iterable of images or batches. Arrays must already have the right size; uint8 is
            interpreted as pixels, float as normalized pixels.
        transform: The transform of the weights.
        raw: Whether the model takes pixels from 0 to 255 instead of normalized ones.

    Raises:
        ImageError: There are no images, an image cannot be read, or an array has the wrong shape or contains NaN.
    """
    found = False
    for batch in _batches(images, transform):
        for image in batch:
            expected = (*transform.size, len(transform.mean))
            if image.shape != expected:
                raise ImageError(f"an image of shape {image.shape}: expected {expected}; resize it, or give its file")
            if not np.isfinite(image).all():
                raise ImageError("an image with values that are not finite: expected pixels; leave it out")
            found = True
            yield _as_input(image, transform, raw)[None]
    if not found:
        raise ImageError("no images: the array, dataset or list is empty")


def in_batches(inputs: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Groups inputs into batches of the size of a graph; the last batch is filled up by repeating inputs.

    Args:
        inputs: Inputs from `image_inputs`, of one image each.
        size: Number of images per batch.

    Examples:
        >>> [batch.ravel().tolist() for batch in in_batches([np.full((1, 1), place) for place in range(3)], 2)]
        [[0, 1], [2, 2]]
    """
    found = iter(inputs)
    while batch := list(itertools.islice(found, size)):
        yield np.resize(np.concatenate(batch), (size, *batch[0].shape[1:]))


def _as_input(image: np.ndarray, transform: Transform, raw: bool) -> np.ndarray:
    if image.dtype == np.uint8:
        return image.astype(np.float32) if raw else transform.normalize(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"an image of type {image.dtype}: expected uint8 pixels or normalized floats")
    return transform.denormalize(image) if raw else image.astype(np.float32)


def _batches(images: ImageSource, transform: Transform) -> Iterator[np.ndarray]:
    if isinstance(images, (str, Path)):
        images = list_images(Path(images))
    if isinstance(images, np.ndarray):
        yield _batch(images)
        return
    for element in images:
        if isinstance(element, (str, Path)):
            yield transform.crop_image(open_image(element))[None]
        else:
            yield _batch(np.asarray(_without_label(element)))


def _without_label(element: Any) -> Any:
    return element[0] if isinstance(element, (tuple, list)) else element


def _batch(array: np.ndarray) -> np.ndarray:
    if array.ndim not in (3, 4):
        raise ImageError(f"an array of shape {array.shape}: expected (N, height, width, channels) or one image")
    return array if array.ndim == 4 else array[None]
