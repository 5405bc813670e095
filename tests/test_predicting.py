"""The same answers from whichever kind of model there is."""

from collections.abc import Callable

import numpy as np
import pytest

from swiftformer_tf import LiteModel, ModelError, SwiftFormerForImageClassification, fuse, to_checkpoint
from swiftformer_tf.loading import Opened
from swiftformer_tf.predicting import predictor, probabilities


@pytest.fixture
def images(model: SwiftFormerForImageClassification, pixels: np.ndarray) -> np.ndarray:
    normalized: np.ndarray = model.config.transform.normalize(pixels[:5])
    return normalized


def test_all_kinds_agree(
    model: SwiftFormerForImageClassification, lite: Callable[..., LiteModel], images: np.ndarray
) -> None:
    expected = np.asarray(model(images))
    softmax = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    kinds: dict[str, Opened] = {
        "keras": model,
        "checkpoint": to_checkpoint(model),
        "fused": fuse(model),
        "fused, pixels": fuse(model, include_preprocessing=True),
        "fused, probabilities": fuse(model, classifier_activation="softmax"),
        "tflite": lite("float32"),
        "pixels": lite("float32", include_preprocessing=True),
        "probabilities": lite("float32", classifier_activation="softmax"),
    }
    for kind, opened in kinds.items():
        run, config = predictor(opened, num_threads=2)
        assert config == model.config
        outputs = run(images)
        assert outputs.shape == (5, 10)
        np.testing.assert_allclose(
            outputs, softmax if kind.endswith("probabilities") else expected, atol=1e-4, err_msg=kind
        )
        np.testing.assert_allclose(probabilities(outputs, opened), softmax, atol=1e-5, err_msg=kind)


def test_a_fused_model_for_a_batch_is_refused(model: SwiftFormerForImageClassification, images: np.ndarray) -> None:
    run, _ = predictor(fuse(model, batch_size=2))
    with pytest.raises(ModelError, match=r"an input of shape \(1, .*\): the model takes \(2, "):
        run(images)


def test_probabilities_of_large_logits_are_finite(model: SwiftFormerForImageClassification) -> None:
    np.testing.assert_allclose(probabilities(np.array([[1e4, 0.0]], np.float32), model), [[1, 0]])
