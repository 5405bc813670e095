"""Replaces GELU with operations that XNNPACK supports in integers and merges into a single lookup table."""

import dataclasses
import math

from swiftformer_tf.quantization.graph import Graph
from swiftformer_tf.quantization.ranges import Statistics

__all__ = ["LEAST_OF_GELU", "LoweredGelu", "lower_gelu", "lowered_gelus", "read_by_gelus"]

# GELU by a tanh (Hendrycks and Gimpel, arXiv:1606.08415, section 2) is x sigmoid(x (LINEAR + CUBIC x^2)).
LINEAR, CUBIC = 2 * math.sqrt(2 / math.pi), 2 * math.sqrt(2 / math.pi) * 0.044715

# Beyond, the sigmoid is 0 or 1 but for a tenth of its own step of 1/256, and integers may saturate: of x, and of what
# the sigmoid is of.
FARTHEST, HIGHEST = 3.4, 8.0

# GELU maps lower values to almost zero: tensors that only GELUs read may saturate there.
LEAST_OF_GELU = -FARTHEST


def inner_ranges(farthest: float) -> dict[str, tuple[float, float]]:
    """Returns the ranges of the operations' results, by the end of their names, for inputs up to `farthest` from 0."""
    return {
        "/scaled": (-CUBIC * farthest, CUBIC * farthest),
        "/square": (0.0, CUBIC * farthest**2),
        "/slope": (0.0, LINEAR + CUBIC * farthest**2),
        "/cubic": (-HIGHEST, HIGHEST),
        "/sigmoid": (0.0, 1.0),
    }


RANGES = inner_ranges(FARTHEST)


@dataclasses.dataclass(frozen=True, eq=False)
class LoweredGelu:
    """The operations that replace a GELU.

    Args:
        source: Input tensor of the GELU.
        output: Output tensor of the GELU.
        inner: Intermediate tensors, in the order of `RANGES`.
    """

    source: int
    output: int
    inner: tuple[int, ...]


def lower_gelu(graph: Graph, statistics: Statistics) -> tuple[Graph, Statistics]:
    """Replaces GELUs with operations that XNNPACK supports in integers.

    XNNPACK merges a chain of operations that starts from one 8-bit tensor, and in which each is read only by the next,
    into a lookup table.

    Args:
        graph: A float graph.
        statistics: The statistics of the graph, from `measure`.

    Returns:
        The new graph, and statistics that include the new tensors.
    """
    graph = graph.copy()
    ranges: dict[int, tuple[float, float]] = {}
    whole: set[int] = set()
    for op in graph.operations:
        if op.name != "GELU":
            continue
        (source,), (output,) = op.inputs, op.outputs
        inner = [graph.add_tensor(output, "float32", name=graph.label(output) + suffix) for suffix in RANGES]
        ranges |= zip(inner, RANGES.values(), strict=True)
        whole.add(output)  # the whole range, as of a GELU
        scaled, square, slope, cubic, sigmoid = inner
        # A product with a constant and not x x, which XNNPACK lets no table start with.
        steps = [
            ("MUL", (source, graph.add_scalar(output, "/cubic_factor", CUBIC)), scaled),
            ("MUL", (source, scaled), square),
            ("ADD", (square, graph.add_scalar(output, "/linear_factor", LINEAR)), slope),
            ("MUL", (source, slope), cubic),
            ("LOGISTIC", (cubic,), sigmoid),
            ("MUL", (source, sigmoid), output),
        ]
        graph.replace_operation(graph.operations.index(op), [graph.operation(*step) for step in steps])
    return graph, statistics.with_ranges(ranges).with_fixed_ranges(whole)


def lowered_gelus(graph: Graph) -> list[LoweredGelu]:
    """Returns the lowered GELUs of a float or integer graph."""
    named = {graph.label(op.outputs[0]): op.outputs[0] for op in graph.operations}
    found = []
    for product in graph.operations:
        output = product.outputs[0]
        # Matched by name, since SiLU consists of some of the same operations.
        inner = tuple(named.get(graph.label(output) + suffix, -1) for suffix in RANGES)
        if product.name == "MUL" and product.inputs[1] == inner[-1] and -1 not in inner:
            found.append(LoweredGelu(product.inputs[0], output, inner))
    return found


def read_by_gelus(graph: Graph) -> set[int]:
    """Returns the tensors of a graph that are read only by GELUs, whether lowered or not.

    Args:
        graph: A float or integer graph.
    """
    lowered = {each.source: {each.output, *each.inner} for each in lowered_gelus(graph)}
    found: set[int] = set()
    others = {*graph.inputs, *graph.outputs}
    for op in graph.operations:
        for tensor in op.inputs:
            is_gelu = op.name == "GELU" or op.outputs[0] in lowered.get(tensor, ())
            (found if is_gelu else others).add(tensor)
    return found - others
