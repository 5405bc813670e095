"""Masks beside pictures: read, checked and counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.photographs import png
from support.segments import CLASSES

from swiftformer_tf import ImageError
from swiftformer_tf.images.masks import VOID, MaskClasses, MaskFolder, count_pixels, find_mask, open_mask


def test_pairs_are_read_and_indices_become_labels(pairs: Path) -> None:
    folder = MaskFolder.open(pairs)
    image, labels = folder.read(0)
    assert len(folder) == 6
    assert folder.classes == CLASSES
    assert folder.classes.labels == ("sky", "ground")
    assert image.size == (64, 40)
    assert labels[0, 0] == VOID
    assert labels[5, 0] == 0
    assert labels[20, 0] == 1
    assert count_pixels(folder).sum() == sum((mask != VOID).sum() for _, mask in folder)


@pytest.mark.parametrize("mode", ["P", "RGB"])
def test_masks_with_a_palette_or_in_colors_are_the_same(pairs: Path, mode: str) -> None:
    folder = MaskFolder.open(pairs)
    path = folder.masks[0]
    expected = folder.read(0)[1]
    palette = Image.open(path).convert("L")
    palette.putpalette(np.array(CLASSES.colors, np.uint8).ravel().tolist())
    palette.convert(mode).save(path)
    np.testing.assert_array_equal(folder.read(0)[1], expected)


@pytest.mark.parametrize(("bits", "row", "indices"), [(1, 0x60, [0, 1, 1, 0]), (2, 0x6C, [1, 2, 3, 0])])
def test_gray_of_few_bits_holds_indices_as_well(tmp_path: Path, bits: int, row: int, indices: list[int]) -> None:
    (tmp_path / "m.png").write_bytes(png((4, 1), bits, [bytes([row])]))
    assert open_mask(tmp_path / "m.png", MaskClasses(tuple("abcd"))).tolist() == [indices]


def test_gray_of_four_bits_holds_indices_as_well(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(png((4, 1), 4, [bytes([0x01, 0x2F])]))
    assert open_mask(tmp_path / "m.png", MaskClasses(tuple("abcdefghijklmnop"))).tolist() == [[0, 1, 2, 15]]
    with pytest.raises(ImageError, match="index 15 is beyond the class list of 4 classes"):
        open_mask(tmp_path / "m.png", MaskClasses(tuple("abcd")))


#: Channels of a PNG by its color type: gray, RGB, gray with alpha, RGB with alpha.
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


@pytest.mark.parametrize("color_type", CHANNELS)
@pytest.mark.parametrize("interlaced", [False, True])
def test_masks_of_16_bits_are_refused_in_any_color_type(tmp_path: Path, color_type: int, interlaced: bool) -> None:
    """Pillow reads colors of 16 bits as their upper 8: two classes would become one."""
    # Of four pixels in a row, three passes of the interlaced form have one, one and two.
    rows = [1, 1, 2] if interlaced else [4]
    pixels = [bytes([1, 2] * CHANNELS[color_type] * count) for count in rows]
    (tmp_path / "m.png").write_bytes(png((4, 1), 16, pixels, colors=color_type, interlaced=interlaced))
    with pytest.raises(ImageError, match=r"m\.png: a mask of 16 bits; expected at most 8 per channel: save class ind"):
        open_mask(tmp_path / "m.png", MaskClasses(("a", "b"), ((1, 1, 1), (2, 2, 2))))


def test_alpha_is_ignored(tmp_path: Path) -> None:
    classes = MaskClasses(("a", "b"), ((1, 1, 1), (2, 2, 2)))
    alpha = np.array([[0, 255]], np.uint8)
    for name, channels in {"gray": [np.array([[1, 0]], np.uint8)], "rgb": [np.array([[2, 1]], np.uint8)] * 3}.items():
        Image.fromarray(np.stack([*channels, alpha], axis=-1)).save(tmp_path / f"{name}.png")
        assert open_mask(tmp_path / f"{name}.png", classes).tolist() == [[1, 0]]


def _saved(array: np.ndarray) -> Any:
    return lambda path: Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _saved(np.zeros((40, 60), np.uint8)),
            "0.png: 60 x 40 pixels, but its photograph has 64 x 40; expected a mask",
        ),
        (_saved(np.full((40, 64), 3, np.uint8)), "0.png: index 3 is beyond the class list of 3 classes"),
        (_saved(np.full((40, 64, 3), 7, np.uint8)), "0.png: the color #070707 is not in the class list"),
        (
            lambda path: path.write_bytes(b"GIF89a"),
            r"0.png: cannot be read as a mask, expected a PNG \(not a format",
        ),
        (lambda path: path.write_bytes(b""), r"0.png: cannot be read as a mask, expected a PNG \(it is empty\)"),
        (lambda path: path.unlink(), "0.png: no such file"),
    ],
)
def test_a_spoiled_mask_is_named(pairs: Path, spoil: Any, message: str) -> None:
    folder = MaskFolder.open(pairs)
    spoil(folder.masks[0])
    with pytest.raises(ImageError, match=message) as error:
        folder.read(0)
    assert "\n" not in str(error.value)


def test_colors_need_a_table(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "m.png")
    with pytest.raises(ImageError, match="an RGB mask, but the class list has no colors"):
        open_mask(tmp_path / "m.png", MaskClasses(("a", "b")))


def test_the_mask_of_a_photograph_is_found_where_folders_have_it(pairs: Path, tmp_path: Path) -> None:
    folder = MaskFolder.open(pairs)
    found = find_mask(folder.images[1], CLASSES.labels)
    assert found is not None
    np.testing.assert_array_equal(found, folder.read(1)[1])
    assert find_mask(folder.images[1], ("ground", "sky")) is None
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(folder.images[1].read_bytes())
    assert find_mask(elsewhere, CLASSES.labels) is None
    _saved(np.zeros((40, 60), np.uint8))(folder.masks[1])
    with pytest.raises(ImageError, match=r"1.png: 60 x 40 pixels, but its photograph has 64 x 40"):
        find_mask(folder.images[1], CLASSES.labels)
    folder.masks[1].unlink()
    assert find_mask(folder.images[1], CLASSES.labels) is None


def test_pairs_are_accounted_for(pairs: Path) -> None:
    masks = pairs.parents[1] / "masks" / "train"
    (masks / "9.png").write_bytes((masks / "0.png").read_bytes())
    with pytest.raises(ImageError, match=r"9.png: a mask without a photograph"):
        MaskFolder.open(pairs)
    (masks / "9.png").unlink()
    Image.new("RGB", (4, 4)).save(pairs / "1.jpg")
    with pytest.raises(ImageError, match=r"1.png: two photographs have this mask's stem"):
        MaskFolder.open(pairs)
    (pairs / "1.jpg").rename(pairs / "7.jpg")
    with pytest.raises(ImageError, match=r"7.jpg: no mask; expected .*7.png"):
        MaskFolder.open(pairs)
    with pytest.raises(ImageError, match="expected a folder named images, or one inside it"):
        MaskFolder.open(masks)


def test_linked_folders_are_accounted_for_as_well(pairs: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    for kind in ("images", "masks"):
        (linked / kind).mkdir(parents=True)
        (linked / kind / "street").symlink_to(pairs.parents[1] / kind / "train")
    folder = MaskFolder.open(linked / "images", CLASSES)
    assert (len(folder), folder.masks[0]) == (6, linked / "masks" / "street" / "0.png")
    masks = pairs.parents[1] / "masks" / "train"
    (masks / "9.png").write_bytes((masks / "0.png").read_bytes())
    with pytest.raises(ImageError, match=r"street.9.png: a mask without a photograph"):
        MaskFolder.open(linked / "images", CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "class list: empty"),
        ("void\n", "class list: empty"),
        ("a\na\n", "the name a appears twice"),
        ("a,red\nb\n", "1 colors for 2 names"),
        ("a,red\nb,#ff0000\n", r"the color \(255, 0, 0\) appears twice"),
        ("a,reddish\n", "line 1: 'reddish' is not a color"),
        ("a\n\n", "line 2: expected a name"),
        ("a,red,1\n", "line 1: expected a name"),
        ("a\tred\n", "line 1: expected a name"),
        ("a;red\nvoid;black\n", "line 1: 'a;red' has a semicolon; expected name and color separated by a comma"),
        ("\n".join(map(str, range(256))), "256 lines; expected at most 255"),
    ],
)
def test_class_lists_that_say_nothing_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(ImageError, match=f"classes.csv: .*{message}"):
        MaskClasses.open(tmp_path / "classes.csv")


def test_an_empty_class_and_a_single_picture_are_refused(pairs: Path) -> None:
    more = MaskClasses(("sky", "ground", "void", "tree"))
    with pytest.raises(ImageError, match="class 'tree': no pixel in 6 masks"):
        count_pixels(MaskFolder.open(pairs, more))
    for path in sorted(pairs.iterdir())[1:]:
        path.unlink()
        (pairs.parents[1] / "masks" / "train" / path.name).unlink()
    with pytest.raises(ImageError, match=r"0.png: the only photograph in its folder; expected two or more"):
        count_pixels(MaskFolder.open(pairs))


@pytest.mark.parametrize("void", [False, True])
def test_a_list_may_name_every_index_but_the_last(tmp_path: Path, void: bool) -> None:
    """255 of them; the last is as good as any other, and one fewer leaves it beyond the list."""
    names = tuple(f"class {index}" for index in range(255))
    Image.fromarray(np.array([[0, 254, 255]], np.uint8)).save(tmp_path / "mask.png")
    classes = MaskClasses(("void", *names[1:]) if void else names)
    assert open_mask(tmp_path / "mask.png", classes).tolist() == [[255, 253, 255] if void else [0, 254, 255]]
    with pytest.raises(ImageError, match="index 254 is beyond the class list of 254 classes"):
        open_mask(tmp_path / "mask.png", MaskClasses(names[:254]))
