"""The progress display of `swiftformer-tf train`."""

import contextlib
from collections.abc import Iterator
from typing import Any

from swiftformer_tf.cli.console import note, progress_display, regular_notes

__all__ = ["progress"]


@contextlib.contextmanager
def progress() -> Iterator[list[Any]]:
    """Returns callbacks for a progress bar and a line per epoch; in a pipe, for a line per minute as well."""
    import keras

    class Bar(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if bar.tasks[task].total is None:
                bar.update(task, total=(self.params["epochs"] - epoch) * self.params["steps"])
                if epoch:
                    note(f"continuing after epoch {epoch}/{self.params['epochs']}")
            self.epoch = f"epoch {epoch + 1}/{self.params['epochs']}"
            doing(f"{self.epoch}: building the first step")  # in later epochs too, if their images are larger

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            last = batch + 1 == self.params["steps"]
            bar.update(task, advance=1, description="evaluate and save" if last else "steps")
            loss = f", loss {float(logs['loss']):.4f}" if logs and "loss" in logs else ""
            step = f"{self.epoch}, step {batch + 1}/{self.params['steps']}{loss}"
            doing(f"{self.epoch}: evaluating and saving" if last else step)

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            doing("")
            shown = ", ".join(f"{name} {float(value):.4f}" for name, value in logs.items())
            note(f"{self.epoch}: {shown}")

    with progress_display(counted=True) as bar, regular_notes() as doing:
        doing("reading the photographs")
        task = bar.add_task("steps", total=None)
        yield [Bar()]
