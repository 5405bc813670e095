"""Plots of learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from swiftformer_tf.files import replacing

__all__ = ["plot_history"]


def plot_history(history: Sequence[Mapping[str, float]], path: str | Path) -> None:
    """Draws losses, accuracies and the learning rate by epoch as a PNG; needs matplotlib (extra `train`).

    Args:
        history: Metrics, one row per epoch, as in `metrics.csv`.
        path: Path of the PNG.
    """
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in history]
    names = [name for name in history[-1] if name not in ("epoch", "seconds")]
    panels = {
        "loss": [name for name in names if name.endswith("loss")],
        "accuracy": [name for name in names if name.endswith("accuracy")],
        "precision, F1": [name for name in names if name.endswith(("average_precision", "f1"))],
        "error": [name for name in names if name.endswith("absolute_error")],
        "mean IoU": [name for name in names if name.endswith("mean_iou")],
        "learning rate": ["learning_rate"],
    }
    panels = {title: lines for title, lines in panels.items() if lines}  # a user's `compile` may not measure accuracy
    figure = Figure(figsize=(14, 4), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name in lines:
            axes.plot(epochs, [row[name] for row in history], marker=".", label=name)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=110)
