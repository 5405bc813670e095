"""Batches: what is in them, and that they depend on the seed and their number alone."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from support.random_models import pictures
from support.training_runs import LABELS, RECIPE, color_teacher, config, write_photographs

from swiftformer_tf import ImageError
from swiftformer_tf.images.folders import ImageFolder
from swiftformer_tf.images.transform import open_image
from swiftformer_tf.training import Augmentation, TeacherLogits, TrainingRecipe, steps_per_epoch, training_dataset
from swiftformer_tf.training.augmentation import augment, mix, random_crop
from swiftformer_tf.training.dataset import Batches

PLAIN = RECIPE.replace(
    image_scales=(1.0,), augmentation=Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=False)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    return ImageFolder.open(write_photographs(tmp_path_factory.mktemp("photographs")))


def batches(folder: ImageFolder, recipe: TrainingRecipe, **options: Any) -> list[Any]:
    return list(training_dataset(folder, recipe, config(), **options).as_numpy_iterator())


def replaced(**fields: Any) -> TrainingRecipe:
    return PLAIN.replace(teacher_views=0, augmentation=dataclasses.replace(PLAIN.augmentation, **fields))


def test_shapes_sizes_and_range(folder: ImageFolder) -> None:
    result = batches(folder, RECIPE)
    steps = steps_per_epoch(folder, RECIPE)
    assert steps == 3
    assert [images.shape for images, _ in result] == [(6, 32, 32, 3)] * 2 * steps + [(6, 64, 64, 3)] * steps
    for images, labels in result:
        assert images.dtype == labels.dtype == np.float32
        assert labels.shape == (6, 3)
        assert (labels.sum(axis=1) == 1).all()
        pixels = config().transform.denormalize(images)
        assert pixels.min() > -0.01
        assert pixels.max() < 255.01
        assert pixels.std() > 20


def test_a_plain_crop_is_the_photograph_under_its_label(folder: ImageFolder) -> None:
    """The largest square, resized: compared with every photograph, each finds itself."""
    everything = {}
    for path, label in zip(folder.paths, folder.labels, strict=True):
        photograph = Image.open(path)  # 40 wide, 48 high
        square = photograph.resize((64, 64), Image.Resampling.BICUBIC, box=(0, 4, 40, 44))
        everything[path] = (config().transform.normalize(np.asarray(square)), label)
    seen = []
    for images, labels in batches(folder, PLAIN)[:3]:
        for image, one_hot in zip(images, labels, strict=True):
            path, (_, label) = min(everything.items(), key=lambda item: np.abs(item[1][0] - image).mean())
            np.testing.assert_allclose(image, everything[path][0], atol=1e-5)
            assert one_hot.argmax() == label
            seen.append(path)
    assert len(set(seen)) == 18  # an epoch takes each photograph once


def test_the_same_seed_gives_the_same_batches_and_another_does_not(folder: ImageFolder) -> None:
    first, again, other = (batches(folder, RECIPE, seed=seed) for seed in (1, 1, 2))
    for (images, labels), (same_images, same_labels) in zip(first, again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    assert all(np.abs(a[0] - b[0]).mean() > 0.1 for a, b in zip(first, other, strict=True))


def test_a_start_at_an_epoch_gives_that_epochs_batches(folder: ImageFolder) -> None:
    whole, rest = batches(folder, RECIPE), batches(folder, RECIPE, first_epoch=2)
    assert len(rest) == 3
    for (images, labels), (later_images, later_labels) in zip(whole[6:], rest, strict=True):
        np.testing.assert_array_equal(images, later_images)
        np.testing.assert_array_equal(labels, later_labels)


def test_epochs_differ_in_order(folder: ImageFolder) -> None:
    labels = np.concatenate([labels.argmax(axis=1) for _, labels in batches(folder, PLAIN)])
    assert not np.array_equal(labels[:18], labels[18:36])


def test_flips_mirror_about_half(folder: ImageFolder) -> None:
    plain, flipped = batches(folder, PLAIN), batches(folder, replaced(flip=True))
    mirrored = []
    for (images, _), (others, _) in zip(plain, flipped, strict=True):
        for image, other in zip(images, others, strict=True):
            mirrored.append(not np.array_equal(image, other))
            np.testing.assert_array_equal(image[:, ::-1] if mirrored[-1] else image, other)
    assert 0.25 < np.mean(mirrored) < 0.75


def test_repeats_show_fewer_photographs_more_often(folder: ImageFolder) -> None:
    images = np.concatenate([images for images, _ in batches(folder, replaced(repeats=3))[:3]])
    assert len(np.unique(images.reshape(18, -1).round(4), axis=0)) == 6
    crops = replaced(repeats=3, crop_scale=(0.2, 0.6))
    images = np.concatenate([images for images, _ in batches(folder, crops)[:3]])
    assert len(np.unique(images.reshape(18, -1).round(4), axis=0)) == 18


def test_a_teacher_adds_its_logits(folder: ImageFolder) -> None:
    answers = TeacherLogits(color_teacher(), LABELS, len(folder))
    for recipe in (PLAIN, PLAIN.replace(teacher_views=0)):
        for images, (labels, of_labels, everything) in batches(folder, recipe, teacher=answers)[:3]:
            assert labels.shape == (6, 3)
            np.testing.assert_array_equal(of_labels, everything[:, :3])  # the fourth is a class of its own
            # What the teacher makes of the very picture, seen at its own, smaller size.
            expected = answers.ask(config().transform.denormalize(images))
            np.testing.assert_allclose(everything, expected, atol=0.05)


@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize("mixup", [0.0, 0.5])
def test_each_process_makes_its_share_of_the_same_batches(
    folder: ImageFolder, views: int, mixup: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mixing, from its own photographs alone."""
    augmentation = dataclasses.replace(RECIPE.augmentation, mixup=mixup)
    recipe = RECIPE.replace(teacher_views=0 if mixup else views, augmentation=augmentation)
    whole = Batches(folder, recipe, config(), teacher=TeacherLogits(color_teacher(), LABELS, len(folder)))(4)
    opened: list[Path] = []

    def counted(path: Path) -> Image.Image:
        opened.append(path)
        return open_image(path)

    monkeypatch.setattr("swiftformer_tf.training.dataset.open_image", counted)
    for share in (slice(0, 2), slice(2, 6)):
        monkeypatch.setattr("swiftformer_tf.training.dataset.share_of_batch", lambda size, share=share: share)
        opened.clear()
        part = Batches(folder, recipe, config(), teacher=TeacherLogits(color_teacher(), LABELS, len(folder)))(4)
        assert len(opened) == (6 if mixup else share.stop - share.start)
        for own, expected in zip(part, whole, strict=True):
            np.testing.assert_array_equal(own, expected[share])


def test_kept_answers_belong_to_crops_that_come_back(folder: ImageFolder) -> None:
    """With two views, an epoch and the next but one show the same crops, mirrored or not, in another order."""
    recipe = RECIPE.replace(
        image_scales=(1.0,), augmentation=Augmentation(crop_scale=(0.3, 0.9), flip=False), teacher_head_weight=0.0
    )
    answers = TeacherLogits(color_teacher(), LABELS, len(folder))
    result = batches(folder, recipe, teacher=answers)
    epochs = [np.concatenate([images.reshape(6, -1) for images, _ in result[e * 3 : e * 3 + 3]]) for e in range(3)]
    common = [len({row.tobytes() for row in epochs[0]} & {row.tobytes() for row in epochs[e]}) for e in (1, 2)]
    assert common[0] == 0
    assert common[1] >= 15  # 18 of 21 in each epoch


def test_too_few_photographs_for_a_batch(folder: ImageFolder) -> None:
    with pytest.raises(ImageError, match="21 photographs are fewer than one batch of 22"):
        steps_per_epoch(folder, RECIPE.replace(batch_size=22))


def test_an_unreadable_photograph_stops_the_training_and_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    root = write_photographs(tmp_path)
    (root / "cat" / "00.png").write_bytes(b"nothing")
    with pytest.raises(tf.errors.OpError, match=r"cat/00\.png: cannot be read as a picture"):
        batches(ImageFolder.open(root), PLAIN)


def test_random_crops_stay_inside_and_have_the_area_and_shape_wanted() -> None:
    augmentation = Augmentation(crop_scale=(0.2, 0.5), crop_ratio=(0.5, 2.0))
    rng = np.random.default_rng(0)
    boxes = np.array([random_crop(rng, 100, 60, augmentation) for _ in range(500)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= 100 + 1e-9).all()
    assert (boxes[:, 3] <= 60 + 1e-9).all()
    shares, shapes = width * height / 6000, width / height
    assert 0.2 - 1e-9 <= shares.min() < 0.22
    assert 0.45 < shares.max() <= 0.5 + 1e-9
    assert 0.5 - 1e-9 <= shapes.min() < 0.6
    assert 1.8 < shapes.max() <= 2 + 1e-9


def test_a_crop_that_never_fits_is_the_middle_square() -> None:
    wide = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    assert random_crop(np.random.default_rng(0), 100, 60, wide) == (20, 0, 80, 60)


@pytest.mark.parametrize("step", ["color_jitter", "rand_augment", "erase"])
def test_each_augmentation_changes_pixels_within_range_under_its_seed(step: str) -> None:
    images = pictures(6, 32, 32).astype(np.float32)
    fields: dict[str, Any] = {step: 1.0 if step == "erase" else 0.3}
    augmentation = Augmentation(**fields)
    changed, again, other = (augment(images, augmentation, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(changed, again)
    assert np.abs(changed - other).max() > 1
    assert np.abs(changed - images).max(axis=(1, 2, 3)).min() > 0.5 or step == "rand_augment"
    assert changed.min() >= 0
    assert changed.max() <= 255
    np.testing.assert_array_equal(augment(images, Augmentation(), 1), images)


def test_keras_default_layout_of_images_changes_no_augmentation() -> None:
    """Under `channels_first`, Keras's layers take rows for channels where they are not told otherwise."""
    images = pictures(6, 32, 40).astype(np.float32)
    labels = np.eye(6, dtype=np.float32)
    steps = [Augmentation(color_jitter=0.5), Augmentation(rand_augment=0.5), Augmentation(erase=0.5)]
    mixes = [Augmentation(mixup=0.8), Augmentation(cutmix=1.0)]

    def results() -> list[np.ndarray]:
        return [augment(images, each, 1) for each in steps] + [mix(images, labels, each, 1)[0] for each in mixes]

    wanted = results()
    keras.config.set_image_data_format("channels_first")
    try:
        found = results()
    finally:
        keras.config.set_image_data_format("channels_last")
    for mine, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_erasing_takes_the_share_of_pictures_that_is_said() -> None:
    images = np.full((400, 16, 16, 3), 128, np.float32)
    erased = np.abs(augment(images, Augmentation(erase=0.25), 0) - images).max(axis=(1, 2, 3)) > 0
    assert 0.18 < erased.mean() < 0.32


@pytest.mark.parametrize("step", ["mixup", "cutmix"])
def test_mixing_blends_pictures_and_labels_alike(step: str) -> None:
    """Pictures that are constant at their label's number: the mean must be what the mixed label says."""
    images = np.broadcast_to(np.arange(4, dtype=np.float32)[:, None, None, None], (4, 32, 32, 3)).copy()
    fields: dict[str, Any] = {step: 1.0}
    mixed, labels = mix(images, np.eye(4, dtype=np.float32), Augmentation(**fields), 5)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    # Keras weighs a cut by its area before it is rounded to pixels: one row of 32, times the largest difference.
    tolerance = 1e-4 if step == "mixup" else 3 / 32
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), labels @ np.arange(4), atol=tolerance)
    assert ((labels > 0).sum(axis=1) == 2).any()


def test_with_both_mixings_each_batch_gets_one() -> None:
    images = pictures(4, 16, 16).astype(np.float32)
    both = Augmentation(mixup=0.8, cutmix=1.0)
    for seed in (0, 1):
        alone = Augmentation(mixup=0.8) if seed == 0 else Augmentation(cutmix=1.0)
        np.testing.assert_array_equal(mix(images, np.eye(4), both, seed)[0], mix(images, np.eye(4), alone, seed)[0])
