"""Runs an integer graph and its float graph on the same images, and measures how far each tensor differs."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from swiftformer_tf.debugging.pairing import Pair, as_stored, integer_range, restored_floats, separate
from swiftformer_tf.litert.integers import Quantization
from swiftformer_tf.quantization.gelu import LEAST_OF_GELU, read_by_gelus
from swiftformer_tf.quantization.graph import Graph

__all__ = ["Distance", "Run", "compare"]

# Runs a graph: values of all its inputs to those of all its outputs.
Run = Callable[[list[np.ndarray]], list[np.ndarray]]


@dataclasses.dataclass(eq=False)
class Distance:
    """Accumulates the differences of a tensor, one image at a time.

    Args:
        limits: Values outside of these limits saturate; infinite for floats.
    """

    limits: tuple[float, float]
    count: int = 0
    sums: np.ndarray | float = 0.0
    squares: float = 0.0
    noise_squares: float = 0.0
    own_noise_squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    beyond: int = 0

    def add(self, right: np.ndarray, noise: np.ndarray, own_noise: np.ndarray) -> None:
        """Adds the float graph's value and the file's difference from it, accumulated and by its own operation."""
        channels = right.reshape(-1, right.shape[-1]).astype(np.float64)
        self.count += len(channels)
        self.sums = self.sums + channels.sum(axis=0)
        self.squares += float(np.vdot(channels, channels))
        self.noise_squares += _sum_of_squares(noise)
        self.own_noise_squares += _sum_of_squares(own_noise)
        self.low, self.high = min(self.low, float(right.min())), max(self.high, float(right.max()))
        self.beyond += int(np.count_nonzero((right < self.limits[0]) | (right > self.limits[1])))

    @property
    def signal(self) -> float:
        """Root mean square of the float tensor, with each channel centered by its mean."""
        centered = self.squares - float(np.sum(np.square(self.sums))) / self.count
        # The rounding error in the difference of two equal numbers is not a signal.
        return self._mean_root(centered if centered > 1e-12 * self.squares else 0.0)

    @property
    def noise(self) -> float:
        """Root mean square of the difference with accumulated errors."""
        return self._mean_root(self.noise_squares)

    @property
    def own_noise(self) -> float:
        """Root mean square of the difference caused by the tensor's own operation."""
        return self._mean_root(self.own_noise_squares)

    @property
    def saturated(self) -> float:
        """Share of the float tensor's values that are outside the range of the integers."""
        return self.beyond / self._values

    @property
    def _values(self) -> int:
        return self.count * np.size(self.sums)

    def _mean_root(self, total: float) -> float:
        return float(np.sqrt(total / self._values))


def compare(
    graph: Graph,
    reference: Graph,
    pairs: list[Pair],
    found: dict[int, int],
    images: Iterable[np.ndarray],
    load: Callable[[bytes], Run],
    load_reference: Callable[[bytes], Run],
) -> list[Distance]:
    """Runs both graphs, and every operation of both on its own.

    Args:
        graph: The integer graph.
        reference: The float graph.
        pairs: The pairs from `pairing.pair`.
        found: The float tensors from `pairing.pair`.
        images: Inputs of the float graph.
        load: Function that creates an interpreter for a flatbuffer of the integer graph.
        load_reference: The same for the float graph.

    Returns:
        One `Distance` for each pair.
    """
    types = {each: (graph.kind(each), graph.quantization(each)) for each in found}
    shapes = {each: graph.shape(each) for each in found}  # a map may lie in a row
    distances = [Distance(_limits(*types[each.output])) for each in pairs]
    floors, passed_over = _floors(graph), read_by_gelus(reference)
    least = [
        LEAST_OF_GELU if each.tensor in passed_over and types[each.output][0] == "int8" else -np.inf for each in pairs
    ]
    (source,), (reference_source,) = graph.inputs, reference.inputs
    tensors = tuple(output for op in reference.operations for output in op.outputs)
    run_reference = load_reference(reference.watched(tensors))
    run = load(graph.watched(tuple(each.output for each in pairs)))
    alone = separate(graph, reference, pairs, found)
    run_alone, run_reference_alone = load(alone.integer), load_reference(alone.reference)
    for image in images:
        right = {reference_source: image, **dict(zip(tensors, run_reference([image]), strict=True))}
        outputs = run([as_stored(image, *types[source])[0]])
        # The float graph's values, quantized like the file's tensors: their rounding error is their producer's.
        feeds = {
            each: as_stored(np.maximum(right[tensor], floors.get(each, -np.inf)), *types[each])
            for each, tensor in alone.feeds.items()
        }
        own = run_alone([stored.reshape(shapes[each]) for each, (stored, _) in feeds.items()])
        wanted = iter(run_reference_alone([value for _, value in feeds.values()]))
        for each, distance, lowest, output, own_output in zip(pairs, distances, least, outputs, own, strict=True):
            _, quantization = types[each.output]
            value = right[each.tensor]
            expected = feeds[each.op.inputs[0]][1] if each.counterpart is None else next(wanted)
            # The root of an input that was rounded to zero is not meaningful.
            expected = np.where(np.isfinite(expected), expected, value)
            made, own_made = (restored_floats(values, quantization) for values in (output, own_output))
            value, expected, made, own_made = (
                np.maximum(values.reshape(value.shape), lowest) for values in (value, expected, made, own_made)
            )
            distance.add(value, made - value, own_made - expected)
    return distances


def _floors(graph: Graph) -> dict[int, float]:
    """Minimum values of tensors: the floor of a norm is one step in the file, but far smaller in the float graph."""
    floors = {}
    for op in graph.operations:
        for each in op.inputs if op.name == "MAXIMUM" else ():
            if (value := graph.constant(each)) is not None:
                floors[op.outputs[0]] = float(restored_floats(value, graph.quantization(each)).max())
    return floors


def _limits(kind: str, quantization: Quantization | None) -> tuple[float, float]:
    reached = integer_range(kind, quantization)
    if quantization is None or reached is None:
        return -np.inf, np.inf
    half_step = float(quantization.scale[0]) / 2  # that far from the last integer, it is still the nearest
    return reached[0] - half_step, reached[1] + half_step


def _sum_of_squares(values: np.ndarray) -> float:
    return float(np.sum(np.square(values, dtype=np.float64)))
