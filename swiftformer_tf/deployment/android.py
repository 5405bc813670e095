"""Writes a folder for an Android project: models and labels, and a Kotlin class that runs them."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.deployment.android_folder import (
    GENERATED,
    LABELS,
    PACKAGE,
    check_android,
    check_folder,
    default_class_name,
    kept_models,
    kotlin_name,
    quoted,
)
from swiftformer_tf.deployment.chips import CHIPS, FASTEST_ON_CPU, WHICH_RECIPE
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.errors import ExportError, number_of
from swiftformer_tf.files import filling, replacing
from swiftformer_tf.litert.metadata import UNKNOWN_LICENSE
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.tasks import INDICES
from swiftformer_tf.tasks.classification import activation

__all__ = ["write_android_folder"]

# The types that Kotlin's TensorBuffer writes and reads.
STORAGE = ("float32", "int8", "uint8")

# The crop modes in which a center crop at a half pixel starts at the even neighbor; in the others, at the lower one.
EVEN_CORNERS = ("center", "squash")


def write_android_folder(
    models: Mapping[str, LiteModel],
    folder: str | Path,
    *,
    package: str = PACKAGE,
    class_name: str | None = None,
    readme: str | Path | None = None,
    verified: bool = False,
) -> None:
    """Writes `assets/` and `kotlin/`, to be placed among an app's sources.

    Models, labels and class are named after the Keras model, so that several models can be placed in one app. The class
    runs the new models and those of an earlier call for the same Keras model, with other recipes. After more training,
    export all recipes of the class in one call: files of different weights are not put together.

    Args:
        models: Models by file name, `NAME_RECIPE.tflite`, all made from the same Keras model with the same options of
            `fuse`.
        folder: The folder to write to, created if needed. Other files in it are kept.
        package: Package of the Kotlin class.
        class_name: Name of the Kotlin class. Default: NAME, converted to Kotlin's naming convention.
        readme: Path of a Markdown page that explains how to use the folder. It must be outside of `folder`, since it
            does not belong among an app's sources.
        verified: Whether all models passed verification against Keras, for that page.

    Raises:
        ExportError: There are no models, they or the earlier files of the class that stay differ in more than their
            recipe, an earlier file is damaged, LiteRT's Kotlin library does not support their input, a name is not
            valid in Kotlin, `readme` is in `folder`, or a class for other models or a file that the class does not list
            already exists.
        SwiftFormerError: jinja2 is not installed.
        OSError: The folder or the page cannot be written.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_android_folder({"birds_float32.tflite": lite}, folder, package="org.example.app")
        ...     sorted(path.name for path in Path(folder).rglob("*.*"))
        ['Birds.kt', 'birds_float32.tflite', 'birds_labels.txt']
    """
    check_android(folder, package=package, class_name=class_name, beside=Path(readme).parent if readme else None)
    stem = _stem(models)
    kotlin = check_folder(folder, stem, models, package=package, class_name=class_name)
    kept = kept_models(models, Path(folder), kotlin)
    facts = _facts(_fastest_first({**models, **kept}), stem, package, class_name)  # before anything is written
    first = next(iter(models.values()))
    row = KOTLIN_CLASSES[first.main_output.task]
    contents = {
        kotlin: _rendered(f"{row.noun}.kt.jinja", facts),
        f"assets/{facts['labels']}": "".join(f"{label}\n" for label in first.labels).encode(),
        **{f"assets/{name}": model.content for name, model in models.items()},
    }
    page = _rendered(f"{row.noun}.md.jinja", {**facts, "verified": verified and not kept})
    Path(folder).mkdir(parents=True, exist_ok=True)
    with filling(folder) as beside:
        for name, content in contents.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if readme:
        with replacing(readme) as path:
            path.write_bytes(page)


def _rendered(template: str, facts: Mapping[str, Any]) -> bytes:
    import jinja2

    folder = resources.files("swiftformer_tf.deployment")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    return environment.get_template(template).render(facts).encode()


@dataclasses.dataclass(frozen=True)
class KotlinClass:
    """A task's templates for the Kotlin class, and their variables.

    Args:
        noun: The name of its templates, `NOUN.kt.jinja` and `NOUN.md.jinja`.
        facts: Additional variables for these templates.
    """

    noun: str
    facts: Callable[[LiteModel], Mapping[str, Any]]


def _scores(model: LiteModel) -> Mapping[str, Any]:
    # The activation that the app has to apply: none if the file applies it itself.
    return {"activation": None if model.classifier_activation else activation(model.config)}


def _masks(model: LiteModel) -> Mapping[str, Any]:
    output = model.main_output
    return {
        "is_mask": output.activation in INDICES,
        "rows": output.shape[1],
        "columns": output.shape[2],
        "colors": [f"0x{red:02X}{green:02X}{blue:02X}" for red, green, blue in model.config.colors],
    }


# By the task of the output that stands for all.
KOTLIN_CLASSES = {
    "classification": KotlinClass("classifier", _scores),
    "semantic-segmentation": KotlinClass("segmenter", _masks),
}


def _facts(models: Mapping[str, LiteModel], stem: str, package: str, class_name: str | None) -> dict[str, Any]:
    """The variables for the templates."""
    first = next(iter(models.values()))
    config, transform = first.config, first.config.transform
    if (task := first.main_output.task) not in KOTLIN_CLASSES:
        raise ExportError(
            f"the Android folder: Kotlin classes exist for {' and '.join(KOTLIN_CLASSES)}, not for {task}; export "
            "without it"
        )
    if config.num_channels not in (1, 3):
        raise ExportError(
            f"the Android folder: expected a model for RGB or gray images, not for {config.num_channels} channels; "
            "export without it"
        )
    height, width = config.input_size
    channels = config.num_channels
    mean, std = (
        (transform.mean, transform.std) if not first.include_preprocessing else ((0,) * channels, (1 / 255,) * channels)
    )
    described = [_model(name, model) for name, model in models.items()]
    return {
        "stem": stem,
        "generated": GENERATED.format(stem=stem),
        "package": kotlin_name("package", package, dots=True),
        "class_name": kotlin_name("class_name", class_name or default_class_name(stem)),
        "models": described,
        "which_recipe": WHICH_RECIPE,
        "mediapipe_class": TARGETS["mediapipe"].classes[task],
        "mediapipe": [name for name, model in models.items() if _is_for_mediapipe(model)],
        "width": width,
        "height": height,
        "channels": channels,
        "count": config.num_labels,
        "counted_labels": number_of(config.num_labels, "label"),
        "labels": LABELS.format(stem=stem),
        "license": first.license or UNKNOWN_LICENSE,
        "output_index": first.outputs.index(first.main_output),
        "include_preprocessing": first.include_preprocessing,
        "mean": ", ".join(f"{np.float32(255 * x)!s}f" for x in mean),
        "std": ", ".join(f"{np.float32(255 * x)!s}f" for x in std),
        "resized": transform.resized,
        "keeps_shape": transform.keeps_shape,
        # How `Transform` rounds the longer edge, and the corner of a center crop.
        "whole": "toInt" if transform.resized[0] == transform.resized[1] else "roundToInt",
        "corner": "rint" if transform.crop_mode in EVEN_CORNERS else "floor",
        "noun": KOTLIN_CLASSES[task].noun,
        **KOTLIN_CLASSES[task].facts(first),
    }


def _stem(models: Mapping[str, LiteModel]) -> str:
    """NAME of `NAME_RECIPE.tflite`."""
    if not models:
        raise ExportError("the Android folder: no models to put into it")
    stems = {name.removesuffix(".tflite").removesuffix(f"_{model.recipe.name}") for name, model in models.items()}
    if len(stems) > 1:
        raise ExportError(f"the Android folder: expected files NAME_RECIPE.tflite with one NAME, not {sorted(stems)}")
    return stems.pop()


def _fastest_first(models: Mapping[str, LiteModel]) -> dict[str, LiteModel]:
    """The models in the order of advice: the first is the default."""
    order = [
        *FASTEST_ON_CPU,
        *(model.recipe.name for model in models.values()),
    ]  # recipes of the caller's own come last
    return dict(sorted(models.items(), key=lambda item: order.index(item[1].recipe.name)))


def _is_for_mediapipe(model: LiteModel) -> bool:
    target = TARGETS["mediapipe"]
    if model.config.num_channels not in target.channels:
        return False
    options = {
        "include_preprocessing": model.include_preprocessing,
        "classifier_activation": model.classifier_activation,
    }
    types = (
        model.recipe.inference_input_type in target.input_types,
        model.recipe.inference_output_type in target.output_types,
    )
    return options == target.fuse_options(model.config, model.main_output.task) and all(types)


def _model(name: str, model: LiteModel) -> dict[str, Any]:
    runner = LiteRunner(model)
    return {
        "name": re.sub(r"\W", "_", model.recipe.name).upper(),
        "recipe": model.recipe.name,
        "asset": name,
        "description": model.recipe.description,
        "chips": CHIPS.get(model.recipe.name, "not known of a recipe of your own"),
        "megabytes": f"{len(model.content) / 1e6:.1f}",
        "input": _tensor(name, "input", runner.input_type, runner.input_quantization),
        "output": _tensor(name, "output", runner.output_type, runner.output_quantization),
    }


def _tensor(name: str, side: str, dtype: str, quantization: tuple[float, int]) -> dict[str, Any]:
    if dtype not in STORAGE:
        raise ExportError(
            f"{name}: an {side} of type {dtype}: LiteRT's Kotlin library supports only {' or '.join(STORAGE)}"
        )
    scale, zero_point = quantization
    return {"storage": dtype.upper(), "scale": repr(float(np.float32(scale or 1.0))), "zero_point": zero_point}
