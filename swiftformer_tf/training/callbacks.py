"""Callbacks for averaged weights, validation, and a folder from which an interrupted run resumes."""

import csv
import importlib.util
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from swiftformer_tf.errors import CheckpointError, ConfigError
from swiftformer_tf.files import filling, replacing
from swiftformer_tf.training.plots import plot_history
from swiftformer_tf.training.processes import is_first_process, undistributed

__all__ = [
    "AveragedWeights",
    "FiniteLoss",
    "Measured",
    "RunFolder",
    "Validation",
    "best_epoch",
    "synchronize",
    "validation_figures",
]


class AveragedWeights(keras.callbacks.Callback):
    """Keeps an exponential moving average of a model's weights in a separate model.

    Keras's `use_ema` omits BatchNorm statistics, which then do not match the averaged weights, and `SwapEMAWeights`
    swaps by adding and subtracting, which changes the last bits of the weights, so that a resumed run would drift from
    an uninterrupted one. This callback averages all weights and does not modify the model.

    During the first steps a smaller decay is used, (1 + step) / (10 + step), so that the initial weights are forgotten.

    Args:
        model: The model being trained, or one that shares its layers.
        decay: Share of the average that each step keeps.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), id2label={0: "cat", 1: "dog"})
        >>> model = SwiftFormerForImageClassification(config)
        >>> averages = AveragedWeights(model, decay=0.998)
        >>> model.compile("sgd", "mse")
        >>> _ = model.fit(np.ones((1, 32, 32, 3)), np.ones((1, 2)), callbacks=[averages], verbose=0)
        >>> bool(np.allclose(averages.averaged.get_weights()[0], model.get_weights()[0], atol=1e-3))
        True
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        super().__init__()
        self.source, self.decay = model, decay
        #: The averaged model, in float32; each process has its own, all equal.
        with undistributed():
            self.averaged = type(model).from_config({**model.get_config(), "dtype": "float32"})
            self.averaged.set_weights(model.get_weights())
        self._add_to_averages = _traced(self._add)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        synchronize(self.model)
        step = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        decay = min(self.decay, (1 + step) / (10 + step))
        self._add_to_averages(np.float32(decay), np.float32(1 - decay))

    def _add(self, kept: Any, added: Any) -> None:
        distributed = keras.distribution.distribution() is not None
        for average, variable in zip(self.averaged.weights, self.source.weights, strict=True):
            value = ops.convert_to_numpy(variable) if distributed else variable
            # The variables first: NumPy would fetch them from the device to multiply.
            average.assign(average * kept + ops.cast(value, average.dtype) * added)


def _traced(function: Callable[..., None]) -> Callable[..., None]:
    """Returns a graph of the function where Keras runs on TensorFlow: many small operations take longer one by one."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    graph: Callable[..., None] = tf.function(function)
    return graph


class FiniteLoss(keras.callbacks.Callback):
    """Stops training when the loss is no longer finite; the results of earlier epochs are kept.

    Args:
        learning_rate: Learning rate of the training, for the error message.
    """

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.learning_rate = learning_rate

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        if not np.isfinite(loss := float(logs["loss"])):
            raise ConfigError(
                f"the loss is {loss} in step {batch + 1} of epoch {self._epoch + 1}; train into another folder with a "
                f"`learning_rate` below {self.learning_rate:g}, or with a lower clip_norm, such as 0.5, in a `recipe` "
                "of your own"
            )


class Measured(Protocol):
    """The result of an evaluation of a model, such as `LabelAccuracy`."""

    @property
    def metrics(self) -> dict[str, float]:
        """The overall metrics."""

    def to_dict(self) -> dict[str, Any]:
        """Converts all metrics, including those per label, to plain JSON types."""


class Validation(keras.callbacks.Callback):
    """Evaluates the averaged model after each epoch and adds the results, such as `val_accuracy`, to its metrics.

    Args:
        averages: The averaged weights to evaluate.
        measure: Function that evaluates a model.

    Examples:
        >>> from swiftformer_tf.tasks.scores import NumberErrors
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig.from_variant("tiny", image_size=32, id2label={0: "cat", 1: "dog"})
        >>> averages, logs = AveragedWeights(SwiftFormerForImageClassification(config), decay=0.9), {}
        >>> measured = NumberErrors(np.array([[10.0]]), np.array([[11.0]]), ("age",), "by hand")
        >>> Validation(averages, lambda model: measured).on_epoch_end(0, logs)
        >>> logs
        {'val_mean_absolute_error': 1.0}
    """

    def __init__(self, averages: AveragedWeights, measure: Callable[[keras.Model], Measured]) -> None:
        super().__init__()
        self.averages, self.measure = averages, measure
        #: Metrics of the last epoch.
        self.measured: Measured | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        # All processes evaluate all photographs: none runs ahead, and waits in the next step until it gives up.
        with undistributed():
            self.measured = self.measure(self.averages.averaged)
        logs.update({f"val_{name}": value for name, value in self.measured.metrics.items()})


class RunFolder(keras.callbacks.Callback):
    """Writes, after each epoch, the state to resume from and the results so far; each file is written atomically.

    If there are several processes, only the first one writes.

    * `state.safetensors`: weights, optimizer, random generators, averaged weights and the metrics so far.
    * `model.keras`: the averaged model of the best epoch by validation, or of the last epoch if there is no validation.
    * `validation.json`, if there is a validation: its results for that model, including those per label, in the form of
      `evaluate --json`.
    * `metrics.csv`, and `curves.png` if matplotlib is installed.

    Args:
        folder: Folder to write to; it must exist.
        averages: The averaged weights of the run.
        validation: The validation, which must be called before this callback; None if there is none.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), id2label={0: "cat", 1: "dog"})
        >>> model = SwiftFormerForImageClassification(config)
        >>> model.compile("sgd", "mse")
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = RunFolder(name, AveragedWeights(model, decay=0.9))
        ...     _ = model.fit(np.ones((1, 32, 32, 3)), np.ones((1, 2)), callbacks=[folder], verbose=0)
        ...     files = sorted(path.name for path in Path(name).iterdir() if path.suffix != ".png")
        ...     epochs = folder.restore(model)
        >>> files, epochs
        (['metrics.csv', 'model.keras', 'state.safetensors'], 1)
    """

    def __init__(self, folder: str | Path, averages: AveragedWeights, validation: Validation | None = None) -> None:
        super().__init__()
        self.folder, self.averages, self.validation = Path(folder), averages, validation
        self.history: list[dict[str, float]] = []

    def restore(self, model: keras.Model) -> int:
        """Restores a compiled model to the end of the last epoch stored in the folder.

        Returns:
            The number of completed epochs, to be passed to `fit` as `initial_epoch`.

        Raises:
            CheckpointError: The state is damaged or belongs to a different model.
        """
        path = self.folder / "state.safetensors"
        if not path.is_file():
            return 0
        model.optimizer.build(model.trainable_variables)
        targets = self._variables(model)
        try:
            with safe_open(path, "numpy") as state:
                found = {name: state.get_tensor(name) for name in state.keys()}  # noqa: SIM118  not a mapping
                history = json.loads(state.metadata()["history"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); remove it to start over") from None
        shapes = {name: tuple(variable.shape) for name, variable in targets.items()}
        if shapes != {name: array.shape for name, array in found.items()}:
            raise CheckpointError(f"{path}: belongs to another model or optimizer; train into another folder")
        for name, variable in targets.items():
            variable.assign(found[name])
        self.history = history
        return len(history)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        synchronize(self.model)
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        row["learning_rate"] = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = round(time.monotonic() - self._started, 1)
        self.history.append(row)
        if not is_first_process():
            return
        arrays = {
            name: np.asarray(ops.convert_to_numpy(variable), order="C")
            for name, variable in self._variables(self.model).items()
        }
        # Together, so that with these files the epoch counts as done; the state, last by its name, moves last.
        # Each by `replacing`, since the system does not say which file had no room.
        with filling(self.folder) as beside:
            if best_epoch(self.history) is row:
                with replacing(beside / "model.keras") as path:
                    self.averages.averaged.save(path)
                if self.validation and self.validation.measured:
                    report = json.dumps(self.validation.measured.to_dict(), indent=2)
                    with replacing(beside / "validation.json") as path:
                        path.write_text(report + "\n", "utf-8")
            metadata = {"history": json.dumps(self.history)}
            with replacing(beside / "state.safetensors") as path:
                # Not `save_file`, whose errors are no OSError.
                path.write_bytes(to_safetensors(arrays, metadata=metadata))
            self._save_metrics(beside)

    def _save_metrics(self, folder: Path) -> None:
        with replacing(folder / "metrics.csv") as path, path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(self.history[-1]))
            writer.writeheader()
            writer.writerows(self.history)
        if importlib.util.find_spec("matplotlib"):
            plot_history(self.history, folder / "curves.png")

    def _variables(self, model: keras.Model) -> dict[str, Any]:
        # Metrics start anew with each epoch, and have no variables before the first step.
        metrics = {id(variable) for variable in model.metrics_variables}
        groups = {
            "model": [variable for variable in model.variables if id(variable) not in metrics],
            "optimizer": model.optimizer.variables,
            "average": self.averages.averaged.weights,
        }
        return {f"{name}.{index:04d}": v for name, group in groups.items() for index, v in enumerate(group)}


# Metrics of validation that tell which epoch is the best, and whether more of them is better or less.
_BEST_BY = {"val_accuracy": 1, "val_mean_iou": 1, "val_mean_average_precision": 1, "val_mean_absolute_error": -1}


def best_epoch(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the row of the epoch whose model is kept: the best by validation; among equal ones, the last.

    Args:
        history: The metrics returned by `train`.

    Examples:
        >>> best_epoch([{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.4}])["epoch"]
        1
    """
    signs = _BEST_BY.items()
    return max(
        reversed(history), key=lambda row: next((sign * row[name] for name, sign in signs if name in row), row["epoch"])
    )


def validation_figures(row: Mapping[str, float]) -> list[str]:
    """Formats the validation metrics of an epoch.

    Args:
        row: A row of the metrics returned by `train`.

    Examples:
        >>> validation_figures({"epoch": 1, "loss": 0.3, "val_accuracy": 0.5})
        ['val_accuracy 50.00%']
    """
    found = [(name, value) for name, value in row.items() if name.startswith("val_")]
    return [f"{name} {value:.4g}" if name.endswith("error") else f"{name} {value:.2%}" for name, value in found]


def synchronize(model: keras.Model) -> None:
    """Updates a model's variables while `fit` runs; only with the JAX backend do they lag behind."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
