"""Semantic segmentation: model, masks, figures and training, on drawn pictures."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.random_models import randomized

from swiftformer_tf import ConfigError, ImageError, ModelError, SwiftFormerConfig, SwiftFormerForImageClassification
from swiftformer_tf.cli import cli
from swiftformer_tf.cli.evaluate import evaluate
from swiftformer_tf.cli.train import train
from swiftformer_tf.evaluation import answers_at, evaluate_segmentation
from swiftformer_tf.images.masks import VOID, MaskClasses, MaskFolder, count_pixels, open_mask
from swiftformer_tf.segmentation import (
    BilinearResize,
    NearestUpsampling,
    SwiftFormerForSemanticSegmentation,
    copy_backbone,
)
from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS, SegmentationHead
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion, confusion_matrix
from swiftformer_tf.training.segmentation import PixelCrossEntropy, train_segmenter
from swiftformer_tf.training.segmentation_data import MaskBatches, augmented
from swiftformer_tf.training.segmentation_recipes import SEGMENTATION_RECIPES, SegmentationRecipe

CLASSES = MaskClasses(("sky", "ground", "void"), ((0, 0, 255), (0, 128, 0), (0, 0, 0)))
SMALL = SegmentationHead(fpn_dim=8, head_dim=8)
RECIPE = SegmentationRecipe(epochs=3, batch_size=4, crop_size=(32, 32), warmup_steps=1, learning_rate=1e-2, ema=0.5)


def tiny(**fields: Any) -> SwiftFormerConfig:
    config = SwiftFormerConfig.from_variant("tiny", id2label={0: "sky", 1: "ground"}, image_size=(40, 64), **fields)
    return config.replace(transform=config.transform.replace(crop=None, interpolation="bilinear"))


def segmenter(head: SegmentationHead = SMALL) -> SwiftFormerForSemanticSegmentation:
    return randomized(SwiftFormerForSemanticSegmentation(tiny(), head=head))


def write_pairs(root: Path, count: int = 6) -> Path:
    """Blue above, green below, the horizon elsewhere in each, with a void border."""
    for kind in ("images", "masks"):
        (root / kind / "train").mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels, mask = np.zeros((40, 64, 3), np.uint8), np.full((40, 64), 2, np.uint8)
        horizon = 10 + 3 * index
        pixels[:horizon], pixels[horizon:] = (60, 90, 220), (40, 140, 40)
        mask[1:horizon], mask[horizon:-1] = 0, 1
        Image.fromarray(pixels).save(root / "images" / "train" / f"{index}.png")
        Image.fromarray(mask).save(root / "masks" / "train" / f"{index}.png")
    (root / "classes.csv").write_text("sky,#0000ff\nground,green\nvoid,black\n")
    return root / "images" / "train"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs(tmp_path)


@pytest.mark.parametrize("name", SEGMENTATION_HEADS)
def test_heads_answer_alike_called_predicted_and_saved(name: str, tmp_path: Path) -> None:
    model = segmenter(SEGMENTATION_HEADS[name])
    images = np.random.default_rng(0).normal(size=(2, 90, 67, 3)).astype(np.float32)
    before = [np.asarray(value) for value in model.get_weights()]
    logits = np.asarray(model(images))
    assert logits.shape == (2, 23, 17, 2)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(model.predict(images, verbose=0), logits, atol=1e-5 * abs(logits).max())
    for was, now in zip(before, model.get_weights(), strict=True):  # nothing went into training mode
        np.testing.assert_array_equal(was, now)
    model.save(tmp_path / "segmenter.keras")
    loaded = keras.models.load_model(tmp_path / "segmenter.keras")
    assert isinstance(loaded, SwiftFormerForSemanticSegmentation)
    assert loaded.head == model.head
    np.testing.assert_array_equal(np.asarray(loaded(images)), logits)


@pytest.mark.parametrize(
    ("name", "parameters"), [("semantic_fpn", 4_099_979), ("semantic_fpn_64", 436_427), ("all_mlp", 29_131)]
)
def test_heads_have_their_parameters_on_xs(name: str, parameters: int) -> None:
    config = SwiftFormerConfig.from_variant("xs", id2label={index: str(index) for index in range(11)})
    model = SwiftFormerForSemanticSegmentation(config, head=SEGMENTATION_HEADS[name])
    layers = [layer for layer in model.layers if layer.name.startswith(("neck-", "decode_head-"))]
    assert sum(layer.count_params() for layer in layers) == parameters


def test_mixed_precision_gives_float32_logits() -> None:
    model = SwiftFormerForSemanticSegmentation(tiny(), head=SMALL, dtype="mixed_bfloat16")
    assert model(np.zeros((1, 32, 32, 3), np.float32)).dtype == "float32"


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (6, 7)])
def test_upsampling_to_the_nearest_is_pytorchs(size: tuple[int, int]) -> None:
    given = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    actual = np.asarray(NearestUpsampling()(given, np.zeros((2, *size, 1), np.float32)))
    rows, columns = (np.arange(side) * have // side for side, have in zip(size, (3, 4), strict=True))
    np.testing.assert_array_equal(actual, given[:, rows][:, :, columns])


def test_resizing_keeps_a_map_of_the_right_size() -> None:
    given = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(BilinearResize()(given, np.zeros((1, 3, 4, 1), np.float32))), given)


def test_the_backbone_comes_from_a_classifier_and_the_head_is_new() -> None:
    classifier = randomized(SwiftFormerForImageClassification(tiny()), seed=1)
    model = segmenter()
    head = {v.path: v.numpy() for v in model.weights if v.path.startswith(("neck-", "decode_head-"))}
    new = copy_backbone(model, classifier)
    assert set(new) == set(head)
    trained = {variable.path: variable.numpy() for variable in classifier.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), {**trained, **head}[variable.path])


def test_another_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="its stem has other shapes; expected the backbone of swiftformer_for_sem"):
        copy_backbone(segmenter(), SwiftFormerForImageClassification(tiny().replace(embed_dims=(10, 12, 16, 20))))
    with pytest.raises(ConfigError, match="its stages-0-blocks-0 has other shapes"):
        copy_backbone(segmenter(), SwiftFormerForImageClassification(tiny().replace(depths=(1, 1, 2, 1))))
    with pytest.raises(ConfigError, match="token_weights is 'uniform', expected 'l2'"):
        copy_backbone(segmenter(), SwiftFormerForImageClassification(tiny().replace(token_weights="uniform")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "unet"}, r"head.name='unet': expected one of semantic_fpn, all_mlp"),
        ({"fpn_dim": 0}, "head.fpn_dim=0: expected a whole number from 1 to 4096"),
        ({"head_dim": True}, "head.head_dim=True: expected a whole number"),
        ({"dropout": 1.0}, "head.dropout=1.0: expected a number from 0 to below 1"),
        ({"width": 3}, "head.width: no such field"),
    ],
)
def test_impossible_heads_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentationHead.from_dict(fields)


def test_a_segmenter_needs_labels_and_halving_stages() -> None:
    with pytest.raises(ConfigError, match="a segmenter needs a label for each class"):
        SwiftFormerForSemanticSegmentation(tiny().replace(id2label={}))
    with pytest.raises(ConfigError, match="down_stride=3: a segmentation head expects stages that halve"):
        SwiftFormerForSemanticSegmentation(tiny().replace(down_stride=3))


def test_figures_are_those_of_keras_and_of_counting() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.integers(0, 4, (3, 20, 30)), rng.integers(0, 4, (3, 20, 30))
    truth[:, :2] = VOID
    confusion = PixelConfusion.empty(("a", "b", "c", "d"))
    for one, other in zip(truth, answers, strict=True):
        confusion = confusion.add(one, other)
    metric = keras.metrics.MeanIoU(4)
    metric.update_state(truth[truth != VOID], answers[truth != VOID])
    np.testing.assert_array_equal(confusion.matrix, np.asarray(metric.total_cm))
    assert confusion.mean_iou == pytest.approx(float(metric.result()), abs=1e-6)
    assert confusion.pixel_accuracy == np.mean(truth[truth != VOID] == answers[truth != VOID])
    by_hand = [
        ((truth == k) & (answers == k)).sum() / (((truth == k) | (answers == k)) & (truth != VOID)).sum()
        for k in range(4)
    ]
    np.testing.assert_allclose(confusion.iou, by_hand)


def test_a_class_that_is_nowhere_counts_nowhere() -> None:
    confusion = PixelConfusion.empty(("a", "b")).add(np.array([0, VOID]), np.array([0, 1]))
    assert np.isnan(confusion.iou[1])
    assert confusion.mean_iou == 1
    assert [row["label"] for row in confusion.to_dict()["per_class"]] == ["a"]


def test_pixels_of_no_class_are_refused() -> None:
    with pytest.raises(ModelError, match="answers: classes from 0 to 7, expected 0 to 1"):
        confusion_matrix(np.array([0, 1]), np.array([0, 7]), 2)
    with pytest.raises(ModelError, match=r"answers of shape \(1,\): expected \(2,\)"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)


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


def _saved(array: np.ndarray) -> Any:
    return lambda path: Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _saved(np.zeros((40, 60), np.uint8)),
            "0.png: 60 x 40 pixels, and its photograph has 64 x 40; expected a mask",
        ),
        (_saved(np.zeros((40, 64), np.uint16)), "0.png: a mask of 16 bits; expected a PNG of 8 bits"),
        (_saved(np.full((40, 64), 3, np.uint8)), "0.png: index 3 is beyond the class list, which has 3"),
        (_saved(np.full((40, 64, 3), 7, np.uint8)), "0.png: the color #070707 is not in the class list"),
        (_saved(np.zeros((40, 64, 2), np.uint8)), "0.png: a mask of Pillow's mode LA"),
        (lambda path: path.write_bytes(b"GIF89a"), "0.png: cannot be read as a mask, expected a PNG"),
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
    with pytest.raises(ImageError, match="a mask in RGB, and the class list has no colors"):
        open_mask(tmp_path / "m.png", MaskClasses(("a", "b")))


def test_pairs_are_accounted_for(pairs: Path) -> None:
    masks = pairs.parents[1] / "masks" / "train"
    (masks / "9.png").write_bytes((masks / "0.png").read_bytes())
    with pytest.raises(ImageError, match=r"9.png: a mask without a photograph"):
        MaskFolder.open(pairs)
    (masks / "9.png").unlink()
    Image.new("RGB", (4, 4)).save(pairs / "1.jpg")
    with pytest.raises(ImageError, match=r"1.png: the mask of two photographs with this stem"):
        MaskFolder.open(pairs)
    (pairs / "1.jpg").rename(pairs / "7.jpg")
    with pytest.raises(ImageError, match=r"7.jpg: no mask; expected .*7.png"):
        MaskFolder.open(pairs)
    with pytest.raises(ImageError, match="expected a folder called images, or one below it"):
        MaskFolder.open(masks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "class list: no class"),
        ("void\n", "class list: no class"),
        ("a\na\n", "the name a twice"),
        ("a,red\nb\n", "1 colors for 2 names"),
        ("a,red\nb,#ff0000\n", r"the color \(255, 0, 0\) twice"),
        ("a,reddish\n", "line 1: 'reddish' is no color"),
        ("a\n\n", "line 2: expected a name"),
        ("a,red,1\n", "line 1: expected a name"),
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


def test_crops_move_picture_and_mask_alike_and_are_void_outside() -> None:
    labels = np.zeros((40, 64), np.uint8)
    labels[10:30, 20:50] = 1
    image = Image.fromarray(np.repeat(200 * labels[..., None], 3, axis=2))
    recipe = RECIPE.replace(color_jitter=0.0)
    outside = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        crop, mask = augmented(image, labels, rng, recipe, (48, 48), scale=(0.4, 2.0), fill=(7.0, 8.0, 9.0))
        assert crop.shape == (48, 48, 3)
        assert mask.shape == (48, 48)
        assert set(np.unique(mask)) <= {0, 1, VOID}
        np.testing.assert_array_equal((crop == (7, 8, 9)).all(axis=-1), mask == VOID)
        inside = mask != VOID
        outside += (~inside).any()
        # Bilinear against nearest: only pixels at the edge may differ.
        assert np.mean((crop[inside][:, 0] > 100) == (mask[inside] == 1)) > 0.9
    assert 0 < outside < 20


def test_batches_are_functions_of_seed_and_step(pairs: Path) -> None:
    folder = MaskFolder.open(pairs)
    batches = MaskBatches(folder, RECIPE, tiny(), seed=1)
    first = [(x.numpy(), y.numpy()) for x, y in batches.dataset()]
    again = [(x.numpy(), y.numpy()) for x, y in MaskBatches(folder, RECIPE, tiny(), seed=1).dataset(first_epoch=2)]
    assert len(first) == RECIPE.epochs * batches.steps == 3
    assert first[0][0].shape == (4, 32, 32, 3)
    assert first[-1][0].shape == (4, 32, 64, 3)
    for one, other in zip(first[-1], again[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first[0][1] != first[1][1]).any()


def test_void_and_class_weights_are_in_the_loss() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 4, 4, 3)).astype(np.float32), rng.integers(0, 3, (2, 4, 4, 1))
    labels[0, :2] = VOID
    weights = np.array([1.0, 2.0, 5.0])
    counted = labels[..., 0] != VOID
    shown = np.log(np.exp(logits).sum(-1))[counted] - np.take_along_axis(logits, labels % VOID, -1)[..., 0][counted]
    each = weights[labels[..., 0][counted]]
    actual = float(PixelCrossEntropy(weights.tolist())(labels, logits))
    assert actual == pytest.approx(float((each * shown).sum() / each.sum()), rel=1e-5)
    assert float(PixelCrossEntropy()(np.full_like(labels, VOID), logits)) == 0


class _Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt


def test_training_learns_and_goes_on_after_an_interruption(pairs: Path, tmp_path: Path) -> None:
    folder = MaskFolder.open(pairs)

    def run(output: str, *callbacks: Any) -> list[dict[str, float]]:
        keras.utils.set_random_seed(0)
        model = SwiftFormerForSemanticSegmentation(tiny(drop_path_rate=0.1), head=SMALL)
        return train_segmenter(
            model, folder, RECIPE.replace(epochs=4), tmp_path / output, validation=folder, callbacks=callbacks
        )

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("parts", _Stop())
    parts = run("parts")
    assert len(whole) == len(parts) == 4
    for one, other in zip(whole, parts, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in other.items() if k != "seconds"}
    best = max(row["val_mean_iou"] for row in whole)
    assert best > 0.5
    assert whole[-1]["loss"] < whole[0]["loss"]
    saved = keras.models.load_model(tmp_path / "whole" / "model.keras", compile=False)
    confusion = evaluate_segmentation(saved.predict_on_batch, saved.config, folder)
    assert confusion.mean_iou == pytest.approx(best, abs=1e-6)


def test_training_refuses_other_classes_and_small_folders(pairs: Path, tmp_path: Path) -> None:
    folder = MaskFolder.open(pairs)
    other = SwiftFormerForSemanticSegmentation(tiny().replace(id2label={0: "ground", 1: "sky"}), head=SMALL)
    with pytest.raises(ConfigError, match="classes sky, ground: expected those of the model, ground, sky"):
        train_segmenter(other, folder, RECIPE, tmp_path / "run")
    with pytest.raises(ImageError, match="6 photographs are less than one batch of 8"):
        train_segmenter(segmenter(), folder, RECIPE.with_batch_size(8), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluation_is_at_the_masks_own_size(pairs: Path) -> None:
    folder = MaskFolder.open(pairs)

    def knows(images: np.ndarray) -> np.ndarray:
        pixels = tiny().transform.denormalize(images)
        return np.stack([pixels[..., 2], pixels[..., 1]], axis=-1)

    assert evaluate_segmentation(knows, tiny(), folder).mean_iou == 1
    constant = evaluate_segmentation(lambda images: np.zeros((1, 4, 4), np.int64), tiny(), folder)
    assert constant.iou[1] == 0
    assert constant.pixel_accuracy == pytest.approx(constant.iou[0])


def test_evaluation_refuses_what_it_cannot_count(pairs: Path) -> None:
    folder = MaskFolder.open(pairs)
    with pytest.raises(ModelError, match=r"0.png: outputs of shape \(1, 4, 4, 3\): expected \(1, h, w, 2\)"):
        evaluate_segmentation(lambda images: np.zeros((1, 4, 4, 3)), tiny(), folder)
    with pytest.raises(ModelError, match=r"0.png: the model's outputs are not finite"):
        evaluate_segmentation(lambda images: np.full((1, 4, 4, 2), np.nan), tiny(), folder)
    cropping = tiny().replace(transform=tiny().transform.replace(crop=0.9))
    with pytest.raises(ConfigError, match=r"transform.crop=0.9: evaluation compares whole photographs"):
        evaluate_segmentation(lambda images: np.zeros((1, 4, 4, 2)), cropping, folder)
    assert answers_at(np.array([[[0, 1], [1, 0]]]), (4, 4), 2)[0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("name", SEGMENTATION_RECIPES)
def test_recipes_travel_as_json(name: str) -> None:
    recipe = SEGMENTATION_RECIPES[name]
    assert SegmentationRecipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "recipe.epochs=0: expected 1 or more"),
        ({"crop_size": [16, 64]}, r"recipe.crop_size=\(16, 64\): expected a height and a width of 32 or more"),
        ({"scale": [2.0, 1.0]}, r"recipe.scale=\(2.0, 1.0\): expected two positive numbers, the smaller first"),
        ({"backbone_rate": 2.0}, "recipe.backbone_rate=2.0: expected 0 to 1"),
        ({"lr": 1}, "recipe.lr: no such field"),
    ],
)
def test_impossible_recipes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentationRecipe.from_dict(fields)


def test_the_command_trains_as_the_function_does(pairs: Path, tmp_path: Path, saved: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE.replace(epochs=1).to_dict()))
    arguments = [str(pairs), "-o", str(tmp_path / "run"), "--validation", str(pairs), "--from", str(saved)]
    options = ["--task", "segmentation", "--head", "all_mlp", "--recipe", str(tmp_path / "recipe.json")]
    result = CliRunner().invoke(train, [*arguments, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "epoch 1 of 1, val_mean_iou " in result.output
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert model.config.labels == ("sky", "ground")
    assert model.config.input_size == (40, 64)
    assert model.head.name == "all_mlp"


def test_the_command_evaluates_as_the_function_does(pairs: Path, tmp_path: Path, saved: Path) -> None:
    model = segmenter()
    model.save(tmp_path / "model.keras")
    arguments = [str(pairs), "--task", "segmentation", "--json"]
    result = CliRunner().invoke(evaluate, [str(tmp_path / "model.keras"), *arguments], catch_exceptions=False)
    expected = evaluate_segmentation(model.predict_on_batch, model.config, MaskFolder.open(pairs))
    assert json.loads(result.stdout)["mean_iou"] == pytest.approx(expected.mean_iou, abs=1e-9)
    with pytest.raises(ModelError, match=r"\.keras: a model for classification; expected a segmenter"):
        CliRunner().invoke(evaluate, [str(saved), *arguments], catch_exceptions=False)


def test_a_file_that_asks_for_a_head_larger_than_itself_is_refused(tmp_path: Path) -> None:
    segmenter().save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, zipfile.ZipFile(tmp_path / "huge.keras", "w") as huge:
        for name in archive.namelist():
            data = archive.read(name)
            huge.writestr(name, data.replace(b'"fpn_dim": 8', b'"fpn_dim": 4096') if name == "config.json" else data)
    with pytest.raises(ModelError, match=r"parameters, which its .* bytes cannot hold"):
        SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / "huge.keras")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "segmentation", "--head", "unet"], "head unet: expected one of semantic_fpn, "),
        (["--task", "segmentation", "--crop", "0.9"], "crop is not for task segmentation; leave it out"),
        (["--head", "all_mlp"], "head is not for task classification; leave it out"),
    ],
)
def test_options_of_the_other_task_are_refused(pairs: Path, tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["train", str(pairs), "-o", str(tmp_path / "run"), *options])
    assert result.exit_code == 2
    assert message in result.output
