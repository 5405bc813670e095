"""The functional models: outputs, shared layers, saving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support.random_models import (
    TWO_STAGES,
    random_classifier,
    random_images,
    randomized,
    relative_error,
    tiny_config,
)
from support.tracing import steps_traced

from swiftformer_tf import ConfigError, SwiftFormerConfig, SwiftFormerForImageClassification, SwiftFormerModel

# Odd, not square, not a multiple of 32, and down to one pixel.
SIZES = [(64, 64), (224, 224), (33, 47), (95, 65), (32, 160), (1, 1), (5, 3)]


def up(size: int, halvings: int) -> int:
    """PyTorch's size after so many 3x3 convolutions of stride 2 and padding 1."""
    return -(-size // 2**halvings)


def small_config(**fields: Any) -> SwiftFormerConfig:
    """Two stages, for what is alike in each."""
    return tiny_config(**{**TWO_STAGES, **fields})


def classifier(**fields: Any) -> SwiftFormerForImageClassification:
    return random_classifier(**{**TWO_STAGES, **fields})


@pytest.fixture(scope="module")
def states_model() -> SwiftFormerModel:
    return randomized(SwiftFormerModel(tiny_config(), outputs="hidden_states"))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_input_size_and_the_eight_hidden_states(height: int, width: int, states_model: SwiftFormerModel) -> None:
    states = states_model(random_images(1, height, width, 3))
    halvings, widths = (2, 2, 3, 3, 4, 4, 5, 5), (8, 8, 12, 12, 16, 16, 20, 20)
    expected = [(1, up(height, n), up(width, n), channels) for n, channels in zip(halvings, widths, strict=True)]
    assert [tuple(state.shape) for state in states] == expected
    assert all(np.isfinite(state).all() for state in states)


def test_batches_are_independent_and_of_any_size() -> None:
    model, images = classifier(), random_images(3, 40, 72, 3)
    together = np.asarray(model(images))
    alone = np.concatenate([model(image[None]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    with steps_traced(True):
        predicted = model.predict(images, batch_size=2, verbose=0)
    np.testing.assert_allclose(predicted, together, atol=1e-5)
    assert model.input_shape == (None, None, None, 3)


@pytest.mark.parametrize("labels", [0, 1, 2, 1000])
@pytest.mark.parametrize("distillation", [True, False])
def test_any_number_of_labels(labels: int, distillation: bool) -> None:
    config = small_config(id2label={i: f"{i}" for i in range(labels)}, distillation=distillation)
    model = SwiftFormerForImageClassification(config)
    assert model(random_images(2, 32, 32, 3)).shape == (2, labels or 12)
    heads = [layer.name for layer in model.layers if layer.name.startswith("head")]
    assert heads == (["head", "head_dist"] if distillation else ["head"]) * bool(labels)


def test_without_labels_the_pooled_features_come_out() -> None:
    model = classifier(id2label={})
    images = random_images(2, 64, 96, 3)
    features = SwiftFormerModel(model.config, share_layers_with=model)(images)
    gamma, beta, mean, variance = model.get_layer("norm").get_weights()
    expected = ((np.asarray(features) - mean) / np.sqrt(variance + 1e-5) * gamma + beta).mean(axis=(1, 2))
    np.testing.assert_allclose(model(images), expected, atol=1e-5)


def test_logits_are_the_mean_of_both_heads_on_the_pooled_features() -> None:
    model, images = classifier(), random_images(2, 64, 64, 3)
    heads = SwiftFormerForImageClassification(model.config, outputs="heads", share_layers_with=model)
    first, second = (np.asarray(output) for output in heads(images))
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_allclose(model(images), (first + second) / 2, atol=1e-6)
    bare = SwiftFormerForImageClassification(model.config.replace(id2label={}), share_layers_with=model)
    pooled = np.asarray(bare(images))
    for name, output in (("head", first), ("head_dist", second)):
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_allclose(output, pooled @ kernel + bias, atol=1e-5)


def test_one_head_is_the_logits() -> None:
    model, images = classifier(distillation=False), random_images(2, 64, 64, 3)
    pooled = SwiftFormerForImageClassification(model.config.replace(id2label={}), share_layers_with=model)(images)
    kernel, bias = model.get_layer("head").get_weights()
    np.testing.assert_allclose(model(images), np.asarray(pooled) @ kernel + bias, atol=1e-5)


def test_feature_outputs_are_maps_of_one_another(states_model: SwiftFormerModel) -> None:
    images = random_images(1, 64, 96, 3)
    states = [np.asarray(state) for state in states_model(images)]
    last = SwiftFormerModel(states_model.config, share_layers_with=states_model)(images)
    np.testing.assert_array_equal(last, states[-1])
    for indices in ((0, 1, 2, 3), (2, 0), np.array([0, 1])):
        maps = SwiftFormerModel(states_model.config, out_indices=indices, share_layers_with=states_model)(images)
        for index, stage_map in zip(indices, maps, strict=True):
            np.testing.assert_array_equal(stage_map, states[2 * index + 1])
    one = SwiftFormerModel(states_model.config, out_indices=(3,), share_layers_with=states_model)
    np.testing.assert_array_equal(one(images), states[-1])


@pytest.mark.parametrize("indices", [(), (4,), (-5,), (0.5,), ("0",), (True, 2.0)])
def test_stages_that_are_not_there_are_refused(indices: Any) -> None:
    with pytest.raises(ConfigError, match=r"^out_indices=.*: expected stages from 0 to 3"):
        SwiftFormerModel(tiny_config(), out_indices=indices)


def test_unknown_outputs_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="outputs='features': expected one of last_hidden_state, hidden_states"):
        SwiftFormerModel(tiny_config(), outputs="features")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="outputs='hidden_states': expected one of logits, heads"):
        SwiftFormerForImageClassification(tiny_config(), outputs="hidden_states")  # type: ignore[arg-type]
    for config in (small_config(distillation=False), small_config(id2label={})):
        with pytest.raises(ConfigError, match="outputs='heads': expected a config with distillation=True and at least"):
            SwiftFormerForImageClassification(config, outputs="heads")


def test_models_over_the_same_layers_share_their_weights() -> None:
    model = classifier()
    student = SwiftFormerForImageClassification(model.config, outputs="heads", share_layers_with=model)
    features = SwiftFormerModel(model.config, share_layers_with=model)
    mine = {variable.path: variable for variable in model.weights}
    assert all(mine[variable.path] is variable for variable in [*student.weights, *features.weights])
    assert len(student.weights) == len(mine)
    images = random_images(1, 64, 64, 3)
    before = np.asarray(model(images))
    student.get_layer("head").bias.assign_add(np.full(10, 2.0))
    np.testing.assert_allclose(model(images), before + 1, atol=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {"depths": (1, 1)},
        {"embed_dims": (8, 16)},
        {"token_weights": "uniform"},
        {"drop_path_rate": 0.1},
        {"id2label": {0: "a"}},
        {"distillation": True},
        {"num_channels": 1},
    ],
)
def test_layers_of_another_architecture_are_refused(fields: dict[str, Any]) -> None:
    model = SwiftFormerForImageClassification(small_config(distillation=False))
    (name,) = fields
    name = {"id2label": "num_labels"}.get(name, name)
    with pytest.raises(ConfigError, match=rf"^share_layers_with=.*: its {name} is .*, expected the config's"):
        SwiftFormerForImageClassification(model.config.replace(**fields), share_layers_with=model)


def test_a_head_cannot_come_from_a_model_without_one() -> None:
    features: Any = SwiftFormerModel(small_config())
    with pytest.raises(ConfigError, match=r"^share_layers_with=.*: expected a SwiftFormerForImageClassification"):
        SwiftFormerForImageClassification(features.config, share_layers_with=features)


def test_layer_names_have_no_dots_and_paths_are_unique() -> None:
    model = SwiftFormerForImageClassification(tiny_config())
    paths = [variable.path for variable in model.weights]
    assert len(set(paths)) == len(paths)
    assert not [path for path in paths if "." in path]
    assert not [layer.name for layer in model.layers if "." in layer.name]


def test_summary_lists_the_blocks_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    SwiftFormerForImageClassification(tiny_config()).summary(line_length=120)
    shown = capsys.readouterr().out
    names = ["image", "stem", "stages-0-blocks-0", "stages-0-blocks-1", "stages-1-downsample", "stages-3-blocks-0"]
    positions = [shown.index(name) for name in [*names, "norm", "head_dist", "logits"]]
    assert positions == sorted(positions)


@pytest.mark.parametrize("downsamples", [(True, True, True, True), (False, False, True, False), (False,) * 4])
def test_stages_without_downsampling(downsamples: tuple[bool, ...]) -> None:
    config = tiny_config(depths=(1, 1, 1, 1), embed_dims=(8, 8, 8, 8), downsamples=downsamples)
    model = SwiftFormerModel(config, outputs="hidden_states")
    sides = [state.shape[1] for state in model(random_images(1, 64, 64, 3))]
    expected = [16, 16]
    for wanted in downsamples[:3]:
        side = expected[-1] // (2 if wanted else 1)
        expected += [side, side] if wanted else [side]
    assert sides == expected
    names = [layer.name for layer in model.layers if "downsample" in layer.name]
    assert names == [f"stages-{i + 1}-downsample" for i in range(3) if downsamples[i]]


def test_use_layer_scale_false_drops_those_of_attention_and_mlp_only() -> None:
    model = classifier(use_layer_scale=False)
    scales = [variable.path for variable in model.weights if variable.path.endswith("/scale")]
    assert scales
    assert not [path for path in scales if "layer_scale_" in path]
    assert len(scales) == sum(model.config.depths)


def test_another_activation_and_ratio() -> None:
    images = random_images(1, 64, 64, 3)
    gelu, relu = (classifier(hidden_act=name, mlp_ratio=2) for name in ("gelu", "relu"))
    assert relative_error(relu(images), gelu(images)) > 1e-3


# Saving.


def test_a_saved_model_is_the_same_model(tmp_path: Path) -> None:
    config = small_config(
        token_weights="uniform", image_size=(64, 96), drop_path_rate=0.1, id2label={0: "猫", 1: "dog"}
    )
    model, images = randomized(SwiftFormerForImageClassification(config)), random_images(2, 64, 96, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is SwiftFormerForImageClassification
    assert loaded.config == config
    assert loaded.name == model.name
    np.testing.assert_array_equal(loaded(images), model(images))
    assert {variable.path for variable in loaded.weights} == {variable.path for variable in model.weights}


@pytest.mark.parametrize(
    "make",
    [
        lambda config: SwiftFormerForImageClassification(config, outputs="heads", name="student"),
        lambda config: SwiftFormerModel(config),
        lambda config: SwiftFormerModel(config, outputs="hidden_states"),
        lambda config: SwiftFormerModel(config, out_indices=(0, 1), name="backbone"),
    ],
)
def test_outputs_travel_with_the_saved_model(make: Callable[[Any], Any], tmp_path: Path) -> None:
    model, images = randomized(make(small_config())), random_images(1, 64, 64, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for before, after in zip(keras.tree.flatten(model(images)), keras.tree.flatten(loaded(images)), strict=True):
        np.testing.assert_array_equal(before, after)
    assert loaded.get_config() == model.get_config()


def test_a_model_over_shared_layers_is_saved_whole(tmp_path: Path) -> None:
    model, images = classifier(), random_images(1, 64, 64, 3)
    SwiftFormerModel(model.config, out_indices=(0,), share_layers_with=model).save(tmp_path / "features.keras")
    features = keras.models.load_model(tmp_path / "features.keras")
    expected = SwiftFormerModel(model.config, out_indices=(0,), share_layers_with=model)(images)
    np.testing.assert_array_equal(features(images), expected)


def test_weights_files(tmp_path: Path) -> None:
    model, other, images = classifier(seed=1), classifier(seed=2), random_images(1, 64, 64, 3)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(images), model(images))


@pytest.mark.parametrize("dtype", [None, "mixed_float16", "bfloat16"])
def test_get_config_round_trip(dtype: str | None) -> None:
    model = SwiftFormerForImageClassification(small_config(), dtype=dtype, name="mine")
    copy = SwiftFormerForImageClassification.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert (copy.config, copy.name, copy.dtype_policy.name) == (model.config, "mine", model.dtype_policy.name)
    clone = keras.models.clone_model(model)
    assert [v.path for v in clone.weights] == [v.path for v in model.weights]
