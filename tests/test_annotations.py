"""`metadata.csv`, as in Hugging Face's ImageFolder, and what it means by problem type."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swiftformer_tf import ImageError, SwiftFormerConfig
from swiftformer_tf.evaluation import labeled_for
from swiftformer_tf.images.annotations import AnnotatedImages
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.metadata import has_metadata, read_metadata
from swiftformer_tf.images.targets import open_annotated
from swiftformer_tf.training.photographs import training_photographs


def folder_with(root: Path, table: str | bytes, *names: str) -> Path:
    for name in names or ("1.png", "sub/2.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    (root / "metadata.csv").write_bytes(table.encode() if isinstance(table, str) else table)
    return root


BINARY = "file_name,rust,crack\nsub/2.png,0,1\n1.png,1,1\n"


@pytest.mark.parametrize(
    "table",
    [
        BINARY,
        BINARY.replace("\n", "\r\n").encode("utf-8-sig"),  # Excel's "CSV UTF-8"
        BINARY.replace(",", "\t").encode("utf-16"),  # Excel's "Unicode text"
        BINARY.replace(",", ";"),  # Excel where a comma is part of numbers
        "rust,file_name,crack\n0,sub/2.png,1\n\n1,./1.png,1\n",  # in another order, with an empty line
        'file_name,"rust",crack\n"sub\\2.png",false,True\n1.png,1.0,TRUE\n',  # as pandas and Windows write it
        "file_name,rust,crack\nsub/2.png,0.0,1.0\n1.png,1.0,1.0\n",  # as pandas writes a column with gaps
    ],
)
def test_labels_by_column(tmp_path: Path, table: str | bytes) -> None:
    images, kind = open_annotated(folder_with(tmp_path, table))
    assert kind == "multi_label_classification"
    assert isinstance(images, AnnotatedImages)
    assert [path.name for path in images.paths] == ["2.png", "1.png"]
    assert images.class_names == ("rust", "crack")
    assert np.asarray(images.targets).tolist() == [[0, 1], [1, 1]]
    assert images.targets_of(np.array([1])).tolist() == [[1, 1]]
    assert images.reordered(("crack", "rust")).targets.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"[""rust"", ""crack""]"', "[]"),  # JSON, as datasets of Hugging Face have it
        ("\"['crack', 'rust']\"", "[]"),  # what pandas makes of a column of lists
        ('"rust, crack"', ""),
        ("rust;crack", ""),
        ("rust|crack", ""),
    ],
)
def test_labels_by_name(tmp_path: Path, first: str, second: str) -> None:
    images, kind = open_annotated(folder_with(tmp_path, f"file_name,labels\n1.png,{first}\nsub/2.png,{second}\n"))
    assert kind == "multi_label_classification"
    assert (images.class_names, np.asarray(images.targets).tolist()) == (("crack", "rust"), [[1, 1], [0, 0]])
    mine, _ = open_annotated(tmp_path, kind, labels=("rust", "dent", "crack"))
    assert np.asarray(mine.targets).tolist() == [[1, 0, 1], [0, 0, 0]]


def test_one_name_each_is_one_right_label(tmp_path: Path) -> None:
    images, kind = open_annotated(folder_with(tmp_path, "file_name,label\n1.png,dog\nsub/2.png,big cat\n"))
    assert kind == "single_label_classification"
    assert isinstance(images, ImageFolder)
    assert (images.class_names, images.labels) == (("big cat", "dog"), (1, 0))
    one_hot, _ = open_annotated(
        folder_with(tmp_path / "columns", "file_name,dog,cat\n1.png,1,0\nsub/2.png,0,1\n"), kind
    )
    assert (one_hot.class_names, one_hot.targets) == (("dog", "cat"), (0, 1))


def test_numbers(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "file_name,age,weight\n1.png,31,7.5e1\nsub/2.png,-4.25,0\n")
    images, kind = open_annotated(root, "regression")
    assert (images.class_names, np.asarray(images.targets).tolist()) == (("age", "weight"), [[31, 75], [-4.25, 0]])
    # Labels that say nothing, as transformers gives them to a head of two numbers, take the columns as they come.
    unnamed, _ = open_annotated(root, kind, labels=("LABEL_0", "LABEL_1"))
    assert np.asarray(unnamed.targets).tolist() == np.asarray(images.targets).tolist()
    with pytest.raises(ImageError, match=r"metadata\.csv: columns age, weight: expected weight, height"):
        open_annotated(root, kind, labels=("weight", "height"))


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_numbers_with_a_decimal_comma_where_it_separates_nothing(delimiter: str, tmp_path: Path) -> None:
    table = "file_name;a;b\n1.png;3,5;7\nsub/2.png;-0,25;1,5e3\n".replace(";", delimiter)
    images, _ = open_annotated(folder_with(tmp_path, table), "regression")
    assert np.asarray(images.targets).tolist() == [[3.5, 7], [-0.25, 1500]]


def test_one_column_of_decimal_commas_is_no_list_of_labels(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=ASK):
        open_annotated(folder_with(tmp_path, "file_name;a\n1.png;3,5\nsub/2.png;1,5\n"))


def test_photographs_without_a_table_have_none(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, BINARY)
    assert has_metadata(folder)
    (folder / "metadata.csv").unlink()
    assert not has_metadata(folder)


def test_a_table_names_photographs_in_linked_folders(tmp_path: Path) -> None:
    elsewhere = folder_with(tmp_path / "elsewhere", BINARY)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "sub").symlink_to(elsewhere)
    with pytest.raises(ImageError, match=r"has no metadata.csv, but .*sub.metadata.csv is one"):
        has_metadata(linked)
    (linked / "metadata.csv").write_text("file_name,rust,crack\nsub/sub/2.png,0,1\nsub/1.png,1,1\n")
    assert read_metadata(linked).photographs == (linked / "sub" / "sub" / "2.png", linked / "sub" / "1.png")


def test_a_table_elsewhere_is_told(tmp_path: Path) -> None:
    folder_with(tmp_path / "train", BINARY)
    folder_with(tmp_path / "validation", BINARY)
    message = r"has no metadata.csv, but .*train.metadata.csv is one; give its folder"
    with pytest.raises(ImageError, match=message):
        training_photographs(tmp_path, SwiftFormerConfig())
    with pytest.raises(ImageError, match=message):
        labeled_for(SwiftFormerConfig(), tmp_path)
    (tmp_path / "train" / "metadata.csv").rename(tmp_path / "train" / "metadata.jsonl")
    with pytest.raises(ImageError, match=r"metadata.jsonl: not supported; pandas.read_json\(.*converts it; if"):
        training_photographs(tmp_path / "train", SwiftFormerConfig())


ASK = "say what they mean with `problem_type`: multi_label_classification, regression or single_label_classification"
EXPECTED = "expected file_name, then a column for each label"


@pytest.mark.parametrize(
    ("table", "problem_type", "message"),
    [
        ("", None, "metadata.csv: cannot be read as a table (it is empty)"),
        (b"file_name,a\n\xff,1\n", None, "cannot be read as a table (byte 12 is not UTF-8; save it as UTF-8)"),
        ('file_name,a\n"1.png,1\n', None, "cannot be read as a table (unexpected end of data)"),
        ("image,rust\n1.png,1\n", None, f"no column 'file_name' among 'image', 'rust'; {EXPECTED}"),
        ("file_name\n1.png\n", None, f"no column except 'file_name'; {EXPECTED}"),
        ("file_name,a,a\n1.png,1,1\n", None, f"column 'a' appears twice or has no name; {EXPECTED}"),
        ("file_name,a,\n1.png,1,1\n", None, f"column '' appears twice or has no name; {EXPECTED}"),
        ("file_name,a,b\n1.png,1\n", None, "line 2: 2 columns, expected 3 as in the first line"),
        ("file_name,a\n3.png,1\n", None, "line 2: '3.png' is not a photograph in"),
        ("file_name,a\n../1.png,1\n", None, "line 2: '../1.png' is not a photograph in"),
        ("file_name,a\n1.png,1\n1.png,0\n", None, "line 3: '1.png' is in line 2 too; expected one line per photograph"),
        ("file_name,a\n1.png,1\n", None, "2.png: no line in"),
        ("file_name,rust\n1.png,1\nsub/2.png,0\n", None, f"one label, 'rust', of numbers; {ASK}"),
        ("file_name,age\n1.png,31\nsub/2.png,4\n", None, f"one label, 'age', of numbers; {ASK}"),
        ("file_name,a,b\n1.png,31,1\nsub/2.png,4,0\n", None, f"2 columns of numbers; {ASK}"),
        ("file_name,a,b\n1.png,31,x\nsub/2.png,4,0\n", None, f"2 columns of numbers and text; {ASK}"),
        (
            "file_name,a,b\n1.png,2,1\nsub/2.png,1,0\n",
            "multi_label_classification",
            "line 2, column 'a': '2', expected 0 or 1; for numbers, train with `problem_type='regression'`",
        ),
        ("file_name,a\n1.png,1\nsub/2.png,\n", "regression", "line 3, column 'a': '', expected a number such as 3.5"),
        ("file_name,a\n1.png,nan\nsub/2.png,1\n", "regression", "line 2, column 'a': 'nan', expected a number"),
        ("file_name,a\n1.png,1e99\nsub/2.png,1\n", "regression", "line 2, column 'a': '1e99', expected a number"),
        (
            "file_name;a\n1.png;3,5\nsub/2.png;1.5\n",  # one of them means thousands
            "regression",
            "line 2, column 'a': '3,5', expected a number such as 3.5",
        ),
        (
            "file_name,a,b\n1.png,1,1\nsub/2.png,1,0\n",
            "single_label_classification",
            "line 2: 2 labels, expected one; for several, train with `problem_type='multi_label_classification'`",
        ),
        (
            "file_name,a\n1.png,\nsub/2.png,x\n",
            "single_label_classification",
            "line 2, column 'a': empty, expected a label",
        ),
        (
            "file_name,a\n1.png,[x\nsub/2.png,x\n",
            "multi_label_classification",
            "line 2, column 'a': '[x', expected names",
        ),
        ("file_name,a\n1.png,[]\nsub/2.png,\n", None, "metadata.csv: no photograph has a label"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_line_and_column(
    tmp_path: Path, table: Any, problem_type: Any, message: str
) -> None:
    with pytest.raises(ImageError) as refusal:
        open_annotated(folder_with(tmp_path, table), problem_type)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_label_that_the_model_does_not_have_is_named(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "file_name,labels\n1.png,rust;dent\nsub/2.png,rust\n")
    with pytest.raises(
        ImageError, match=r"line 2, column 'labels': 'dent' is not one of the model's labels, rust, crack"
    ):
        open_annotated(root, "multi_label_classification", labels=("rust", "crack"))


def test_targets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ImageError, match=r"targets of shape \(1, 2\): expected \(1, 1\), one for each label"):
        AnnotatedImages((Path("a.png"),), np.zeros((1, 2)), ("age",))
