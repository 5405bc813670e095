"""Finds where an integer file loses accuracy by comparing its tensors with those of the float graph, worst first."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from swiftformer_tf.config import TokenWeights
from swiftformer_tf.debugging.comparing import Run, compare
from swiftformer_tf.debugging.pairing import Pair, integer_range, pair
from swiftformer_tf.debugging.recover_equalization import equalize_alike
from swiftformer_tf.debugging.tensor_report import TensorReport
from swiftformer_tf.errors import ModelError, number_of, prefix_path, require_packages
from swiftformer_tf.exporting import export
from swiftformer_tf.files import check_place, replacing
from swiftformer_tf.fusion import fuse
from swiftformer_tf.images.folders import photographs_in
from swiftformer_tf.images.inputs import ImageSource, image_inputs, in_batches, known_count
from swiftformer_tf.litert.damage import damage_told
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.ops import MATRIX_OPS
from swiftformer_tf.litert.runner import LiteRunner, litert_errors_as_model_errors, open_interpreter
from swiftformer_tf.loading import open_model
from swiftformer_tf.progress import Progress, silent
from swiftformer_tf.quantization import Graph
from swiftformer_tf.recipes import RECIPES

__all__ = ["QuantizationReport", "TensorReport", "debug_quantization"]

# The part of the network that a tensor belongs to. Others come before the stem, or are in a custom head.
PARTS = re.compile(r"stem|stages-\d+-(?:blocks-\d+|downsample)|head")


@dataclasses.dataclass(frozen=True)
class QuantizationReport:
    """The result of `debug_quantization`.

    Args:
        recipe: Recipe of the file.
        images: Number of images.
        tensors: The compared tensors, in the order of computation.

    Examples:
        >>> QuantizationReport("int8", 32, ()).to_dict()
        {'recipe': 'int8', 'images': 32, 'tensors': []}
    """

    recipe: str
    images: int
    tensors: tuple[TensorReport, ...]

    @property
    def worst_first(self) -> list[TensorReport]:
        """Tensors sorted by the error of their own operation; errors passed on from earlier operations do not count."""
        return sorted(self.tensors, key=lambda each: math.inf if each.own_snr is None else each.own_snr)

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types, worst tensor first."""
        rows = [each.to_dict() for each in self.worst_first]
        return {"recipe": self.recipe, "images": self.images, "tensors": rows}

    def save_plot(self, path: str | Path) -> None:
        """Draws the signal-to-noise ratios along the network as a PNG.

        Raises:
            SwiftFormerError: matplotlib is not installed.
            OSError: The file cannot be written.
        """
        require_packages("a plot", "matplotlib")
        from swiftformer_tf.debugging.along_network import ratios_along_network

        figure = ratios_along_network(self.tensors, self.worst_first)
        with replacing(path) as beside:
            figure.savefig(beside, format="png", dpi=120)


def debug_quantization(
    lite: LiteModel | str | Path,
    *,
    reference: keras.Model | str | Path,
    images: ImageSource,
    count: int | None = None,
    plot: str | Path | None = None,
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    progress: Progress = silent,
) -> QuantizationReport:
    """Runs an integer file and the float32 export of the same deploy graph side by side, tensor by tensor.

    Each tensor is compared twice: as the file computes it, including the errors of everything before it, and as its own
    operation computes it from correct inputs. A drop in the second ratio shows where accuracy is lost. If the file's
    channels were equalized, the float graph is first scaled in the same way, by factors derived from the weights of
    both. If several operations of the file replace a single one, such as a GELU or a reciprocal square root, the row of
    the last operation covers all of them.

    Args:
        lite: A TFLite model with int8 or int4 weights, or its path.
        reference: The Keras model that the file was made from, before fusion; or its name or path, see `open_model`.
        images: Images in any form of `inputs.ImageSource`; a few dozen are enough.
        count: Maximum number of images taken from a folder; None takes all.
        plot: Path of a PNG to write as well, see `QuantizationReport.save_plot`.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        progress: Opens a progress display for a step, see `Progress`.

    Returns:
        A `QuantizationReport`.

    Raises:
        ModelError: The file has no integer weights, was made from a different architecture or by a different version,
            or is damaged.
        ImageError: An image cannot be used.
        ConfigError: The folder for the PNG does not exist.
        OSError: The PNG cannot be written.
        SwiftFormerError: matplotlib, which the PNG needs, is not installed; raised before any computation.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model, images = SwiftFormerForImageClassification(config), np.zeros((2, 32, 32, 3), np.float32)
        >>> lite = export(fuse(model), RECIPES["float32"])
        >>> debug_quantization(lite, reference=model, images=images)
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: recipe float32 has float32 weights: expected a file with int8 or int4 weights
    """
    if plot is not None:
        require_packages("a plot", "matplotlib")
        check_place(plot)
    lite = LiteModel.open(lite) if isinstance(lite, (str, Path)) else lite
    if isinstance(images, (str, Path)):
        lite.config.transform.check_photographs()
        images = photographs_in(images, count)
    if isinstance(reference, (str, Path)):
        reference = open_model(reference, token_weights=token_weights, weights=weights)
    with progress("images", known_count(images)) as seen:
        report = _compared(lite, reference, images, seen)
    if plot is not None:
        with progress("plot", None):
            report.save_plot(plot)
    return report


def _compared(
    lite: LiteModel, reference: keras.Model, images: ImageSource, progress: Callable[[int], None]
) -> QuantizationReport:
    if not lite.recipe.has_integer_weights:
        raise ModelError(
            f"recipe {lite.recipe.name} has {lite.recipe.weights} weights: expected a file with int8 or int4 weights"
        )
    told = getattr(reference, "config", lite.config).num_labels
    if lite.labels and told != lite.config.num_labels:
        raise ModelError(
            f"the reference has {number_of(told, 'label')} and the file {lite.config.num_labels}: expected the "
            "model that the file was made from, and a file that this version exported"
        )
    deploy = fuse(
        reference,
        config=lite.config,
        image_size=lite.config.image_size,
        batch_size=lite.batch_size,
        include_preprocessing=lite.include_preprocessing,
        classifier_activation=lite.classifier_activation,
        tasks={each.name: each.task for each in lite.outputs} if len(lite.outputs) > 1 else lite.main_output.task,
    )
    floats = export(deploy, RECIPES["float32"])
    LiteRunner(lite)  # it runs, and is what its configuration says
    with prefix_path(lite.path), damage_told():
        graph, reference_graph = Graph(lite.content), Graph(floats.content)
        pairs, found = pair(graph, reference_graph)
        if lite.recipe.equalize is not None:
            reference_graph = equalize_alike(graph, reference_graph, pairs)
            pairs, found = pair(graph, reference_graph)  # of the weights that are there now
        parts = _parts([graph.label(each.output) for each in pairs])
        facts = [_facts(graph, each) for each in pairs]
    count = 0

    def inputs() -> Iterator[np.ndarray]:
        nonlocal count
        for image in image_inputs(images, lite.config.transform, raw=lite.include_preprocessing):
            yield image
            count += 1
            progress(count)

    batches = in_batches(inputs(), lite.batch_size)
    distances = compare(graph, reference_graph, pairs, found, batches, _loader(lite), _loader(floats))
    rows = [
        TensorReport(
            position,
            part=part,
            **fact,
            signal=distance.signal,
            noise=distance.noise,
            own_noise=distance.own_noise,
            range_seen=(distance.low, distance.high),
            saturated=distance.saturated,
        )
        for position, (part, fact, distance) in enumerate(zip(parts, facts, distances, strict=True))
    ]
    return QuantizationReport(lite.recipe.name, count, tuple(rows))


def _parts(names: list[str]) -> list[str]:
    parts, last = [], "stem"
    for name in names:
        named = PARTS.search(name)
        last = named[0] if named else "stem" if last == "stem" else "head"
        parts.append(last)
    return parts


def _facts(graph: Graph, each: Pair) -> dict[str, Any]:
    kind, quantization = graph.kind(each.output), graph.quantization(each.output)
    weights = graph.quantization(each.op.inputs[1]) if each.op.name in MATRIX_OPS else None
    precision: str = kind
    if weights is not None:
        precision = {"float32": "hybrid", "int16": "int16x8"}.get(kind, kind)
    return {
        "name": graph.label(each.output),
        "op": each.op.name,
        "precision": precision,
        "scale": None if quantization is None else float(quantization.scale[0]),
        "zero_point": None if quantization is None else quantization.zero_point,
        "weight_scales": None if weights is None else (float(weights.scale.min()), float(weights.scale.max())),
        "range_used": integer_range(kind, quantization),
    }


def _loader(model: LiteModel) -> Callable[[bytes], Run]:
    def load(content: bytes) -> Run:
        with prefix_path(model.path):
            interpreter = open_interpreter(dataclasses.replace(model, content=content))
        sources = [details["index"] for details in interpreter.get_input_details()]
        outputs = [details["index"] for details in interpreter.get_output_details()]

        def run(values: list[np.ndarray]) -> list[np.ndarray]:
            with prefix_path(model.path), litert_errors_as_model_errors("run"):
                for index, value in zip(sources, values, strict=True):
                    interpreter.set_tensor(index, value)
                interpreter.invoke()
                return [interpreter.get_tensor(index) for index in outputs]

        return run

    return load
