"""A deploy graph and a recipe in, a `LiteModel` out: floats by `convert`, integers by our own hand."""

import hashlib
import weakref
from collections.abc import Callable

import numpy as np

from swiftformer_tf.conversion import convert
from swiftformer_tf.errors import ExportError
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.images.inputs import ImageSource, image_inputs
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import (
    Graph,
    arithmetic,
    correct_output_bias,
    equalize,
    has_lowered_gelu,
    has_lowered_rsqrt,
    is_equalized,
    is_output_bias_corrected,
    lower_gelu,
    lower_rsqrt,
    measure,
    rewrite,
)
from swiftformer_tf.recipes import Recipe

__all__ = ["export"]

# What is done to a float graph before integers are written into it, in this order, and for which recipes.
PREPARATIONS = ((has_lowered_gelu, lower_gelu), (has_lowered_rsqrt, lower_rsqrt), (is_equalized, equalize))

# By the float graph and by the integer one: as many, evenly spaced, are kept in memory.
IMAGES_SEEN_TWICE = 200

# What the converter made of a deploy graph in floats, and the digest of the weights that it had: most recipes start
# from it, and to convert takes longer than what they do then.
_FLOAT_GRAPHS: weakref.WeakKeyDictionary[DeployModel, tuple[bytes, bytes]] = weakref.WeakKeyDictionary()


def export(
    deploy: DeployModel,
    recipe: Recipe,
    *,
    calibration: ImageSource | None = None,
    license: str | None = None,  # noqa: A002  TFLite Metadata's word
    progress: Callable[[int], None] | None = None,
) -> LiteModel:
    """Converts a deploy graph by a recipe.

    Args:
        deploy: What `fuse` returned.
        recipe: A row of `RECIPES`, or one of your own.
        calibration: Images whose ranges set the integer scales: a folder; a list of files; an array (N, height,
            width, channels), where uint8 is pixels and float is normalised pixels; or a `tf.data.Dataset` or other
            iterable of such images or batches. All of them are used. Needed where `recipe.needs_calibration`, an
            advantage where `recipe.uses_calibration`, passed over elsewhere.
        license: Of the weights, for the file's metadata: an SPDX name or a sentence.
        progress: Called with the number of calibration images seen so far.

    Returns:
        The model, with one signature: `image` in, `logits` or `probabilities` out.

    Raises:
        ExportError: The recipe needs calibration and there is none, weights are NaN or infinite, or the converter
            failed.
        ImageError: A calibration image cannot be used.

    Example:
        >>> from swiftformer_tf import SwiftFormerConfig
        >>> deploy = DeployModel(SwiftFormerConfig.from_variant("tiny", image_size=32))
        >>> export(deploy, RECIPES["float32"]).content[4:8]
        b'TFL3'
        >>> export(deploy, RECIPES["int8"])
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ExportError: recipe int8 needs calibration images; give a folder, an array or a dataset
    """
    if recipe.needs_calibration and calibration is None:
        raise ExportError(f"recipe {recipe.name} needs calibration images; give a folder, an array or a dataset")
    for layer in deploy.layers:
        if not all(np.isfinite(array).all() for array in layer.get_weights()):
            raise ExportError(f"weights of {layer.name} are not finite: give a model that is trained well")
    if recipe.weights == "float32":
        content = _float_graph(deploy)
    elif recipe.weights == "float16":
        content = convert(deploy, "float16")
    else:
        content = _integer_graph(deploy, recipe, calibration, progress)
    return LiteModel.pack(
        content,
        config=deploy.config,
        recipe=recipe,
        include_preprocessing=deploy.include_preprocessing,
        classifier_activation=deploy.classifier_activation,
        license=license,
    )


def _integer_graph(
    deploy: DeployModel, recipe: Recipe, calibration: ImageSource | None, progress: Callable[[int], None] | None
) -> bytes:
    graph = Graph(_float_graph(deploy))
    if calibration is None:
        return rewrite(graph, arithmetic(graph, recipe), recipe)
    images = image_inputs(calibration, deploy.config.transform, raw=deploy.include_preprocessing)
    with native_stderr_silenced():
        statistics = measure(graph, images, progress, kept=IMAGES_SEEN_TWICE if is_output_bias_corrected(recipe) else 0)
    for applies, prepare in PREPARATIONS:
        if applies(recipe):
            statistics = prepare(graph, statistics)
    if deploy.include_preprocessing:
        # Not what the photographs reached: a byte's own integers are then the pixels.
        statistics.fix_range(graph.inputs[0], 0, 255)
    content = rewrite(graph, arithmetic(graph, recipe), recipe, statistics)
    if not is_output_bias_corrected(recipe):
        return content
    return correct_output_bias(content, statistics.images, np.stack(statistics.outputs).mean(axis=0, dtype=np.float64))


def _float_graph(deploy: DeployModel) -> bytes:
    digest = hashlib.sha256(b"".join(each.tobytes() for each in deploy.get_weights())).digest()
    kept, content = _FLOAT_GRAPHS.get(deploy, (b"", b""))
    if kept != digest:
        content = convert(deploy)
        _FLOAT_GRAPHS[deploy] = digest, content
    return content
