"""What `swiftformer-tf train` shows while it runs."""

import contextlib
from collections.abc import Iterator
from typing import Any

from swiftformer_tf.cli.console import note

__all__ = ["progress"]


@contextlib.contextmanager
def progress() -> Iterator[list[Any]]:
    """Callbacks for a bar with the time left and a line an epoch."""
    import keras
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)

    class Bar(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if bar.tasks[task].total is None:
                bar.update(task, total=(self.params["epochs"] - epoch) * self.params["steps"])
                if epoch:
                    note(f"goes on after epoch {epoch}/{self.params['epochs']}")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            bar.advance(task)

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            shown = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
            note(f"epoch {epoch + 1}/{self.params['epochs']}: {shown}")

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("steps", total=None)
        yield [Bar()]
