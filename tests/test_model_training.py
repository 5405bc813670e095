"""The functional models in training: gradients, precision, optimizers, and pixels that nobody normalized."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import pictures, random_classifier, random_images, relative_error, tiny_config

from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification, SwiftFormerModel

# Keras takes longer to trace a step than to run it: two stages show as much as four.
SMALL: dict[str, Any] = {"depths": (1, 1), "embed_dims": (8, 12), "downsamples": (True, True)}
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_a_compiled_model_is_loaded_with_its_optimizer(tmp_path: Path) -> None:
    model = random_classifier(**SMALL)
    model.compile("adam", CROSS_ENTROPY, run_eagerly=True)
    model.fit(random_images(4, 32, 32, 3), np.arange(4), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 1
    assert loaded.loss.get_config() == CROSS_ENTROPY.get_config()


# Training.


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_every_trainable_variable_gets_a_gradient(token_weights: str) -> None:
    import tensorflow as tf

    model, images = random_classifier(token_weights=token_weights), tf.constant(random_images(4, 64, 64, 3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images, training=True) ** 2)
    values = [variable.value for variable in model.trainable_variables]
    gradients = tape.gradient(loss, values)
    dead = {v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None or not np.any(g)}
    assert dead == set()
    gates = {v.path for v in model.weights if v.path.endswith("w_g")}
    assert len(gates) == 4
    assert gates <= {
        v.path for v in (model.trainable_variables if token_weights == "l2" else model.non_trainable_variables)
    }


@pytest.mark.parametrize(("token_weights", "eager"), [("l2", False), ("uniform", True)])
def test_fitting_learns_a_small_problem(token_weights: str, eager: bool) -> None:
    keras.utils.set_random_seed(0)
    model = random_classifier(token_weights=token_weights, drop_path_rate=0.1, drop_mlp_rate=0.1, **SMALL)
    images = model.config.transform.normalize(pictures(8, 32, 32))
    gates = {v.path: np.asarray(v) for v in model.weights if v.path.endswith("w_g")}
    model.compile(keras.optimizers.AdamW(1e-2), CROSS_ENTROPY, jit_compile=False, run_eagerly=eager)
    losses = model.fit(images, np.arange(8), epochs=6, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    moved = {v.path for v in model.weights if v.path in gates and np.any(gates[v.path] != np.asarray(v))}
    assert moved == (set(gates) if token_weights == "l2" else set())


def test_both_heads_are_trained_with_a_label_each() -> None:
    keras.utils.set_random_seed(0)
    model = random_classifier(**SMALL)
    student = SwiftFormerForImageClassification(model.config, outputs="heads", share_layers_with=model)
    student.compile(keras.optimizers.Adam(1e-2), [CROSS_ENTROPY, CROSS_ENTROPY], run_eagerly=True)
    images, labels = model.config.transform.normalize(pictures(8, 32, 32)), np.arange(8)
    before = np.asarray(model(images))
    history = student.fit(images, [labels, labels[::-1].copy()], epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert relative_error(model(images), before) > 0.01


# Precision.


@pytest.mark.parametrize(("policy", "bound"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_mixed_precision_is_close_and_answers_in_float32(policy: str, bound: float) -> None:
    model, images = random_classifier(), random_images(4, 64, 64, 3)
    mixed = SwiftFormerForImageClassification(model.config, dtype=policy)
    mixed.set_weights(model.get_weights())
    outputs = mixed(images)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert {v.dtype for v in mixed.weights} == {"float32"}
    error = relative_error(outputs, model(images))
    assert 0 < error < bound
    features = SwiftFormerModel(model.config, share_layers_with=mixed)(images)
    assert keras.backend.standardize_dtype(features.dtype) == policy.removeprefix("mixed_")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains(policy: str) -> None:
    keras.utils.set_random_seed(0)
    model = SwiftFormerForImageClassification(tiny_config(layer_scale_init_value=0.1, **SMALL), dtype=policy)
    model.compile(keras.optimizers.Adam(1e-2), CROSS_ENTROPY, run_eagerly=True)
    # Small gradients are zero in float16 unless the loss is scaled, which Keras does for a model that says its policy.
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    images = model.config.transform.normalize(pictures(8, 32, 32))
    losses = model.fit(images, np.arange(8), epochs=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(np.isfinite(np.asarray(v)).all() for v in model.weights)


def test_the_global_policy_is_followed() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = SwiftFormerForImageClassification(tiny_config())
    finally:
        keras.config.set_dtype_policy(before)
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert SwiftFormerForImageClassification(tiny_config()).dtype_policy.name == "float32"


def test_the_default_weights_follow_keras_seed() -> None:
    def fresh() -> list[np.ndarray]:
        keras.utils.set_random_seed(7)
        weights: list[np.ndarray] = SwiftFormerForImageClassification(
            SwiftFormerConfig.from_variant("tiny")
        ).get_weights()
        return weights

    for first, second in zip(fresh(), fresh(), strict=True):
        np.testing.assert_array_equal(first, second)


def pixels_in(form: str, pixels: np.ndarray) -> Any:
    """Inputs with labels, as `fit` takes them."""
    labels = np.zeros(len(pixels), np.int32)
    if form == "array":
        return {"x": pixels, "y": labels}
    if form == "tf.data":
        import tensorflow as tf

        return {"x": tf.data.Dataset.from_tensor_slices((pixels, labels)).batch(2)}

    class Pictures(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return pixels, labels

    return {"x": Pictures()}


@pytest.mark.parametrize("form", ["array", "tf.data", "PyDataset"])
def test_fit_notices_pixels_that_nobody_normalized(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_classifier()
    monkeypatch.setattr(keras.Model, "fit", lambda self, x, **options: "fitted")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    said = (
        r"^fit: the inputs reach 255, but normalized pixels only 2\.6; pass "
        r"model\.config\.transform\.normalize\(pixels\)"
    )
    with pytest.warns(UserWarning, match=said) as caught:
        assert model.fit(**pixels_in(form, pixels)) == "fitted"
    assert caught[0].filename == __file__
    # A warning would be an error here.
    assert model.fit(**pixels_in(form, model.config.transform.normalize(pixels))) == "fitted"


def test_fit_leaves_a_generator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.Model, "fit", lambda self, x, **options: next(x))
    assert random_classifier().fit(iter(["first"])) == "first"
