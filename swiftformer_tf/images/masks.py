"""Photographs with masks, which contain the class of every pixel."""

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image, ImageColor

from swiftformer_tf.errors import ConfigError, ImageError, number_of, one_line
from swiftformer_tf.files import read_text
from swiftformer_tf.images.colors import Color, class_colors
from swiftformer_tf.images.folders import files_below, list_images
from swiftformer_tf.images.transform import open_image, undecoded_reason

__all__ = [
    "CLASSES",
    "VOID",
    "MaskClasses",
    "MaskFolder",
    "class_list",
    "count_pixels",
    "find_mask",
    "open_mask",
    "same_classes",
]

#: Label of pixels that count nowhere, in what is read here.
VOID = 255

# Grays of two and of four bits, by Pillow's raw mode, which it spreads over 0 to 255: the step between two of them.
_GRAY_STEPS = {"L;2": 85, "L;4": 17}

# What Pillow makes of a PNG, without its alpha channel.
_OPAQUE = {"LA": "L", "RGBA": "RGB"}

#: The class list's file name, beside the folders of pictures and masks.
CLASSES = "classes.csv"


@dataclasses.dataclass(frozen=True)
class MaskClasses:
    """The meaning of the indices in a mask.

    Args:
        names: Name of each index, in order. An index named `void` is ignored and is not a class; 255 is always void.
        colors: (red, green, blue) of each index, to read masks stored as RGB colors and to draw predicted ones; may be
            empty.

    Raises:
        ImageError: There is no class, a name or color occurs twice, or the numbers of names and colors differ.

    Examples:
        >>> classes = MaskClasses(("void", "road", "sky"))
        >>> classes.labels, classes.lookup[:4].tolist()
        (('road', 'sky'), [255, 0, 1, 255])
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()

    def __post_init__(self) -> None:
        if not self.labels:
            raise ImageError("class list: empty; expected the name of a class per line, in the order of the indices")
        if len(self.names) > VOID:
            raise ImageError(f"class list: {len(self.names)} lines; expected at most {VOID}, since {VOID} is void")
        if self.colors and len(self.colors) != len(self.names):
            raise ImageError(f"class list: {len(self.colors)} colors for {len(self.names)} names; give all or none")
        for kind, values in (("name", self.labels), ("color", self.colors)):
            if twice := next((value for value in values if values.count(value) > 1), None):
                raise ImageError(
                    f"class list: the {kind} {twice} appears twice; expected a different one for each class"
                )

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of a model's outputs."""
        return tuple(name for name in self.names if name.lower() != "void")

    @property
    def label_colors(self) -> tuple[Color, ...]:
        """Colors of `labels`, or none."""
        pairs = zip(self.names, self.colors, strict=bool(self.colors))
        return tuple(color for name, color in pairs if name.lower() != "void")

    @property
    def lookup(self) -> np.ndarray:
        """For each index in a mask, its label, uint8 (256,); `VOID` for one that is void or not in the list."""
        table = np.full(256, VOID, np.uint8)
        label = 0
        for index, name in enumerate(self.names):
            void = name.lower() == "void"
            table[index] = VOID if void else label
            label += not void
        return table

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads a file with one line per index: `name` or `name,color`, such as `road,#804080`.

        Raises:
            ImageError: The file does not exist or is not such a list; the message names the file and the line.

        Examples:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = Path(folder, "classes.csv")
            ...     _ = path.write_text("road,#804080\\nsky,skyblue\\n")
            ...     MaskClasses.open(path).colors
            ((128, 64, 128), (135, 206, 235))
        """
        names, colors = [], []
        try:
            for number, row in enumerate(csv.reader(io.StringIO(read_text(path))), start=1):
                name, color = _class(number, row)
                names.append(name)
                colors += [color] if color else []
            return cls(tuple(names), tuple(colors))
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}; expected a class list, one class per line") from None
        except (ValueError, csv.Error, ImageError) as error:
            raise ImageError(f"{path}: {one_line(error, 200)}") from None


def _class(number: int, row: list[str]) -> tuple[str, Color | None]:
    fields = [field.strip() for field in row]
    if not 1 <= len(fields) <= 2 or not fields[0] or not fields[0].isprintable():
        raise ImageError(f"line {number}: expected a name, or a name and a color such as road,#804080")
    if ";" in fields[0]:
        raise ImageError(f"line {number}: {fields[0]!r} has a semicolon; expected name and color separated by a comma")
    if len(fields) == 1:
        return fields[0], None
    try:
        red, green, blue = ImageColor.getrgb(fields[1])[:3]
    except ValueError:
        raise ImageError(f"line {number}: {fields[1]!r} is not a color; expected one such as #804080") from None
    return fields[0], (red, green, blue)


def open_mask(path: str | Path, classes: MaskClasses) -> np.ndarray:
    """Reads the label of each pixel from a mask.

    A palette or grayscale PNG contains indices; an RGB PNG contains colors, which must be in the class list. An alpha
    channel is ignored.

    Args:
        path: Path of the mask.
        classes: The meaning of its indices.

    Returns:
        uint8 (height, width): index into `classes.labels`, or `VOID`.

    Raises:
        ImageError: The file does not exist, is not a PNG, or has 16 bits, or an index or color is not in the class
            list, or `predict` wrote the mask and the class list is not that of its labels; the message names it.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            raw = [str(tile.args) for tile in image.tile]  # before `load`, which forgets it
            image.load()
            mode = _OPAQUE.get(image.mode, image.mode)
            palette = image.getpalette() if mode == "P" else None
            pixels = np.asarray(image.convert(mode))
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except Exception as error:  # Pillow's decoder raises whatever a damaged file leads to
        reason = one_line(undecoded_reason(error, path), 200)
        raise ImageError(f"{path}: cannot be read as a mask, expected a PNG ({reason})") from None
    if any(";16" in each for each in raw):
        # Pillow silently cuts the lower bits of colors.
        raise ImageError(
            f"{path}: a mask of 16 bits; expected at most 8 per channel: save class indices as a palette or gray PNG, "
            "or colors as RGB"
        )
    if mode == "RGB":
        return _from_colors(path, pixels, classes)
    if palette is not None and _leaves_void_out(palette, classes):
        raise ImageError(
            f"{path}: a mask that `predict` wrote, whose indices leave void out, which the class list has before other "
            f"classes; give the list that is next to such masks, {CLASSES}"
        )
    indices = pixels.astype(np.uint8) // max((_GRAY_STEPS.get(each, 1) for each in raw), default=1)
    if (beyond := (indices >= len(classes.names)) & (indices != VOID)).any():
        raise ImageError(
            f"{path}: index {indices[beyond].max()} is beyond the class list of "
            f"{number_of(len(classes.names), 'class')}; add its name there, or set these "
            f"pixels to {VOID}, which is void"
        )
    return np.asarray(classes.lookup[indices])


def _leaves_void_out(palette: list[int], classes: MaskClasses) -> bool:
    """Whether a palette is that of the model's labels, then black, and the list has void among them."""
    labels = classes.labels
    colors = [*(classes.label_colors or class_colors(len(labels))), (0, 0, 0)]
    return labels != classes.names[: len(labels)] and palette[: 3 * len(colors)] == [x for each in colors for x in each]


def class_list(labels: Sequence[str], colors: Sequence[Color]) -> str:
    """Returns the text of a file that `MaskClasses.open` reads, for masks with the indices of a model's labels.

    Examples:
        >>> class_list(("road", "sky"), ((128, 64, 128), (70, 130, 180)))
        'road,#804080\\nsky,#4682b4\\n'
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows((label, "#{:02x}{:02x}{:02x}".format(*color)) for label, color in zip(labels, colors, strict=True))
    return text.getvalue()


def _from_colors(path: str | Path, pixels: np.ndarray, classes: MaskClasses) -> np.ndarray:
    if not classes.colors:
        raise ImageError(f"{path}: an RGB mask, but the class list has no colors; add them, or save class indices")
    keys = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    known = np.array([red << 16 | green << 8 | blue for red, green, blue in classes.colors])
    order = np.argsort(known)
    found = order[np.searchsorted(known[order], keys).clip(max=len(known) - 1)]
    if (strange := known[found] != keys).any():
        raise ImageError(f"{path}: the color #{keys[strange][0]:06x} is not in the class list; add it there")
    return np.asarray(classes.lookup[found])


@dataclasses.dataclass(frozen=True)
class MaskFolder:
    """Photographs with their masks.

    Args:
        images: Paths of the photographs.
        masks: Path of each photograph's mask.
        classes: The meaning of the indices in the masks.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    classes: MaskClasses

    @classmethod
    def open(cls, folder: str | Path, classes: MaskClasses | None = None) -> Self:
        """Reads photographs from a folder `images`, or a subfolder of it, and their masks from the sibling folder
        `masks`.

        Masks have the stems of their photographs: the mask of `streets/images/train/0001.jpg` is
        `streets/masks/train/0001.png`, and the class list is `streets/classes.csv`.

        Args:
            folder: Folder with the photographs.
            classes: Classes to use instead of the file `classes.csv`.

        Raises:
            ImageError: The folder does not exist, its path does not contain `images`, there is no class list, a
                photograph has no mask, a mask has no photograph, or two photographs have the same mask.
        """
        root = Path(folder).absolute()
        if (parts := _parts(root)) is None:
            raise ImageError(
                f"{folder}: expected a folder named images, or one inside it, with its masks in masks next to it"
            )
        base, below = parts
        classes = classes or MaskClasses.open(base / CLASSES)
        images = list_images(root)
        beside = base / "masks" / below
        masks = [(beside / image.relative_to(root)).with_suffix(".png") for image in images]
        if missing := [image for image, mask in zip(images, masks, strict=True) if not mask.is_file()]:
            more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
            raise ImageError(f"{missing[0]}{more}: no mask; expected {masks[images.index(missing[0])]}")
        if twice := [mask for mask, count in Counter(masks).items() if count > 1]:
            raise ImageError(f"{twice[0]}: two photographs have this mask's stem; give one of them another name")
        if alone := sorted({path for path in files_below(beside) if path.suffix == ".png"} - set(masks)):
            raise ImageError(f"{alone[0]}: a mask without a photograph; expected {root}/{alone[0].stem}.jpg or similar")
        return cls(tuple(images), tuple(masks), classes)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> tuple[Image.Image, np.ndarray]:
        """Reads a photograph in RGB, and the labels of its pixels, uint8 (height, width).

        Raises:
            ImageError: Either cannot be read, or their sizes differ; the message names the file.
        """
        image, labels = open_image(self.images[index]), open_mask(self.masks[index], self.classes)
        if labels.shape[::-1] != image.size:
            width, height = image.size
            raise ImageError(
                f"{self.masks[index]}: {labels.shape[1]} x {labels.shape[0]} pixels, but its photograph has "
                f"{width} x {height}; expected a mask of the same size"
            )
        return image, labels

    def __iter__(self) -> Iterator[tuple[Image.Image, np.ndarray]]:
        return map(self.read, range(len(self)))


def find_mask(image: str | Path, labels: tuple[str, ...]) -> np.ndarray | None:
    """Finds the mask of a photograph in the folder layout of `MaskFolder.open`; None if there is none.

    Args:
        image: Path of the photograph.
        labels: Expected class names; if the class list has different ones, the result is None.

    Returns:
        See `open_mask`.

    Raises:
        ImageError: The mask or class list cannot be used; the message names it.
    """
    if (parts := _parts(Path(image).absolute())) is None:
        return None
    base, below = parts
    mask = (base / "masks" / below).with_suffix(".png")
    if not mask.is_file() or not (base / CLASSES).is_file():
        return None
    classes = MaskClasses.open(base / CLASSES)
    return MaskFolder((Path(image),), (mask,), classes).read(0)[1] if classes.labels == labels else None


def _parts(path: Path) -> tuple[Path, Path] | None:
    """The parent of the last folder named `images` in a path, and the rest of the path after that folder."""
    if "images" not in path.parts:
        return None
    at = len(path.parts) - 1 - path.parts[::-1].index("images")
    return Path(*path.parts[:at]), Path(*path.parts[at + 1 :])


def count_pixels(folder: MaskFolder) -> np.ndarray:
    """Counts the pixels of each class in all masks, int64 (labels,), as a basis for class weights.

    Raises:
        ImageError: A mask cannot be used, a class has no pixels, or there are fewer than two photographs.
    """
    if len(folder) < 2:
        raise ImageError(f"{folder.images[0]}: the only photograph in its folder; expected two or more to learn from")
    labels = folder.classes.labels
    counts = np.zeros(256, np.int64)
    for _, mask in folder:
        counts += np.bincount(mask.ravel(), minlength=256)
    if empty := [label for label, count in zip(labels, counts, strict=False) if not count]:
        raise ImageError(f"class {empty[0]!r}: no pixel in {len(folder)} masks; add photographs of it, or make it void")
    return counts[: len(labels)]


def same_classes(folder: MaskFolder, labels: tuple[str, ...]) -> None:
    """Rejects masks whose classes differ from those of a model.

    Raises:
        ConfigError: The names or their order differ.
    """
    if folder.classes.labels != labels:
        raise ConfigError(
            f"classes {', '.join(folder.classes.labels)}: expected those of the model, {', '.join(labels)}"
        )
