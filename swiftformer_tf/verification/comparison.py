"""Compares the outputs of two models for the same images."""

import dataclasses
import math
from typing import Any, Literal

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import VerificationError, number_of
from swiftformer_tf.fusion import output_names
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.recipes import Recipe
from swiftformer_tf.tasks import INDICES, TASKS, Agreement, Output

__all__ = [
    "Comparison",
    "Outputs",
    "ReferenceAnswers",
    "Signal",
    "VerificationCheck",
    "check",
    "decibels",
    "matched_outputs",
    "signal_to_noise",
]

# The largest error over all images that a predicted number may have, as a multiple of the error of a file that just
# reaches the least SNR; both relative to three standard deviations of the number.
ERRORS_OF_NOISE = 4 / 3

# Share of the sum of squares: less varies by the rounding of float64 alone.
NO_SIGNAL = 1e-20

Status = Literal["passed", "failed", "refused"]


@dataclasses.dataclass(frozen=True)
class VerificationCheck:
    """One check and its result.

    Args:
        name: Name of the check, such as `"snr"`.
        status: `"passed"`, `"failed"`, or `"refused"` if the images or the file cannot decide it, which counts as a
            failure.
        measured: The result, in words or figures.
        expected: What the check requires.

    Examples:
        >>> VerificationCheck("snr", "failed", measured="12.3 dB", expected="at least 20 dB").status
        'failed'
    """

    name: str
    status: Status
    measured: str
    expected: str

    @property
    def question(self) -> str:
        """The name of the check without that of the output.

        Examples:
            >>> VerificationCheck("snr of labels", "passed", measured="40.0 dB", expected="at least 20 dB").question
            'snr'
        """
        return self.name.partition(" of ")[0]

    @property
    def explanation(self) -> str:
        """The measurement, the requirement and, if the photographs are at fault, what to do about it.

        Examples:
            >>> VerificationCheck("snr", "failed", measured="12.3 dB", expected="at least 20 dB").explanation
            'snr failed: 12.3 dB; expected at least 20 dB'
        """
        cure = "; give photographs of more classes" if self.status == "refused" else ""
        return f"{self.name} {self.status}: {self.measured}; expected {self.expected}{cure}"


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of both models for the same images, in order.

    Args:
        expected: Outputs of the reference, (images, labels); for segmentation, the class of each pixel.
        actual: Outputs of the file, in the same shape.
    """

    expected: np.ndarray
    actual: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ReferenceAnswers:
    """The outputs of a Keras model for images, computed by `reference_answers` once for all files of a run.

    Args:
        outputs: float32 (images, ...), in the order of the model's outputs.
        names: Names of the outputs in the model.
        batches: Digest of the pixels of each batch of images, so that a file is not compared on others.
    """

    outputs: tuple[np.ndarray, ...] = dataclasses.field(repr=False)
    names: tuple[str, ...]
    batches: tuple[str, ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.outputs[0])


def matched_outputs(reference: keras.Model | ReferenceAnswers, lite: LiteModel) -> list[str]:
    """Returns the names in the file of the reference's outputs, in the reference's order."""
    if isinstance(reference, ReferenceAnswers):
        own, tensors = list(reference.names), list(reference.outputs)
    else:
        own, tensors = output_names(reference), reference.outputs
    names = own if len(lite.outputs) > 1 else [each.name for each in lite.outputs]
    shapes = {each.name: TASKS[each.task].logits_shape(each, lite.config) for each in lite.outputs}
    told = ", ".join(f"{each.name} {each.shape[1:]}" for each in lite.outputs)
    if len(tensors) != len(shapes) or set(names) != set(shapes):
        raise VerificationError(
            f"the reference has {number_of(len(tensors), 'output')} ({', '.join(own)}) and the file "
            f"{len(shapes)} ({told}): expected the model that the file was made from"
        )
    for name, tensor in zip(names, tensors, strict=True):
        expected = tuple(tensor.shape)[1:]
        pairs = zip(expected, shapes[name][1:], strict=False)
        if any(None not in (one, other) and one != other for one, other in pairs) or (
            len(expected) != len(shapes[name]) - 1
        ):
            raise VerificationError(
                f"the reference's output {name} has the shape {expected} and the file's {shapes[name][1:]}: "
                "expected the model that the file was made from"
            )
    return names


class Signal:
    """Accumulates the signal-to-noise ratio of outputs one image at a time: all images at once would fill the memory.

    Both sides are centered by the reference's mean over the images. Without centering, a model with a constant output
    would score high, since most of a logit is the same for all photographs.

    Examples:
        >>> signal = Signal()
        >>> for expected, actual in zip([[1.0, 2.0], [3.0, 0.0]], [[2.0, 1.0], [2.0, 1.0]]):
        ...     signal.add(np.array(expected), np.array(actual))
        >>> signal.decibels
        0.0
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: Any = 0.0
        self._squares: Any = 0.0
        self._noise = self._power = 0.0

    def add(self, expected: np.ndarray, actual: np.ndarray) -> None:
        """Adds one image's outputs from the reference and from the model under test."""
        one = expected.astype(np.float64)
        self._count += 1
        # Welford's sums: the squares of what differs from the mean so far, which lose nothing where little varies.
        difference = one - self._mean
        self._mean = self._mean + difference / self._count
        self._squares = self._squares + difference * (one - self._mean)
        self._noise += float(np.sum((actual - one) ** 2))
        self._power += float(np.sum(one**2))

    @property
    def decibels(self) -> float | None:
        """The ratio in dB: infinite for equal outputs; None if the reference does not vary or a value is not finite."""
        signal = float(np.sum(self._squares))
        # The rounding error in the difference of two equal numbers is not a signal.
        return decibels(0 if signal <= NO_SIGNAL * self._power else signal, self._noise)


def signal_to_noise(expected: np.ndarray, actual: np.ndarray) -> float | None:
    """Signal-to-noise ratio of outputs in dB, both sides centered by the reference's mean over the images.

    Args:
        expected: The reference's outputs (images, labels).
        actual: Outputs of the model under test, in the same shape.

    Returns:
        See `Signal.decibels`.

    Examples:
        >>> reference = np.array([[1.0, 2.0], [3.0, 0.0]])
        >>> signal_to_noise(reference, np.tile(reference.mean(axis=0), (2, 1)))
        0.0
    """
    signal = Signal()
    for one, other in zip(expected, actual, strict=True):
        signal.add(one, other)
    return signal.decibels


def decibels(signal: float, noise: float) -> float | None:
    """Returns the ratio of two powers in dB: infinite without noise; None without a signal, or if either is not finite.

    Examples:
        >>> decibels(4.0, 0.04), decibels(4.0, 0.0), decibels(0.0, 1.0)
        (20.0, inf, None)
    """
    if signal == 0 or not math.isfinite(signal) or not math.isfinite(noise):
        return None
    return 10 * math.log10(signal / noise) if noise else math.inf


class Comparison:
    """Compares one output of a file with the reference's, one image at a time.

    Args:
        output: Description of the output.
        config: Configuration of the file.
    """

    def __init__(self, output: Output, config: SwiftFormerConfig) -> None:
        self.output, self.config = output, config
        self._signal, self._not_finite = Signal(), 0
        self._expected: list[np.ndarray] = []
        self._actual: list[np.ndarray] = []

    def add(self, reference: np.ndarray, actual: np.ndarray) -> None:
        """Adds the outputs of the reference and the file for one image, without the batch."""
        task, activation = TASKS[self.output.task], self.output.activation
        expected = np.asarray(task.activate(reference[None], activation, self.config))[0]
        self._not_finite += not np.isfinite(actual).all()
        if activation not in INDICES:
            self._signal.add(expected, actual)
        for answers, values in ((self._expected, expected), (self._actual, actual)):
            answers.append(task.kept(values[None], activation, self.config)[0])

    @property
    def outputs(self) -> Outputs:
        """The outputs that were kept for all images."""
        return Outputs(np.stack(self._expected), np.stack(self._actual))

    def judged(self, recipe: Recipe, suffix: str = "") -> tuple[list[VerificationCheck], dict[str, Any]]:
        """Returns the checks and the measured values.

        Args:
            recipe: Recipe of the file, which contains the thresholds.
            suffix: Suffix of the names of the checks, if there are several outputs.
        """
        both, task = self.outputs, TASKS[self.output.task]
        bad, snr = self._not_finite, self._signal.decibels
        checks = [
            check(f"finite{suffix}", bad == 0, f"{bad} of {len(both.actual)} outputs are not", "all outputs finite")
        ]
        if self.output.activation not in INDICES:
            checks.append(_noise_check(recipe, snr, bad, suffix))
        figures: dict[str, Any] = {"snr_db": snr, "agreement": None, "distinct": None}
        one, other = (task.answers(each, self.output.activation, self.config) for each in (both.expected, both.actual))
        error = task.largest_error(one, other, self.config)
        if error is not None:
            most = ERRORS_OF_NOISE * 10 ** (-recipe.min_snr / 20)
            wanted = f"at most {most:.2%} of three standard deviations"
            checks.append(check(f"largest_error{suffix}", error <= most, f"{error:.2%}", wanted))
            return checks, {**figures, "largest_error": error}
        if (cosine := task.cosine(one, other, self.config)) is not None:
            checks.append(_cosine_check(recipe, cosine, suffix))
            figures["cosine"] = cosine
        found = task.agreement(one, other, self.config)
        if found is not None:
            checks.append(_agreement_check(recipe, found, len(one), suffix))
            refused = checks[-1].status == "refused"
            figures |= {"agreement": None if refused else found.share, "distinct": found.distinct}
        return checks, figures


def _noise_check(recipe: Recipe, snr: float | None, bad: int, suffix: str) -> VerificationCheck:
    least = f"at least {recipe.min_snr} dB"
    if snr is None and bad == 0:
        return VerificationCheck(f"snr{suffix}", "refused", "the reference's outputs do not vary", least)
    return check(f"snr{suffix}", snr is not None and snr >= recipe.min_snr, _told(snr), least)


def _cosine_check(recipe: Recipe, cosine: float, suffix: str) -> VerificationCheck:
    """Checks the cosine similarity: the threshold is its value if noise at `min_snr` is orthogonal to every vector."""
    least = 1 / math.sqrt(1 + 10 ** (-recipe.min_snr / 10))
    return check(f"cosine{suffix}", cosine >= least, f"1 - {1 - cosine:.1e}", f"at least 1 - {1 - least:.1e}")


def _agreement_check(recipe: Recipe, found: Agreement, images: int, suffix: str) -> VerificationCheck:
    least = recipe.least_agreement(found.unit)
    wanted = (
        f"at least {least:.{_digits(least)}%} (at most {found.allowed(least)} of {found.items} {found.unit} differ)"
    )
    if found.distinct < found.needed:
        answers, seen = number_of(found.distinct, "distinct answer"), number_of(images, "image")
        told = f"{answers} on {seen}, {found.needed} are needed"
        return VerificationCheck(f"agreement{suffix}", "refused", f"the reference gives {told}", wanted)
    return check(f"agreement{suffix}", found.reaches(least), f"{found.share:.{_digits(found.share)}%}", wanted)


def _digits(share: float) -> int:
    """Number of decimals of a percentage, so that shares close to one can be told apart."""
    return 1 if share < 0.99 or share == 1 else 2


def check(name: str, passed: bool, measured: str, expected: str) -> VerificationCheck:
    """Creates a check that either passed or failed; for `"refused"`, create a `VerificationCheck` directly.

    Args:
        name: A key of the report's questions, followed by the output's name if the file has several.
        passed: Whether the measurement meets the expectation.
        measured: The result, in words or figures.
        expected: What the check requires, in words or figures.

    Examples:
        >>> check("no_flex", True, measured="none", expected="none").status
        'passed'
    """
    return VerificationCheck(name, "passed" if passed else "failed", measured, expected)


def _told(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1f} dB"
