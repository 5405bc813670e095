"""Photographs on disk: lists the contents and classes of folders, and loads images for a model."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from swiftformer_tf.errors import ImageError, number_of
from swiftformer_tf.images.transform import Transform

__all__ = [
    "ImageFolder",
    "balanced_sample",
    "check_images",
    "files_below",
    "image_suffixes",
    "iterate_images",
    "list_images",
    "photographs_in",
]

# Formats that Pillow has a name for and does not decode: fields of weather data, arrays, films.
_UNDECODED = ("BUFR", "GRIB", "HDF5", "MPEG")
# Drawings, which it leaves to Ghostscript and to Windows.
_DRAWINGS = ("EPS", "WMF")
# Pictures too, as telephones, browsers and drawing programs write them, which Pillow decodes with a plug-in or not.
_FOREIGN_SUFFIXES = {".avif", ".emf", ".eps", ".heic", ".heif", ".jxl", ".svg", ".wmf"}


def image_suffixes() -> frozenset[str]:
    """Returns the lowercase suffixes of all still images that Pillow can open, including registered plug-ins.

    Examples:
        >>> {".jpg", ".jfif", ".ppm", ".jp2"} <= image_suffixes()
        True
    """
    suffixes = Image.registered_extensions()  # loads Pillow's own plug-ins, which fill `Image.OPEN`
    # A JPEG with several pictures is opened as a JPEG.
    opened = {*Image.OPEN, "MPO"}.difference(_UNDECODED, _DRAWINGS)
    return frozenset(suffix.lower() for suffix, kind in suffixes.items() if kind in opened)


def files_below(root: Path) -> Iterator[Path]:
    """Yields whatever is not a folder in a folder and its subfolders, in no particular order.

    Links to folders are followed, except back to a folder that the link is in. Hidden files and folders, whose names
    start with a dot, are skipped.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "a").mkdir()
        ...     Path(folder, "a", "1.txt").touch()
        ...     Path(folder, "a", ".2.txt").touch()
        ...     [path.name for path in files_below(Path(folder))]
        ['1.txt']
    """
    # The real paths of a folder and of those that lead to it. A folder that two links name is in both places.
    above = {str(root): frozenset({os.path.realpath(root)})}
    for here, folders, files in os.walk(root, followlinks=True):
        real = {name: os.path.realpath(os.path.join(here, name)) for name in folders if not name.startswith(".")}
        # `os.walk` goes on with what is left in the list.
        folders[:] = [name for name, path in real.items() if path not in above[here]]
        above.update((os.path.join(here, name), above[here] | {real[name]}) for name in folders)
        yield from (Path(here, name) for name in files if not name.startswith("."))


def list_images(folder: str | Path) -> list[Path]:
    """Lists the photographs in a folder and its subfolders, sorted by path; see `image_suffixes` for those recognized.

    Suffixes are compared without regard to case. Hidden files and folders, whose names start with a dot, are skipped,
    since file managers and archives leave previews there. Links to folders are followed, see `files_below`.

    Raises:
        ImageError: The folder does not exist, contains no photographs, or contains images in a format that cannot be
            decoded, which would otherwise be omitted silently.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImageError(f"{root}: no such folder")
    suffixes = image_suffixes()
    found = sorted(
        path
        for path in files_below(root)
        if path.suffix.lower() in suffixes | _FOREIGN_SUFFIXES
        and (path.is_file() or not path.exists())  # a link to nothing is told of when it is opened
    )
    if foreign := [path for path in found if path.suffix.lower() not in suffixes]:
        raise ImageError(f"{foreign[0]}: an image format that is not supported; save it as JPEG or PNG")
    if not found:
        raise ImageError(f"{root}: no photographs in this folder; expected .jpg, .png or others that Pillow opens")
    return found


def check_images(paths: Iterable[str | Path]) -> None:
    """Reads the beginning of each file, which is fast and finds files that are not images.

    Damage further into a file is found only when the image is decoded.

    Raises:
        ImageError: Pillow does not recognize some files; the message names the first three.
    """
    damaged = []
    for path in paths:
        try:
            Image.open(path).close()
        except Exception:  # as in `open_image`
            damaged.append(path)
    if damaged:
        shown = ", ".join(map(str, damaged[:3])) + (", ..." if len(damaged) > 3 else "")
        raise ImageError(f"{shown}: cannot be read as a picture; remove or replace {_these(len(damaged))}")


def photographs_in(folder: str | Path, count: int | None = None) -> list[Path]:
    """Lists the photographs in a folder, or a sample of them, and checks that all of them are images.

    Args:
        folder: See `list_images`.
        count: Maximum number of photographs, see `balanced_sample`; None takes all.

    Raises:
        ImageError: See `list_images` and `check_images`.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in "abc":
        ...         Image.new("RGB", (8, 8)).save(Path(folder, f"{name}.png"))
        ...     len(photographs_in(folder)), len(photographs_in(folder, 2))
        (3, 2)
    """
    paths = list_images(folder)
    if count is not None:
        paths = balanced_sample(paths, count)
    check_images(paths)
    return paths


def _these(count: int) -> str:
    return "this file" if count == 1 else f"these {count} files"


def iterate_images(paths: Iterable[str | Path], transform: Transform, batch_size: int = 32) -> Iterator[np.ndarray]:
    """Loads photographs as batches for the network, one batch in memory at a time.

    Args:
        paths: Paths of the photographs, in the desired order.
        transform: The evaluation transform of the weights.
        batch_size: Number of photographs per batch; the last batch may be smaller.

    Yields:
        float32 arrays (batch, height, width, 3), normalized.

    Raises:
        ImageError: A file cannot be decoded (the message names it), or the batch size is less than one.
    """
    if batch_size < 1:
        raise ImageError(f"batch_size={batch_size}: expected at least one photograph")
    remaining = iter(paths)
    while batch := list(islice(remaining, batch_size)):
        yield np.stack([transform(path) for path in batch])


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Photographs with the index of each one's class.

    Args:
        paths: Paths of the photographs.
        labels: For each photograph, the index into `class_names`.
        class_names: Names of the classes.

    Raises:
        ImageError: The lengths differ, or a label has no name.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.labels):
            raise ImageError(f"{number_of(len(self.paths), 'photograph')} but {number_of(len(self.labels), 'label')}")
        if stray := [label for label in self.labels if not 0 <= label < len(self.class_names)]:
            raise ImageError(f"label {stray[0]} has no name among {number_of(len(self.class_names), 'class')}")

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Reads a folder with one subfolder per class, named after the class; classes are in sorted order.

        Photographs in nested subfolders belong to the class as well.

        Raises:
            ImageError: The folder does not exist or has no photographs, there are photographs outside the class
                folders, or a class has none.
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

    @property
    def targets(self) -> tuple[int, ...]:
        """The labels, under the name used in `LabeledImages`."""
        return self.labels

    def targets_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the targets of some of the photographs: one-hot float32 (rows, classes)."""
        return np.asarray(np.eye(len(self.class_names), dtype=np.float32)[np.asarray(self.labels)[rows]])

    def reordered(self, class_names: Sequence[str]) -> Self:
        """Returns the same photographs, with the same classes in a different order.

        Raises:
            ImageError: The names differ.
        """
        if sorted(class_names) != sorted(self.class_names):
            raise ImageError(f"classes {', '.join(self.class_names)}: expected {', '.join(class_names)}")
        index = {name: position for position, name in enumerate(class_names)}
        labels = tuple(index[self.class_names[label]] for label in self.labels)
        return dataclasses.replace(self, labels=labels, class_names=tuple(class_names))


def balanced_sample(paths: Sequence[Path], count: int, seed: int = 0) -> list[Path]:
    """Draws a seeded sample of photographs, for a quantizer to measure ranges on.

    Photographs are taken from each folder in turn, until there are `count` or no more are left; the seed decides which
    ones. The same paths, count and seed give the same sample in the same order.

    Args:
        paths: Paths of photographs, in one or several folders.
        count: Number of photographs.
        seed: Seed for the sample.

    Raises:
        ImageError: `count` is less than one.
    """
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
