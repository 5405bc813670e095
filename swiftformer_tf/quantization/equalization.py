"""Equalizes channels of very different magnitude in tensors with a single scale, without changing the function."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from swiftformer_tf.quantization.graph import Graph, Operation
from swiftformer_tf.quantization.ranges import Statistics

__all__ = ["Group", "channel_groups", "equalize", "equalize_by_weights", "rescale", "scale_channels"]

# No channel of the canonical form is enlarged more than that.
LARGEST = 8

# Operations that pass a channel's factor on.
TRANSPARENT = ("ADD", "MEAN", "PAD")


@dataclasses.dataclass(eq=False)
class Group:
    """A group of tensors whose channels can only be scaled together.

    Args:
        tensors: Tensors of the float graph.
        writers: Indices of the operations whose matrices write them.
        readers: Indices of the operations whose matrices multiply them.
        blocked: Whether anything else reads or writes them, so that they cannot be scaled.
    """

    tensors: set[int] = dataclasses.field(default_factory=set)
    writers: list[int] = dataclasses.field(default_factory=list)
    readers: list[int] = dataclasses.field(default_factory=list)
    blocked: bool = False


def equalize(graph: Graph, statistics: Statistics, share: float) -> tuple[Graph, Statistics]:
    """Scales channels of residual streams, depthwise outputs and the like, and reverts the scaling where they are read.

    The result does not depend on how the network's channels were scaled before, which does not affect its function. In
    the canonical form, the weights of all channels have the same magnitude in the matrices that read them, and the
    magnitude of each channel is that of its contribution to their outputs.

    Args:
        graph: A float graph.
        statistics: The statistics of the graph, from `measure`.
        share: How far to go toward the canonical form, on a logarithmic scale: what the tensor gains, the matrix that
            reverts the factor loses. Cross-layer equalization (Nagel et al., arXiv:1906.04721) goes half way.

    Returns:
        The graph with new weights, whose function is unchanged except for float32 rounding, and the statistics that
        `measure` would return for it.
    """
    groups = channel_groups(graph)
    return rescale(
        graph, statistics, [(each, _factors(each, graph, _sizes(each, graph, statistics), share)) for each in groups]
    )


def equalize_by_weights(graph: Graph, share: float) -> Graph:
    """`equalize` without images: the magnitudes of channels are estimated from the matrices that write them.

    Args:
        graph: A float graph.
        share: See `equalize`.
    """
    groups = channel_groups(graph)
    guessed: dict[int, np.ndarray] = {}
    scaled = []
    for group in groups:  # in the order in which they are made
        sizes = np.sqrt(sum(_power(graph, index, guessed) for index in group.writers))
        guessed.update(dict.fromkeys(group.tensors, sizes))
        scaled.append((group, _factors(group, graph, sizes, share)))
    return scale_channels(graph, scaled)


def rescale(
    graph: Graph, statistics: Statistics, scaled: Sequence[tuple[Group, np.ndarray]]
) -> tuple[Graph, Statistics]:
    """Applies `scale_channels`, and returns the statistics that `measure` would then return as well.

    Args:
        graph: A float graph.
        statistics: The statistics of the graph, from `measure`.
        scaled: Groups of the graph, each with its factors (channels,).
    """
    low, high, pixels, moments = map(dict, (statistics.low, statistics.high, statistics.pixels, statistics.moments))
    for group, factors in scaled:
        for index in group.readers:
            output = graph.operations[index].outputs[0]
            moments[output] = _scaled_moments(moments[output], factors)
        for tensor in group.tensors:
            for values in (low, high, pixels):
                values[tensor] = values[tensor] * factors
    found = dataclasses.replace(statistics, low=low, high=high, pixels=pixels, moments=moments)
    return scale_channels(graph, scaled), found


def scale_channels(graph: Graph, scaled: Iterable[tuple[Group, np.ndarray]]) -> Graph:
    """Returns a graph with the channels of groups scaled, by changing the matrices that write and read them.

    Args:
        graph: A float graph.
        scaled: Groups of the graph, each with its factors (channels,).
    """
    graph, scaled = graph.copy(), list(scaled)
    touched = {index for group, _ in scaled for index in (*group.writers, *group.readers)}
    weights = {
        index: [np.array(graph.constant(tensor)) for tensor in graph.operations[index].matrix[1:] if tensor >= 0]
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
    """Finds the groups of a float graph whose channels can be scaled without changing its function."""
    groups = _Groups()
    for index, op in enumerate(graph.operations):
        output = op.outputs[0]
        computed = graph.computed_inputs(op)
        if graph.is_matrix(op) and _reads_each_channel(graph, op):
            groups.of(op.matrix[0]).readers.append(index)
            groups.of(output).writers.append(index)
        elif op.name in TRANSPARENT and _keeps_channels(graph, op, computed):
            groups.join(output, computed)
        else:
            groups.block((*computed, *op.outputs))
        # A positive factor passes through RELU, not through RELU6.
        if graph.activation(op) not in ("NONE", "RELU"):
            groups.block((output,))
    groups.block((*graph.inputs, *graph.outputs))
    return [each for each in groups.distinct() if each.readers and each.writers and not each.blocked]


class _Groups:
    """Groups by tensor while they are being found."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}

    def of(self, tensor: int) -> Group:
        return self._groups.setdefault(tensor, Group({tensor}))

    def join(self, first: int, others: Iterable[int]) -> None:
        for second in others:
            one, other = self.of(first), self.of(second)
            if one is not other:
                one.tensors |= other.tensors
                one.writers += other.writers
                one.readers += other.readers
                one.blocked |= other.blocked
                self._groups.update(dict.fromkeys(other.tensors, one))

    def block(self, tensors: Iterable[int]) -> None:
        for tensor in tensors:
            self.of(tensor).blocked = True

    def distinct(self) -> Iterable[Group]:
        return {id(each): each for each in self._groups.values()}.values()


def _reads_each_channel(graph: Graph, op: Operation) -> bool:
    """Whether a filter's last axis is its input's channels; if depthwise, whether its output has no more."""
    source, weights = map(graph.shape, op.matrix[:2])
    return len(weights) == 4 and weights[-1] == source[-1]


def _keeps_channels(graph: Graph, op: Operation, computed: list[int]) -> bool:
    """Whether scaling the channels of an operation's input is equivalent to scaling the channels of its output."""
    if op.name == "ADD" and len(computed) < 2:
        return False  # a constant has no factor
    made = graph.shape(op.outputs[0])
    return all((len(shape), shape[-1:]) == (len(made), made[-1:]) for shape in map(graph.shape, computed))


def _sizes(group: Group, graph: Graph, statistics: Statistics) -> np.ndarray:
    """Maximum magnitude of each channel where it is read."""
    read = {graph.operations[index].matrix[0] for index in group.readers}
    return np.asarray(np.max([np.abs(statistics.pixels[tensor]).max(axis=0) for tensor in read], axis=0), np.float64)


def _power(graph: Graph, index: int, guessed: dict[int, np.ndarray]) -> np.ndarray:
    """Mean square of a matrix's output by channel, assuming independent inputs, of magnitude one if unknown.

    Inputs from the group itself are ignored, since they are not known yet.
    """
    op = graph.operations[index]
    weights = np.square(np.asarray(graph.constant(op.inputs[1]), np.float64))
    sizes = np.square(guessed.get(op.matrix[0], np.ones(weights.shape[-1])))
    return np.asarray((weights * sizes).sum(axis=(0, 1, 2) if op.name == "DEPTHWISE_CONV_2D" else (1, 2, 3)))


def _factors(group: Group, graph: Graph, sizes: np.ndarray, share: float) -> np.ndarray:
    """Returns the factors for the channels of a group, float64 (channels,).

    Args:
        group: The group.
        graph: The graph of the group.
        sizes: Magnitudes of its channels, over all tensors in the group.
        share: See `equalize`.
    """
    demand = _demand(group, graph, sizes)
    live = (sizes > 0) & (demand > 0)
    if not live.any():
        return np.ones_like(sizes)
    canonical = sizes * demand
    factors = demand * LARGEST  # of a channel that was always zero
    factors[live] = demand[live] * np.minimum((canonical.max() / canonical[live]) ** share, LARGEST)
    # A channel that no matrix reads may be as large as the largest.
    unread = (sizes > 0) & (demand == 0)
    factors[unread] = (sizes * factors)[live].max() / sizes[unread]
    factors[factors == 0] = 1
    return np.asarray(factors / (sizes * factors).max())


def _demand(group: Group, graph: Graph, sizes: np.ndarray) -> np.ndarray:
    """Magnitude of the weights that read each channel, relative to all weights for the same output.

    Depthwise filters are ignored: they have a scale for each channel, and lose nothing by a factor.
    """
    found, matrices = np.zeros_like(sizes), 0
    for index in group.readers:
        op = graph.operations[index]
        if op.name != "DEPTHWISE_CONV_2D":
            weights = np.square(np.asarray(graph.constant(op.inputs[1]), np.float64)).sum(axis=(1, 2))
            outputs = weights @ np.square(sizes)
            known = outputs > 0
            found += (weights[known] / outputs[known, None]).mean(axis=0) if known.any() else 0
            matrices += 1
    if not matrices:
        return np.asarray(np.divide(1, sizes, out=np.zeros_like(sizes), where=sizes > 0))
    return np.asarray(np.sqrt(found))


def _scaled_moments(moments: np.ndarray, factors: np.ndarray) -> np.ndarray:
    channels = len(factors) // len(moments)  # of each group
    taps = (moments.shape[-1] - 1) // channels
    scale = np.pad(np.tile(factors.reshape(-1, channels), taps), ((0, 0), (0, 1)), constant_values=1)
    return np.asarray(moments * scale[:, :, None] * scale[:, None, :])
