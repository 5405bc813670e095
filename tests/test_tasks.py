"""What outputs mean: names, activations, and when two models say the same."""

import numpy as np
import pytest
from support.random_models import tiny_config

from swiftformer_tf import ConfigError
from swiftformer_tf.tasks import TASKS, Agreement, Output

RNG = np.random.default_rng(0)


def test_every_task_is_tested_here() -> None:
    assert set(TASKS) == {"classification", "features"}


def test_rows_have_the_keys_that_name_them() -> None:
    assert all(task.name == name for name, task in TASKS.items())


def test_names_and_activations() -> None:
    classification, features = TASKS["classification"], TASKS["features"]
    assert classification.activation(tiny_config()) == "softmax"
    assert classification.activation(tiny_config(id2label={})) is None
    assert features.activation(tiny_config()) is None
    assert [classification.output_name(each) for each in (None, "softmax")] == ["logits", "probabilities"]
    assert features.output_name(None) == "features"


@pytest.mark.parametrize("scale", [1, 1000])
def test_activations_are_keras_own_and_do_not_overflow(scale: float) -> None:
    import keras

    logits = RNG.normal(size=(4, 7)) * scale
    activate = TASKS["classification"].activate
    np.testing.assert_allclose(activate(logits, "softmax"), keras.ops.softmax(logits), atol=1e-12)
    np.testing.assert_allclose(activate(logits, "sigmoid"), keras.ops.sigmoid(logits), atol=1e-12)
    assert activate(logits, None) is logits
    assert TASKS["features"].activate(logits, None) is logits


def test_the_best_label() -> None:
    expected = np.eye(10)[np.arange(20) % 10]
    other = expected.copy()
    other[0] = np.roll(other[0], 1)
    found = TASKS["classification"].agreement(expected, other, tiny_config())
    assert found == Agreement(share=0.95, items=20, distinct=10, needed=5)
    assert found.reaches(0.95)
    assert not found.reaches(1.0)


def test_a_file_that_says_the_same_of_all_images_finds_none_again() -> None:
    expected = RNG.normal(size=(20, 3, 4, 5)) + 100
    agreement = TASKS["features"].agreement
    exact = agreement(expected, expected, tiny_config())
    assert (exact.share, exact.distinct, exact.items) == (1.0, 20, 20)
    constant = agreement(expected, np.repeat(expected[:1], 20, axis=0), tiny_config())
    assert constant.share == pytest.approx(1 / 20)
    wrong = agreement(expected, expected[::-1], tiny_config())
    assert wrong.share == 0


def test_images_with_the_same_vector_count_once() -> None:
    expected = np.repeat(RNG.normal(size=(4, 16)), 3, axis=0)
    found = TASKS["features"].agreement(expected, expected + 1e-3, tiny_config())
    assert (found.share, found.distinct, found.needed) == (1.0, 4, 5)


def test_few_items_may_differ_by_one() -> None:
    assert Agreement(share=7 / 8, items=8, distinct=8, needed=5).reaches(0.97)
    assert not Agreement(share=6 / 8, items=8, distinct=8, needed=5).reaches(0.97)
    assert not Agreement(share=7 / 8, items=8, distinct=8, needed=5).reaches(1.0)


def test_what_is_no_output_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an output: 'shape'"):
        Output.from_dict({"name": "a"})
    with pytest.raises(ConfigError, match=r"not an output: .*unexpected keyword argument 'color'"):
        Output.from_dict({"name": "a", "shape": [1], "task": "features", "color": 1})
