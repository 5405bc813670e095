"""The main job in one call: a Keras model becomes verified TFLite files in a folder."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import keras

from swiftformer_tf.checkpoints.pretrained import license_of
from swiftformer_tf.comparison import ReferenceAnswers, matched_outputs
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.deployment.android import PACKAGE, check_android, check_class, write_android_folder
from swiftformer_tf.deployment.targets import find_target
from swiftformer_tf.errors import ConfigError, ExportError, VerificationError
from swiftformer_tf.exporting import calibrate, export_each, require_calibration
from swiftformer_tf.files import filling
from swiftformer_tf.fusion import fuse, graph_config, tasks_of
from swiftformer_tf.images.folders import photographs_in
from swiftformer_tf.images.inputs import ImageSource, known_count
from swiftformer_tf.images.labels import read_labels
from swiftformer_tf.images.transform import Transform
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.loading import open_model
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.recipes import InferenceType, Recipe, choose_recipes
from swiftformer_tf.report import check_page, save_page
from swiftformer_tf.tasks import TASKS, Activation, Task
from swiftformer_tf.verification import VerificationReport, check_file, reference_answers, verify

__all__ = ["Exported", "export_files", "verify_files"]


@dataclasses.dataclass(frozen=True)
class Exported:
    """One file that was written.

    Args:
        path: The `.tflite`; its report lies beside it with the suffix `.json`.
        model: Its content.
        report: What was measured.
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
    """Makes TFLite files of a model, one for each recipe, verifies each, and writes it with its report beside it.

    What `swiftformer-tf export` does. Everything that can be known to go wrong is looked at before the first
    computation. The model is fused once, the calibration images run once, the reference is asked once.

    Args:
        model: A classifier, a segmenter, or what else `fuse` takes; or the name or path of one, see `open_model`.
        recipes: Names of `RECIPES`, its rows, or your own; or one of them.
        folder: Where to write; made if it is not there.
        stem: Start of the file names, `STEM_RECIPE.tflite`. Default: that of the model's file, or the model's name.
        config: See `fuse`.
        calibration: Images, see `calibrate`; they are run once for all recipes.
        calibration_count: How many at most are taken of a folder.
        images: Images to verify on, see `verify`; default is `calibration`, and without both a file is checked
            against its recipe only, which the report says.
        image_size: See `fuse`.
        target: A key of `TARGETS`: files that this library runs, which decides the two arguments that follow.
        include_preprocessing: See `fuse`.
        classifier_activation: See `fuse`; `"probabilities"` is what makes them for the model's task, such as softmax
            or sigmoid by its `problem_type`.
        inference_input_type: Type of the input of integer files; default is each recipe's.
        inference_output_type: Type of their output, likewise.
        tasks: See `fuse`.
        labels: See `fuse`; or a file with one a line, or `"imagenet"`.
        license: See `export`. Default: that of weights that ship with the package.
        android: Folder for an Android project to write as well, see `write_android_folder`; `STEM_android.md` beside
            the files says how to use it.
        android_package: Package of the Kotlin class there.
        android_class: Its name.
        html: A page with the report to write as well, see `report.html_report`.
        command: How the page was made, for its last section.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for a step, see `Progress`.

    Returns:
        A value for each file, in the order of `recipes`.

    Raises:
        ExportError: A recipe needs calibration and there is none, `target` takes no such file, or `stem` has a folder
            in it; nothing is written then.
        ConfigError: A recipe or label that is none, or answers that are no probabilities; nothing is written then.
        ImageError: An image cannot be used.
        ModelError: See `open_model` and `fuse`.
        CheckpointError: See `Checkpoint.open`.
        OSError: `folder` cannot be written to; nothing is computed then.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=32))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     exported = export_files(model, ["float32", "float16"], name, stem="tiny")
        ...     [(each.path.name, each.report.verdict) for each in exported]
        [('tiny_float32.tflite', 'not compared'), ('tiny_float16.tflite', 'not compared')]
    """
    recipes = choose_recipes(
        recipes, inference_input_type=inference_input_type, inference_output_type=inference_output_type
    )
    for recipe in recipes:
        require_calibration(recipe, calibration)
        if target:
            find_target(target).check(recipe)
    if android:
        check_android(android_package, android_class)
    if html:
        check_page(html, made=folder)
    # Before the model is opened: a folder without photographs is found out at once.
    calibrated_on, verified_on = _images(calibration, calibration_count), _images(images)
    stem = _checked_stem(model, stem)
    if android:
        check_class(android, stem, package=android_package, class_name=android_class)
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
        license=license or (license_of(Path(model)) if isinstance(model, (str, Path)) else None),
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
    """Checks TFLite files against the model that they came from and their recipes: what `swiftformer-tf verify` does.

    Args:
        paths: The files.
        reference: The model, or its name or path, see `open_model`. It is asked once for all files of one transform.
        images: See `verify`; photographs of a folder that are no pictures are named before anything runs. For several
            files, not an iterator, which could be read only once.
        num_threads: For the latency.
        html: A page with the reports to write as well, see `report.html_report`.
        command: How the page was made, for its last section.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for a step, see `Progress`.

    Returns:
        A report for each file, in the order of `paths`.

    Raises:
        ModelError: See `LiteModel.open`, `open_model` and `verify`.
        VerificationError: A file has other outputs than `reference`, see `verify`.
        CheckpointError: See `Checkpoint.open`.
        ImageError: An image cannot be used.
        ConfigError: No folder for the page.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=32))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     exported = export_files(model, ["float32", "float16"], name, stem="tiny")
        ...     images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
        ...     reports = verify_files([each.path for each in exported], reference=model, images=images)
        >>> [report.measured["recipe"] for report in reports]
        ['float32', 'float16']
    """
    if html:
        check_page(html)
    models = [LiteModel.open(path) for path in paths]
    if isinstance(images, (str, Path)):
        for lite in models:
            lite.config.transform.check_photographs()
        images = photographs_in(images)
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


def _images(images: ImageSource | None, count: int | None = None) -> ImageSource | None:
    """A folder's photographs as a list of files; other images are what they are."""
    return photographs_in(images, count) if isinstance(images, (str, Path)) else images


def _checked_stem(model: keras.Model | str | Path, stem: str | None) -> str:
    if stem is None:
        stem = _name_of(Path(model)) if isinstance(model, (str, Path)) else str(model.name)
    if Path(stem).name != stem:
        raise ExportError(f"name {stem!r}: expected the start of a file name; give its folder as the output folder")
    return stem


def _name_of(path: Path) -> str:
    """Name of a file without its suffix, or of a folder: `.` has none, and `swiftformer_xs.dist_in1k` no suffix."""
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
    """Arguments of `fuse`."""
    if isinstance(labels, (str, Path)):
        labels = read_labels(labels, config.num_labels if config else None)
    known = graph_config(model, config, labels)
    means = [TASKS[each] for each in tasks_of(model, options["tasks"]).values()]
    task = next((each for each in means if each.rank), means[0])  # as `LiteModel.main_output` chooses
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
        raise ConfigError(f"probabilities: {said} has no probabilities; leave this option out")
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
    """One value flows: deploy graph, calibration, the reference's answers, and of each recipe file and report."""
    verified_on, source = (images, "images") if images is not None else (calibration, "calibration images")
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
    """Makes a folder and those around it; what of them is still empty when the block fails is removed again."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in missing:  # the innermost first
            with suppress(OSError):
                each.rmdir()
        raise
