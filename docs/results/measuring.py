"""What the result pages share: every recipe against the float32 Keras model, beside its goal."""

import csv
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import swiftformer_tf as sf
from swiftformer_tf.exporting import Calibration
from swiftformer_tf.files import replacing
from swiftformer_tf.images.folders import balanced_sample, list_images
from swiftformer_tf.images.inputs import image_inputs
from swiftformer_tf.verification import signal_to_noise

NAME = "swiftformer_xs_imagenette"


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a recipe should reach: top-1 points lost at most, agreement and SNR in dB at least."""

    drop: float
    agreement: float
    snr: float


GOALS = {
    "float32": Goal(0.0, 1.0, 92),
    "float16": Goal(0.0, 0.999, 62),
    "dynamic_int8": Goal(0.1, 0.996, 42),
    "dynamic_int4": Goal(0.1, 0.996, 37),
    "mixed_int8": Goal(0.2, 0.994, 34),
    "int8": Goal(0.3, 0.99, 30),
    "static_int8": Goal(0.3, 0.99, 30),
    "int16x8": Goal(0.05, 0.998, 42),
}

# The reference kernels of 16-bit integers take seconds for a photograph.
FEWER_PHOTOGRAPHS = {"int16x8": 50}


# What the tables of the validation photographs cannot tell. The last figures were measured elsewhere, once.
UNSEEN = (
    "Expect larger losses on unseen photographs: on these validation photographs the epoch and the size of the shipped",
    "weights were chosen (`swiftformer_tf/weights/swiftformer_xs_imagenette.md`), and at first some constants of the",
    "recipes ([levers](quantization-levers.md)), which were compared with others on training photographs only later",
    "([constants](constants.md)). With earlier constants, on 1,959 photographs that had been kept aside, int8 lost",
    "0.32 points and mixed_int8 0.24, in the mean over five sets of calibration photographs. These photographs are not",
    "part of the data set used here, so the measurement has not been repeated since.",
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A recipe's file on photographs.

    Args:
        snr: SNR of the logits in dB, centered by the reference's mean.
        agreement: Share of photographs with the same best class as the reference's.
        bytes: Size of the file.
        partitions: How many XNNPACK made of the graph.
        seconds: How long the export took.
        answers: Index of the best class by photograph.
    """

    snr: float
    agreement: float
    bytes: int
    partitions: int
    seconds: float
    answers: np.ndarray = dataclasses.field(repr=False)


def prepared(paths: Sequence[Path], config: sf.SwiftFormerConfig) -> np.ndarray:
    """The photographs as float32 (N, height, width, 3), normalized."""
    return np.concatenate(list(image_inputs(list(paths), config.transform, raw=False)))


def reference_logits(model: sf.SwiftFormerForImageClassification, inputs: np.ndarray) -> np.ndarray:
    """The logits of the float32 Keras model, float64 (N, labels)."""
    return np.asarray(model.predict(inputs, batch_size=16, verbose=0), np.float64)


def float_answers(deploy: sf.DeployModel, inputs: np.ndarray) -> np.ndarray:
    """The logits of the float32 file, float64 (N, labels)."""
    return answers(sf.LiteRunner(sf.export(deploy, sf.RECIPES["float32"])), inputs)


def measure_recipe(
    deploy: sf.DeployModel,
    name: str,
    calibration: Sequence[Path] | Calibration,
    inputs: np.ndarray,
    expected: np.ndarray,
) -> Measured:
    """Exports `deploy` by the recipe `name` and runs the file on `inputs`, whose right logits are `expected`."""
    start = time.perf_counter()
    lite = sf.export(deploy, sf.RECIPES[name], calibration=calibration)
    return measure_file(lite, inputs, expected, seconds=time.perf_counter() - start)


def measure_file(lite: sf.LiteModel, inputs: np.ndarray, expected: np.ndarray, *, seconds: float = 0.0) -> Measured:
    """Runs a file on `inputs`, whose right logits are `expected`; `seconds` are what its export took."""
    runner = sf.LiteRunner(lite)
    actual = answers(runner, inputs)
    return Measured(
        snr=signal_to_noise(expected, actual) or 0.0,
        agreement=float(np.mean(expected.argmax(axis=1) == actual.argmax(axis=1))),
        bytes=len(lite.content),
        partitions=runner.partitions,
        seconds=seconds,
        answers=actual.argmax(axis=1),
    )


def answers(runner: sf.LiteRunner, inputs: np.ndarray) -> np.ndarray:
    """The logits of a file, float64 (N, labels)."""
    return np.stack([runner(image[None]) for image in inputs]).astype(np.float64)


def read_rows(path: Path) -> list[dict[str, str]]:
    """What was measured, of a CSV file that may not be there yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, row: Mapping[str, object]) -> None:
    """Keeps a row as soon as it is measured."""
    rows: list[Mapping[str, object]] = [*read_rows(path), row]
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def beside_goal(measured: str, met: bool, goal: object) -> str:
    """A figure; bold and with the goal behind it where it is missed."""
    return measured if met else f"**{measured}** ({goal})"


def chosen_photographs(folder: Path, count: int) -> list[Path]:
    """So many photographs of a folder, of each class alike."""
    return balanced_sample(list_images(folder), count)
