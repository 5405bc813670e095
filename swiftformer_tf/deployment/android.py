"""A folder for an Android project: models and labels, and a Kotlin class that runs them."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.deployment.chips import RECIPE_OF, WHICH_RECIPE
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.errors import ExportError, require_packages
from swiftformer_tf.files import filling, replacing
from swiftformer_tf.images.overlays import class_colors
from swiftformer_tf.litert.metadata import UNKNOWN_LICENSE
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.tasks import INDICES
from swiftformer_tf.tasks.classification import activation

__all__ = ["PACKAGE", "check_android", "kotlin_name", "write_android_folder"]

# Default package of the Kotlin class, and so its folder.
PACKAGE = "swiftformer"

# What Kotlin's TensorBuffer writes and reads.
STORAGE = ("float32", "int8", "uint8")

# Words that can be no part of a name in Kotlin.
KEYWORDS = frozenset(
    (
        *(
            "as",
            "break",
            "class",
            "continue",
            "do",
            "else",
            "false",
            "for",
            "fun",
            "if",
            "in",
            "interface",
            "is",
            "null",
        ),
        *("object", "package", "return", "super", "this", "throw", "true", "try", "typealias", "typeof", "val", "var"),
        *("when", "while"),
    )
)

# Of the crop modes: whether the middle starts at the even neighbor of a half, or at the lower one.
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
    """Writes `assets/` and `kotlin/`, to be laid among an app's sources.

    Models, labels and class are called after the Keras model, so that a second one finds its place beside the first.

    Args:
        models: By file name, `NAME_RECIPE.tflite`; of one Keras model and with the same options of `fuse`.
        folder: Where to write; made if it is not there. What it holds under other names stays.
        package: Package of the Kotlin class.
        class_name: Name of the Kotlin class. Default: NAME, in Kotlin's spelling.
        readme: File to write a page to that says how to use the folder. It does not belong among an app's sources.
        verified: Whether all of them were compared with Keras and passed, for that page.

    Raises:
        ExportError: No model, models that differ in more than their recipe, an input that LiteRT's Kotlin library
            cannot write, a name that Kotlin does not take, or jinja2 is not installed.
        OSError: The folder or the page cannot be written.

    Examples:
        >>> import tempfile
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=32))
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_android_folder({"birds_float32.tflite": lite}, folder, package="org.example.app")
        ...     sorted(path.name for path in Path(folder).rglob("*.*"))
        ['Birds.kt', 'birds_float32.tflite', 'birds_labels.txt']
    """
    check_android(package, class_name)
    facts = {**_facts(models, package, class_name), "verified": verified}  # before anything is written
    first = next(iter(models.values()))
    row = KOTLIN_CLASSES[first.main_output.task]
    kotlin = f"kotlin/{package.replace('.', '/')}/{facts['class_name']}.kt"
    contents = {
        kotlin: _rendered(f"{row.noun}.kt.jinja", facts),
        f"assets/{facts['labels']}": "".join(f"{label}\n" for label in first.labels).encode(),
        **{f"assets/{name}": model.content for name, model in models.items()},
    }
    page = _rendered(f"{row.noun}.md.jinja", facts)
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
    return environment.get_template(template).render(facts).encode()


@dataclasses.dataclass(frozen=True)
class KotlinClass:
    """What there is of a task.

    Args:
        noun: What its templates are called after, `NOUN.kt.jinja` and `NOUN.md.jinja`.
        facts: What those need beside what all do.
    """

    noun: str
    facts: Callable[[LiteModel], Mapping[str, Any]]


def _scores(model: LiteModel) -> Mapping[str, Any]:
    # What is left to do: nothing where the file does it itself.
    return {"activation": None if model.classifier_activation else activation(model.config)}


def _masks(model: LiteModel) -> Mapping[str, Any]:
    output = model.main_output
    return {
        "is_mask": output.activation in INDICES,
        "rows": output.shape[1],
        "columns": output.shape[2],
        "colors": [f"0x{red:02X}{green:02X}{blue:02X}" for red, green, blue in class_colors(model.config.num_labels)],
    }


# By the task of the output that stands for all.
KOTLIN_CLASSES = {
    "classification": KotlinClass("classifier", _scores),
    "semantic-segmentation": KotlinClass("segmenter", _masks),
}


def _facts(models: Mapping[str, LiteModel], package: str, class_name: str | None) -> dict[str, Any]:
    """What the templates are filled with."""
    if not models:
        raise ExportError("the Android folder: no models to put into it")
    first = next(iter(models.values()))
    for name, model in models.items():
        same = [(m.config, m.include_preprocessing, m.outputs) for m in (first, model)]
        if same[0] != same[1]:
            raise ExportError(f"{name}: expected the same Keras model and options as the first model of the folder")
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
    stem = _stem(models)
    height, width = config.input_size
    channels = config.num_channels
    mean, std = (
        (transform.mean, transform.std) if not first.include_preprocessing else ((0,) * channels, (1 / 255,) * channels)
    )
    described = [_model(name, model) for name, model in models.items()]
    return {
        "stem": stem,
        "package": kotlin_name("package", package, dots=True),
        "class_name": kotlin_name("class_name", class_name or _camel(stem)),
        "models": described,
        "default": _default(described),
        "which_recipe": WHICH_RECIPE,
        "mediapipe_class": TARGETS["mediapipe"].classes[task],
        "mediapipe": [name for name, model in models.items() if _is_for_mediapipe(model)],
        "width": width,
        "height": height,
        "channels": channels,
        "count": config.num_labels,
        "labels": f"{stem}_labels.txt",
        "license": first.license or UNKNOWN_LICENSE,
        "output_index": first.outputs.index(first.main_output),
        "include_preprocessing": first.include_preprocessing,
        "mean": ", ".join(f"{np.float32(255 * x)!s}f" for x in mean),
        "std": ", ".join(f"{np.float32(255 * x)!s}f" for x in std),
        "resized": transform.resized,
        "keeps_shape": transform.keeps_shape,
        # How `Transform` makes whole pixels of the longer edge, and of the corner of the middle.
        "whole": "toInt" if transform.resized[0] == transform.resized[1] else "roundToInt",
        "corner": "rint" if transform.crop_mode in EVEN_CORNERS else "floor",
        "noun": KOTLIN_CLASSES[task].noun,
        **KOTLIN_CLASSES[task].facts(first),
    }


def _stem(models: Mapping[str, LiteModel]) -> str:
    """NAME of `NAME_RECIPE.tflite`."""
    stems = {name.removesuffix(".tflite").removesuffix(f"_{model.recipe.name}") for name, model in models.items()}
    if len(stems) > 1:
        raise ExportError(f"the Android folder: expected files NAME_RECIPE.tflite with one NAME, not {sorted(stems)}")
    return stems.pop()


def _camel(stem: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", stem) or ["model"]
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name[0].isalpha() else f"Model{name}"


def kotlin_name(field: str, name: str, *, dots: bool = False) -> str:
    """`name`, which is one in Kotlin; with `dots`, a package.

    Raises:
        ExportError: It is none; names `field`.

    Examples:
        >>> kotlin_name("package", "a.in", dots=True)
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ExportError: package 'a.in': expected a valid name in Kotlin, such as com.example.app
    """
    parts = name.split(".") if dots else [name]
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) and part not in KEYWORDS for part in parts):
        example = "com.example.app" if dots else "FlowerClassifier"
        raise ExportError(f"{field} {name!r}: expected a valid name in Kotlin, such as {example}")
    return name


def check_android(package: str | None, class_name: str | None) -> None:
    """Raises if `write_android_folder` would refuse these names; called before the work begins.

    Raises:
        ExportError: One of them is no name in Kotlin.
        SwiftFormerError: jinja2 is not installed.
    """
    require_packages("the Android folder", "jinja2")
    if package is not None:
        kotlin_name("package", package, dots=True)
    if class_name is not None:
        kotlin_name("class_name", class_name)


def _default(described: list[dict[str, Any]]) -> str:
    """The model to take by default, of those that are there."""
    there: dict[str, str] = {model["recipe"]: model["name"] for model in described}
    return next((there[recipe] for recipe in RECIPE_OF.values() if recipe in there), next(iter(there.values())))


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
        "chips": _chips(model),
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


def _chips(model: LiteModel) -> str:
    """The processor that this precision suits."""
    recipe = model.recipe
    if recipe.caution:
        return recipe.caution
    if recipe.activations == "float32":
        return {"float32": "CPU, GPU", "float16": "GPU; on a CPU half the size only"}.get(recipe.weights, "CPU")
    return "NPU, DSP; CPU" if recipe.activations == "int8" else "NPUs that compute in int16"
