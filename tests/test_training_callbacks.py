"""Which epoch is kept, and what is told of one."""

import pytest

from swiftformer_tf.training.callbacks import best_epoch, validation_figures


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
    """Of equals the later one: its average has seen more."""
    history = [{"epoch": float(epoch), metric: value} for epoch, value in enumerate(values, 1)]
    assert best_epoch(history)["epoch"] == best


def test_shares_are_told_in_percent_and_errors_in_their_own_unit() -> None:
    row = {"epoch": 1, "loss": 0.3, "val_accuracy": 0.51234, "val_mean_absolute_error": 12.3456}
    assert validation_figures(row) == ["val_accuracy 51.23%", "val_mean_absolute_error 12.35"]
    assert validation_figures({"epoch": 1, "loss": 0.3}) == []
