"""Trainings of segmenters: crops, loss, recipes, and a run that goes on."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.commands import run
from support.segments import CROPS, RECIPE, SMALL, cropping, segmenter, tiny, write_pairs

from swiftformer_tf import ConfigError, ImageError, ModelError
from swiftformer_tf.cli.evaluate import evaluate
from swiftformer_tf.cli.train import train
from swiftformer_tf.evaluation import evaluate_segmentation
from swiftformer_tf.images.masks import VOID, MaskFolder
from swiftformer_tf.segmentation import (
    SwiftFormerForSemanticSegmentation,
)
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.training.from_folders import train as train_anything
from swiftformer_tf.training.models import freeze
from swiftformer_tf.training.plan import TrainingPlan
from swiftformer_tf.training.segmentation import PixelCrossEntropy, train_segmenter
from swiftformer_tf.training.segmentation_data import MaskBatches, augmented
from swiftformer_tf.training.segmentation_recipes import SEGMENTATION_RECIPES, SegmentationRecipe


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


def channels(number: int) -> SwiftFormerForSemanticSegmentation:
    transform = dataclasses.replace(tiny().transform, mean=(0.5,) * number, std=(0.25,) * number)
    return SwiftFormerForSemanticSegmentation(tiny(num_channels=number, transform=transform), head=SMALL)


def test_a_segmenter_for_gray_photographs_is_trained(pairs: Path, tmp_path: Path) -> None:
    folder = MaskFolder.open(pairs)
    history = train_segmenter(channels(1), folder, RECIPE.replace(epochs=1), tmp_path / "run", validation=folder)
    assert np.isfinite(history[-1]["loss"])
    batches = MaskBatches(folder, RECIPE.replace(color_jitter=0.0), channels(1).config)
    images, _ = batches(0)
    assert images.shape[-1] == 1


def test_a_segmenter_for_other_channels_is_refused(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the model takes 4 channels, which photographs do not have; pass arrays"):
        train_segmenter(channels(4), MaskFolder.open(pairs), RECIPE, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mask_for_validation_is_read_before_anything_is_trained(pairs: Path, tmp_path: Path) -> None:
    others = write_pairs(tmp_path / "others")
    mask = sorted((tmp_path / "others" / "masks" / "train").glob("*.png"))[-1]
    with Image.open(mask) as picture:
        Image.new("L", picture.size, 9).save(mask)
    model = SwiftFormerForSemanticSegmentation(tiny(), head=SMALL)
    before = model.get_weights()
    with pytest.raises(ImageError, match=re.escape(f"{mask}: index 9 is beyond the class list")):
        train_segmenter(model, MaskFolder.open(pairs), RECIPE, tmp_path / "run", validation=MaskFolder.open(others))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_goes_on_with_what_it_began_with_only(pairs: Path, tmp_path: Path) -> None:
    recipe = RECIPE.replace(epochs=2, warmup_steps=100)

    def run(frozen: int = 0, validate: bool = True) -> list[dict[str, float]]:
        model, folder = segmenter(), MaskFolder.open(pairs)
        freeze(model, frozen)
        return train_segmenter(model, folder, recipe, tmp_path / "run", validation=folder if validate else None)

    def refused(message: str, **arguments: Any) -> None:
        with pytest.raises(ConfigError, match=rf"run\.json: this run has {message}.*; train into another folder"):
            run(**arguments)

    rows = run()
    # The warm-up ends in the middle of two steps, however long it should be: where it would not, the rate is 2 %.
    assert rows[0]["learning_rate"] == pytest.approx(recipe.learning_rate * 0.5**recipe.power, rel=1e-5)

    refused(r"frozen \[\], not \['stem', 'stages-0-blocks-0', ", frozen=1)
    refused(r"validation \{.*'masks': .*\}, not None", validate=False)

    mask, class_list = MaskFolder.open(pairs).masks[3], tmp_path / "classes.csv"
    before = mask.read_bytes(), class_list.read_bytes()
    with Image.open(mask) as image:
        image.putpixel((5, 5), 1)
        image.save(mask)
    refused(r"masks sha256 \w{64}, not \w{64}")
    mask.write_bytes(before[0])

    # Void elsewhere in the list leaves the labels as they are, and makes other labels of the same masks.
    class_list.write_text("void,black\nsky,#0000ff\nground,green\n")
    refused(r"classes names \['sky', 'ground', 'void'\], not \['void', 'sky', ")
    class_list.write_text("sky,#0000ff\nground,green\nvoid,white\n")
    refused(r"classes colors \[.*\[0, 0, 0\]\], not \[.*\[255, 255, 255\]\]")
    class_list.write_bytes(before[1])
    assert run() == rows


def test_training_refuses_other_classes_and_small_folders(pairs: Path, tmp_path: Path) -> None:
    folder = MaskFolder.open(pairs)
    other = SwiftFormerForSemanticSegmentation(tiny().replace(id2label={0: "ground", 1: "sky"}), head=SMALL)
    with pytest.raises(ConfigError, match="classes sky, ground: expected those of the model, ground, sky"):
        train_segmenter(other, folder, RECIPE, tmp_path / "run")
    with pytest.raises(ImageError, match="6 photographs are fewer than one batch of 8"):
        train_segmenter(segmenter(), folder, RECIPE.with_batch_size(8), tmp_path / "run")
    with pytest.raises(ConfigError, match=f"^{CROPS}"):
        train_segmenter(cropping(), folder, RECIPE, tmp_path / "run", validation=folder)
    assert not (tmp_path / "run").exists()


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
    assert "new weights: decode_head; all others come from" in result.output
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert model.config.labels == ("sky", "ground")
    assert model.config.input_size == (40, 64)
    assert model.head.name == "all_mlp"


def test_a_segmenter_keeps_its_head(pairs: Path, tmp_path: Path) -> None:
    """And is not given another's, of which nothing would fit."""
    segmenter(SegmentationHead(fpn_dim=8, head_dim=8, feature_norms=True)).save(tmp_path / "model.keras")
    plans: list[TrainingPlan] = []

    def stop(plan: TrainingPlan) -> None:
        plans.append(plan)
        raise KeyboardInterrupt

    start: dict[str, Any] = {"task": "semantic-segmentation", "source": tmp_path / "model.keras", "batch_size": 2}
    for head in (None, "semantic_fpn_64"):
        with pytest.raises(KeyboardInterrupt):
            train_anything(pairs, tmp_path / "run", **start, head=head, tell=stop)
    assert [plan.new for plan in plans] == [(), ("neck", "decode_head")]


def test_masks_for_validation_have_the_classes_of_their_own_list(pairs: Path, tmp_path: Path, saved: Path) -> None:
    """A list in another order is refused: read with the order of training, road would be sky without a word."""
    other = tmp_path / "other"
    for name in ("images", "masks"):
        shutil.copytree(tmp_path / name, other / name)
    (other / "classes.csv").write_text("ground\nsky\n")
    arguments = [
        str(pairs),
        "-o",
        str(tmp_path / "run"),
        "--validation",
        str(other / pairs.relative_to(tmp_path)),
        "--from",
        str(saved),
    ]
    with pytest.raises(ConfigError, match="classes ground, sky: expected those of the model, sky, ground"):
        CliRunner().invoke(train, [*arguments, "--task", "segmentation"], catch_exceptions=False)
    assert not (tmp_path / "run").exists()


def test_the_command_evaluates_as_the_function_does(pairs: Path, tmp_path: Path, saved: Path) -> None:
    model = segmenter()
    model.save(tmp_path / "model.keras")
    arguments = [str(pairs), "--task", "segmentation", "--json"]
    result = CliRunner().invoke(evaluate, [str(tmp_path / "model.keras"), *arguments], catch_exceptions=False)
    expected = evaluate_segmentation(model.predict_on_batch, model.config, MaskFolder.open(pairs))
    assert json.loads(result.stdout)["mean_iou"] == pytest.approx(expected.mean_iou, abs=1e-9)
    with pytest.raises(ModelError, match=r"\.keras: a model for classification; expected one for semantic-segm"):
        CliRunner().invoke(evaluate, [str(saved), *arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "segmentation", "--head", "unet"], "head unet: expected one of semantic_fpn, "),
        (
            ["--task", "segmentation", "--crop", "0.9"],
            "crop does not apply to task semantic-segmentation; leave it out",
        ),
        (["--head", "all_mlp"], "head does not apply to task classification; leave it out"),
    ],
)
def test_options_of_the_other_task_are_refused(pairs: Path, tmp_path: Path, options: list[str], message: str) -> None:
    result = run("train", pairs, "-o", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in result.output
