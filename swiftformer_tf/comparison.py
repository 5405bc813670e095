"""What two models answer to the same images, beside each other."""

import dataclasses
import math
from typing import Any, Literal

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import VerificationError
from swiftformer_tf.fusion import output_names
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.recipes import Recipe
from swiftformer_tf.tasks import TASKS, Output

__all__ = [
    "Outputs",
    "ReferenceAnswers",
    "VerificationCheck",
    "check",
    "compare",
    "decibels",
    "matched_outputs",
    "signal_to_noise",
]

# Of a number, how many times what the least SNR leaves of three standard deviations in the mean the largest error of
# all images may be.
ERRORS_OF_NOISE = 4 / 3

# Share of the sum of squares: less varies by the rounding of float64 alone.
NO_SIGNAL = 1e-20

Status = Literal["passed", "failed", "refused"]


@dataclasses.dataclass(frozen=True)
class VerificationCheck:
    """One question and its answer.

    Args:
        name: What was asked, such as `"snr"`.
        status: `"refused"` where the images or the file do not allow an answer; that is not a pass.
        measured: The answer, for people.
        expected: What would have passed.

    Examples:
        >>> VerificationCheck("snr", "failed", measured="12.3 dB", expected="at least 20 dB").status
        'failed'
    """

    name: str
    status: Status
    measured: str
    expected: str

    @property
    def explanation(self) -> str:
        """What was measured, what would have passed, and the cure where the photographs are at fault.

        Examples:
            >>> VerificationCheck("snr", "failed", measured="12.3 dB", expected="at least 20 dB").explanation
            'snr failed: 12.3 dB; expected at least 20 dB'
        """
        cure = "; give photographs of more classes" if self.status == "refused" else ""
        return f"{self.name} {self.status}: {self.measured}; expected {self.expected}{cure}"


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """Answers of both models to the same images, in their order.

    Args:
        expected: The reference's, (images, labels).
        actual: The file's, of the same shape.
    """

    expected: np.ndarray
    actual: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ReferenceAnswers:
    """What a Keras model answers to images; `reference_answers` makes it, once for all files of a run.

    Args:
        outputs: float32 (images, ...), in the order of the model's outputs.
        names: What the model calls them.
    """

    outputs: tuple[np.ndarray, ...] = dataclasses.field(repr=False)
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.outputs[0])


def matched_outputs(reference: keras.Model | ReferenceAnswers, lite: LiteModel) -> list[str]:
    """Names in the file of the reference's outputs, in the order of those."""
    if isinstance(reference, ReferenceAnswers):
        own, tensors = list(reference.names), list(reference.outputs)
    else:
        own, tensors = output_names(reference), keras.tree.flatten(reference.output)
    names = own if len(lite.outputs) > 1 else [each.name for each in lite.outputs]
    shapes = {each.name: each.shape for each in lite.outputs}
    told = ", ".join(f"{each.name} {each.shape[1:]}" for each in lite.outputs)
    if len(tensors) != len(shapes) or set(names) != set(shapes):
        raise VerificationError(
            f"the reference has {len(tensors)} outputs ({', '.join(own)}) and the file "
            f"{len(shapes)} ({told}): expected the model that the file was made from"
        )
    for name, tensor in zip(names, tensors, strict=True):
        expected = tuple(tensor.shape)[1:]
        if any(one not in (None, other) for one, other in zip(expected, shapes[name][1:], strict=False)) or (
            len(expected) != len(shapes[name]) - 1
        ):
            raise VerificationError(
                f"the reference's output {name} has the shape {expected} and the file's {shapes[name][1:]}: "
                "expected the model that the file was made from"
            )
    return names


def signal_to_noise(expected: np.ndarray, actual: np.ndarray) -> float | None:
    """Signal-to-noise ratio of outputs in dB, both sides centred by the reference's mean over the images.

    Uncentred, a model that gives every photograph the same answer would score high, since most of a logit is the
    same for all of them.

    Args:
        expected: The reference's outputs (images, labels).
        actual: Those of the model under test.

    Returns:
        Decibels; infinite for equal outputs; None where the reference does not vary, or something is not finite.

    Examples:
        >>> reference = np.array([[1.0, 2.0], [3.0, 0.0]])
        >>> signal_to_noise(reference, np.tile(reference.mean(axis=0), (2, 1)))
        0.0
    """
    mean = expected.mean(axis=0, dtype=np.float64)
    signal, noise, power = 0.0, 0.0, 0.0
    for one, other in zip(expected, actual, strict=True):  # maps of all images at once would fill the memory
        centered = one - mean
        signal += float(np.sum(centered**2))
        noise += float(np.sum(((other - mean) - centered) ** 2))
        power += float(np.sum(np.square(one, dtype=np.float64)))
    # What is left of the difference of two equal numbers is no signal.
    return decibels(0 if signal <= NO_SIGNAL * power else signal, noise)


def decibels(signal: float, noise: float) -> float | None:
    """Of two powers: infinite without noise; None without a signal, or where one of them is not finite.

    Examples:
        >>> decibels(4.0, 0.04), decibels(4.0, 0.0), decibels(0.0, 1.0)
        (20.0, inf, None)
    """
    if signal == 0 or not math.isfinite(signal) or not math.isfinite(noise):
        return None
    return 10 * math.log10(signal / noise) if noise else math.inf


def compare(
    recipe: Recipe, both: Outputs, output: Output, config: SwiftFormerConfig, suffix: str = ""
) -> tuple[list[VerificationCheck], dict[str, Any]]:
    """The checks of one output, and its figures.

    Args:
        recipe: Of the file: its thresholds are asked for.
        both: Answers of both models.
        output: What they are.
        config: Of the model.
        suffix: Of the checks' names, where there are several outputs.
    """
    expected, actual = both.expected, both.actual
    bad = sum(not np.isfinite(each).all() for each in actual)
    snr = signal_to_noise(expected, actual)
    least = f"at least {recipe.min_snr} dB"
    checks = [
        check(f"finite{suffix}", bad == 0, f"{bad} of {len(actual)} outputs are not", "all outputs finite"),
        VerificationCheck(f"snr{suffix}", "refused", "the reference's outputs do not vary", least)
        if snr is None and bad == 0
        else check(f"snr{suffix}", snr is not None and snr >= recipe.min_snr, _told(snr), least),
    ]
    figures: dict[str, Any] = {"snr_db": snr, "agreement": None, "distinct": None}
    task = TASKS[output.task]
    # A label is given by its probability, whichever of the two comes out of the file.
    missing = None if output.activation else task.activation(config)
    one, other = (np.asarray(task.activate(each, missing)) for each in (expected, actual))
    error = task.largest_error(one, other, config)
    if error is not None:
        most = ERRORS_OF_NOISE * 10 ** (-recipe.min_snr / 20)
        wanted = f"at most {most:.2%} of three standard deviations"
        checks.append(check(f"largest_error{suffix}", error <= most, f"{error:.2%}", wanted))
        return checks, {**figures, "largest_error": error}
    found = task.agreement(one, other, config)
    if found is None:
        return checks, figures
    allowed = found.allowed(recipe.min_agreement)
    wanted = f"at least {recipe.min_agreement:.1%} (at most {allowed} of {found.items} {found.unit} differ)"
    name = f"agreement{suffix}"
    if found.distinct < found.needed:
        told = f"{found.distinct} distinct answers on {len(expected)} images, {found.needed} are needed"
        checks.append(VerificationCheck(name, "refused", f"the reference gives {told}", wanted))
    else:
        checks.append(check(name, found.reaches(recipe.min_agreement), f"{found.share:.1%}", wanted))
        figures["agreement"] = found.share
    figures["distinct"] = found.distinct
    return checks, figures


def check(name: str, passed: bool, measured: str, expected: str) -> VerificationCheck:
    return VerificationCheck(name, "passed" if passed else "failed", measured, expected)


def _told(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1f} dB"
