"""Turns a deploy graph and a recipe into a `LiteModel`: `convert` writes floats, and `quantization` integers."""

import dataclasses
import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from swiftformer_tf.conversion import convert
from swiftformer_tf.errors import ConfigError, ExportError
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.images.inputs import ImageSource, image_inputs, in_batches
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import (
    Graph,
    Statistics,
    correct_output_bias,
    equalize,
    equalize_by_weights,
    fit_norm_ranges,
    lower_float_only,
    lower_gelu,
    lower_rsqrt,
    lower_softmax,
    measure,
    operation_precisions,
    rewrite,
)
from swiftformer_tf.recipes import RECIPES, Recipe, require_calibration

__all__ = ["Calibration", "calibrate", "export", "export_each"]

# The changes to a float graph before it is quantized, in this order, by the recipe's field that requests them.
PREPARATIONS: dict[str, Callable[[Graph, Statistics], tuple[Graph, Statistics]]] = {
    "lower_float_only": lambda graph, statistics: (lower_float_only(graph), statistics),
    "fit_norm_ranges": fit_norm_ranges,
    "lower_gelu": lower_gelu,
    "lower_rsqrt": lower_rsqrt,
}

# Calibration images that both the float and the integer graph run on: evenly spaced, and kept in memory.
IMAGES_SEEN_TWICE = 200


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """The result of `calibrate`: all that recipes need to know about a deploy graph.

    Args:
        content: The deploy graph as a float flatbuffer.
        statistics: Ranges and samples of its activations on the images.
        weights_sha256: Digest of the deploy graph's weights, so that the calibration is not used with another graph.

    Examples:
        >>> import numpy as np
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> deploy = fuse(SwiftFormerForImageClassification(config))
        >>> calibration = calibrate(deploy, np.zeros((1, 32, 32, 3), "uint8"))
        >>> len(calibration.weights_sha256)
        64
    """

    content: bytes = dataclasses.field(repr=False)
    statistics: Statistics = dataclasses.field(repr=False)
    weights_sha256: str


def calibrate(
    deploy: DeployModel,
    images: ImageSource,
    *,
    recipes: Iterable[Recipe] = (),
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Measures the activations of a deploy graph, once for all recipes.

    Args:
        deploy: The deploy graph, from `fuse`.
        images: A folder; a list of files; an array (N, height, width, channels), either uint8 pixels or normalized
            float pixels; or a `tf.data.Dataset` or other iterable of such images or batches. All of them are used; 100
            to 500 that resemble the model's future inputs are enough.
        recipes: Recipes that will be exported: an operation that they do not support is an error before any image is
            read.
        progress: Called with the number of batches seen so far, which are single images unless the graph's batch is
            larger.

    Returns:
        The calibration for `export`. It holds up to 200 of the images.

    Raises:
        ExportError: The model is not a deploy graph, weights are NaN or infinite, the converter failed, or a recipe
            does not support an operation.
        ConfigError: One of `recipes` is not a `Recipe`, for instance a name.
        ImageError: An image cannot be used.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> deploy = fuse(SwiftFormerForImageClassification(config))
        >>> calibration = calibrate(deploy, np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))
        >>> export(deploy, RECIPES["int8"], calibration=calibration).recipe.name
        'int8'
    """
    recipes = list(recipes)
    _check_deploy("calibrate", deploy, recipes)
    content = convert(deploy)
    graph = lower_float_only(Graph(content))  # has all tensors of `content`, and new ones
    for recipe in recipes:
        if recipe.has_integer_weights:
            operation_precisions(graph, recipe)
    found = image_inputs(images, deploy.config.transform, raw=deploy.include_preprocessing)
    inputs = in_batches(found, deploy.inputs[0].shape[0])
    with native_stderr_silenced():
        statistics = measure(graph, inputs, progress, kept=IMAGES_SEEN_TWICE)
    if deploy.include_preprocessing:
        # The range of a byte, not that of the photographs, so that the quantized integers are the pixels themselves.
        statistics = statistics.with_ranges({graph.inputs[0]: (0, 255)})
    return Calibration(content, statistics, _digest(deploy))


def export(
    deploy: DeployModel,
    recipe: Recipe,
    *,
    calibration: Calibration | ImageSource | None = None,
    license: str | None = None,  # noqa: A002  TFLite Metadata's word
    progress: Callable[[int], None] | None = None,
) -> LiteModel:
    """Converts a deploy graph as a recipe specifies.

    Args:
        deploy: The deploy graph, from `fuse`.
        recipe: A row of `RECIPES`, or a recipe of your own.
        calibration: The result of `calibrate` for `deploy`, or images to pass to `calibrate`. Required if
            `recipe.needs_calibration`. Integer weights are rounded to minimize the error of their outputs on these
            images; recipes with float weights ignore them.
        license: License of the weights, for the file's metadata: an SPDX name or a sentence.
        progress: Called with the number of calibration images seen so far.

    Returns:
        The model, with one signature: `image` in, the graph's named outputs out.

    Raises:
        ConfigError: `recipe` is not a `Recipe`, for instance a name.
        ExportError: The model is not a deploy graph, the recipe needs calibration and there is none, the recipe does
            not support an operation, weights are NaN or infinite, or the converter failed.
        ImageError: A calibration image cannot be used.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> deploy = fuse(SwiftFormerForImageClassification(config))
        >>> export(deploy, RECIPES["float32"]).content[4:8]
        b'TFL3'
        >>> export(deploy, RECIPES["int8"])
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ExportError: recipe int8 needs calibration: give images as `calibration`, such as a folder
    """
    _check_deploy("export", deploy, [recipe])
    require_calibration([recipe], calibration)
    if not (calibration is None or isinstance(calibration, Calibration)):
        calibration = (
            calibrate(deploy, calibration, recipes=[recipe], progress=progress) if recipe.has_integer_weights else None
        )
    return next(export_each(deploy, [recipe], calibration=calibration, license=license))


def export_each(
    deploy: DeployModel,
    recipes: Iterable[Recipe],
    *,
    calibration: Calibration | None = None,
    license: str | None = None,  # noqa: A002  TFLite Metadata's word
) -> Iterator[LiteModel]:
    """Converts a deploy graph with several recipes, running TensorFlow's converter once for all based on float32.

    Args:
        deploy: See `export`.
        recipes: Recipes as in `export`. Each is converted only when the iterator reaches it.
        calibration: The result of `calibrate` for `deploy`, if any of the recipes needs it.
        license: See `export`.

    Yields:
        A model for each recipe, in order, see `export`.

    Raises:
        ConfigError: See `export`. All recipes are checked when the first model is requested.
        ExportError: See `export`.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> deploy = fuse(SwiftFormerForImageClassification(config))
        >>> [lite.recipe.weights for lite in export_each(deploy, [RECIPES["float32"], RECIPES["dynamic_int8"]])]
        ['float32', 'int8']
    """
    recipes = list(recipes)
    _check_deploy("export", deploy, recipes)
    require_calibration(recipes, calibration)
    digest = _digest(deploy)
    if calibration is not None and calibration.weights_sha256 != digest:
        raise ExportError(
            "the calibration was made with another deploy graph: run calibrate(deploy, ...) with this one"
        )
    floats = calibration.content if calibration is not None else None
    for recipe in recipes:
        if recipe.weights == "float16":
            content = convert(deploy, "float16")
        else:
            floats = convert(deploy) if floats is None else floats
            content = _written(floats, recipe, calibration)
        yield LiteModel.pack(
            content,
            config=deploy.config,
            recipe=recipe,
            include_preprocessing=deploy.include_preprocessing,
            outputs=deploy.named_outputs,
            license=license,
            weights_sha256=digest,
        )


def _written(floats: bytes, recipe: Recipe, calibration: Calibration | None) -> bytes:
    """Returns a recipe's flatbuffer, made from the float32 one."""
    if not recipe.has_integer_weights:
        return floats
    if calibration is not None:
        return _quantized(calibration, recipe)
    graph = Graph(floats)
    graph = graph if recipe.equalize is None else equalize_by_weights(graph, recipe.equalize)
    return rewrite(graph, operation_precisions(graph, recipe), recipe)


def _quantized(calibration: Calibration, recipe: Recipe) -> bytes:
    graph, statistics = Graph(calibration.content), calibration.statistics
    for field, prepare in PREPARATIONS.items():
        if getattr(recipe, field):
            graph, statistics = prepare(graph, statistics)
    if recipe.equalize is not None:
        graph, statistics = equalize(graph, statistics, recipe.equalize)
    content = rewrite(graph, operation_precisions(graph, recipe), recipe, statistics)
    if recipe.correct_output_bias:
        content = correct_output_bias(content, statistics.images, statistics.outputs)
    return lower_softmax(content) if recipe.leaves_probabilities_in_float else content


def _check_deploy(asked: str, deploy: DeployModel, recipes: Iterable[Recipe]) -> None:
    """Reports the likeliest mistakes: an unfused model, its file, the name of a recipe, weights that are not finite."""
    if not isinstance(deploy, DeployModel):
        given = f"the file {str(deploy)!r}" if isinstance(deploy, str | Path) else f"a {type(deploy).__name__}"
        raise ExportError(f"{asked}: {given}, expected a deploy graph: fuse(model) makes one from a Keras model")
    for recipe in recipes:
        if not isinstance(recipe, Recipe):
            near = difflib.get_close_matches(str(recipe), RECIPES, 1) or list(RECIPES)
            raise ConfigError(f"recipe={recipe!r}: expected a Recipe, such as RECIPES[{near[0]!r}]")
    for layer in deploy.layers:
        if not all(np.isfinite(array).all() for array in layer.get_weights()):
            raise ExportError(
                f"the weights of {layer.name} are not finite: train the model again, or load an earlier checkpoint"
            )


def _digest(deploy: DeployModel) -> str:
    """Of the upper half of each float32 number: another processor may add up a folded matrix to other last bits."""
    upper = [(each.view(np.uint32) + np.uint32(1 << 15)) >> 16 for each in deploy.get_weights()]
    return hashlib.sha256(b"".join(each.astype(np.uint16).tobytes() for each in upper)).hexdigest()
