"""Norms in eight bits: ranges that suit the normalized vectors, and 1 / sqrt(x) as exp(-log(x) / 2)."""

import functools

import numpy as np

from swiftformer_tf.quantization.graph import Graph, Operation
from swiftformer_tf.quantization.ranges import Statistics
from swiftformer_tf.quantization.scales import LEAST_RANGE, from_range, rounded

__all__ = ["fit_norm_ranges", "lower_rsqrt"]

# Shares of the whole range that are tried for squares and for their mean, one after the other.
SHARES = 0.75 ** np.arange(16)
ROUNDS = 2

# Share of the largest mean: eight bits hold nothing smaller.
LEAST_SHARE = 1 / 255

SUFFIXES = ("/log", "/half")

Ranges = dict[int, tuple[float, float]]


def fit_norm_ranges(graph: Graph, statistics: Statistics) -> tuple[Graph, Statistics]:
    """Chooses the ranges in norms: those of squares and of their means, before a reciprocal square root.

    Args:
        graph: A float graph.
        statistics: The statistics of the graph, from `measure`.

    Returns:
        The unchanged graph, and the statistics with the chosen ranges.
    """
    ranges: Ranges = {}
    producers = {op.outputs[0]: op for op in graph.operations}
    for op in graph.operations:
        if op.name == "RSQRT":
            # A maximum, a mean and a square in the norms of the attention; a head may have others.
            chain = [op]
            while len(chain) < 4 and chain[-1].inputs[0] in producers:
                chain.append(producers[chain[-1].inputs[0]])
            _, *norm = chain
            if [each.name for each in norm] == ["MAXIMUM", "MEAN", "MUL"] and len(set(norm[-1].inputs)) == 1:
                ranges |= _chosen_ranges(graph, statistics, *reversed(norm))
    return graph, statistics.with_ranges(ranges)


def lower_rsqrt(graph: Graph, statistics: Statistics) -> tuple[Graph, Statistics]:
    """Replaces reciprocal square roots with logarithms and exponentials.

    Args:
        graph: A float graph.
        statistics: The statistics of the graph, from `measure`.

    Returns:
        The new graph, and the statistics that `measure` would return for it.
    """
    graph = graph.copy()
    ranges: Ranges = {}
    for op in graph.operations:
        if op.name == "RSQRT":
            ranges |= _take_logarithm(graph, statistics, op)
    return graph, statistics.with_ranges(ranges)


def _chosen_ranges(
    graph: Graph, statistics: Statistics, square: Operation, mean: Operation, floor: Operation
) -> Ranges:
    """Chooses the ranges of squares and of their means over channels.

    The relative error of a normalized vector is that of its norm. Ranges that minimize the error of the squares would
    leave only one or two steps for the many vectors that are much shorter than the longest.
    """
    (source, _), (squares,), (means,) = square.inputs, square.outputs, mean.outputs
    if graph.shape(means)[-1] != 1 or graph.shape(source)[-1] == 1:
        return {}  # over all pixels: one number, and no vector is much shorter than another
    vectors = statistics.pixels[source]
    integers = rounded(vectors, from_range(float(statistics.low[source].min()), float(statistics.high[source].max())))
    norms = np.sqrt(np.square(vectors).mean(axis=1))
    highest = {tensor: max(float(statistics.high[tensor].max()), LEAST_RANGE) for tensor in (squares, means)}

    def loss(tensor: int, high: float) -> float:
        highs = {**highest, tensor: high}
        of_squares, of_means = (from_range(0, highs[each]) for each in (squares, means))
        found_means = rounded(rounded(integers * integers, of_squares).mean(axis=1), of_means)
        return float(np.square(norms / np.sqrt(np.maximum(found_means, highs[means] * LEAST_SHARE)) - 1).mean())

    tried = {tensor: np.maximum(high * SHARES, LEAST_RANGE).tolist() for tensor, high in highest.items()}
    for _ in range(ROUNDS):
        for tensor, highs in tried.items():
            highest[tensor] = min(highs, key=functools.partial(loss, tensor))
    return {squares: (0, highest[squares]), means: (0, highest[means]), floor.outputs[0]: (0, highest[means])}


def _take_logarithm(graph: Graph, statistics: Statistics, op: Operation) -> Ranges:
    (source,), (output,) = op.inputs, op.outputs
    log, half = (graph.add_tensor(output, "float32", name=graph.label(output) + each) for each in SUFFIXES)
    highest = max(float(statistics.high[source].max()), LEAST_RANGE)
    lowest = max(float(statistics.low[source].min()), highest * LEAST_SHARE)
    steps = [
        graph.operation("LOG", (source,), log),
        graph.operation("MUL", (log, graph.add_scalar(output, "/exponent", -0.5)), half),
        graph.operation("EXP", (half,), output),
    ]
    graph.replace_operation(graph.operations.index(op), steps)
    # Steps of half the size: nothing is rounded twice.
    return {log: (np.log(lowest), np.log(highest)), half: (-np.log(highest) / 2, -np.log(lowest) / 2)}
