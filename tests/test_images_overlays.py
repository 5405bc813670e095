"""Pictures of masks, and what `predict` writes of a segmenter."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.random_models import TWO_STAGES, pictures, randomized, tiny_config
from support.segments import CROPS, cropping

from swiftformer_tf import ConfigError, ImageError, SwiftFormerForImageClassification
from swiftformer_tf.cli.predict import predict
from swiftformer_tf.images.colors import Color, class_colors
from swiftformer_tf.images.masks import VOID, MaskClasses, open_mask
from swiftformer_tf.images.overlays import mask_picture, overlay
from swiftformer_tf.predicting import predict_photographs
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.tasks.semantic_segmentation import answers_at


@pytest.fixture(scope="module")
def segmenter() -> SwiftFormerForSemanticSegmentation:
    config = tiny_config(image_size=(40, 64), id2label={0: "road", 1: "sky", 2: "tree"})
    config = config.replace(transform=config.transform.replace(crop=None, interpolation="bilinear"))
    return randomized(SwiftFormerForSemanticSegmentation(config, head=SegmentationHead(fpn_dim=8, head_dim=8)))


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    Image.fromarray(pictures(1, 50, 71)[0]).save(tmp_path / "street.png")
    return tmp_path / "street.png"


@pytest.mark.parametrize("count", [2, 21, 150])
def test_colors_are_told_apart(count: int) -> None:
    colors = np.array(class_colors(count), float)
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=-1) + 1000 * np.eye(count)
    assert distances.min() >= (60 if count <= 21 else 2)
    assert class_colors(count)[:2] == class_colors(2)


def test_a_mask_is_read_again(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2], [VOID, 2, 0]], np.uint8)
    mask_picture(mask, class_colors(3)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(open_mask(tmp_path / "m.png", MaskClasses(("a", "b", "c"))), mask)


def test_void_leaves_the_photograph_as_it_is() -> None:
    photograph = Image.new("RGB", (2, 1), (10, 20, 30))
    shown = overlay(photograph, np.array([[VOID, 0]], np.uint8), [(210, 20, 30)])
    assert [shown.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (110, 20, 30)]


def test_the_command_writes_mask_and_overlay(
    segmenter: SwiftFormerForSemanticSegmentation, photograph: Path, tmp_path: Path
) -> None:
    segmenter.save(tmp_path / "model.keras")
    out = tmp_path / "out"
    arguments = [str(tmp_path / "model.keras"), str(photograph), "-o", str(out), "--json"]
    result = CliRunner().invoke(predict, arguments, catch_exceptions=False)
    (told,) = json.loads(result.stdout)
    logits = segmenter.predict(segmenter.config.transform(photograph)[None], verbose=0)
    expected = answers_at(logits, (50, 71), 3)
    written = open_mask(out / "street_mask.png", MaskClasses(segmenter.config.labels))
    np.testing.assert_array_equal(written, expected)
    shares = {each["label"]: each["share"] for each in told["classes"]}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["sky"] == pytest.approx(np.mean(expected == 1)) if "sky" in shares else not (expected == 1).any()
    with Image.open(out / "street_overlay.png") as shown:
        assert shown.size == (71, 50)
        half = (np.array(Image.open(photograph), float) + np.array(class_colors(3), float)[expected]) / 2
        assert np.abs(np.array(shown, float) - half).max() <= 1.5
    assert sorted(path.name for path in out.iterdir()) == ["classes.csv", "street_mask.png", "street_overlay.png"]
    for_people = CliRunner().invoke(predict, arguments[:2], catch_exceptions=False).stdout.splitlines()
    assert for_people[0] == str(photograph)
    assert for_people[1].split()[0].endswith("%")


@pytest.mark.parametrize("colors", [(), ((0, 0, 0), (128, 64, 128), (70, 130, 180), (0, 128, 0))])
def test_masks_are_not_read_with_a_list_that_has_void_before_other_classes(
    segmenter: SwiftFormerForSemanticSegmentation, photograph: Path, tmp_path: Path, colors: tuple[Color, ...]
) -> None:
    """Training leaves void out of the labels, so that the masks of its model have other indices than its own."""
    first = MaskClasses(("void", *segmenter.config.labels), colors)
    config = segmenter.config.replace(label_colors=first.label_colors)
    model = SwiftFormerForSemanticSegmentation(config, head=segmenter.head)
    model.set_weights(segmenter.get_weights())
    predict_photographs(model, [photograph], output=tmp_path / "out")
    mask = tmp_path / "out" / "street_mask.png"
    with pytest.raises(
        ImageError, match=r"street_mask\.png: a mask that `predict` wrote, .*; give the list .*, classes.csv$"
    ):
        open_mask(mask, first)
    logits = model.predict(config.transform(photograph)[None], verbose=0)
    beside = MaskClasses.open(tmp_path / "out" / "classes.csv")
    np.testing.assert_array_equal(open_mask(mask, beside), answers_at(logits, (50, 71), 3))
    # Masks of the list itself are read as ever, with a palette too.
    own = mask_picture(np.array([[0, 1, 3]], np.uint8), first.colors or class_colors(4))
    own.save(tmp_path / "own.png")
    assert open_mask(tmp_path / "own.png", first).tolist() == [[VOID, 0, 2]]
    last = MaskClasses((*segmenter.config.labels, "void"), (*first.label_colors, (0, 0, 0)) if colors else ())
    np.testing.assert_array_equal(open_mask(mask, last), open_mask(mask, beside))


def test_what_cannot_be_predicted_is_refused(
    segmenter: SwiftFormerForSemanticSegmentation, photograph: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / photograph.name
    other.parent.mkdir()
    other.write_bytes(photograph.read_bytes())
    with pytest.raises(ImageError, match="street: two photographs have this name"):
        predict_photographs(segmenter, [photograph, other], output=tmp_path / "out")
    (tmp_path / "broken.png").write_bytes(b"GIF89a")
    with pytest.raises(ImageError, match=r"broken\.png"):
        predict_photographs(segmenter, [photograph, tmp_path / "broken.png"], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for output in (None, tmp_path / "out"):
        with pytest.raises(ConfigError, match=f"^{CROPS}"):
            predict_photographs(cropping(), [photograph], output=output)
    for labels, named in ({0: "cat"}, "a classifier"), ({}, "a model of features"):
        other_task = SwiftFormerForImageClassification(tiny_config(id2label=labels, **TWO_STAGES))
        with pytest.raises(ImageError, match=f"out: {named} draws no masks; leave out the output folder$"):
            predict_photographs(other_task, [photograph], output=tmp_path / "out")
