"""The main task in one call: turns a Keras model into verified TFLite files in a folder."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import keras

from swiftformer_tf.checkpoints.pretrained import license_of
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.deployment.android import write_android_folder
from swiftformer_tf.deployment.android_folder import PACKAGE, check_android, check_folder
from swiftformer_tf.deployment.targets import find_target
from swiftformer_tf.errors import ConfigError, ExportError, VerificationError
from swiftformer_tf.exporting import calibrate, export_each
from swiftformer_tf.files import filling
from swiftformer_tf.fusion import fuse, graph_config, tasks_of
from swiftformer_tf.images.folders import photographs_in
from swiftformer_tf.images.inputs import ImageSource, known_count, read_once
from swiftformer_tf.images.labels import read_labels
from swiftformer_tf.images.transform import Transform
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.loading import open_model
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.recipes import InferenceType, Recipe, choose_recipes, require_calibration
from swiftformer_tf.report import check_page, save_page
from swiftformer_tf.tasks import TASKS, Activation, Task, main_index
from swiftformer_tf.verification import CALIBRATION_IMAGES, VerificationReport, check_file, reference_answers, verify
from swiftformer_tf.verification.comparison import ReferenceAnswers, matched_outputs

__all__ = ["Exported", "export_files", "verify_files"]


@dataclasses.dataclass(frozen=True)
class Exported:
    """One exported file.

    Args:
        path: Path of the `.tflite` file; its report is next to it, with the suffix `.json`.
        model: The TFLite model in the file.
        report: The verification report.
    """

    path: Path
    model: LiteModel
    report: VerificationReport


def export_files(
    model: keras.Model | str | Path,
    recipes: str | Recipe | Iterable[str | Recipe],
    folder: str | Path,
    *,
    stem: str | None = None,
    config: SwiftFormerConfig | None = None,
    calibration: ImageSource | None = None,
    calibration_count: int = 200,
    images: ImageSource | None = None,
    image_size: int | tuple[int, int] | None = None,
    target: str | None = None,
    include_preprocessing: bool = False,
    classifier_activation: Activation | Literal["probabilities"] | None = None,
    inference_input_type: InferenceType | None = None,
    inference_output_type: InferenceType | None = None,
    tasks: str | Mapping[str, str] | None = None,
    labels: Sequence[str] | str | Path | None = None,
    license: str | None = None,  # noqa: A002  TFLite Metadata's word
    android: str | Path | None = None,
    android_package: str | None = None,
    android_class: str | None = None,
    html: str | Path | None = None,
    command: str = "",
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    progress: Progress = silent,
) -> list[Exported]:
    """Exports a model to a TFLite file for each recipe, verifies each, and writes it along with its report.

    This is what `swiftformer-tf export` does. Arguments are validated before any computation. The model is fused once,
    and the calibration images and the reference are run once for all recipes.

    Args:
        model: A classifier, a segmenter, or any other model that `fuse` accepts; or its name or path, see `open_model`.
        recipes: Names in `RECIPES`, or `Recipe` objects, including your own; or a single one, or `"all"`.
        folder: The folder to write to; created if needed.
        stem: The first part of the file names, `STEM_RECIPE.tflite`. Default: the stem of the model's file, or the
            model's name.
        config: See `fuse`.
        calibration: Calibration images, see `calibrate`; they are run once for all recipes. Those of a generator or a
            dataset are kept in memory, here and in `images`.
        calibration_count: Maximum number of images taken from a folder.
        images: Images to verify on, see `verify`; default is `calibration`. Without either, a file is checked against
            its recipe only, and the report says so.
        image_size: See `fuse`.
        target: A key of `TARGETS`: the library that will run the files, which determines the next two arguments.
        include_preprocessing: See `fuse`.
        classifier_activation: See `fuse`; `"probabilities"` selects the activation that returns them for the model's
            task, such as softmax or sigmoid, depending on its `problem_type`.
        inference_input_type: Input type of integer files; default is that of each recipe.
        inference_output_type: Output type of integer files; default is that of each recipe.
        tasks: See `fuse`.
        labels: See `fuse`; or a text file with one label per line, or `"imagenet"`.
        license: See `export`. Default: the license of the weights if they ship with the package.
        android: Folder to which an Android project is written as well, see `write_android_folder`; `STEM_android.md`,
            next to the files, explains how to use it. `folder` must be outside of it.
        android_package: Package of the Kotlin class in the Android project.
        android_class: Name of that Kotlin class.
        html: Path of an HTML page to which the report is written as well, see `report.html_report`.
        command: The command that created the page, for its last section.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for each step, see `Progress`.

    Returns:
        One `Exported` per file, in the order of `recipes`.

    Raises:
        ExportError: A recipe needs calibration images and there are none, `target` cannot run such a file, or `stem`
            contains a folder; nothing is written.
        ConfigError: A recipe or label is invalid, or probabilities are requested for a model that has none; nothing is
            written.
        ImageError: An image cannot be used.
        ModelError: See `open_model` and `fuse`.
        CheckpointError: See `Checkpoint.open`.
        OSError: `folder` cannot be written to; nothing is computed.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     exported = export_files(model, ["float32", "dynamic_int8"], name, stem="tiny")
        ...     [(each.path.name, each.report.verdict) for each in exported]
        [('tiny_float32.tflite', 'not compared'), ('tiny_dynamic_int8.tflite', 'not compared')]
    """
    recipes = choose_recipes(
        recipes, inference_input_type=inference_input_type, inference_output_type=inference_output_type
    )
    require_calibration(recipes, calibration)
    if target:
        for recipe in recipes:
            find_target(target).check(recipe)
    if android:
        check_android(android, package=android_package, class_name=android_class, beside=folder)
    if html:
        check_page(html, made=folder)
    if images is not None and images is calibration:
        images = calibration = read_once(images)
    # Before the model is opened: a folder without photographs is found out at once.
    calibrated_on = None if calibration is None else _images(calibration, calibration_count)
    verified_on = None if images is None else _images(images)
    stem = _checked_stem(model, stem)
    if android:
        files = [f"{stem}_{recipe.name}.tflite" for recipe in recipes]
        check_folder(android, stem, files, package=android_package, class_name=android_class)
    reference = (
        open_model(model, token_weights=token_weights, weights=weights) if isinstance(model, (str, Path)) else model
    )
    config = config or getattr(reference, "config", None)
    if config and any(isinstance(each, (str, Path)) for each in (calibration, images)):
        config.transform.check_photographs()
    deploy_options = _deploy_options(
        reference,
        config=config,
        image_size=image_size,
        include_preprocessing=include_preprocessing,
        classifier_activation=classifier_activation,
        tasks=tasks,
        labels=labels,
        target=target,
    )
    exported = _write_files(
        reference,
        recipes,
        folder=Path(folder),
        stem=stem,
        calibration=calibrated_on,
        images=verified_on,
        deploy_options=deploy_options,
        license=license or (license_of(model) if isinstance(model, (str, Path)) else None),
        progress=progress,
    )
    if android:
        write_android_folder(
            {each.path.name: each.model for each in exported},
            android,
            package=android_package or PACKAGE,
            class_name=android_class,
            readme=Path(folder, f"{stem}_android.md"),
            verified=all(each.report.verdict == "passed" for each in exported),
        )
    if html:
        shown = calibrated_on if verified_on is None else verified_on
        with progress("report page", None):
            save_page(html, [(each.model, each.report) for each in exported], images=shown, command=command)
    return exported


def verify_files(
    paths: Sequence[str | Path],
    *,
    reference: keras.Model | str | Path,
    images: ImageSource,
    num_threads: int = 1,
    html: str | Path | None = None,
    command: str = "",
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    progress: Progress = silent,
) -> list[VerificationReport]:
    """Checks TFLite files against their recipes and the model they were made from, as `swiftformer-tf verify` does.

    Args:
        paths: The files.
        reference: The model, or its name or path, see `open_model`. It is run once for all files with the same
            transform.
        images: See `verify`; files in a folder that are not images are reported before any computation. Images of a
            generator or a dataset are kept in memory.
        num_threads: Number of threads, for the latency.
        html: Path of an HTML page to which the reports are written as well, see `report.html_report`.
        command: The command that created the page, for its last section.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for each step, see `Progress`.

    Returns:
        One report per file, in the order of `paths`.

    Raises:
        ModelError: See `LiteModel.open`, `open_model` and `verify`.
        VerificationError: The outputs of a file do not match those of `reference`, see `verify`.
        CheckpointError: See `Checkpoint.open`.
        ImageError: An image cannot be used.
        ConfigError: The folder for the page does not exist.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> with tempfile.TemporaryDirectory() as name:
        ...     exported = export_files(model, ["float32", "dynamic_int8"], name, stem="tiny")
        ...     images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
        ...     reports = verify_files([each.path for each in exported], reference=model, images=images)
        >>> [report.measured["recipe"] for report in reports]
        ['float32', 'dynamic_int8']
    """
    if html:
        check_page(html)
    models = [LiteModel.open(path) for path in paths]
    if isinstance(images, (str, Path)):
        for lite in models:
            lite.config.transform.check_photographs()
    images = _images(images)
    if isinstance(reference, (str, Path)):
        reference = open_model(reference, token_weights=token_weights, weights=weights)
    for path, lite in zip(paths, models, strict=True):
        try:
            matched_outputs(reference, lite)
        except VerificationError as error:
            raise VerificationError(f"{path}: {error}") from None
    transforms = [lite.config.transform for lite in models]
    answers: dict[Transform, ReferenceAnswers] = {}
    reports = []
    for path, lite, transform in zip(paths, models, transforms, strict=True):
        if transforms.count(transform) > 1 and transform not in answers:
            with progress("reference", known_count(images)) as count:
                answers[transform] = reference_answers(reference, images, transform, progress=count)
        with progress(Path(path).name, known_count(images)) as count:
            asked = answers.get(transform, reference)
            report = verify(lite, reference=asked, images=images, num_threads=num_threads, progress=count)
        told = {"file": str(path), "verdict": report.verdict}
        reports.append(dataclasses.replace(report, measured=report.measured | told))
    if html:
        with progress("report page", None):
            save_page(html, list(zip(models, reports, strict=True)), images=images, command=command)
    return reports


def _images(images: ImageSource, count: int | None = None) -> ImageSource:
    """Lists the photographs in a folder; other images are the same for each step and each file."""
    return photographs_in(images, count) if isinstance(images, (str, Path)) else read_once(images)


def _checked_stem(model: keras.Model | str | Path, stem: str | None) -> str:
    if stem is None:
        stem = _name_of(Path(model)) if isinstance(model, (str, Path)) else str(model.name)
    if Path(stem).name != stem:
        raise ExportError(f"name {stem!r}: expected the start of a file name; give its folder as the output folder")
    return stem


def _name_of(path: Path) -> str:
    """The name of a folder, or of a file without its suffix; `.` has no name, and `.dist_in1k` is not a suffix."""
    return path.resolve().name if path.is_dir() else path.stem


def _deploy_options(
    model: keras.Model,
    *,
    config: SwiftFormerConfig | None,
    labels: Sequence[str] | str | Path | None,
    classifier_activation: Activation | Literal["probabilities"] | None,
    target: str | None,
    **options: Any,
) -> dict[str, Any]:
    """The arguments for `fuse`."""
    if isinstance(labels, (str, Path)):
        labels = read_labels(labels, config.num_labels if config else None)
    known = graph_config(model, config, labels)
    meant = list(tasks_of(model, options["tasks"]).values())
    task = TASKS[meant[main_index(meant)]]
    if classifier_activation == "probabilities":
        classifier_activation = _probabilities(task, known)
    options |= {"config": config, "labels": labels, "classifier_activation": classifier_activation}
    if target:
        options |= find_target(target).fuse_options(known, task.name, classifier_activation)
    return options


def _probabilities(task: Task, config: SwiftFormerConfig) -> Activation:
    found = task.activation(config)
    if not found:
        labeled = task.rank and config.num_labels
        said = f"problem_type={config.problem_type!r}" if labeled else "a model without labels"
        raise ConfigError(f"`classifier_activation='probabilities'`: {said} has no probabilities; leave it out")
    return found


def _write_files(
    model: keras.Model,
    recipes: Sequence[Recipe],
    *,
    folder: Path,
    stem: str,
    calibration: ImageSource | None,
    images: ImageSource | None,
    deploy_options: Mapping[str, Any],
    license: str | None,  # noqa: A002
    progress: Progress,
) -> list[Exported]:
    """Computes deploy graph, calibration and the reference's answers, and from these each file and its report."""
    verified_on, source = (images, "images") if images is not None else (calibration, CALIBRATION_IMAGES)
    exported = []
    with _made(folder):
        with filling(folder):
            pass  # It can be written to: better known now than after the work.
        deploy = fuse(model, **deploy_options)
        calibrated = answers = None
        if calibration is not None and any(recipe.has_integer_weights for recipe in recipes):
            with progress("calibrate", known_count(calibration)) as count:
                calibrated = calibrate(deploy, calibration, recipes=recipes, progress=count)
        if verified_on is not None:
            with progress("reference", known_count(verified_on)) as count:
                answers = reference_answers(model, verified_on, deploy.config.transform, progress=count)
        files = export_each(deploy, recipes, calibration=calibrated, license=license)
        for recipe in recipes:
            with progress(f"{recipe.name}: export", None):
                lite = next(files)
            with progress(f"{recipe.name}: verify", known_count(verified_on)) as count:
                if answers is None or verified_on is None:
                    report, source = VerificationReport(*check_file(lite)), "nothing"
                else:
                    report = verify(lite, reference=answers, images=verified_on, progress=count)
            exported.append(_write(lite, report, folder / f"{stem}_{recipe.name}.tflite", source))
    return exported


def _write(lite: LiteModel, report: VerificationReport, path: Path, source: str) -> Exported:
    told = {"file": path.name, "verified_on": source, "verdict": report.verdict}
    report = dataclasses.replace(report, measured=report.measured | told)
    with filling(path.parent) as beside:  # A file never lies beside the report of another.
        lite.save(beside / path.name)
        (beside / path.name).with_suffix(".json").write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    return Exported(path, lite, report)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Creates a folder and its parents; if the block fails, those that are still empty are removed again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:  # the innermost first
            with suppress(OSError):
                each.rmdir()
        raise
