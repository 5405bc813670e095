"""Where trainings start: new models, other classes, frozen stages."""

import numpy as np
import pytest
from support.random_models import random_classifier, random_images, tiny_config
from support.training_runs import RECIPE

from swiftformer_tf import ConfigError
from swiftformer_tf.training import TrainingRecipe, adapted_model, class_labels, compile_for, freeze, new_model

IMAGES = random_images(4, 64, 64, 3)


def test_a_new_model_takes_its_start_from_recipe_and_seed() -> None:
    models = [new_model(tiny_config(), RECIPE, seed=seed) for seed in (1, 1, 2)]
    assert models[0].config.layer_scale_init_value == RECIPE.layer_scale_init_value
    assert models[0].config.drop_path_rate == RECIPE.drop_path_rate
    outputs = [model.predict_on_batch(IMAGES) for model in models]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 1e-4


def test_the_same_labels_keep_the_function() -> None:
    model = random_classifier()
    adapted = adapted_model(model, model.config.replace(drop_path_rate=0.3, image_size=96))
    np.testing.assert_allclose(adapted.predict_on_batch(IMAGES), model.predict_on_batch(IMAGES), atol=1e-6)
    assert adapted.config.drop_path_rate == 0.3


def test_other_labels_keep_everything_but_the_heads() -> None:
    model = random_classifier()
    adapted = adapted_model(model, model.config.replace(id2label={0: "cat", 1: "dog"}))
    assert adapted.predict_on_batch(IMAGES).shape == (4, 2)
    for layer in adapted.layers:
        for variable, trained in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
            assert layer.name in ("head", "head_dist") or np.array_equal(variable, trained), variable.path


def test_a_second_head_can_be_added_for_a_teacher() -> None:
    model = random_classifier(distillation=False)
    adapted = adapted_model(model, model.config.replace(distillation=True))
    np.testing.assert_array_equal(adapted.get_layer("head").kernel, model.get_layer("head").kernel)
    assert adapted.get_layer("head_dist").kernel.shape == (20, 10)


def test_another_architecture_is_refused() -> None:
    model = random_classifier()
    with pytest.raises(ConfigError, match="token_weights='uniform': the model has 'l2'"):
        adapted_model(model, model.config.replace(token_weights="uniform"))


@pytest.mark.parametrize("stages", [0, 1, 3])
def test_frozen_stages_do_not_move(stages: int) -> None:
    model = random_classifier()
    freeze(model, stages)
    student = compile_for(TrainingRecipe(batch_size=4, warmup_epochs=0), model, 10)
    student.run_eagerly = True
    before = {variable.path: np.array(variable) for variable in model.weights}
    student.train_on_batch(IMAGES, np.eye(10, dtype=np.float32)[:4])
    frozen = ("stem", *(f"stages-{stage}-" for stage in range(stages))) if stages else ()
    for variable in model.weights:
        moved = not np.array_equal(before[variable.path], variable)
        assert moved != variable.path.startswith(frozen), variable.path


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(ConfigError, match="frozen=5: expected 0 to 4, the number of the model's stages"):
        freeze(random_classifier(), 5)


def test_mixed_precision_trains_and_keeps_float32_weights() -> None:
    model = new_model(tiny_config(), RECIPE, dtype="mixed_bfloat16")
    student = compile_for(TrainingRecipe(batch_size=4, warmup_epochs=0), model, 10)
    student.run_eagerly = True
    loss = student.train_on_batch(IMAGES, np.eye(10, dtype=np.float32)[:4])[0]
    assert np.isfinite(loss)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


def test_labels_are_english_only_if_all_are_known() -> None:
    assert class_labels(["n01440764", "mine"]) == ("n01440764", "mine")
