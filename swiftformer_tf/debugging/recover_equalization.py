"""Recovers the factors by which the channels of an integer file were scaled, from its weights and the float graph's."""

import dataclasses

import numpy as np

from swiftformer_tf.debugging.pairing import Pair
from swiftformer_tf.quantization.equalization import Group, channel_groups, scale_channels
from swiftformer_tf.quantization.graph import Graph

__all__ = ["equalize_alike"]

# Each factor depends on those of its neighbors: that many rounds over all of them. The last half of the rounds trusts
# weights that the file holds in float as what they are; earlier, they would hold their neighbors where they are.
ROUNDS = 40

# Trusted precision of a float weight, as a share of the largest: in the first half of the rounds, and in the last.
FLOAT_STEPS = 1 / 128, 2.0**-20

# Largest distance of a factor from one; channels whose weights are only rounding errors could have any factor.
FARTHEST = 2.0**20

# Weights that are no further than that from the float graph's, in steps, are those rounded to nearest: not scaled.
NEAREST = 0.51


@dataclasses.dataclass(frozen=True, eq=False)
class _Matrix:
    """A matrix in the file and in the float graph, float64 in the float graph's layout, and the file's scales.

    `before` and `after` are the places of the groups of channels that it reads and writes.
    """

    wanted: np.ndarray
    stored: np.ndarray
    steps: np.ndarray
    output_axis: int
    is_float: bool
    before: int | None = None
    after: int | None = None

    def step(self, of_floats: float) -> np.ndarray:
        return self.steps * of_floats if self.is_float else self.steps


def equalize_alike(graph: Graph, reference: Graph, pairs: list[Pair]) -> Graph:
    """Scales the channels of a float graph like those of the integer file.

    `equalize` used the calibration images, which are not available here. A factor is therefore fitted to the weights of
    both: those that write the channel are larger by this factor and those that read it are smaller, apart from rounding
    errors.

    Args:
        graph: The integer graph.
        reference: The float graph.
        pairs: The pairs from `pairing.pair`; they are not valid for the new weights.
    """
    groups = channel_groups(reference)
    matrices = _matrices(graph, reference, pairs)
    if all(
        np.all(np.abs(each.stored - each.wanted) <= NEAREST * each.step(FLOAT_STEPS[1])) for each in matrices.values()
    ):
        return reference
    before = {index: place for place, group in enumerate(groups) for index in group.readers}
    after = {index: place for place, group in enumerate(groups) for index in group.writers}
    matrices = {
        index: dataclasses.replace(each, before=before.get(index), after=after.get(index))
        for index, each in matrices.items()
    }
    factors = [np.ones(reference.shape(next(iter(group.tensors)))[-1]) for group in groups]
    for number in range(ROUNDS):
        step = FLOAT_STEPS[number >= ROUNDS // 2]
        for place, group in enumerate(groups):
            factors[place] = _fitted(group, matrices, factors, step)
    return scale_channels(reference, zip(groups, factors, strict=True))


def _matrices(graph: Graph, reference: Graph, pairs: list[Pair]) -> dict[int, _Matrix]:
    found = {each.counterpart.outputs[0]: each.op for each in pairs if each.counterpart is not None}
    matrices: dict[int, _Matrix] = {}
    for index, op in enumerate(reference.operations):
        if not reference.is_matrix(op):
            continue
        kernel = found[op.outputs[0]].inputs[1]
        wanted, stored = reference.constant(op.inputs[1]), graph.constant(kernel)
        assert wanted is not None
        assert stored is not None
        quantization = graph.quantization(kernel)
        steps = np.full(stored.shape, np.abs(stored).max(), np.float64)  # of floats, times one of `FLOAT_STEPS`
        if quantization is not None:
            shape = [1] * stored.ndim
            shape[quantization.axis] = -1
            steps = np.broadcast_to(quantization.scale.astype(np.float64).reshape(shape), stored.shape)
            stored = stored * steps
        matrices[index] = _Matrix(
            wanted.astype(np.float64),
            stored.astype(np.float64).reshape(wanted.shape),
            steps.reshape(wanted.shape),
            3 if op.name == "DEPTHWISE_CONV_2D" else 0,
            quantization is None,
        )
    return matrices


def _fitted(group: Group, matrices: dict[int, _Matrix], factors: list[np.ndarray], float_step: float) -> np.ndarray:
    """Factors of a group, with all others fixed: the mean of the logarithms, weighted by certainty."""
    total, weight = np.zeros(()), np.zeros(())
    for index in (*group.writers, *group.readers):
        each = matrices[index]
        steps = each.step(float_step)
        stored, wanted = each.stored / steps, each.wanted / steps
        writes = index in group.writers
        if writes and each.before is not None:
            wanted = wanted / factors[each.before]
        if not writes and each.after is not None:
            after = factors[each.after]
            wanted = wanted * (after if each.output_axis == 3 else after[:, None, None, None])
        axis = each.output_axis if writes else 3
        others = tuple(each for each in range(4) if each != axis)
        size, product = np.sum(wanted**2, axis=others), np.sum(wanted * stored, axis=others)
        # Least squares; a channel without weights contributes nothing.
        ratio = np.divide(product, size, out=np.ones_like(size), where=(size > 0) & (product > 0))
        ratio = np.clip(ratio if writes else 1 / ratio, 1 / FARTHEST, FARTHEST)
        sureness = size * (ratio**2 if writes else ratio**-2)
        total, weight = total + sureness * np.log(ratio), weight + sureness
    return np.exp(np.divide(total, weight, out=np.zeros_like(total), where=weight > 0))
