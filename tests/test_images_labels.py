"""How names of folders become labels."""

import re
from pathlib import Path

import pytest
from PIL import Image

from swiftformer_tf import ConfigError, ImageError
from swiftformer_tf.images.labels import imagenet_classes, labeled_images, match_classes, read_labels

NUMBERS = tuple(f"LABEL_{index}" for index in range(1000))


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    return root


# How editors and shells write a text: Notepad with and without a mark, PowerShell's `>`, Excel's "Unicode text".
WRITTEN = {
    "UTF-8": ("utf-8", "\n"),
    "UTF-8 with a mark": ("utf-8-sig", "\r\n"),
    "UTF-16": ("utf-16", "\r\n"),
    "UTF-16, big end first": ("utf-16-be", "\r\n"),
    "UTF-32": ("utf-32", "\n"),
    "an old Macintosh": ("utf-8", "\r"),
}


def write(path: Path, text: str, written: str) -> Path:
    encoding, ending = WRITTEN[written]
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + text).replace("\n", ending).encode(encoding))
    return path


@pytest.mark.parametrize("written", WRITTEN)
def test_labels_are_the_same_whatever_wrote_them(tmp_path: Path, written: str) -> None:
    """The case `15_bom_labels` of the public reports, and its kin."""
    labels = read_labels(write(tmp_path / "labels.txt", "café\ndog\n", written), 2)
    assert labels == ("café", "dog")
    assert match_classes(["café", "dog"], labels) == ([0, 1], "names of folders are labels")
    assert read_labels(tmp_path / "labels.txt") == labels


@pytest.mark.parametrize("written", WRITTEN)
def test_a_list_is_the_same_whatever_wrote_it(tmp_path: Path, written: str) -> None:
    folder = folder_of(tmp_path / "photographs", "1.png", "2.png")
    list_of_labels = write(tmp_path / "list.csv", "1.png,dog\n2.png,café\n", written)
    assert labeled_images(folder, ["café", "dog"], label_file=list_of_labels).targets == (1, 0)


def test_a_text_of_another_encoding_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("café\ndog\n".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"labels\.txt: .*\(byte 3 is not UTF-8; save it as UTF-8\)"):
        read_labels(tmp_path / "labels.txt", 2)


def test_utf_16_without_a_mark_is_no_list_of_letters(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("cat\ndog\n".encode("utf-16-le"))
    with pytest.raises(ConfigError, match=r"\(it has NUL characters, as UTF-16 without a .* mark; save it as UTF-8\)"):
        read_labels(tmp_path / "labels.txt")


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n  \n\t\n"])
def test_blank_lines_at_the_end_are_none(tmp_path: Path, end: str) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog" + end)
    assert read_labels(tmp_path / "labels.txt", 2) == ("cat", "dog")
    (tmp_path / "labels.txt").write_text("\n" + end)
    with pytest.raises(ConfigError, match=r"line 1: empty, expected a label"):
        read_labels(tmp_path / "labels.txt")


def test_imagenet_has_its_thousand_classes_in_order() -> None:
    imagenet_classes().clear()  # nobody else's
    classes = imagenet_classes()
    assert len(classes) == 1000
    assert list(classes) == sorted(classes)
    known = {0: "tench", 217: "English springer", 482: "cassette player", 569: "garbage truck", 999: "toilet tissue"}
    assert {index: list(classes.values())[index] for index in known} == known


def test_names_that_are_labels_come_first() -> None:
    assert match_classes(["n02102040", "tench"], ["tench", "n02102040"]) == ([1, 0], "names of folders are labels")


def test_wordnet_ids_find_imagenets_outputs() -> None:
    assert match_classes(["n01440764", "n02102040"], NUMBERS) == ([0, 217], "WordNet ids in ImageNet's order")


def test_wordnet_ids_find_english_names() -> None:
    indices, rule = match_classes(["n01440764", "n02102040"], ["English springer", "tench"])
    assert indices == [1, 0]
    assert rule == "WordNet ids by their English names"


def test_a_label_that_occurs_twice_is_not_chosen_by_chance() -> None:
    english = list(imagenet_classes().values())
    assert match_classes(["tench"], english)[0] == [0]
    with pytest.raises(ImageError, match="class 'crane' is none of the model's 1000 labels"):
        match_classes(["crane"], english)


def test_the_id_of_one_of_two_classes_of_one_name_is_not_chosen_by_chance() -> None:
    """The bird n02012849 and the machine n03126707 are both "crane"."""
    assert match_classes(["n02012849"], ["tench", "crane"])[0] == [1]
    with pytest.raises(ImageError, match="class 'n02012849' is none of the model's 3 labels"):
        match_classes(["n02012849", "n03126707"], ["crane", "crane", "tench"])


def test_sorted_order_counts_only_where_the_labels_say_nothing() -> None:
    assert match_classes(["cat", "dog"], NUMBERS[:2])[0] == [0, 1]
    with pytest.raises(ImageError, match="class 'cat' is none of the model's 2 labels \\('Katze', 'Hund'\\)"):
        match_classes(["cat", "dog"], ["Katze", "Hund"])


@pytest.mark.parametrize(("names", "stray"), [(["cat", "dog", "eel"], "cat"), (["LABEL_0", "eel"], "eel")])
def test_a_name_that_no_rule_covers_is_named(names: list[str], stray: str) -> None:
    with pytest.raises(ImageError, match=f"class '{stray}' is none of the model's 1000 labels .*rename the folders"):
        match_classes(names, NUMBERS)


@pytest.mark.parametrize(
    ("labels", "shown"), [("ab", "2 labels ('a', 'b')"), ("abc", "3 labels ('a', 'b', 'c')"), ("abcd", "'c', ...)")]
)
def test_three_labels_are_shown_and_more_are_told_of(labels: str, shown: str) -> None:
    with pytest.raises(ImageError, match=re.escape(f"{shown} and not the ImageNet id")):
        match_classes(["eel"], list(labels))


def test_subfolders_give_the_targets(tmp_path: Path) -> None:
    images = labeled_images(folder_of(tmp_path, "dog/1.png", "cat/2.png"), ["cat", "eel", "dog"])
    assert [(path.name, target) for path, target in zip(images.paths, images.targets, strict=True)] == [
        ("2.png", 0),
        ("1.png", 2),
    ]


@pytest.mark.parametrize(
    ("lines", "targets"),
    [
        ("val_1 0\nval_2.png 2\n", (0, 2)),
        ("val_2.png,eel\n\nval_1.png,cat\n", (0, 1)),
        ("ImageId,PredictionString\nval_1,n01440764 85 131 499 425\nval_2,n01443537 1 2 3 4\n", (0, 1)),
        ("val_1\tgreat white shark\nval_2\tcat\n", (2, 0)),
        # As spreadsheets with a decimal comma save it.
        ("file;class\nval_1.png;great white shark\nval_2.png;cat\n", (2, 0)),
        ("./data/val_1.JPEG 1\r\ndata\\val_2.JPEG 0\n", (1, 0)),
    ],
)
def test_a_list_gives_the_targets(tmp_path: Path, lines: str, targets: tuple[int, ...]) -> None:
    flat = folder_of(tmp_path / "flat", "val_1.png", "val_2.png")
    labels = ["tench", "goldfish"] if "n0144" in lines else ["cat", "eel", "great white shark"]
    (tmp_path / "list.txt").write_text(lines)
    assert labeled_images(flat, labels, label_file=tmp_path / "list.txt").targets == targets


@pytest.mark.parametrize(
    "lines",
    [
        "Rex, asleep.png;cat\nMax.png;great, white shark\n",
        "Rex, asleep.png\tcat\nMax.png\tgreat, white shark\n",
        "Max.png,great, white shark\nRex, asleep.png;cat\n",
        "Max great, white shark\nRex, asleep;cat\n",
    ],
)
def test_names_and_labels_may_have_the_separators_in_them(tmp_path: Path, lines: str) -> None:
    """The separator is the first one that a photograph's name stands before."""
    flat = folder_of(tmp_path / "flat", "Rex, asleep.png", "Max.png")
    (tmp_path / "list.txt").write_text(lines)
    images = labeled_images(flat, ["cat", "great, white shark"], label_file=tmp_path / "list.txt")
    assert {path.name: target for path, target in zip(images.paths, images.targets, strict=True)} == {
        "Rex, asleep.png": 0,
        "Max.png": 1,
    }


def test_photographs_of_one_name_in_two_folders_have_a_class_each(tmp_path: Path) -> None:
    photographs = folder_of(tmp_path / "all", "a/1.png", "b/1.png", "b/2.png")
    lines = tmp_path / "list.csv"
    lines.write_text("a/1.png,cat\nb\\1.png,dog\nval/2.png,cat\n")
    assert labeled_images(photographs, ["cat", "dog"], label_file=lines).targets == (0, 1, 0)
    folder_of(tmp_path / "all", "1.png")
    lines.write_text("1.png,dog\na/1.png,cat\nb\\1.png,dog\nval/2.png,cat\n")
    assert labeled_images(photographs, ["cat", "dog"], label_file=lines).targets == (1, 0, 1, 0)
    (photographs / "1.png").unlink()
    lines.write_text("1.png,cat\n2.png,dog\n")
    with pytest.raises(
        ImageError, match=r"line 1: '1\.png' may be .*a.1\.png or .*b.1\.png; begin the line with its fo"
    ):
        labeled_images(photographs, ["cat", "dog"], label_file=lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("val_1 0\n", r"val_2\.png: no line in .*list\.txt; every photograph needs one"),
        ("val_1 0\nval_2 1\nval_3 1\n", r"list\.txt, line 3: 'val_3' is not a photograph in the folder"),
        ("val_1 0\nval_2\n", r"list\.txt, line 2: expected a photograph's name and its class, got 'val_2'"),
        ("val_1 0\nval_2 1\nval_1.png 1\n", r"line 3: .*val_1\.png is in line 1 too; expected one per photograph"),
        ("val_1 0\nval_2 7\n", "class '0' is none of the model's 2 labels"),
        ("val_1 0\nval_2 2\n", "class '0' is none of the model's 2 labels"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    flat = folder_of(tmp_path / "flat", "val_1.png", "val_2.png")
    (tmp_path / "list.txt").write_text(lines)
    with pytest.raises(ImageError, match=message):
        labeled_images(flat, ["cat", "dog"], label_file=tmp_path / "list.txt")


# The first lines of ImageNet's ground-truth file, and the classes of those photographs as everybody sorts them.
GROUND_TRUTH = (490, 361, 171, 822, 297, 482, 13, 704, 599, 164)
SYNSETS = [
    "n01751748",
    "n09193705",
    "n02105855",
    "n04263257",
    "n03125729",
    "n01735189",
    "n02346627",
    "n02776631",
    "n03794056",
    "n02328150",
]


@pytest.mark.parametrize("lines", [GROUND_TRUTH, SYNSETS])
def test_imagenets_own_ground_truth_labels_a_flat_folder(tmp_path: Path, lines: tuple[object, ...]) -> None:
    """A part of the photographs beside the whole list: the number in a name is the line."""
    flat = folder_of(tmp_path / "val", "ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000009.JPEG")
    (tmp_path / "truth.txt").write_text("".join(f"{line}\n" for line in lines))
    images = labeled_images(flat, NUMBERS, label_file=tmp_path / "truth.txt")
    order = list(imagenet_classes())
    assert images.targets == (order.index("n09193705"), order.index("n03794056"))
    assert images.rule == "ImageNet's classes by line number"
    english = [imagenet_classes()[wnid] for wnid in reversed(SYNSETS)]
    assert labeled_images(flat, english, label_file=tmp_path / "truth.txt").targets == (8, 1)


def test_all_thousand_numbers_of_the_ground_truth_are_classes(tmp_path: Path) -> None:
    names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, 1001)]
    (tmp_path / "truth.txt").write_text("".join(f"{number}\n" for number in range(1, 1001)))
    images = labeled_images(folder_of(tmp_path / "val", *names), NUMBERS, label_file=tmp_path / "truth.txt")
    assert sorted(images.targets) == list(range(1000))
    assert [images.targets[truth - 1] for truth in GROUND_TRUTH] == [list(imagenet_classes()).index(s) for s in SYNSETS]


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("ILSVRC2012_val_00000003", "490\n361\n", r"00000003\.png: no line 3 in .*truth\.txt, which has 2"),
        ("ILSVRC2012_val_00000000", "490\n361\n", r"00000000\.png: no line 0 in .*truth\.txt, which has 2"),
        (
            "ILSVRC2012_val_00000001",
            "490\n0\n",
            r"truth\.txt, line 2: '0' is not a class of ImageNet; expected a WordNet",
        ),
        ("cat", "490\n", r"truth\.txt lists only classes, and .*cat\.png is not named like ILSVRC2012_val_00000001"),
    ],
)
def test_a_list_of_classes_alone_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, lines: str, message: str
) -> None:
    flat = folder_of(tmp_path / "val", f"{name}.png")
    (tmp_path / "truth.txt").write_text(lines)
    with pytest.raises(ImageError, match=message):
        labeled_images(flat, NUMBERS, label_file=tmp_path / "truth.txt")
