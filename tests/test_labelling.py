"""How names of folders become labels."""

from pathlib import Path

import pytest
from PIL import Image

from swiftformer_tf import ImageError
from swiftformer_tf.labelling import imagenet_classes, labelled_images, match_classes

NUMBERS = tuple(f"LABEL_{index}" for index in range(1000))


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    return root


def test_imagenet_has_its_thousand_classes_in_order() -> None:
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


def test_sorted_order_counts_only_where_the_labels_say_nothing() -> None:
    assert match_classes(["cat", "dog"], NUMBERS[:2])[0] == [0, 1]
    with pytest.raises(ImageError, match="class 'cat' is none of the model's 2 labels \\('Katze', 'Hund'\\)"):
        match_classes(["cat", "dog"], ["Katze", "Hund"])


@pytest.mark.parametrize(("names", "stray"), [(["cat", "dog", "eel"], "cat"), (["LABEL_0", "eel"], "eel")])
def test_a_name_that_no_rule_covers_is_named(names: list[str], stray: str) -> None:
    with pytest.raises(ImageError, match=f"class '{stray}' is none of the model's 1000 labels .*rename the folders"):
        match_classes(names, NUMBERS)


def test_subfolders_give_the_targets(tmp_path: Path) -> None:
    images = labelled_images(folder_of(tmp_path, "dog/1.png", "cat/2.png"), ["cat", "eel", "dog"])
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
    ],
)
def test_a_list_gives_the_targets(tmp_path: Path, lines: str, targets: tuple[int, ...]) -> None:
    flat = folder_of(tmp_path / "flat", "val_1.png", "val_2.png")
    labels = ["tench", "goldfish"] if "n0144" in lines else ["cat", "eel", "great white shark"]
    (tmp_path / "list.txt").write_text(lines)
    assert labelled_images(flat, labels, label_file=tmp_path / "list.txt").targets == targets


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("val_1 0\n", r"val_2\.png: no line in .*list\.txt; every photograph needs one"),
        ("val_1 0\nval_2 1\nval_3 1\n", r"list\.txt, line 3: 'val_3' is no photograph of the folder"),
        ("val_1 0\nval_2\n", r"list\.txt, line 2: expected a photograph's name and its class, got 'val_2'"),
        ("val_1 0\nval_2 7\n", "class '0' is none of the model's 2 labels"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path: Path, lines: str, message: str) -> None:
    flat = folder_of(tmp_path / "flat", "val_1.png", "val_2.png")
    (tmp_path / "list.txt").write_text(lines)
    with pytest.raises(ImageError, match=message):
        labelled_images(flat, ["cat", "dog"], label_file=tmp_path / "list.txt")
