"""Recipes as data."""

import dataclasses
import json
from pathlib import Path

import pytest

from swiftformer_tf import VARIANTS, ConfigError
from swiftformer_tf.training import TRAINING_RECIPES, Augmentation, TrainingRecipe, training_recipe


def test_every_recipe_has_every_variant() -> None:
    assert set(TRAINING_RECIPES) == {"paper", "short"}
    for rows in TRAINING_RECIPES.values():
        assert set(rows) == set(VARIANTS)


@pytest.mark.parametrize("variant", ["xs", "s", "l1", "l3"])
def test_the_papers_numbers(variant: str) -> None:
    """arXiv:2303.15446, section 4, and the released training code."""
    recipe = training_recipe("paper", variant)
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.weight_decay) == (300, 2048, 2e-3, 0.025)
    assert (recipe.warmup_epochs, recipe.warmup_learning_rate, recipe.final_learning_rate) == (5, 1e-6, 1e-5)
    assert (recipe.label_smoothing, recipe.adaptive_clip, recipe.ema) == (0.1, 0.01, 0.99996)
    assert (recipe.distillation, recipe.distillation_weight, recipe.layer_scale_init_value) == ("hard", 0.5, 1e-5)
    augmentation = recipe.augmentation
    assert (augmentation.color_jitter, augmentation.erase, augmentation.repeats) == (0.4, 0.25, 3)
    assert bool(augmentation.rand_augment) == (variant != "xs")
    assert (augmentation.mixup, augmentation.cutmix) == ((0.8, 1.0) if variant in ("l1", "l3") else (0.0, 0.0))


@pytest.mark.parametrize("name", list(TRAINING_RECIPES))
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_recipes_travel_as_json(name: str, variant: str) -> None:
    recipe = training_recipe(name, variant)
    assert TrainingRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_another_batch_size_scales_all_rates() -> None:
    recipe = training_recipe("paper", "xs").with_batch_size(256)
    assert (recipe.batch_size, recipe.learning_rate) == (256, pytest.approx(2e-3 / 8))
    assert recipe.warmup_learning_rate == pytest.approx(1e-6 / 8)
    assert recipe.final_learning_rate == pytest.approx(1e-5 / 8)


def test_fewer_epochs_cut_the_warm_up() -> None:
    recipe = training_recipe("paper", "xs")
    found = {epochs: recipe.with_epochs(epochs).warmup_epochs for epochs in (1, 2, 5, 6, 90)}
    assert found == {1: 0, 2: 1, 5: 4, 6: 5, 90: 5}
    with pytest.raises(ConfigError, match=r"recipe\.epochs=0: expected 1 or more"):
        recipe.with_epochs(0)


@pytest.mark.parametrize(
    ("epochs", "scales", "sizes"),
    [
        (4, (1.0,), [224] * 4),
        (4, (0.5, 1.0), [128, 128, 224, 224]),  # 112 is half way between two multiples of 32
        (6, (0.75, 0.75, 1.0), [160, 160, 160, 160, 224, 224]),
        (2, (0.01, 1.0), [32, 224]),
    ],
)
def test_image_sizes_grow_in_multiples_of_32(epochs: int, scales: tuple[float, ...], sizes: list[int]) -> None:
    recipe = TrainingRecipe(epochs=epochs, warmup_epochs=0, image_scales=scales)
    assert [recipe.image_size(epoch, 224) for epoch in range(epochs)] == sizes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "recipe.epochs=0: expected 1 or more"),
        ({"batch_size": 0}, "recipe.batch_size=0: expected 1 or more"),
        ({"learning_rate": 0}, "recipe.learning_rate=0: expected a positive number"),
        ({"epochs": 5}, "recipe.warmup_epochs=5: expected 0 to below epochs"),
        ({"label_smoothing": 1}, "recipe.label_smoothing=1: expected 0 to below 1"),
        ({"ema": 1.0}, "recipe.ema=1.0: expected 0 to below 1"),
        ({"image_scales": ()}, r"recipe.image_scales=\(\): expected positive numbers"),
        ({"distillation": "firm"}, "recipe.distillation='firm': expected 'hard' or 'soft'"),
        ({"distillation_weight": 2}, "recipe.distillation_weight=2: expected 0 to 1"),
        ({"temperature": 0}, "recipe.temperature=0: expected a positive number"),
        ({"epochs": "many"}, "recipe.epochs='many': expected a whole number"),
        ({"batch_size": 2.5}, "recipe.batch_size=2.5: expected a whole number"),
        ({"ema": True}, "recipe.ema=True: expected a number"),
        ({"learning_rate": float("nan")}, "recipe.learning_rate=nan: expected a number"),
        ({"clip_norm": "1"}, "recipe.clip_norm='1': expected a number or none"),
        ({"clip_norm": 0}, "recipe.clip_norm=0: expected a positive number or none"),
        ({"adaptive_clip": -1}, "recipe.adaptive_clip=-1: expected a positive number or none"),
        ({"image_scales": 0.5}, "recipe.image_scales=0.5: expected numbers"),
        ({"weight_decay": -1}, "recipe.weight_decay=-1: expected 0 or more"),
        ({"warmup_learning_rate": -1}, "recipe.warmup_learning_rate=-1: expected 0 or more"),
        ({"final_learning_rate": -1}, "recipe.final_learning_rate=-1: expected 0 or more"),
        ({"drop_path_rate": 1}, "recipe.drop_path_rate=1: expected 0 to below 1"),
        ({"teacher_views": -1}, "recipe.teacher_views=-1: expected 0 or more"),
        (
            {"teacher_views": 2, "augmentation": Augmentation(mixup=0.2)},
            "recipe.teacher_views=2: expected 0 with mixup",
        ),
        (
            {"teacher_views": 2, "augmentation": Augmentation(repeats=2)},
            "recipe.teacher_views=2: expected 0 with mixup",
        ),
    ],
)
def test_an_impossible_recipe_names_the_field(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingRecipe(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crop_scale": (0.5, 0.2)}, r"augmentation.crop_scale=\(0.5, 0.2\): expected two shares"),
        ({"crop_ratio": (0, 1)}, r"augmentation.crop_ratio=\(0, 1\): expected two positive numbers"),
        ({"crop_scale": 0.5}, "augmentation.crop_scale=0.5: expected two numbers"),
        ({"crop_ratio": (1, 2, 3)}, r"augmentation.crop_ratio=\(1, 2, 3\): expected two numbers"),
        ({"flip": "no"}, "augmentation.flip='no': expected true or false"),
        ({"erase": 1.5}, "augmentation.erase=1.5: expected 0 to 1"),
        ({"mixup": -1}, "augmentation.mixup=-1: expected 0 or more"),
        ({"repeats": 0}, "augmentation.repeats=0: expected 1 or more"),
    ],
)
def test_an_impossible_augmentation_names_the_field(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augmentation(**fields)  # type: ignore[arg-type]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="recipe='long': expected one of paper, short"):
        training_recipe("long", "xs")
    with pytest.raises(ConfigError, match="variant='xxl': expected one of tiny, xs"):
        training_recipe("short", "xxl")
    with pytest.raises(ConfigError, match=r"recipe\.epoch: no such field; the fields are adaptive_clip, "):
        TrainingRecipe.from_dict({"epoch": 3})
    with pytest.raises(ConfigError, match=r"augmentation\.cutout: no such field"):
        TrainingRecipe.from_dict({"augmentation": {"cutout": 1}})


def test_mixing_is_known_to_the_augmentation() -> None:
    plain = Augmentation()
    assert not plain.mixes
    assert dataclasses.replace(plain, cutmix=1.0).mixes


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"epochs": 7, "augmentation": {"erase": 0.5}}))
    assert TrainingRecipe.open(path) == TrainingRecipe(epochs=7, augmentation=Augmentation(erase=0.5))
    path.write_text(json.dumps({"command": [], "settings": {"seed": 1, "recipe": {"epochs": 8}}}))
    assert TrainingRecipe.open(path) == TrainingRecipe(epochs=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "mine.json: not JSON"),
        ("[" * 100_000, "mine.json: not JSON"),
        ("[]", r"mine.json: recipe=\[\]: expected an object with the fields of a training recipe"),
        (
            '{"augmentation": 3}',
            "mine.json: augmentation=3: expected an object with the fields of a training augmentation",
        ),
        ('{"settings": {}}', "mine.json: recipe=None: expected an object with the fields of a training recipe"),
        ('{"epoch": 7}', r"mine.json: recipe\.epoch: no such field"),
        ('{"\\u001b[2J": 7}', r"mine.json: recipe\.\\x1b\[2J: no such field"),
        ('{"epochs": 0}', "mine.json: recipe.epochs=0: expected 1 or more"),
        ('{"epochs": "many"}', "mine.json: recipe.epochs='many': expected a whole number"),
        ("\udcff", "mine.json: not JSON"),
    ],
)
def test_a_recipe_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=message):
        TrainingRecipe.open(path)


def test_a_message_is_never_longer_than_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"9" * 5000: 1}))
    with pytest.raises(ConfigError, match=r"mine\.json: recipe\.9{1000}") as caught:
        TrainingRecipe.open(path)
    assert len(str(caught.value)) < 1600 + len(str(path))


@pytest.mark.parametrize(
    ("name", "sizes"), [("second", {96, 128, 160}), ("third", {96, 128, 160}), ("fourth", {128}), ("last", {128, 160})]
)
def test_the_recipes_of_the_weights_that_ship_are_some(name: str, sizes: set[int]) -> None:
    recipe = TrainingRecipe.open(Path(__file__).parents[1] / f"docs/results/imagenette-{name}.json")
    assert {recipe.image_size(epoch, 160) for epoch in range(recipe.epochs)} == sizes
