"""Figures of several labels and of numbers, beside scikit-learn's."""

import numpy as np
import pytest

from swiftformer_tf import ModelError
from swiftformer_tf.tasks.scores import LabelScores, NumberErrors, average_precision

# scikit-learn 1.9.1's average_precision_score, f1_score(average=None) at 0.5 and mean_absolute_error of these.
TARGETS = np.array(
    [
        *([0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]),
        *([1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 1]),
    ]
)
PROBABILITIES = np.array(
    [
        *([0.5, 0.9, 0.9], [0.4, 0.6, 0.3], [0.6, 0.3, 0.4], [0.9, 0.2, 0.6], [0.1, 0.8, 0.8], [0.2, 0.9, 0.1]),
        *([0.3, 0.2, 0.5], [0.8, 0.2, 0.1], [0.4, 0.2, 0.1], [0.6, 0.3, 0.7], [0.2, 0.9, 0.4], [0.1, 0.6, 0.9]),
    ]
)
AVERAGE_PRECISION = (0.39017857142857143, 0.6041666666666666, 0.7783333333333333)
F1 = (0.22222222222222222, 0.6, 0.72727272727272727)
LABELS = ("rust", "crack", "stain")


def test_labels_as_scikit_learn_scores_them_ties_included() -> None:
    scores = LabelScores(TARGETS, PROBABILITIES, LABELS, "by hand")
    assert scores.average_precision == pytest.approx(AVERAGE_PRECISION, abs=1e-12)
    assert scores.mean_average_precision == pytest.approx(0.5908928571428571, abs=1e-12)
    assert scores.f1 == pytest.approx(F1, abs=1e-12)
    report = scores.to_dict()
    assert report["mean_f1"] == pytest.approx(np.mean(F1))
    assert report["per_label"][1] == {
        "index": 1,
        "label": "crack",
        "images": 4,
        "average_precision": pytest.approx(AVERAGE_PRECISION[1]),
        "f1": pytest.approx(0.6),
    }
    assert scores.summary == "mean average precision 0.5909, mean F1 0.5165 of 12 photographs"
    assert scores.table[0] == {"label": "rust", "images": 4, "average precision": "0.3902", "F1": "0.2222"}


def test_a_label_that_no_photograph_has_is_no_part_of_the_mean() -> None:
    targets = TARGETS.copy()
    targets[:, 0] = 0
    scores = LabelScores(targets, PROBABILITIES, LABELS, "by hand")
    assert scores.mean_average_precision == pytest.approx(np.mean(AVERAGE_PRECISION[1:]))
    assert scores.to_dict()["per_label"][0]["average_precision"] is None
    assert scores.table[0]["average precision"] == "-"
    assert np.isnan(average_precision(np.zeros(2), np.zeros(2)))
    with pytest.raises(ModelError, match="none of the 12 photographs has a label, so there is nothing to find"):
        LabelScores(targets * 0, PROBABILITIES, LABELS, "by hand")


def test_numbers_as_scikit_learn_measures_them() -> None:
    right = np.array([[1.0, -0.6], [1.8, -1.3], [-0.7, 0.9], [0.0, 2.0], [0.2, -0.6]])
    said = np.array([[-0.4, -1.1], [-1.3, 0.6], [0.6, 1.3], [-0.8, 1.7], [-0.3, 1.6]])
    errors = NumberErrors(right, said, ("age", "weight"), "by hand")
    assert errors.errors == pytest.approx((1.42, 1.06))
    assert errors.metrics == {"mean_absolute_error": pytest.approx(1.24)}
    assert errors.to_dict()["per_label"][1] == {
        "index": 1,
        "label": "weight",
        "mean_absolute_error": pytest.approx(1.06),
    }
    assert errors.table[0] == {"label": "age", "mean absolute error": "1.42"}
    assert errors.summary == "mean absolute error 1.24 of 5 photographs"
