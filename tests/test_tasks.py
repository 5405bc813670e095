"""What outputs mean: names, activations, and when two models say the same."""

import json
from typing import Any

import numpy as np
import pytest
from support.random_models import tiny_config

from swiftformer_tf import ConfigError
from swiftformer_tf.tasks import TASKS, Agreement, Output, features, main_index, main_output

RNG = np.random.default_rng(0)


def test_every_task_is_tested_here() -> None:
    assert set(TASKS) == {"classification", "features", "semantic-segmentation"}


def test_rows_have_the_keys_that_name_them() -> None:
    assert all(task.name == name for name, task in TASKS.items())


ONE = {0: "scratch"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "softmax"),
        ({"problem_type": "single_label_classification"}, "softmax"),
        ({"problem_type": "multi_label_classification"}, "sigmoid"),
        ({"problem_type": "regression"}, None),
        ({"id2label": ONE}, "sigmoid"),
        ({"id2label": ONE, "problem_type": "single_label_classification"}, "sigmoid"),
        ({"id2label": ONE, "problem_type": "multi_label_classification"}, "sigmoid"),
        ({"id2label": ONE, "problem_type": "regression"}, None),
        ({"id2label": {}}, None),
    ],
)
def test_the_activation_is_that_of_transformers_pipeline(fields: dict[str, Any], expected: str | None) -> None:
    """`ImageClassificationPipeline.postprocess` of transformers 5.23, row by row."""
    assert TASKS["classification"].activation(tiny_config(**fields)) == expected


def test_names_and_activations() -> None:
    classification = TASKS["classification"]
    assert classification.activation(tiny_config()) == "softmax"
    assert classification.activation(tiny_config(id2label={})) is None
    assert TASKS["features"].activation(tiny_config()) is None
    assert [classification.output_name(each) for each in (None, "softmax")] == ["logits", "probabilities"]
    assert TASKS["features"].output_name(None) == "features"


@pytest.mark.parametrize(
    ("fields", "heads"),
    [
        ({}, {"classification": 2, "features": 0, "semantic-segmentation": 1}),
        ({"distillation": False}, {"classification": 1, "features": 0, "semantic-segmentation": 1}),
        ({"id2label": {}}, {"classification": 0, "features": 0, "semantic-segmentation": 1}),
    ],
)
def test_each_task_says_how_many_heads_a_model_has(fields: dict[str, Any], heads: dict[str, int]) -> None:
    assert {name: task.heads(tiny_config(**fields)) for name, task in TASKS.items()} == heads


def test_the_main_output_is_the_first_with_labels_or_the_first() -> None:
    tasks = ["features", "semantic-segmentation", "classification"]
    assert main_index(tasks) == 1
    assert main_index(["features", "features"]) == 0
    outputs = [Output(f"output_{index}", (1, 8), task) for index, task in enumerate(tasks)]
    assert main_output(outputs) == outputs[1]


def test_only_a_classifier_teaches() -> None:
    assert [name for name, task in TASKS.items() if task.can_teach] == ["classification"]


@pytest.mark.parametrize("scale", [1, 1000])
def test_activations_are_keras_own_and_do_not_overflow(scale: float) -> None:
    import keras

    logits = RNG.normal(size=(4, 7)) * scale
    activate = TASKS["classification"].activate
    np.testing.assert_allclose(activate(logits, "softmax", tiny_config()), keras.ops.softmax(logits), atol=1e-12)
    np.testing.assert_allclose(activate(logits, "sigmoid", tiny_config()), keras.ops.sigmoid(logits), atol=1e-12)
    assert activate(logits, None, tiny_config()) is logits
    assert TASKS["features"].activate(logits, None, tiny_config()) is logits


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_maps_are_resized_along_rows_and_columns_whatever_keras_default(data_format: str) -> None:
    import keras

    config = tiny_config(image_size=(4, 6), id2label={0: "road", 1: "sky", 2: "tree"})
    logits = RNG.normal(size=(1, 2, 3, 3)).astype(np.float32)
    activate = TASKS["semantic-segmentation"].activate
    keras.config.set_image_data_format(data_format)
    try:
        found = np.asarray(activate(logits, "softmax", config))
        mask = np.asarray(activate(logits, "argmax", config))
    finally:
        keras.config.set_image_data_format("channels_last")
    # By hand: with half-pixel centers the corners are those of the logits.
    exponentials = np.exp(logits[0, -1, -1])
    assert found.shape == (1, 4, 6, 3)
    np.testing.assert_allclose(found[0, -1, -1], exponentials / exponentials.sum(), rtol=1e-5)
    np.testing.assert_array_equal(mask, found.argmax(axis=-1))


def test_maps_of_the_images_size_are_as_they_are() -> None:
    config = tiny_config(image_size=(2, 3), id2label={0: "road", 1: "sky"})
    logits = np.array([[[[2.0, 0], [0, 1], [3, 1]], [[0, 5], [1, 0], [0, 1]]]], np.float32)
    mask = np.asarray(TASKS["semantic-segmentation"].activate(logits, "argmax", config))
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[[0, 1, 0], [1, 0, 1]]]


def test_the_class_of_a_pixel_is_that_of_its_largest_entry_whatever_a_file_gives_out() -> None:
    config = tiny_config(image_size=(2, 2), id2label={0: "road", 1: "sky", 2: "tree"})
    logits = np.array([[[[0.0, 2, 1], [3, 0, 1]], [[0, 1, 2], [1, 2, 0]]]], np.float32)
    expected = [[[1, 0], [2, 1]]]
    task = TASKS["semantic-segmentation"]
    for activation in (None, "softmax", "argmax"):
        given = np.asarray(task.activate(logits, activation, config))
        kept = task.kept(given, activation, config)
        assert kept.dtype == np.uint8
        assert kept.tolist() == expected


def test_the_best_label() -> None:
    expected = np.eye(10)[np.arange(20) % 10]
    other = expected.copy()
    other[0] = np.roll(other[0], 1)
    found = TASKS["classification"].agreement(expected, other, tiny_config())
    assert found == Agreement(share=0.95, items=20, distinct=10, needed=5)
    assert found
    assert found.reaches(0.95)
    assert not found.reaches(1.0)


def test_labels_that_are_right_or_wrong_by_themselves() -> None:
    """Of 20 images and 10 labels one answer is another: a twentieth of that label, and not a 200th of all."""
    config = tiny_config(problem_type="multi_label_classification")
    expected = np.where(np.eye(10)[np.arange(20) % 10] > 0, 0.9, 0.1)
    other = expected.copy()
    other[3, 7] = 0.6
    found = TASKS["classification"].agreement(expected, other, config)
    assert found == Agreement(share=0.95, items=20, distinct=10, needed=5)
    single = TASKS["classification"].agreement(expected[:, :1], other[:, :1], tiny_config(id2label=ONE))
    assert single == Agreement(share=1.0, items=20, distinct=2, needed=2)


def test_the_largest_error_of_numbers() -> None:
    config = tiny_config(id2label={0: "age", 1: "height"}, problem_type="regression")
    expected = np.array([[10.0, 1.0], [20.0, 2.0], [30.0, 3.0]])
    actual = expected + np.array([[0, 0], [0, -0.2], [0.5, 0]])
    task = TASKS["classification"]
    assert task.agreement(expected, actual, config) is None
    # By hand: the deviation of 1, 2, 3 is the root of 2/3.
    assert task.largest_error(expected, actual, config) == pytest.approx(0.2 / (3 * (2 / 3) ** 0.5))
    assert task.largest_error(expected / 1000, actual / 1000, config) == pytest.approx(0.2 / (3 * (2 / 3) ** 0.5))
    assert task.largest_error(expected, expected, config) == 0
    # What never varies has no deviation, and is right all the same where it is met.
    assert task.largest_error(np.ones((3, 2)), np.ones((3, 2)), config) == 0
    assert task.largest_error(np.ones((3, 2)), np.ones((3, 2)) + 0.1, config) == np.inf
    assert task.largest_error(expected, actual, tiny_config()) is None
    assert TASKS["features"].largest_error(expected, actual, config) is None


def test_a_file_that_says_the_same_of_all_images_finds_none_again() -> None:
    expected = RNG.normal(size=(20, 3, 4, 5)) + 100
    agreement = features.agreement
    exact = agreement(expected, expected, tiny_config())
    assert (exact.share, exact.distinct, exact.items) == (1.0, 20, 20)
    constant = agreement(expected, np.repeat(expected[:1], 20, axis=0), tiny_config())
    assert constant.share == pytest.approx(1 / 20)
    wrong = agreement(expected, expected[::-1], tiny_config())
    assert wrong.share == 0


def test_cosines_by_hand() -> None:
    expected = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    config = tiny_config()
    assert features.cosine(expected, np.array([[3.0, 0.0], [1.0, 1.0], [5.0, 5.0]]), config) == pytest.approx(
        (1 + 0.5**0.5) / 2
    )
    assert features.cosine(expected, -expected, config) == -1
    assert features.cosine(0 * expected, expected, config) is None
    assert np.isnan(features.cosine(expected, np.where(expected == 2, np.inf, expected), config) or 0)
    assert TASKS["classification"].cosine(expected, expected, config) is None


def test_images_with_the_same_vector_count_once() -> None:
    expected = np.repeat(RNG.normal(size=(4, 16)), 3, axis=0)
    found = features.agreement(expected, expected + 1e-3, tiny_config())
    assert (found.share, found.distinct, found.needed) == (1.0, 4, 5)


def test_few_items_may_differ_by_one() -> None:
    assert Agreement(share=7 / 8, items=8, distinct=8, needed=5).reaches(0.97)
    assert not Agreement(share=6 / 8, items=8, distinct=8, needed=5).reaches(0.97)
    assert not Agreement(share=7 / 8, items=8, distinct=8, needed=5).reaches(1.0)


def test_an_output_is_the_same_when_it_is_read_again() -> None:
    output = Output("mask", (1, 4, 6), "semantic-segmentation", "argmax")
    assert Output.from_dict(json.loads(json.dumps(output.to_dict()))) == output


def test_what_is_no_output_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an output: 'shape'"):
        Output.from_dict({"name": "a"})
    with pytest.raises(ConfigError, match=r"not an output: .*unexpected keyword argument 'color'"):
        Output.from_dict({"name": "a", "shape": [1], "task": "features", "color": 1})
