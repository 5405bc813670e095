"""Chooses the operations of a float graph that a recipe quantizes, and the number of bits of each matrix."""

from typing import Literal

import numpy as np

from swiftformer_tf.errors import ExportError
from swiftformer_tf.litert.ops import MATRIX_OPS, reads_one_pixel
from swiftformer_tf.quantization.graph import Graph, Operation
from swiftformer_tf.quantization.kernels import HYBRID_VERSIONS, KERNELS, integer_kind
from swiftformer_tf.quantization.probabilities import probability_operations
from swiftformer_tf.quantization.ranges import first_operations, last_matrices
from swiftformer_tf.recipes import MIN_QUANTIZED_ELEMENTS, Recipe

__all__ = ["Precision", "is_pointwise", "operation_precisions", "stored_weights"]

# How an operation computes: entirely in float, with float activations and an integer matrix, or entirely in integers.
Precision = Literal["float32", "hybrid", "integer"]


def operation_precisions(graph: Graph, recipe: Recipe) -> dict[Operation, Precision]:
    """Returns the precision that a recipe gives to each operation of a graph.

    Args:
        graph: A float graph.
        recipe: A row of `RECIPES` with int8 or int4 weights.

    Raises:
        ExportError: LiteRT does not support an operation in integers, and the recipe leaves none in float; or an output
            is constant.
    """
    last, first = last_matrices(graph), first_operations(graph) if recipe.float_pixels else []
    floats = probability_operations(graph) if recipe.leaves_probabilities_in_float else []
    if fixed := [graph.label(each) for each in graph.outputs if graph.constant(each) is not None]:
        raise ExportError(f"recipe {recipe.name}: output {fixed[0]} is the same for all images; leave it out")

    def of(op: Operation) -> Precision:
        if all(graph.kind(each) != "float32" for each in (*op.inputs, *op.outputs) if each >= 0):
            return "float32"  # as it is
        if recipe.activations == "float32":
            may_be_hybrid = op.name in HYBRID_VERSIONS and graph.is_matrix(op) and graph.groups(op) == 1
            is_large = may_be_hybrid and np.prod(graph.shape(op.inputs[1])) >= MIN_QUANTIZED_ELEMENTS
            return "hybrid" if is_large else "float32"
        if op in floats or (op in first and op not in last):
            return "float32"
        is_last = op in last and is_pointwise(graph, op)
        if "FULLY_CONNECTED" in recipe.float_ops and (is_last or op.name == "FULLY_CONNECTED") and graph.is_matrix(op):
            return "hybrid"
        return "float32" if op.name in recipe.float_ops else "integer"

    how = {op: of(op) for op in graph.operations}
    known = KERNELS[integer_kind(recipe.activations)].versions
    for op, found in how.items():
        if found == "integer" and (op.name not in known or (op.name in MATRIX_OPS and not graph.is_matrix(op))):
            if not recipe.float_ops:
                raise ExportError(
                    f"recipe {recipe.name}: {op.name} ({graph.label(op.outputs[0])}) is not supported in "
                    f"{recipe.activations}; use mixed_int8 or dynamic_int8, or build the head from other layers"
                )
            how[op] = "float32"
    return how


def stored_weights(graph: Graph, op: Operation, recipe: Recipe) -> Literal["int8", "int4"]:
    """Returns the type in which a recipe with integer weights stores a matrix.

    Args:
        graph: A float graph.
        op: The operation that multiplies by the matrix.
        recipe: A row of `RECIPES` with int8 or int4 weights.
    """
    weights = op.inputs[1]
    layer = graph.label(weights).rpartition("/")[0]
    is_dense = op.name == "FULLY_CONNECTED" or is_pointwise(graph, op)
    is_int4 = is_dense and recipe.stores_in_int4(layer, inputs=graph.shape(weights)[-1])
    return "int4" if is_int4 else "int8"


def is_pointwise(graph: Graph, op: Operation) -> bool:
    """Returns whether an operation is a convolution that computes each pixel from all channels of the same pixel."""
    if op.name != "CONV_2D" or graph.groups(op) != 1:
        return False
    return reads_one_pixel(*(graph.shape(each) for each in (*op.inputs[:2], op.outputs[0])))
