"""Colors of a class list go with the model that was trained on it, into whatever file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.random_models import pictures

from swiftformer_tf import RECIPES, VARIANTS, LiteModel, SwiftFormerForSemanticSegmentation, export, fuse
from swiftformer_tf.deployment.android import write_android_folder
from swiftformer_tf.deployment.serving import page_model
from swiftformer_tf.images.colors import Color, class_colors
from swiftformer_tf.images.masks import MaskClasses, open_mask
from swiftformer_tf.loading import Opened, open_any
from swiftformer_tf.predicting import ported, predict_photographs
from swiftformer_tf.report.masks import mask_legend
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.training import train

# The void in their midst is no class of the model.
CLASSES = "road,#804080\nvoid,#000000\nsky,skyblue\n"
COLORS: tuple[Color, ...] = ((0x80, 0x40, 0x80), (135, 206, 235))

SIZE = 64


def street(folder: Path, classes: str) -> Path:
    """Two photographs with masks, and a class list."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for index, pixels in enumerate(pictures(2, SIZE, SIZE)):
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        mask = np.where(pixels[..., 0] < 128, 0, 2).astype(np.uint8)
        mask[0] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    (folder / "classes.csv").write_text(classes)
    return folder / "images"


def trained(folder: Path, output: Path) -> Path:
    """A segmenter of one block as training writes it."""
    head = SegmentationHead(name="all_mlp", head_dim=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "one block", {"depths": (1,), "embed_dims": (8,), "downsamples": (True,)})
        train(folder, output, task="semantic-segmentation", variant="one block", epochs=1, batch_size=2, head=head)
    return output / "model.keras"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street(tmp_path_factory.mktemp("streets"), CLASSES)


@pytest.fixture(scope="module")
def path(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter as training writes it."""
    return trained(photographs, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def lite(path: Path) -> LiteModel:
    deploy = fuse(SwiftFormerForSemanticSegmentation.from_pretrained(path), classifier_activation="softmax")
    return export(deploy, RECIPES["float32"])


def colors(opened: Opened) -> tuple[Color, ...]:
    return ported(opened).config.label_colors


def test_they_go_with_the_model_into_every_file(path: Path, lite: LiteModel, tmp_path: Path) -> None:
    model = SwiftFormerForSemanticSegmentation.from_pretrained(path)
    assert model.config.labels == ("road", "sky")
    assert model.config.label_colors == COLORS
    model.save_pretrained(tmp_path / "folder")
    fuse(model).save(tmp_path / "fused.keras")
    lite.save(tmp_path / "model.tflite")
    for name in ("folder", "fused.keras", "model.tflite"):
        assert colors(open_any(tmp_path / name)) == COLORS
    other = SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / "folder")
    assert other.config.label_colors == COLORS


def test_new_classes_have_colors_of_their_own(path: Path) -> None:
    with pytest.warns(UserWarning, match="new in the head"):
        more = SwiftFormerForSemanticSegmentation.from_pretrained(path, id2label=dict(enumerate("abc")))
    assert more.config.colors == class_colors(3)
    renamed = SwiftFormerForSemanticSegmentation.from_pretrained(path, id2label={0: "street", 1: "heaven"})
    assert renamed.config.colors == COLORS


def test_masks_are_drawn_in_them_everywhere(path: Path, lite: LiteModel, photographs: Path, tmp_path: Path) -> None:
    (answer,) = predict_photographs(path, [photographs / "0.png"], output=tmp_path)
    drawn = Image.open(tmp_path / "0_mask.png").convert("RGB")
    classes = open_mask(tmp_path / "0_mask.png", MaskClasses(("road", "sky")))
    np.testing.assert_array_equal(np.asarray(drawn), np.array(COLORS, np.uint8)[classes])
    named = {"road": "road  #804080", "sky": "sky  #87ceeb"}
    assert all(line.endswith(tuple(named.values())) for line in answer.lines[1:])
    assert mask_legend(lite) == [("road", "rgb(128, 64, 128)"), ("sky", "rgb(135, 206, 235)")]
    assert page_model(lite, name="street", url="/street")["colors"] == [[128, 64, 128], [135, 206, 235]]
    write_android_folder({"street_float32.tflite": lite}, tmp_path / "android")
    (kotlin,) = (tmp_path / "android").rglob("*.kt")
    assert "0x804080, 0x87CEEB," in kotlin.read_text()


def test_without_colors_they_are_drawn_in_others(tmp_path: Path) -> None:
    folder = street(tmp_path / "plain", "road\nvoid\nsky\n")
    model = SwiftFormerForSemanticSegmentation.from_pretrained(trained(folder, tmp_path / "run"))
    assert model.config.label_colors == ()
    assert model.config.colors == class_colors(2)
