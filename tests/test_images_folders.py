"""Photographs on disk."""

import re
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from swiftformer_tf import ImageError, Transform
from swiftformer_tf.images.folders import ImageFolder, balanced_sample, check_images, iterate_images, list_images

SMALL = Transform(size=(8, 8), crop=None)


def photograph(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (value, 0, 0)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, one with a folder inside, and things that are no photographs."""
    for index, name in enumerate(["b/2.png", "b/1.JPG", "a/deep/4.jpeg", "a/3.webp"]):
        photograph(tmp_path / name, index)
    (tmp_path / "a" / "notes.txt").write_text("no photograph")
    photograph(tmp_path / "a" / ".thumbnail.png")
    photograph(tmp_path / ".cache" / "5.png")
    return tmp_path


def test_list_is_sorted_and_leaves_out_what_is_hidden_or_something_else(root: Path) -> None:
    assert [path.relative_to(root).as_posix() for path in list_images(root)] == [
        "a/3.webp",
        "a/deep/4.jpeg",
        "b/1.JPG",
        "b/2.png",
    ]


def test_links_to_folders_are_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Datasets are often kept on another disk and linked; a class may be linked as well as a folder of classes."""
    train = tmp_path_factory.mktemp("train")
    for name, target in (("b", root / "a"), ("c", root / "b"), ("a", root / "b"), (".d", root / "b")):
        (train / name).symlink_to(target)
    listed = ["a/1.JPG", "a/2.png", "b/3.webp", "b/deep/4.jpeg", "c/1.JPG", "c/2.png"]
    assert [path.relative_to(train).as_posix() for path in list_images(train)] == listed
    classes = ImageFolder.open(train)
    assert (classes.class_names, classes.labels) == (("a", "b", "c"), (0, 0, 1, 1, 2, 2))


def test_links_in_a_circle_end(root: Path) -> None:
    before = list_images(root)
    (root / "a" / "deep" / "up").symlink_to(root / "a")
    (root / "b" / "itself").symlink_to(".")
    (root / "a" / "round").symlink_to(root)
    (root / "b" / "nowhere").symlink_to("nowhere")
    assert list_images(root) == before


def test_what_is_a_link_to_a_folder_above_is_listed_once(root: Path) -> None:
    (root / "a" / "up").symlink_to(root)
    assert [path.relative_to(root / "a").as_posix() for path in list_images(root / "a")] == [
        *("3.webp", "deep/4.jpeg", "up/b/1.JPG", "up/b/2.png"),
    ]


# Formats for which Pillow 13 registers a suffix, and which it writes and opens.
WRITTEN = {"AVIF", "BLP", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "MSP", "PCX"} | {
    *("PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM")
}
MODES = {"BLP": "P", "MSP": "1", "XBM": "1"}


def test_every_still_picture_that_pillow_opens_is_taken(tmp_path: Path) -> None:
    """By writing a file of each suffix that it registers: what it opens again, and nothing else."""
    opened = {}
    for suffix, kind in Image.registered_extensions().items():
        path = tmp_path / f"picture{suffix.upper()}"
        if kind == "IM":  # Pillow warns that its release 15 drops it
            continue
        try:
            Image.new(MODES.get(kind, "RGB"), (64, 64)).save(path, format=kind)
            with Image.open(path) as image:
                image.load()
        except (KeyError, OSError):  # Pillow does not write it, or does not read it
            path.unlink(missing_ok=True)
        else:
            opened[path] = kind
    later = {"AVIF", "QOI"} if int(PIL.__version__.partition(".")[0]) < 13 else set()
    assert WRITTEN - later <= set(opened.values()) <= WRITTEN
    assert list_images(tmp_path) == sorted(opened)
    check_images(opened)
    for path in opened:
        assert SMALL(path).shape == (8, 8, 3), path


@pytest.mark.parametrize("suffix", [".h5", ".mpg", ".pdf", ".txt", ".csv"])
def test_other_files_are_no_photographs(root: Path, suffix: str) -> None:
    count = len(list_images(root))
    (root / "a" / f"other{suffix}").write_bytes(b"no picture")
    assert len(list_images(root)) == count


def test_what_a_plugin_registers_is_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `pillow_heif.register_heif_opener()` does it."""
    monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")
    monkeypatch.setitem(Image.OPEN, "HEIF", Image.OPEN["PNG"])
    photograph(root / "a" / "0.png").rename(root / "a" / "0.heic")
    assert list_images(root)[0].name == "0.heic"


def test_empty_and_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ImageError,
        match=re.escape(f"{tmp_path}: no photographs in this folder; expected .jpg, .png or others that Pillow opens"),
    ):
        list_images(tmp_path)
    with pytest.raises(ImageError, match="nowhere: no such folder"):
        list_images(tmp_path / "nowhere")


def test_batches_hold_what_the_transform_gives_in_order(root: Path) -> None:
    paths = list_images(root)
    batches = list(iterate_images(paths, SMALL, batch_size=3))
    assert [batch.shape for batch in batches] == [(3, 8, 8, 3), (1, 8, 8, 3)]
    np.testing.assert_array_equal(np.concatenate(batches), np.stack([SMALL(path) for path in paths]))


def test_batches_are_made_one_at_a_time(root: Path) -> None:
    paths = [*list_images(root), root / "gone.png"]
    batches = iterate_images(paths, SMALL, batch_size=2)
    assert next(batches).shape == next(batches).shape == (2, 8, 8, 3)
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        next(batches)


def test_an_unreadable_photograph_among_good_ones_is_named(root: Path) -> None:
    (root / "b" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a JPEG")
    with pytest.raises(ImageError, match=r"b/broken\.jpg: cannot be read as a picture"):
        list(iterate_images(list_images(root), SMALL))


def test_a_batch_size_below_one_is_refused(root: Path) -> None:
    with pytest.raises(ImageError, match="batch_size=0: expected at least one photograph"):
        next(iterate_images(list_images(root), SMALL, batch_size=0))


def test_classes_are_the_subfolders_in_sorted_order(root: Path) -> None:
    folder = ImageFolder.open(root)
    assert folder.class_names == ("a", "b")
    assert [(path.name, label) for path, label in zip(folder.paths, folder.labels, strict=True)] == [
        ("3.webp", 0),
        ("4.jpeg", 0),
        ("1.JPG", 1),
        ("2.png", 1),
    ]
    assert len(folder) == 4


def test_reordered_classes_keep_their_photographs(root: Path) -> None:
    folder = ImageFolder.open(root).reordered(["b", "a"])
    assert folder.class_names == ("b", "a")
    assert folder.labels == (1, 1, 0, 0)
    with pytest.raises(ImageError, match="classes b, a: expected b, c"):
        folder.reordered(["b", "c"])


def test_a_photograph_outside_the_classes_is_an_error(root: Path) -> None:
    photograph(root / "loose.png")
    with pytest.raises(ImageError, match=r"loose\.png: outside a class's folder; expected .*/<class>/<photograph>"):
        ImageFolder.open(root)


def test_a_class_without_photographs_is_an_error(root: Path) -> None:
    (root / "c").mkdir()
    with pytest.raises(ImageError, match="c: no photographs of this class; add some or remove the folder"):
        ImageFolder.open(root)


def test_a_folder_of_labels_that_do_not_fit_is_an_error() -> None:
    with pytest.raises(ImageError, match="1 photograph but 2 labels"):
        ImageFolder((Path("x.png"),), (0, 0), ("a",))
    with pytest.raises(ImageError, match="label 1 has no name among 1 class"):
        ImageFolder((Path("x.png"),), (1,), ("a",))


def test_samples_are_balanced_and_repeatable() -> None:
    paths = [Path("large", f"{index}.png") for index in range(50)] + [
        Path("small", f"{index}.png") for index in range(3)
    ]
    sample = balanced_sample(paths, 10, seed=1)
    assert [path.parent.name for path in sample] == ["large", "small"] * 3 + ["large"] * 4
    assert len(set(sample)) == 10
    assert sample == balanced_sample(paths, 10, seed=1)
    assert sample != balanced_sample(paths, 10, seed=2)
    assert set(balanced_sample(paths, 1000)) == set(paths)


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ImageError, match="count=0: expected at least one photograph"):
        balanced_sample([Path("x.png")], 0)


def test_files_that_are_no_pictures_are_named_together(root: Path) -> None:
    check_images(list_images(root))
    (root / "a" / "3.webp").write_text("<html>")
    with pytest.raises(ImageError, match=r"3\.webp: cannot be read as a picture; remove or replace this file"):
        check_images(list_images(root))
    for path in list_images(root):
        path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"3\.webp, .*4\.jpeg, .*1\.JPG, \.\.\.: .*; remove or replace these 4 files"):
        check_images(list_images(root))
