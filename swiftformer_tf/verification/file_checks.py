"""Checks a file against its recipe and its own metadata, and measures it, from the file alone."""

import dataclasses
import importlib.metadata
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from swiftformer_tf.errors import prefix_path
from swiftformer_tf.litert import metadata
from swiftformer_tf.litert.inspection import Inspection, Matrix, Op, inspect_model
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.ops import MATRIX_OPS
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.quantization import PROBABILITY_OPS
from swiftformer_tf.quantization.kernels import HYBRID_VERSIONS, KERNELS, PLAIN_VERSIONS, integer_kind
from swiftformer_tf.recipes import MIN_QUANTIZED_ELEMENTS, Recipe
from swiftformer_tf.verification.comparison import VerificationCheck, check

__all__ = ["OpenedFile", "check_file"]

# Runs of the interpreter for the median latency: at most this many, and fewer if they take longer than this.
LATENCY_RUNS = 15
LATENCY_SECONDS = 3.0


@dataclasses.dataclass(frozen=True, eq=False)
class OpenedFile:
    """A file opened once for all of its checks, with one interpreter.

    Args:
        lite: The model.
        inspection: The contents of its flatbuffer.
        runner: Runs the model; None if LiteRT lacks one of its operations.
        num_threads: Threads of the runner.
    """

    lite: LiteModel
    inspection: Inspection
    runner: LiteRunner | None
    num_threads: int

    @classmethod
    def open(cls, lite: LiteModel, num_threads: int = 1) -> Self:
        """Reads the flatbuffer and makes an interpreter.

        Raises:
            ModelError: The file is damaged.
        """
        inspection = inspect_model(lite)
        runner = None if inspection.flex else LiteRunner(lite, num_threads=num_threads)
        return cls(lite, inspection, runner, num_threads)

    def checked(self) -> tuple[tuple[VerificationCheck, ...], dict[str, Any]]:
        """See `check_file`."""
        lite, runner = self.lite, self.runner
        partitions = runner.partitions if runner else None
        checks = (*_graph_checks(lite, self.inspection, partitions), *_metadata_checks(lite, runner))
        figures = {
            "recipe": lite.recipe.name,
            "token_weights": lite.config.token_weights,
            "image_size": list(lite.config.input_size),
            "bytes": len(lite.content),
            "sha256": lite.sha256,
            "partitions": partitions,
            "latency_ms": _latency(runner) if runner else None,
            "num_threads": self.num_threads,
            "ops": self.inspection.counts,
            "min_runtime_version": metadata.min_runtime_version(lite.content),
            "versions": {name: importlib.metadata.version(name) for name in ("ai-edge-litert", "keras", "tensorflow")},
        }
        return checks, figures


def check_file(lite: LiteModel, *, num_threads: int = 1) -> tuple[tuple[VerificationCheck, ...], dict[str, Any]]:
    """Runs the checks that need no images, and returns them with the file's figures.

    The checks: operations are integer and matrices stored as the recipe specifies; there are no Flex or custom
    operations, dynamic shapes, repeated tensor names or unused parts; scales satisfy strict readers; and versions of
    operations, XNNPACK partitions, input and output types, TFLite Metadata with its labels, and raw pixels are as
    expected. Partitions and latency are None for a file with operations that LiteRT cannot run.

    Args:
        lite: The model.
        num_threads: Threads of the interpreter, for the latency.

    Raises:
        ModelError: The file is damaged.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> model = SwiftFormerForImageClassification(config)
        >>> checks, figures = check_file(export(fuse(model), RECIPES["float32"]))
        >>> {check.status for check in checks}, figures["partitions"]
        ({'passed'}, 1)
    """
    return OpenedFile.open(lite, num_threads).checked()


def _latency(runner: LiteRunner) -> float:
    """Returns the median time of a run in milliseconds, after a warm-up run."""
    config = runner.model.config
    runner.run(np.zeros((runner.model.batch_size, *config.input_size, config.num_channels), np.float32))
    times: list[float] = []
    while len(times) < LATENCY_RUNS and sum(times) < LATENCY_SECONDS:
        start = time.perf_counter()
        runner.invoke()
        times.append(time.perf_counter() - start)
    return round(1000 * float(np.median(times)), 3)


def _graph_checks(lite: LiteModel, inspection: Inspection, partitions: int | None) -> Iterable[VerificationCheck]:
    """Checks the graph: its operations, shapes, names, types and matrices.

    Args:
        lite: The model.
        inspection: The contents of its flatbuffer.
        partitions: Number of XNNPACK partitions; None if the model cannot run.
    """
    recipe = lite.recipe
    yield check("no_flex", not inspection.flex, _listed(inspection.flex), "LiteRT's builtin operations only")
    yield check("static_shapes", not inspection.dynamic, _listed(inspection.dynamic), "no dynamic dimension")
    # OpenVINO and others identify tensors by name, and give wrong results without an error.
    repeated = tuple(name or "no name" for name in inspection.repeated_names)
    yield check("unique_names", not repeated, _listed(repeated), "a name for each tensor, none twice")
    yield check("unused_parts", not inspection.unused, _listed(inspection.unused), "no part that nothing uses")
    faults = inspection.misquantized
    yield check(
        "quantization",
        not faults,
        _listed(faults),
        "a scale for every integer tensor, symmetric matrices, biases in the scale of their sums, equal scales where "
        "integers are copied",
    )
    others = _other_versions(recipe, inspection)
    wanted_version = "operations in the first version that supports their types, shapes and options"
    yield check("versions", not others, _listed(others), wanted_version)
    types = (inspection.input_type.lower(), inspection.output_type.lower())
    wanted = (recipe.inference_input_type, lite.outputs[0].stored_type(recipe.inference_output_type))
    yield check("inference_types", types == wanted, " to ".join(types), " to ".join(wanted))
    if recipe.activations != "float32":
        # If a recipe leaves some operations in float, it also leaves those that LiteRT does not have in integers.
        known = KERNELS[integer_kind(recipe.activations)].versions if recipe.float_ops else None
        stray = tuple(
            name
            for name in _without_ends(recipe, inspection).float_ops
            if name not in recipe.float_ops and (known is None or name in known)
        )
        allowed = f"only {', '.join(recipe.float_ops)}" if recipe.float_ops else "no operation"
        allowed += " but those that make probabilities" if recipe.leaves_probabilities_in_float else ""
        yield check("integer", not stray, _listed(stray), f"{allowed} on a float tensor")
    yield from _weight_checks(recipe, inspection)
    if recipe.max_partitions is not None and partitions is not None:
        yield check(
            "partitions", partitions <= recipe.max_partitions, str(partitions), f"at most {recipe.max_partitions}"
        )


def _other_versions(recipe: Recipe, inspection: Inspection) -> tuple[str, ...]:
    """Returns the operations that do not have the first version that supports their types, shapes and options."""
    integers = KERNELS[integer_kind(recipe.activations)].versions
    found = []
    for op in (*inspection.ops, *inspection.constant_casts):
        kinds = {*op.inputs, *op.outputs}
        if kinds & {"INT4", "INT8", "INT16"}:
            is_hybrid = op.name in HYBRID_VERSIONS and "FLOAT32" in op.outputs
            least = (HYBRID_VERSIONS if is_hybrid else integers).get(op.name)
        else:
            plain = PLAIN_VERSIONS.get(op.outputs[0])
            least = plain.get(op.name, 1) if plain is not None else None
        wanted = op.version if least is None else max(least, op.option_version)
        if op.version != wanted:
            found.append(f"{op.name} {op.version} for {wanted}")
    return tuple(found)


def _weight_checks(recipe: Recipe, inspection: Inspection) -> Iterable[VerificationCheck]:
    weights_only = recipe.has_integer_weights and recipe.activations == "float32"
    least = MIN_QUANTIZED_ELEMENTS if weights_only else 1
    # Depthwise convolutions stay in float between float activations, since XNNPACK does not run them with int8 weights.
    # So do grouped convolutions, which LiteRT does not have in hybrid form.
    float_depthwise = weights_only or "DEPTHWISE_CONV_2D" in recipe.float_ops
    names = tuple(each for each in MATRIX_OPS if each != "DEPTHWISE_CONV_2D" or not float_depthwise)
    found = _without_ends(recipe, inspection).matrices(least, names)
    matrices = [each for each in found if not (weights_only and each.is_grouped)]
    right = all(each.kind == _wanted(recipe, each).upper() for each in matrices) and bool(matrices or weights_only)
    large = "" if least == 1 else f" of {least} elements or more"
    but = ", int8 where the recipe says so, or inputs are odd, or it has more than one tap"
    first = " behind those that read the image" if recipe.float_pixels else ""
    wanted_types = f"every matrix{large}{first} in {recipe.weights}{but if recipe.weights == 'int4' else ''}"
    yield check("weights", right, _counted(Counter(each.kind for each in matrices)), wanted_types)
    if fours := [each for each in inspection.matrices() if each.kind == "INT4"]:
        yield from _int4_checks(fours)


def _without_ends(recipe: Recipe, inspection: Inspection) -> Inspection:
    """Removes what the recipe leaves in float: operations on pixels, if matrices follow them, and on probabilities."""

    def is_end(op: Op) -> bool:
        is_sum = op.matrix is not None and op.matrix.is_sum
        makes_probabilities = op.is_last and (op.name in PROBABILITY_OPS or is_sum)
        return (recipe.float_pixels and op.is_first) or (recipe.leaves_probabilities_in_float and makes_probabilities)

    inner = tuple(op for op in inspection.ops if not is_end(op))
    return dataclasses.replace(inspection, ops=inner) if any(op.matrix for op in inner) else inspection


def _wanted(recipe: Recipe, matrix: Matrix) -> str:
    """Returns the type in which a recipe stores a matrix."""
    if recipe.weights != "int4":
        return recipe.weights
    is_int4 = matrix.is_pointwise and recipe.stores_in_int4(matrix.layer, inputs=matrix.shape[-1])
    return "int4" if is_int4 else "int8"


def _int4_checks(matrices: Sequence[Matrix]) -> Iterable[VerificationCheck]:
    """Finds int4 matrices that XNNPACK misreads, or leaves to slow kernels, without an error."""
    odd = tuple(each.layer for each in matrices if each.shape[-1] % 2)
    yield check("int4_inputs", not odd, _listed(odd), "no int4 matrix with an odd number of inputs")
    padded = tuple(each.layer for each in matrices if each.bytes != -(-each.size // 2))
    yield check("int4_packing", not padded, _listed(padded), "int4 rows packed without gaps, two numbers per byte")


def _metadata_checks(lite: LiteModel, runner: LiteRunner | None) -> Iterable[VerificationCheck]:
    """Checks the file's metadata.

    Args:
        lite: The model.
        runner: Runs the model; None if it cannot run.
    """
    with prefix_path(lite.path):
        told, expected = metadata.read(lite.content), lite.metadata
    wrong = [key for key in {*expected, *(told or ())} if (told or {}).get(key) != expected.get(key)]
    said = "none" if told is None else f"wrong: {', '.join(sorted(wrong))}" if wrong else "true"
    yield check("metadata", not wrong, said, "TFLite Metadata that describes the file")
    if lite.labels:
        packed = metadata.packed_labels(lite.content)
        found = "none" if packed is None else f"{len(packed)}, first {packed[0]!r}"
        yield check("labels", packed == lite.labels, found, f"{len(lite.labels)}, first {lite.labels[0]!r}")
    if runner and lite.include_preprocessing and lite.recipe.inference_input_type == "uint8":
        # Clients copy the pixels' bytes into such a tensor without looking at its scale.
        yield check("raw_pixels", runner.input_quantization == (1.0, 0), str(runner.input_quantization), "(1.0, 0)")


def _listed(names: tuple[str, ...]) -> str:
    return "none" if not names else f"{len(names)}: {', '.join(sorted(set(names))[:6])}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.lower()}" for name, count in counts.items()) or "none"
