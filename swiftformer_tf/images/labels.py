"""Determines the label of each photograph from the name of its folder or from a list, and reports the rule used."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath

from swiftformer_tf.errors import ConfigError, ImageError, number_of
from swiftformer_tf.files import read_text
from swiftformer_tf.images.folders import ImageFolder, list_images

__all__ = ["LabeledImages", "imagenet_classes", "labeled_images", "match_classes", "matched_images", "read_labels"]

_WNID = re.compile(r"n\d{8}")
_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")
_SUFFIX = re.compile(r"\.\w+")
_CLASS_ALONE = re.compile(r"\d{1,4}|n\d{8}")


@dataclasses.dataclass(frozen=True)
class LabeledImages:
    """Photographs with the index of the correct model output for each.

    Args:
        paths: Paths of the photographs.
        targets: For each photograph, the index of the correct output.
        rule: Human-readable description of how class names were matched to indices.
    """

    paths: tuple[Path, ...]
    targets: tuple[int, ...]
    rule: str


def imagenet_classes() -> dict[str, str]:
    """Returns the 1000 classes of ImageNet-1k, in the output order of all published models: WordNet id to English name.

    Examples:
        >>> list(imagenet_classes().items())[0]
        ('n01440764', 'tench')
    """
    return {wnid: name for wnid, name, _ in _imagenet_table()}


def _imagenet_table() -> list[list[str]]:
    """For each class, its WordNet id, English name and ILSVRC2012_ID, which numbers classes in a different order."""
    text = resources.files("swiftformer_tf.images").joinpath("imagenet.tsv").read_text("utf-8")
    return [line.split("\t") for line in text.splitlines()]


def match_classes(names: Sequence[str], labels: Sequence[str]) -> tuple[list[int], str]:
    """Returns the index into `labels` of each class name, and the rule by which they were matched.

    The first rule that covers all names is used: the names are labels; they are WordNet ids, and the model has
    ImageNet's 1000 outputs or labels with the English names of these ids; or there are as many names as labels, and the
    labels are placeholders (`LABEL_0`, `LABEL_1`, ...), so that they are matched in sorted order.

    Args:
        names: Sorted class names, as used for the folders.
        labels: Labels of the model.

    Raises:
        ImageError: No rule covers all names; the message gives one that could not be matched.

    Examples:
        >>> match_classes(["dog", "tench"], ["tench", "cat", "dog"])
        ([2, 0], 'names of folders are labels')
        >>> match_classes(["n01440764"], ["cat", "tench"])[0]
        [1]
    """
    index = {label: position for position, label in enumerate(labels)}
    if all(labels.count(name) == 1 for name in names):  # ImageNet has two cranes and two maillots
        return [index[name] for name in names], "names of folders are labels"
    classes = imagenet_classes()
    if set(names) <= set(classes):
        if len(labels) == len(classes):
            order = {wnid: position for position, wnid in enumerate(classes)}
            return [order[name] for name in names], "WordNet ids in ImageNet's order"
        if all(labels.count(classes[name]) == 1 for name in names):
            return [index[classes[name]] for name in names], "WordNet ids by their English names"
    if len(names) == len(labels) and list(labels) == [f"LABEL_{i}" for i in range(len(labels))]:
        return list(range(len(names))), "sorted order of the folders, since the labels are mere numbers"
    stray = next((name for name in names if name not in index), names[0])
    shown = ", ".join(map(repr, labels[:3])) + (", ..." if len(labels) > 3 else "")
    raise ImageError(
        f"class {stray!r} is none of the model's {number_of(len(labels), 'label')} ({shown}) and not the ImageNet id "
        "of one of them; rename the folders to labels, or give a file with photographs and labels"
    )


def matched_images(images: ImageFolder, labels: Sequence[str]) -> LabeledImages:
    """Returns photographs whose classes are matched to the labels of a model, see `match_classes`.

    Args:
        images: Photographs with the class of each.
        labels: Labels of the model.

    Raises:
        ImageError: See `match_classes`.

    Examples:
        >>> images = ImageFolder((Path("1.png"), Path("2.png")), (1, 0), ("cat", "dog"))
        >>> matched_images(images, ["dog", "hen", "cat"]).targets
        (0, 2)
    """
    indices, rule = match_classes(images.class_names, labels)
    return LabeledImages(images.paths, tuple(indices[label] for label in images.labels), rule)


def read_labels(source: str | Path, count: int | None = None) -> tuple[str, ...]:
    """Reads names for the outputs of a model from a text file with one name per line.

    Args:
        source: The file, or `"imagenet"` for the names of ImageNet's 1000 classes.
        count: Number of outputs of the model; None accepts any number of lines.

    Raises:
        ConfigError: The file cannot be read, is empty, has an empty line, or has a different number of lines.

    Examples:
        >>> read_labels("imagenet", 1000)[:2]
        ('tench', 'goldfish')
    """
    if str(source) == "imagenet":
        labels = tuple(imagenet_classes().values())
    else:
        try:
            labels = tuple(_read_lines(source))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{source}: cannot be read as a list of labels ({error})") from None
    if count is not None and len(labels) != count:
        had, wanted = number_of(len(labels), "label"), number_of(count, "output")
        raise ConfigError(f"{source}: {had} for the {wanted} of the model: expected one per line")
    if "" in labels:
        raise ConfigError(f"{source}, line {labels.index('') + 1}: empty, expected a label")
    return labels


def labeled_images(folder: str | Path, labels: Sequence[str], *, label_file: str | Path | None = None) -> LabeledImages:
    """Opens photographs in one subfolder per class, or in one folder with a list of labels.

    Args:
        folder: Folder of photographs.
        labels: Labels of the model.
        label_file: A text file with one line per photograph: its name, with or without folders and suffix, then its
            class, separated by spaces, a tab, a comma or a semicolon; anything after a WordNet id is ignored. A class
            is a label, a WordNet id or the index of an output. A first line that does not name a photograph is treated
            as a header. For photographs named `ILSVRC2012_val_00000001` and so on, the file may also list only classes,
            beginning with that of number 1: WordNet ids, or the numbers from 1 to 1000 of ImageNet's
            `ILSVRC2012_validation_ground_truth.txt`.

    Raises:
        ImageError: See `ImageFolder.open` and `match_classes`; or the list does not match the folder.
    """
    if label_file is None:
        return matched_images(ImageFolder.open(folder), labels)
    paths = list_images(folder)
    try:
        lines = _read_lines(label_file)
    except (OSError, ValueError) as error:
        raise ImageError(f"{label_file}: cannot be read as a list of labels ({error})") from None
    if lines and all(_CLASS_ALONE.fullmatch(line) for line in lines):
        wnids = _ground_truth(Path(label_file), lines, paths)
        names = sorted(set(wnids))
        index = dict(zip(names, match_classes(names, labels)[0], strict=True))
        return LabeledImages(tuple(paths), tuple(index[wnid] for wnid in wnids), "ImageNet's classes by line number")
    listed = _read_list(Path(label_file), lines, _names_of(folder, paths))
    if missing := [path for path in paths if path not in listed]:
        raise ImageError(f"{missing[0]}: no line in {label_file}; every photograph needs one")
    wanted = [listed[path] for path in paths]
    names = sorted(set(wanted))
    if all(name.isdigit() and int(name) < len(labels) for name in names):
        return LabeledImages(tuple(paths), tuple(map(int, wanted)), "indices in the list")
    indices, rule = match_classes(names, labels)
    index = dict(zip(names, indices, strict=True))
    return LabeledImages(tuple(paths), tuple(index[name] for name in wanted), f"{rule}, by the list")


def _read_lines(path: str | Path) -> list[str]:
    # Editors leave blank lines at the end.
    return [line.strip() for line in read_text(path).rstrip().split("\n")]


def _ground_truth(path: Path, lines: list[str], paths: list[Path]) -> list[str]:
    """WordNet ids of photographs whose names contain their line number in a list of classes."""
    known = {wnid: wnid for wnid in imagenet_classes()} | {number: wnid for wnid, _, number in _imagenet_table()}
    for number, line in enumerate(lines, 1):
        if line not in known:
            raise ImageError(
                f"{path}, line {number}: {line!r} is not a class of ImageNet; expected a WordNet id, or a number from "
                "1 to 1000 as in ILSVRC2012_validation_ground_truth.txt; otherwise begin each line with its photograph"
            )
    wnids = []
    for photograph in paths:
        name = _VALIDATION_NAME.fullmatch(photograph.stem)
        if not name:
            raise ImageError(
                f"{path} lists only classes, and {photograph} is not named like ILSVRC2012_val_00000001, which would "
                "tell its line; begin each line with its photograph's name"
            )
        position = int(name[1])
        if not 1 <= position <= len(lines):
            raise ImageError(f"{photograph}: no line {position} in {path}, which has {len(lines)} lines")
        wnids.append(known[lines[position - 1]])
    return wnids


def _read_list(path: Path, lines: list[str], called: Mapping[str, Sequence[Path]]) -> dict[Path, str]:
    """Reads the class of each photograph; `called` maps all names of a photograph to it."""
    listed: dict[Path, str] = {}
    numbers: dict[Path, int] = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        name, rest = _name_and_rest(line, called)
        found = _photographs(name, called)
        if not found:
            if number == 1:
                continue
            raise ImageError(f"{path}, line {number}: {name!r} is not a photograph in the folder")
        if len(found) > 1:
            both = " or ".join(map(str, found[:2]))
            raise ImageError(f"{path}, line {number}: {name!r} may be {both}; begin the line with its folder too")
        if not rest:
            raise ImageError(f"{path}, line {number}: expected a photograph's name and its class, got {line!r}")
        (photograph,) = found
        if photograph in listed:
            before = numbers[photograph]
            raise ImageError(
                f"{path}, line {number}: {photograph} is in line {before} too; expected one per photograph"
            )
        wnid = _WNID.match(rest)
        listed[photograph], numbers[photograph] = wnid.group() if wnid else rest, number
    return listed


def _names_of(folder: str | Path, paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Maps all names by which a list may refer to a photograph, with or without folders and suffix, to it."""
    called: dict[str, list[Path]] = {}
    for path in paths:
        inside = PurePosixPath(path.relative_to(folder).as_posix())
        for name in {str(inside.with_suffix("")), inside.name, inside.stem}:
            called.setdefault(name, []).append(path)
    # A whole path is that of one photograph, whatever others in folders are called.
    return called | {path.relative_to(folder).as_posix(): [path] for path in paths}


def _name_and_rest(line: str, called: Mapping[str, Sequence[Path]]) -> tuple[str, str]:
    """Splits a line at the first separator that follows a photograph's name; a label may contain the others."""
    parts = [line.partition(sign) for sign in "\t,; " if sign in line] or [(line, "", "")]
    name, _, rest = next((part for part in parts if _photographs(part[0], called)), parts[0])
    return name.strip(), rest.strip()


def _photographs(name: str, called: Mapping[str, Sequence[Path]]) -> Sequence[Path]:
    """The photographs with a name from a list, whose folders and suffix may differ from those on disk."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    names = [str(path), path.name]
    if _SUFFIX.fullmatch(path.suffix):
        names += [str(path.parent / path.stem), path.stem]
    return next((called[each] for each in names if each in called), ())
