"""The progress display of `swiftformer-tf train`."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from swiftformer_tf.cli.console import note, progress_display

__all__ = ["progress"]

# In a pipe there is no bar, and an epoch may take hours.
NOTE_SECONDS = 60.0


@contextlib.contextmanager
def progress() -> Iterator[list[Any]]:
    """Returns callbacks for a progress bar and a line per epoch; in a pipe, for a line per minute as well."""
    import keras

    class Bar(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.told = time.monotonic()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            if bar.tasks[task].total is None:
                bar.update(task, total=(self.params["epochs"] - epoch) * self.params["steps"])
                if epoch:
                    note(f"continuing after epoch {epoch}/{self.params['epochs']}")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            last = batch + 1 == self.params["steps"]
            bar.update(task, advance=1, description="evaluate and save" if last else "steps")
            now = time.monotonic()
            if not bar.console.is_terminal and now - self.told >= NOTE_SECONDS:
                self.told = now
                loss = f", loss {float(logs['loss']):.4f}" if logs and "loss" in logs else ""
                note(f"epoch {self.epoch + 1}/{self.params['epochs']}, step {batch + 1}/{self.params['steps']}{loss}")

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            shown = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
            note(f"epoch {epoch + 1}/{self.params['epochs']}: {shown}")
            self.told = time.monotonic()

    with progress_display(counted=True) as bar:
        task = bar.add_task("steps", total=None)
        yield [Bar()]
