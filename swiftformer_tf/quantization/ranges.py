"""Measures a float graph on calibration images: ranges of tensors, and moments of the inputs of matrices."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Self, TypeVar

import numpy as np

from swiftformer_tf.litert.ops import before_matrices
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization.graph import Graph, Operation

__all__ = ["EvenSample", "Statistics", "channel_means", "first_operations", "last_matrices", "measure"]

# Values of a tensor, and rows of a matrix's input, that an image contributes: spread evenly, which is as good as all
# of them and a hundred times faster.
VALUES_PER_IMAGE = 2048
ROWS_PER_IMAGE = 512

# Maximum number of images that contribute values, evenly spaced; with XS, 1.5 MB each.
SAMPLED_IMAGES = 256

# Rows are gathered over this many images: one large product is much faster than many small ones.
IMAGES_PER_PRODUCT = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Statistics:
    """The result of `measure`.

    Args:
        low: Minimum of each channel of each tensor, float32 (channels,).
        high: Maximum of each channel of each tensor, float32 (channels,).
        pixels: A sample of each tensor's pixels, float32 (N, channels); tensors of the same shape are sampled at the
            same positions.
        moments: Second moments of the input of each convolution or matrix, by its output: the mean of x x', float64 (G,
            K, K), where x is what a row of the matrix multiplies, followed by a one, for each of its `Graph.groups`.
        images: A sample of the images, evenly spaced, for a second run.
        outputs: Mean outputs of the last matrices for these images, float64 (channels,), by the tensor's label.
        fixed_ranges: Tensors whose range must be used as it is, however rare its extremes are.
    """

    low: Mapping[int, np.ndarray]
    high: Mapping[int, np.ndarray]
    pixels: Mapping[int, np.ndarray]
    moments: Mapping[int, np.ndarray]
    images: Sequence[np.ndarray]
    outputs: Mapping[str, np.ndarray]
    fixed_ranges: frozenset[int] = frozenset()

    def with_ranges(self, ranges: Mapping[int, tuple[float, float]]) -> Self:
        """Returns the statistics with other ranges, (low, high), which the integers of these tensors must cover."""
        low, high = (
            {tensor: np.array([pair[side]], np.float32) for tensor, pair in ranges.items()} for side in range(2)
        )
        found = dataclasses.replace(self, low={**self.low, **low}, high={**self.high, **high})
        return found.with_fixed_ranges(ranges)

    def with_fixed_ranges(self, tensors: Iterable[int]) -> Self:
        """Returns the statistics with these tensors among `fixed_ranges`."""
        return dataclasses.replace(self, fixed_ranges=self.fixed_ranges | set(tensors))


Item = TypeVar("Item")


class EvenSample(Generic[Item]):
    """A sample of evenly spaced items from a stream: all of up to `most` items, and at least half of `most` after that.

    Args:
        most: An even number.

    Examples:
        >>> sample = EvenSample[int](4)
        >>> for item in range(11):
        ...     sample.add(item)
        >>> sample.items
        [0, 4, 8]
    """

    def __init__(self, most: int) -> None:
        self.items: list[Item] = []
        self._most, self._step, self._seen = most, 1, 0

    def add(self, item: Item) -> None:
        """Adds the next item of the stream, which is kept if its position is one of those sampled."""
        if self._seen % self._step == 0:
            if len(self.items) == self._most:
                del self.items[1::2]
                self._step *= 2
            self.items.append(item)
        self._seen += 1


def measure(
    graph: Graph, images: Iterable[np.ndarray], progress: Callable[[int], None] | None = None, *, kept: int = 0
) -> Statistics:
    """Runs a float graph on images and collects statistics.

    Args:
        graph: A float graph from the converter.
        images: Inputs of the graph, float32.
        progress: Called with the number of inputs processed so far.
        kept: Maximum number of inputs that are kept in memory along with the outputs of the last matrices; an even
            number.
    """
    from ai_edge_litert.interpreter import Interpreter

    computed = tuple(output for op in graph.operations for output in op.outputs)
    with native_stderr_silenced():
        # As outputs, not with `experimental_preserve_all_tensors`: XNNPACK can still run the whole graph.
        interpreter = Interpreter(model_content=graph.watched(computed))
        interpreter.allocate_tensors()
    # The interpreter returns its outputs in the requested order.
    places = dict(zip(computed, (details["index"] for details in interpreter.get_output_details()), strict=True))
    (source,) = interpreter.get_input_details()
    low: dict[int, np.ndarray] = {}
    high: dict[int, np.ndarray] = {}
    moments: dict[int, np.ndarray] = {}
    samples = {tensor: EvenSample[np.ndarray](SAMPLED_IMAGES) for tensor in (*graph.inputs, *computed)}
    seen_twice = EvenSample[tuple[np.ndarray, dict[str, np.ndarray]]](kept)
    matrices = [op for op in graph.operations if graph.is_matrix(op)]
    last = {graph.label(op.outputs[0]): op.outputs[0] for op in last_matrices(graph)}
    pending: dict[int, list[np.ndarray]] = {op.outputs[0]: [] for op in matrices}
    for count, image in enumerate(images, start=1):
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        values = {tensor: interpreter.get_tensor(place) for tensor, place in places.items()}
        values[graph.inputs[0]] = image
        for tensor, value in values.items():
            pixels = value.reshape(-1, *value.shape[-1:])
            low[tensor] = np.minimum(low.get(tensor, np.inf), pixels.min(axis=0))
            high[tensor] = np.maximum(high.get(tensor, -np.inf), pixels.max(axis=0))
            samples[tensor].add(_sampled(pixels))
        if kept:
            seen_twice.add((image, {name: channel_means(values[tensor]) for name, tensor in last.items()}))
        for op in matrices:
            pending[op.outputs[0]].append(_rows(op, values[op.matrix[0]], graph))
        if count % IMAGES_PER_PRODUCT == 0:
            _add_moments(pending, moments)
        if progress is not None:
            progress(count)
    _add_moments(pending, moments)
    means_seen = [means for _, means in seen_twice.items]
    return Statistics(
        low,
        high,
        # One tensor at a time, so that there are never two copies of all of them.
        pixels={tensor: np.concatenate(samples.pop(tensor).items) for tensor in list(samples)},
        # The last entry is the number of rows, since all of them end in a one.
        moments={tensor: moment / moment[..., -1:, -1:] for tensor, moment in moments.items()},
        images=[image for image, _ in seen_twice.items],
        outputs={
            name: np.asarray(np.mean([means[name] for means in means_seen], axis=0, dtype=np.float64))
            for name in (last if means_seen else ())
        },
    )


def first_operations(graph: Graph) -> list[Operation]:
    """Operations that no matrix precedes: those on pixels, and the matrices that read their results."""
    first = before_matrices((op.inputs, op.outputs, graph.is_matrix(op)) for op in graph.operations)
    return [op for op, is_first in zip(graph.operations, first, strict=True) if is_first]


def last_matrices(graph: Graph) -> list[Operation]:
    """Matrices that no other matrix follows: in a classifier, the one that computes the logits."""
    found: list[Operation] = []
    followed: set[int] = set()  # tensors that a matrix reads, or what is made of them
    for op in reversed(graph.operations):
        if graph.is_matrix(op) and followed.isdisjoint(op.outputs):
            found.insert(0, op)
        if graph.is_matrix(op) or not followed.isdisjoint(op.outputs):
            followed.update(op.inputs)
    return found


def channel_means(values: np.ndarray) -> np.ndarray:
    """Mean over all pixels, (channels,)."""
    return np.asarray(values.reshape(-1, values.shape[-1]).mean(axis=0))


def _sampled(pixels: np.ndarray) -> np.ndarray:
    count = min(len(pixels), -(-VALUES_PER_IMAGE // pixels.shape[-1]))
    return np.asarray(pixels[((np.arange(count) + 0.5) * len(pixels) / count).astype(int)])


def _add_moments(pending: dict[int, list[np.ndarray]], moments: dict[int, np.ndarray]) -> None:
    for tensor, parts in pending.items():
        if parts:
            rows = np.concatenate(parts).transpose(1, 0, 2)
            product = (rows[0].T @ rows[0])[None] if len(rows) == 1 else rows.transpose(0, 2, 1) @ rows
            moments[tensor] = moments.get(tensor, 0) + product.astype(np.float64)
            parts.clear()


def _rows(op: Operation, value: np.ndarray, graph: Graph) -> np.ndarray:
    """The inputs of a matrix at some positions: (positions, G, K + 1)."""
    weights = graph.shape(op.matrix[1])
    if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        windows = _windows(op, value, weights[1:3])
        picked = np.unravel_index(_spread(windows[..., 0, 0, 0].size), windows.shape[:3])
        taps = windows[picked].reshape(len(picked[0]), graph.groups(op), -1, math.prod(weights[1:3]))
        rows = taps.swapaxes(2, 3).reshape(*taps.shape[:2], -1)  # in the order of the filter: height, width, channel
    else:
        flat = value.reshape(-1, 1, weights[-1])
        rows = flat[_spread(len(flat))]
    return np.concatenate([rows, np.ones((*rows.shape[:2], 1), np.float32)], axis=2)


def _spread(total: int) -> np.ndarray:
    """Indices of the sampled rows, evenly spaced."""
    return np.unique(np.linspace(0, total - 1, min(total, ROWS_PER_IMAGE)).astype(int))


def _windows(op: Operation, value: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """The window of a filter at each position: (B, H, W, C, height, width)."""
    options = op.source.builtinOptions
    strides, dilation = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    reach = [(taps - 1) * step + 1 for taps, step in zip(size, dilation, strict=True)]
    if options.padding == 0:  # SAME: of an odd number, the larger half comes last
        missing = [
            max((math.ceil(length / stride) - 1) * stride + seen - length, 0)
            for length, stride, seen in zip(value.shape[1:3], strides, reach, strict=True)
        ]
        value = np.pad(value, [(0, 0), *((each // 2, each - each // 2) for each in missing), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(value, reach, axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
