"""BatchNorm's statistics, measured anew."""

import keras
import numpy as np
import pytest
from support.random_models import pictures, random_classifier, tiny_config

from swiftformer_tf import ConfigError, SwiftFormerForImageClassification
from swiftformer_tf.layers.base import BATCH_NORM_MOMENTUM
from swiftformer_tf.training import update_batch_norm


def batches(count: int = 3, size: int = 64) -> list[np.ndarray]:
    images = tiny_config().transform.normalize(pictures(8 * count, size, size))
    return np.split(images, count)


def statistics(model: SwiftFormerForImageClassification) -> dict[str, np.ndarray]:
    return {
        variable.path: keras.ops.convert_to_numpy(variable)
        for variable in model.weights
        if variable.path.rpartition("/")[2] in ("moving_mean", "moving_variance")
    }


def test_statistics_are_the_mean_of_the_batches_and_nothing_else_changes() -> None:
    model = random_classifier()
    before = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    update_batch_norm(model, batches())
    after = statistics(model)
    assert len(after) > 20
    for variable in model.weights:
        changed = not np.array_equal(keras.ops.convert_to_numpy(variable), before[variable.path])
        assert changed == (variable.path in after), variable.path
    # The first is right behind a convolution of the image alone: by hand.
    stem = model.get_layer("stem")
    made = [keras.ops.convert_to_numpy(stem.conv1(np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]))) for x in batches()]
    expected_mean = np.mean([each.mean(axis=(0, 1, 2)) for each in made], axis=0)
    expected_variance = np.mean([each.var(axis=(0, 1, 2)) for each in made], axis=0)
    np.testing.assert_allclose(stem.norm1.moving_mean, expected_mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(stem.norm1.moving_variance, expected_variance, rtol=1e-3, atol=1e-3)
    assert stem.norm1.momentum == BATCH_NORM_MOMENTUM  # it trains on as it did


def test_drops_are_off() -> None:
    dropping, plain = (
        random_classifier(drop_path_rate=rate, drop_mlp_rate=rate, drop_conv_encoder_rate=rate) for rate in (0.9, 0.0)
    )
    for model in (dropping, plain):
        update_batch_norm(model, batches())
    for path, value in statistics(plain).items():
        np.testing.assert_allclose(statistics(dropping)[path], value, rtol=1e-5, atol=1e-6)


def test_no_batch_is_refused_and_changes_nothing() -> None:
    model = random_classifier()
    before = model.get_weights()
    with pytest.raises(ConfigError, match="no images: the statistics need a few dozen or more"):
        update_batch_norm(model, [])
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
