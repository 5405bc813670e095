"""Photographs on disk: what is in a folder, which labels it has, and how its pictures reach a model."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np

from swiftformer_tf.errors import ImageError
from swiftformer_tf.preprocessing import Transform

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageFolder",
    "calibration_images",
    "images_in",
    "iterate_images",
    "list_images",
    "load_images",
]

# What Pillow decodes without a plug-in and cameras, scanners and ImageNet's mirrors write.
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def list_images(folder: str | Path) -> list[Path]:
    """The photographs below a folder, sorted by path, known by their suffix.

    Hidden files and folders, whose names start with a dot, are passed over: file managers and archives
    leave previews there.

    Raises:
        ImageError: No such folder, or nothing in it that looks like a photograph.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImageError(f"{root}: no such folder")
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    )
    if not found:
        raise ImageError(f"{root}: no photographs in this folder; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    return found


def images_in(path: str | Path) -> list[Path]:
    """A photograph as a list of one, or the photographs below a folder.

    Raises:
        ImageError: Neither a file nor a folder with photographs.
    """
    path = Path(path)
    if path.is_dir():
        return list_images(path)
    if not path.is_file():
        raise ImageError(f"{path}: no such file or folder")
    return [path]


def iterate_images(paths: Iterable[str | Path], transform: Transform, batch_size: int = 32) -> Iterator[np.ndarray]:
    """Photographs as batches for the network, one batch in memory at a time.

    Args:
        paths: Files, in the order wanted.
        transform: The evaluation transform of the weights.
        batch_size: Photographs a batch; the last batch may be smaller.

    Yields:
        float32 arrays (batch, height, width, 3), normalised.

    Raises:
        ImageError: A file that cannot be decoded; the message names it.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1")
    remaining = iter(paths)
    while batch := list(islice(remaining, batch_size)):
        yield np.stack([transform(path) for path in batch])


def load_images(paths: Sequence[str | Path], transform: Transform) -> np.ndarray:
    """Photographs as one array for the network: float32 (len(paths), height, width, 3), normalised.

    Raises:
        ImageError: No paths, or a file that cannot be decoded; the message names it.
    """
    if not paths:
        raise ImageError("no photographs: the list of paths is empty")
    return np.stack([transform(path) for path in paths])


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Photographs with the index of their class.

    Args:
        paths: Files.
        labels: Index into `class_names` of each file.
        class_names: One per class.

    Raises:
        ImageError: Lengths that differ, or a label without a name.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.labels):
            raise ImageError(f"{len(self.paths)} photographs but {len(self.labels)} labels")
        if stray := [label for label in self.labels if not 0 <= label < len(self.class_names)]:
            raise ImageError(f"label {stray[0]} has no name among {len(self.class_names)} classes")

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Reads a folder with one subfolder per class, named after it; classes in sorted order.

        Photographs deeper inside a class's folder belong to it.

        Raises:
            ImageError: No such folder, no photographs, photographs outside the classes' folders, or a
                class without any.
        """
        root = Path(folder)
        paths = list_images(root)
        if loose := [path for path in paths if path.parent == root]:
            raise ImageError(f"{loose[0]}: outside a class's folder; expected {root}/<class>/<photograph>")
        names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        owners = [path.relative_to(root).parts[0] for path in paths]
        if empty := sorted(set(names) - set(owners)):
            raise ImageError(f"{root / empty[0]}: no photographs of this class; add some or remove the folder")
        index = {name: position for position, name in enumerate(names)}
        return cls(tuple(paths), tuple(index[owner] for owner in owners), tuple(names))

    def __len__(self) -> int:
        return len(self.paths)


def calibration_images(folder: str | Path, transform: Transform, count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """A seeded sample of photographs, balanced over the subfolders, for a quantiser to measure ranges on.

    Subfolders take turns until there are `count`, or all of a smaller folder; a flat folder is one group.
    The same folder, count and seed give the same photographs in the same order.

    Args:
        folder: Photographs, in subfolders or not.
        transform: The evaluation transform of the weights.
        count: How many photographs.
        seed: Of the choice.

    Yields:
        float32 arrays (1, height, width, 3), normalised; one in memory at a time.

    Raises:
        ImageError: As `list_images`, or a file that cannot be decoded.
    """
    yield from iterate_images(balanced_sample(list_images(folder), count, seed), transform, 1)


def balanced_sample(paths: Sequence[Path], count: int, seed: int = 0) -> list[Path]:
    """`count` of `paths`, their parent folders taking turns; the order within each is shuffled by `seed`."""
    if count < 1:
        raise ImageError(f"count={count}: expected at least one photograph")
    rng = np.random.default_rng(seed)
    groups: dict[Path, list[Path]] = {}
    for path in paths:
        groups.setdefault(path.parent, []).append(path)
    turns = [
        (turn, group, members[position])
        for group, members in enumerate(groups.values())
        for turn, position in enumerate(rng.permutation(len(members)))
    ]
    return [path for _, _, path in sorted(turns, key=lambda item: item[:2])[:count]]
