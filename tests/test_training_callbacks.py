"""Which epoch is kept, and what is told of one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.random_models import tiny_config

from swiftformer_tf import SwiftFormerForImageClassification
from swiftformer_tf.tasks.scores import LabelScores
from swiftformer_tf.training.callbacks import AveragedWeights, RunFolder, Validation, best_epoch, validation_figures


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("val_accuracy", [0.4, 0.6, 0.5], 2),
        ("val_accuracy", [0.6, 0.6, 0.5], 2),
        ("val_mean_iou", [0.4, 0.3, 0.2], 1),
        ("val_mean_average_precision", [0.4, 0.3, 0.5], 3),
        ("val_mean_absolute_error", [4.0, 2.0, 3.0], 2),
        ("loss", [3.0, 1.0, 2.0], 3),
    ],
)
def test_the_best_epoch_is_that_of_validation_and_without_it_the_last(
    metric: str, values: list[float], best: int
) -> None:
    """The later one of equals: its average has seen more."""
    history = [{"epoch": float(epoch), metric: value} for epoch, value in enumerate(values, 1)]
    assert best_epoch(history)["epoch"] == best


def test_shares_are_told_in_percent_and_errors_in_their_own_unit() -> None:
    row = {"epoch": 1, "loss": 0.3, "val_accuracy": 0.51234, "val_mean_absolute_error": 12.3456}
    assert validation_figures(row) == ["val_accuracy 51.23%", "val_mean_absolute_error 12.35"]
    assert validation_figures({"epoch": 1, "loss": 0.3}) == []


def test_what_validation_found_of_the_kept_model_is_written_with_each_labels_figures(tmp_path: Path) -> None:
    model = SwiftFormerForImageClassification(tiny_config(distillation=False))
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    given = np.array([[1, 0], [1, 1], [0, 1]])
    answers = [np.array([[0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]), np.zeros((3, 2))]
    averages = AveragedWeights(model, decay=0.9)
    validation = Validation(averages, lambda _: LabelScores(given, answers.pop(0), ("rust", "crack"), "by hand"))
    folder = RunFolder(tmp_path, averages, validation)
    folder.set_model(model)
    for epoch in range(2):
        logs: dict[str, Any] = {"loss": 0.5}
        folder.on_epoch_begin(epoch)
        validation.on_epoch_end(epoch, logs)
        folder.on_epoch_end(epoch, logs)
    # The first epoch's, which was the better one: all right.
    kept = json.loads((tmp_path / "validation.json").read_text())
    assert [(row["label"], row["f1"]) for row in kept["per_label"]] == [("rust", 1.0), ("crack", 1.0)]
    assert [row["val_mean_f1"] for row in folder.history] == [1.0, 0.0]
