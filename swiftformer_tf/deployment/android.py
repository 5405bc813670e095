"""A folder for an Android project: models and labels, a Kotlin class that runs them, and how to use it."""

import math
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import ExportError
from swiftformer_tf.files import filling
from swiftformer_tf.litert.metadata import LABELS, UNKNOWN_LICENSE
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner

__all__ = ["PACKAGE", "write_android_folder"]

# Of the Kotlin class, and so the folder that it lies in.
PACKAGE = "swiftformer"

# What Kotlin's TensorBuffer writes and reads.
STORAGE = ("float32", "int8", "uint8")


def write_android_folder(models: Mapping[str, LiteModel], folder: str | Path, *, verified: bool = False) -> None:
    """Writes `assets/`, `kotlin/` and a README.

    Args:
        models: By file name; of one Keras model and with the same options of `fuse`.
        folder: Where to write; made if it is not there. What it holds under other names stays.
        verified: Whether all of them were compared with Keras and passed, for the README.

    Raises:
        ExportError: No model, models that differ in more than their recipe, a border that LiteRT's Kotlin library
            cannot write, or jinja2 is not installed.
        OSError: The folder cannot be written to.
    """
    files = _rendered(models, verified)  # before anything is written
    first = next(iter(models.values()))
    files[f"assets/{LABELS}"] = "".join(f"{label}\n" for label in first.labels)
    contents = {name: text.encode() for name, text in files.items()}
    contents |= {f"assets/{name}": model.content for name, model in models.items()}
    Path(folder).mkdir(parents=True, exist_ok=True)
    with filling(folder) as beside:
        for name, content in contents.items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _rendered(models: Mapping[str, LiteModel], verified: bool) -> dict[str, str]:
    try:
        import jinja2
    except ModuleNotFoundError:
        raise ExportError("the Android folder needs jinja2: pip install 'swiftformer_tf[report]'") from None
    facts = {**_facts(models), "verified": verified}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = {
        f"kotlin/{PACKAGE}/SwiftFormerClassifier.kt": "classifier.kt.jinja",
        "README.md": "android_readme.md.jinja",
    }
    texts = resources.files("swiftformer_tf.deployment")
    return {
        name: environment.from_string(texts.joinpath(template).read_text("utf-8")).render(facts)
        for name, template in templates.items()
    }


def _facts(models: Mapping[str, LiteModel]) -> dict[str, Any]:
    if not models:
        raise ExportError("the Android folder: no models to put into it")
    first = next(iter(models.values()))
    for name, model in models.items():
        same = [(m.config, m.include_preprocessing, m.classifier_activation) for m in (first, model)]
        if same[0] != same[1]:
            raise ExportError(f"{name}: expected the same Keras model and options as the first model of the folder")
    config, transform = first.config, first.config.transform
    if config.num_channels != 3 or not config.num_labels:
        raise ExportError(
            "the Android folder: expected a classifier of RGB pictures, not "
            f"{config.num_channels} channels and {config.num_labels} labels"
        )
    height, width = config.input_size
    mean, std = (transform.mean, transform.std) if not first.include_preprocessing else ((0, 0, 0), (1 / 255,) * 3)
    return {
        "package": PACKAGE,
        "models": [_model(name, model) for name, model in models.items()],
        "width": width,
        "height": height,
        "count": config.num_labels,
        "labels": LABELS,
        "license": first.license or UNKNOWN_LICENSE,
        "softmax": first.classifier_activation is not None,
        "include_preprocessing": first.include_preprocessing,
        "mean": ", ".join(f"{np.float32(255 * x)!s}f" for x in mean),
        "std": ", ".join(f"{np.float32(255 * x)!s}f" for x in std),
        "covered": transform.crop and tuple(math.floor(side / transform.crop) for side in (height, width)),
    }


def _model(name: str, model: LiteModel) -> dict[str, Any]:
    runner = LiteRunner(model)
    return {
        "name": re.sub(r"\W", "_", model.recipe.name).upper(),
        "asset": name,
        "description": model.recipe.description,
        "chips": _chips(model),
        "megabytes": f"{len(model.content) / 1e6:.1f}",
        "input": _tensor(name, "input", runner.input_type, runner.input_quantization),
        "output": _tensor(name, "output", runner.output_type, runner.output_quantization),
    }


def _tensor(name: str, side: str, dtype: str, quantization: tuple[float, int]) -> dict[str, Any]:
    if dtype not in STORAGE:
        raise ExportError(f"{name}: an {side} of type {dtype}: LiteRT's Kotlin library takes {' or '.join(STORAGE)}")
    scale, zero_point = quantization
    return {"storage": dtype.upper(), "scale": repr(float(np.float32(scale or 1.0))), "zero_point": zero_point}


def _chips(model: LiteModel) -> str:
    """The processor that this kind of arithmetic suits."""
    recipe = model.recipe
    if recipe.activations == "float32":
        return {"float32": "CPU, GPU", "float16": "GPU; on a CPU half the size only"}.get(recipe.weights, "CPU")
    return "NPU, DSP; CPU" if recipe.activations == "int8" else "NPUs that compute in int16; slow on a CPU"
