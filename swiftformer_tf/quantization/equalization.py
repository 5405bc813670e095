"""Channels of very different size in one tensor, which has one scale: made alike where that changes nothing else."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from swiftformer_tf.litert.ops import MATRIX_OPS
from swiftformer_tf.quantization.graph import Graph, Operation
from swiftformer_tf.quantization.ranges import Statistics

__all__ = ["Group", "channel_groups", "equalize", "rescale", "scale_channels"]

# How far factors go (in logarithms): what the tensor wins, the matrix that undoes the factor loses. Cross-layer
# equalisation (Nagel et al., arXiv:1906.04721) goes half way; but our weights have a scale for each channel and are
# rounded by moments, and lose less.
SHARE = 0.65
# No channel is enlarged more than that.
LARGEST = 8

# Size of a channel that is always zero.
TINY = 1e-6

# Operations that pass a channel's factor on.
TRANSPARENT = ("ADD", "MEAN", "PAD")


@dataclasses.dataclass(eq=False)
class Group:
    """Tensors whose channels can only be scaled together.

    Args:
        tensors: Of the float graph.
        writers: Places of the operations whose matrices make them.
        readers: Places of those whose matrices multiply them.
        blocked: Whether something else reads or makes them, so that they cannot be scaled.
    """

    tensors: set[int] = dataclasses.field(default_factory=set)
    writers: list[int] = dataclasses.field(default_factory=list)
    readers: list[int] = dataclasses.field(default_factory=list)
    blocked: bool = False


def equalize(graph: Graph, statistics: Statistics) -> tuple[Graph, Statistics]:
    """Scales channels of residual streams, depthwise outputs and the like, and takes it back where they are read.

    Args:
        graph: A float graph.
        statistics: What `measure` found on it.

    Returns:
        The graph with other weights, whose function is the same but for float32 roundings, and what `measure` would
        find on it.
    """
    return rescale(graph, statistics, [(group, _factors(group, graph, statistics)) for group in channel_groups(graph)])


def rescale(
    graph: Graph, statistics: Statistics, scaled: Sequence[tuple[Group, np.ndarray]]
) -> tuple[Graph, Statistics]:
    """`scale_channels`, and what `measure` would find then.

    Args:
        graph: A float graph.
        statistics: What `measure` found on it.
        scaled: Groups of it, each with its factors (channels,).
    """
    found = statistics.copy()
    for group, factors in scaled:
        for index in group.readers:
            output = graph.operations[index].outputs[0]
            found.moments[output] = _scaled_moments(found.moments[output], factors)
        for tensor in group.tensors:
            for values in (found.low, found.high, found.pixels):
                values[tensor] = values[tensor] * factors
    return scale_channels(graph, scaled), found


def scale_channels(graph: Graph, scaled: Iterable[tuple[Group, np.ndarray]]) -> Graph:
    """A graph with the channels of groups scaled, by other matrices where they are made and read.

    Args:
        graph: A float graph.
        scaled: Groups of it, each with its factors (channels,).
    """
    graph, scaled = graph.copy(), list(scaled)
    touched = {index for group, _ in scaled for index in (*group.writers, *group.readers)}
    weights = {
        index: [np.array(graph.constant(tensor)) for tensor in graph.operations[index].inputs[1:] if tensor >= 0]
        for index in sorted(touched)
    }
    for group, factors in scaled:
        for index in group.writers:
            kernel, *bias = weights[index]
            depthwise = graph.operations[index].name == "DEPTHWISE_CONV_2D"
            made = kernel * (factors if depthwise else factors[:, None, None, None])
            weights[index] = [made, *(each * factors for each in bias)]
        for index in group.readers:
            kernel, *bias = weights[index]
            weights[index] = [kernel / factors, *bias]
    for index, arrays in weights.items():
        graph.replace_weights(index, arrays)
    return graph


def channel_groups(graph: Graph) -> list[Group]:
    """Groups of a float graph whose channels can be scaled with its function kept."""
    groups: dict[int, Group] = {}

    def group(tensor: int) -> Group:
        if tensor not in groups:
            groups[tensor] = Group({tensor})
        return groups[tensor]

    def join(first: int, second: int) -> None:
        one, other = group(first), group(second)
        if one is not other:
            one.tensors |= other.tensors
            one.writers += other.writers
            one.readers += other.readers
            one.blocked |= other.blocked
            for tensor in other.tensors:
                groups[tensor] = one

    for index, op in enumerate(graph.operations):
        (output,) = op.outputs
        computed = [tensor for tensor in op.inputs if tensor >= 0 and graph.constant(tensor) is None]
        if op.name in MATRIX_OPS and len(graph.shape(op.inputs[1])) == 4:
            group(op.inputs[0]).readers.append(index)
            group(output).writers.append(index)
        elif op.name in TRANSPARENT and _keeps_channels(graph, op, computed):
            for tensor in computed:
                join(output, tensor)
        else:
            for tensor in (*computed, output):
                group(tensor).blocked = True
        # A positive factor passes through RELU, not through RELU6.
        group(output).blocked |= graph.activation(op) not in ("NONE", "RELU")
    for tensor in (*graph.inputs, *graph.outputs):
        group(tensor).blocked = True
    distinct = {id(each): each for each in groups.values()}
    return [each for each in distinct.values() if each.readers and each.writers and not each.blocked]


def _keeps_channels(graph: Graph, op: Operation, computed: list[int]) -> bool:
    """Whether a factor for each channel of what an operation reads is one for each channel of what it makes."""
    if op.name == "ADD" and len(computed) < 2:
        return False  # a constant has no factor
    made = graph.shape(op.outputs[0])
    return all((len(shape), shape[-1:]) == (len(made), made[-1:]) for shape in map(graph.shape, computed))


def _factors(group: Group, graph: Graph, statistics: Statistics) -> np.ndarray:
    read = {graph.operations[index].inputs[0] for index in group.readers}
    sizes = np.max([np.abs(statistics.pixels[tensor]).max(axis=0) for tensor in read], axis=0)
    return (
        np.minimum((sizes.max() / np.maximum(sizes, TINY)) ** SHARE, LARGEST) if sizes.max() > TINY else 1 + 0 * sizes
    )


def _scaled_moments(moments: np.ndarray, factors: np.ndarray) -> np.ndarray:
    if moments.ndim == 3:  # one channel after the other
        scale = np.repeat(factors[:, None], moments.shape[-1], axis=1)
        scale[:, -1] = 1
        return moments * scale[:, :, None] * scale[:, None, :]
    taps = (moments.shape[-1] - 1) // len(factors)
    scale = np.append(np.tile(factors, taps), 1)
    return moments * scale[:, None] * scale
