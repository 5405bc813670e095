"""Checks whether a TFLite file computes what its Keras model does, by running it and by inspecting the file."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
import numpy as np

from swiftformer_tf.errors import ModelError, VerificationError, number_of
from swiftformer_tf.fusion import in_float32, output_names
from swiftformer_tf.images.inputs import ImageSource, image_inputs, in_batches
from swiftformer_tf.images.transform import Transform
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.notebook import html_table, scatter_svg
from swiftformer_tf.verification.comparison import (
    Comparison,
    Outputs,
    ReferenceAnswers,
    VerificationCheck,
    matched_outputs,
)
from swiftformer_tf.verification.file_checks import OpenedFile

__all__ = ["CALIBRATION_IMAGES", "Verdict", "VerificationReport", "reference_answers", "verify"]

# Images that the reference sees at once.
REFERENCE_BATCH = 16

# What a report says under `verified_on` if the file was compared on the images of its calibration.
CALIBRATION_IMAGES = "calibration images"

Verdict = Literal["passed", "failed", "refused", "not compared"]


@dataclasses.dataclass(frozen=True)
class VerificationReport:
    """The result of `verify`.

    Args:
        checks: One entry per check.
        measured: Measured values by name: `snr_db`, `agreement`, `images`, `distinct`, `partitions`, `bytes`,
            `latency_ms`, `ops`, and the conditions of the measurement. A value that could not be measured is None.
        outputs: Outputs of both models, for plots; None if only the file was checked.

    Examples:
        >>> check = VerificationCheck("snr", "failed", measured="12.3 dB", expected="at least 20 dB")
        >>> report = VerificationReport((check,), {"snr_db": 12.3})
        >>> report.passed, report.measured["snr_db"]
        (False, 12.3)
        >>> report.raise_for_failure()
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.VerificationError: snr failed: 12.3 dB, expected at least 20 dB
    """

    checks: tuple[VerificationCheck, ...]
    measured: dict[str, Any]
    outputs: "Outputs | None" = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether every check passed; a refused check counts as a failure."""
        return all(check.status == "passed" for check in self.checks)

    @property
    def is_compared(self) -> bool:
        """Whether the file was compared with its reference, and not only checked by itself."""
        return self.outputs is not None

    @property
    def saw_calibration(self) -> bool:
        """Whether the images of the comparison were those of the calibration: new ones would say more."""
        return self.measured.get("verified_on") == CALIBRATION_IMAGES

    @property
    def verdict(self) -> Verdict:
        """The worst status among the checks, by the same word in tables, JSON and HTML reports.

        A file whose outputs were not compared with the reference may still compute nonsense, so its verdict is
        `"not compared"` rather than `"passed"`. A check that the images cannot decide is reported as `"refused"`, which
        counts as a failure.

        Examples:
            >>> check = VerificationCheck("no_flex", "passed", measured="none", expected="none")
            >>> VerificationReport((check,), {}).verdict
            'not compared'
        """
        statuses = {check.status for check in self.checks}
        if "failed" in statuses:
            return "failed"
        if "refused" in statuses:
            return "refused"
        return "passed" if self.is_compared else "not compared"

    def _repr_html_(self) -> str:
        """The display in notebooks: one row per check, and a plot of the file's outputs against Keras's."""
        rows = [
            {"check": each.name, "status": each.status, "measured": each.measured, "expected": each.expected}
            for each in self.checks
        ]
        table = html_table(rows, f"{self.measured.get('recipe', '')}: {self.verdict}")
        if self.outputs is None:
            return table
        return table + scatter_svg(self.outputs.expected, self.outputs.actual, "Keras", "file")

    def raise_for_failure(self) -> "VerificationReport":
        """Returns the report itself if every check passed.

        Raises:
            VerificationError: A check did not pass; the message names each one.
        """
        bad = [f"{c.name} {c.status}: {c.measured}, expected {c.expected}" for c in self.checks if c.status != "passed"]
        if bad:
            raise VerificationError("; ".join(bad))
        return self

    def least(self, figure: str) -> float | None:
        """The smallest value of a figure over all outputs; None if it was not measured for any.

        Examples:
            >>> VerificationReport((), {"outputs": {"a": {"snr_db": 40.0}, "b": {"snr_db": 12.5}}}).least("snr_db")
            12.5
        """
        outputs = self.measured.get("outputs") or {"": self.measured}
        return min((each[figure] for each in outputs.values() if each.get(figure) is not None), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        checks = [dataclasses.asdict(check) for check in self.checks]
        return {"passed": self.passed, "checks": checks, **self.measured}


def reference_answers(
    reference: keras.Model,
    images: ImageSource,
    transform: Transform,
    *,
    progress: Callable[[int], None] | None = None,
) -> ReferenceAnswers:
    """Runs a Keras model once, for all files that are verified on the same images.

    Args:
        reference: The Keras model, before fusion. A half-precision model is run in float32, as it is for export.
        images: Photographs, in any form that `verify` accepts.
        transform: The transform of the files.
        progress: Called with the number of images processed so far.

    Raises:
        ImageError: An image cannot be used.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> config = config.replace(id2label={0: "cat", 1: "dog"})
        >>> model = SwiftFormerForImageClassification(config)
        >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
        >>> answers = reference_answers(model, images, config.transform)
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> verify(lite, reference=answers, images=images).measured["snr_db"] > 92
        True
    """
    answers, digests, count, floats = [], [], 0, in_float32(reference)
    for pixels in _batches(images, transform):
        answers.append(_ask(floats, transform.normalize(pixels)))
        digests.append(_digest(pixels))
        count += len(pixels)
        if progress is not None:
            progress(count)
    return ReferenceAnswers(_joined(answers), tuple(output_names(reference)), tuple(digests))


def verify(
    lite: LiteModel,
    *,
    reference: keras.Model | ReferenceAnswers,
    images: ImageSource,
    num_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> VerificationReport:
    """Compares a TFLite file with its Keras model on images, and checks the file against its recipe.

    The outputs must be finite, reach the recipe's signal-to-noise ratio (10 log10(signal power / error power) dB, with
    both sides centered by the reference's mean outputs) and agree with the reference in terms of the task, such as the
    top label. The file must have only LiteRT's built-in operations, static shapes, a unique name for each tensor, no
    unused parts, integer scales and operation versions that strict readers accept, the types, weights and integer
    operations of its recipe, no more XNNPACK partitions than the recipe allows, and correct metadata and labels.

    Args:
        lite: The model.
        reference: The Keras model that the file was made from, before fusion; a half-precision model is run in float32,
            as it is for export. Or, to verify several files, the result of `reference_answers` for this model and the
            same images.
        images: Photographs that were not used for calibration, in any form that `export` accepts; they are prepared
            with the transform stored in the file.
        num_threads: Number of threads of the interpreter, for the latency.
        progress: Called with the number of images processed so far.

    Returns:
        A `VerificationReport`; call its `raise_for_failure` to raise an exception if a check did not pass.

    Raises:
        VerificationError: The outputs of `reference` do not match those of the file, or its answers are for other
            images.
        ModelError: The file is damaged.
        ImageError: An image cannot be used.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> config = config.replace(id2label={0: "cat", 1: "dog"})
        >>> model = SwiftFormerForImageClassification(config)
        >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
        >>> report = verify(export(fuse(model), RECIPES["float32"]), reference=model, images=images)
        >>> report.measured["images"], report.measured["snr_db"] > 92
        (8, True)
    """
    if not isinstance(lite, LiteModel):
        raise ModelError(f"verify: a {type(lite).__name__}, expected a LiteModel; LiteModel.open(path) reads a file")
    if not isinstance(reference, keras.Model | ReferenceAnswers):
        raise ModelError(
            f"verify: the reference is a {type(reference).__name__}, expected a Keras model; "
            "SwiftFormerForImageClassification.from_pretrained(path) opens one"
        )
    matched_outputs(reference, lite)
    opened = OpenedFile.open(lite, num_threads)
    file_checks, file_figures = opened.checked()
    if opened.runner is None:
        return VerificationReport(file_checks, file_figures)  # it cannot run, and the checks say why
    outputs, count = _compared(lite, opened.runner, reference, images, progress)
    checks: list[VerificationCheck] = []
    figures: dict[str, Any] = {"images": count, "outputs": {}}
    for output in lite.outputs:
        suffix = f" of {output.name}" if len(outputs) > 1 else ""
        found, figures["outputs"][output.name] = outputs[output.name].judged(lite.recipe, suffix)
        checks += found
    main = lite.main_output.name
    figures |= figures["outputs"][main] if len(outputs) > 1 else figures.pop("outputs")[main]
    return VerificationReport((*checks, *file_checks), {**figures, **file_figures}, outputs[main].outputs)


def _compared(
    lite: LiteModel,
    runner: LiteRunner,
    reference: keras.Model | ReferenceAnswers,
    images: ImageSource,
    progress: Callable[[int], None] | None,
) -> tuple[dict[str, Comparison], int]:
    """Compares each output, by name, and counts the images, which may be readable only once."""
    transform, names = lite.config.transform, matched_outputs(reference, lite)
    outputs = {each.name: Comparison(each, lite.config) for each in lite.outputs}
    if isinstance(reference, keras.Model):
        reference = in_float32(reference)
    count = 0
    for pixels in _batches(images, transform):
        normalized = transform.normalize(pixels)
        if isinstance(reference, ReferenceAnswers):
            _check_same(reference, pixels, count)
            asked = [each[count : count + len(pixels)] for each in reference.outputs]
        else:
            asked = _ask(reference, normalized)
        inputs = (pixels if lite.include_preprocessing else normalized)[: len(asked[0]), None]
        for number, batch in enumerate(in_batches(inputs, lite.batch_size)):
            answers, start = runner.run(batch), number * lite.batch_size
            for name, expected in zip(names, asked, strict=True):
                actual = answers[name].reshape(outputs[name].output.shape)
                for mine, its in zip(expected[start:], actual, strict=False):  # the last batch may have others twice
                    outputs[name].add(mine, its)
        count += len(pixels)
        if progress is not None:
            progress(count)
    if isinstance(reference, ReferenceAnswers) and len(reference) != count:
        raise VerificationError(
            f"the reference answered to {number_of(len(reference), 'image')} and the file to {count}: "
            "expected the same images"
        )
    return outputs, count


def _check_same(reference: ReferenceAnswers, pixels: np.ndarray, start: int) -> None:
    """Reports other images than those that the reference answered to; another number of them is reported at the end."""
    expected = min(REFERENCE_BATCH, len(reference) - start)
    if len(pixels) == expected and reference.batches[start // REFERENCE_BATCH] != _digest(pixels):
        raise VerificationError(
            f"images {start} to {start + len(pixels) - 1} are not those that the reference answered to: expected the "
            "same images in the same order; give a list or an array, not a generator or a shuffled dataset"
        )


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _joined(batches: list[list[np.ndarray]]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def _batches(images: ImageSource, transform: Transform) -> Iterator[np.ndarray]:
    """Yields pixels (N, height, width, channels) in batches of the size that the reference is run with."""
    inputs = image_inputs(images, transform, raw=True)
    while batch := list(itertools.islice(inputs, REFERENCE_BATCH)):
        yield np.concatenate(batch)


def _ask(reference: keras.Model, normalized: np.ndarray) -> list[np.ndarray]:
    # In float32, which both sides compute in: in float64, the maps of many images would take twice the memory.
    return [np.asarray(each, np.float32) for each in keras.tree.flatten(reference.predict_on_batch(normalized))]
