"""Initial weights as JAX gets them: drawn with NumPy, of the distribution and with the seeds of Keras's own."""

from typing import Any

import keras
import numpy as np
import pytest

from swiftformer_tf.layers.initializers import RandomNormal, TruncatedNormal

SHAPE = (300, 400)
# By class: Keras's own, and how many standard deviations no value exceeds.
DISTRIBUTIONS: dict[Any, tuple[Any, float]] = {
    RandomNormal: (keras.initializers.RandomNormal, 6.0),
    TruncatedNormal: (keras.initializers.TruncatedNormal, 2.0),
}


@pytest.fixture
def on_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.usefixtures("on_jax")
def test_the_distribution_is_that_of_keras(kind: Any) -> None:
    keras_own, limit = DISTRIBUTIONS[kind]
    found, expected = (np.asarray(each(1.0, 0.5, seed=3)(SHAPE)) for each in (kind, keras_own))
    assert found.shape == SHAPE
    assert found.dtype == np.float32
    assert np.abs(found - 1.0).max() <= 0.5 * limit
    percentiles = np.arange(1, 100)
    # Four times what the outermost of two draws of this size differ by on average.
    assert np.abs(np.percentile(found, percentiles) - np.percentile(expected, percentiles)).max() < 0.03


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
@pytest.mark.usefixtures("on_jax")
def test_seeds_mean_what_they_mean_to_keras(kind: Any) -> None:
    """A number repeats itself; a generator goes on; layers without one differ, and repeat after `set_random_seed`."""

    def drawn(initializer: keras.initializers.Initializer) -> list[float]:
        return [float(np.asarray(initializer((4, 4)))[0, 0]) for _ in range(2)]

    numbered, negative = kind(seed=1), kind(seed=-1)
    first, second = drawn(numbered)
    assert first == second
    assert drawn(negative)[0] != first
    first, second = drawn(kind(seed=keras.random.SeedGenerator(1)))
    assert first != second
    unseeded = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        unseeded.append([drawn(kind())[0], drawn(kind())[0]])
    assert unseeded[0] == unseeded[1]
    assert unseeded[0][0] != unseeded[0][1]


@pytest.mark.usefixtures("on_jax")
def test_half_precision_is_asked_for_as_of_any_initializer() -> None:
    assert keras.backend.standardize_dtype(TruncatedNormal()((2, 2), dtype="float16").dtype) == "float16"


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_elsewhere_the_values_are_those_of_keras(kind: Any) -> None:
    found, expected = (np.asarray(each(seed=3)((8, 8))) for each in (kind, DISTRIBUTIONS[kind][0]))
    np.testing.assert_array_equal(found, expected)
