"""What `tflite/benchmark.py` measures of this package: every recipe, other variants and sizes, twins without attention,
and what TensorFlow's converter makes of the Keras model as it is."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from swiftformer_tf import (
    RECIPES,
    DeployModel,
    Recipe,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    export,
    fuse,
)
from swiftformer_tf.errors import first_line

__all__ = ["build", "convolution_twin"]

SIZE = 224

# For the larger variants, whose weights are random, and for the larger size: there the speed of the form for CPUs is
# the question, not its accuracy.
FEW_IMAGES = 20
BEYOND_XS = ("float32", "mixed_int8")
BEYOND_XS_AT_224 = (*BEYOND_XS, "dynamic_int8", "dynamic_int4")


def convolution_twin(deploy: DeployModel) -> DeployModel:
    """The same graph with the same convolutions, ReLU for GELU, and no arithmetic of attention.

    A product passes its larger factor on and a mean or square root leads nowhere, so that of attention the matrices of
    query, key and the two that follow are left; the one that weighs tokens, of one output, falls away.

    Args:
        deploy: What `fuse` returned; it is not changed.

    Returns:
        A graph that shares its layers and that `export` takes.
    """

    def call(operation: Any, *arguments: Any, **options: Any) -> Any:
        kind = type(operation).__name__
        if kind == "Gelu":
            return keras.ops.relu(arguments[0])
        if kind == "Multiply":
            return max(arguments[:2], key=lambda each: np.prod(each.shape) if hasattr(each, "shape") else 0)
        return operation(*arguments, **options)

    plain = keras.Model(deploy.inputs, deploy.outputs)
    twin = keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=call)
    return DeployModel(
        twin.inputs,
        twin.outputs,
        deploy.name,
        config=deploy.config,
        include_preprocessing=deploy.include_preprocessing,
        named_outputs=deploy.named_outputs,
    )


def straightforward(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    """TensorFlow's converter on the Keras model as it is, the way its guide shows."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def untrained(variant: str, recipe: Recipe, images: np.ndarray) -> bytes:
    """A variant with ImageNet's number of labels and random weights."""
    config = SwiftFormerConfig.from_variant(variant, id2label={i: f"LABEL_{i}" for i in range(1000)})
    return export(fuse(SwiftFormerForImageClassification(config)), recipe, calibration=images).content


class _Files:
    """The files of a folder that are made, and what is known of each."""

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self.folder, self.report = folder, report
        self.entries: list[dict[str, Any]] = []

    def add(self, name: str, which: str, kind: str, make: Callable[[], bytes], **facts: Any) -> None:
        path = self.folder / f"{which}_{name.replace(' ', '_').replace(',', '')}.tflite"
        entry = {"name": name, "model": which, "kind": kind, "file": path.name, "error": None, "reference": None}
        self.entries.append({**entry, **facts})
        if not path.exists():
            try:
                path.write_bytes(make())
            except Exception as error:  # that a form cannot be built is a result
                self.entries[-1]["error"] = f"{type(error).__name__}: {first_line(error)}"
        self.report(f"{which} {name}: {self.entries[-1]['error'] or 'ready'}")


def _ours(deploy: DeployModel, recipe: Recipe, images: np.ndarray) -> Callable[[], bytes]:
    return lambda: export(deploy, recipe, calibration=images).content


def build(
    model: SwiftFormerForImageClassification, folder: Path, photographs: Path, report: Callable[[str], None]
) -> None:
    """Writes the files that are not there and `ours.json` about all of them.

    Args:
        model: XS with its trained weights.
        folder: Where to write.
        photographs: Folder with `calibration.npy`, normalized images (N, 224, 224, 3).
        report: Called with a line for people.
    """
    calibration = np.load(photographs / "calibration.npy")
    files = _Files(folder, report)
    add = files.add
    deploy = fuse(model, image_size=SIZE)
    for recipe in RECIPES.values():
        facts = {"recipe": recipe.name, "reference": None if recipe.name == "float32" else "ours float32"}
        add(f"ours {recipe.name}", "xs", recipe.name, _ours(deploy, recipe, calibration), **facts)
    twin = convolution_twin(deploy)
    for recipe in RECIPES.values():
        if recipe.name != "int16x8":  # XNNPACK takes none of it
            make = _ours(twin, recipe, calibration[:FEW_IMAGES])
            add(f"twin {recipe.name}", "twin", recipe.name, make, recipe=recipe.name)
    # With its size said: a converted model of any size would run on one pixel.
    image = keras.Input((SIZE, SIZE, model.config.num_channels))
    as_it_is = keras.Model(image, model(image))
    floating = "our Keras model, TFLite converter"
    add(floating, "xs", "float32", lambda: straightforward(as_it_is, None))
    make = lambda: straightforward(as_it_is, calibration)  # noqa: E731
    add("our Keras model, TFLite converter int8", "xs", "int8", make, reference=floating)
    recipes = [RECIPES[name] for name in BEYOND_XS if name in RECIPES]
    double = fuse(model, image_size=2 * SIZE)
    enlarged = np.repeat(np.repeat(calibration[:FEW_IMAGES], 2, axis=1), 2, axis=2)
    for recipe in recipes:
        add(f"ours {recipe.name}", "xs448", recipe.name, _ours(double, recipe, enlarged), recipe=recipe.name)
    for variant in ("s", "l1", "l3"):
        for recipe in (RECIPES[name] for name in BEYOND_XS_AT_224):
            make = partial(untrained, variant, recipe, calibration[:FEW_IMAGES])
            add(f"ours {recipe.name}", variant, recipe.name, make, recipe=recipe.name)
    (folder / "ours.json").write_text(json.dumps(files.entries, indent=1))
