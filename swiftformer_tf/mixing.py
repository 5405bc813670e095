"""Moves 1x1 convolutions before bilinear resizing, where there are fewer pixels or channels.

Bilinear resizing treats all channels alike and a 1x1 convolution treats all pixels alike, so the order changes how much
there is to do but no values. A convolution of concatenated maps is a sum of convolutions of these maps; of two in
succession, and of a normalization, one matrix can be made.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from swiftformer_tf.folding import Affine, Lazy, Weights, convolved, tensor_of, weights_of

__all__ = ["Concatenated", "Matrix", "Resized", "added", "concatenated", "matrix_of", "normed", "resizable"]

# Multiplications for a channel of a pixel that is made of four others.
BILINEAR = 4

# Makes a name for a layer.
NewName = Callable[[], str]

# A map, which may not be computed yet, and the steps that resize it.
Part = tuple[Any, tuple[Callable[[Any], Any], ...]]


@dataclasses.dataclass(eq=False)
class Matrix(Lazy):
    """A 1x1 convolution of a map; not computed yet, since what follows may become part of its matrix.

    Args:
        source: The map, 4-D.
        shape: Shape of the result.
        weights: Returns the convolution's weights.
        write: Computes the convolution.
    """

    source: Any
    shape: tuple[int, ...]
    weights: Callable[[], Weights]
    write: Callable[[], Any]

    @functools.cached_property
    def tensor(self) -> Any:
        return self.write()


@dataclasses.dataclass(eq=False)
class Resized(Lazy):
    """A bilinearly resized map, or a sum of them; not computed yet, since a matrix may come first.

    Args:
        parts: For each part, a map and the steps that resize it; no steps if it already has the right size.
        shape: Shape of the result.
        add: Function that adds the parts, if there are several.
    """

    parts: tuple[Part, ...]
    shape: tuple[int, ...]
    add: Callable[[list[Any]], Any] = sum

    @functools.cached_property
    def tensor(self) -> Any:
        maps = [functools.reduce(lambda hidden, resize: resize(hidden), steps, tensor_of(x)) for x, steps in self.parts]
        return self.add(maps) if len(maps) > 1 else maps[0]

    def resized(self, resize: Callable[[Any], Any], shape: tuple[int, ...]) -> "Resized":
        """Resizes the map again."""
        if len(self.parts) > 1:
            return Resized(((self.tensor, (resize,)),), shape)
        ((source, steps),) = self.parts
        return Resized(((source, (*steps, resize)),), shape)

    def mixed(self, layer: keras.layers.Conv2D, name: NewName) -> "Resized | None":
        """Applies a 1x1 convolution to fewer channels by applying it to each map; None if that has more to do."""
        if layer.filters >= self.shape[-1] or not self._enlarges:
            return None
        return self.multiplied(weights_of(layer), name)

    def multiplied(self, weights: Weights, name: NewName) -> "Resized":
        """Applies a 1x1 convolution to each map, its bias to the first."""
        kernel, *bias = weights
        made = [_multiplied(x, [kernel] if at else [kernel, *bias], name) for at, (x, _) in enumerate(self.parts)]
        return self._of(made)

    def scaled(self, scale: np.ndarray, shift: np.ndarray, name: NewName) -> "Resized | None":
        """Scales and shifts by channel what matrices make; None if a map is none of them, or shrinks."""
        sources = [source for source, _ in self.parts]
        if not self._enlarges or not all(isinstance(source, Matrix) for source in sources):
            return None
        made = []
        for at, source in enumerate(sources):
            kernel, *bias = source.weights()
            biases = [*(each * scale for each in bias), *([] if at else [shift])]
            made.append(_matrix(source.source, [kernel * scale, *_total(biases)], name))
        return self._of(made)

    @property
    def _enlarges(self) -> bool:
        """Whether no part has more pixels than the result, so that what goes first has no more to do."""
        return all(_pixels(source) <= _pixels(self) for source, _ in self.parts)

    def _of(self, sources: list[Matrix]) -> "Resized":
        parts = tuple((source, steps) for source, (_, steps) in zip(sources, self.parts, strict=True))
        return Resized(parts, (*self.shape[:-1], sources[0].shape[-1]), self.add)


@dataclasses.dataclass(eq=False)
class Concatenated(Lazy):
    """Maps of one size, concatenated by channel, some of which are resized; not computed yet, as above.

    Args:
        values: The maps.
        shape: Shape of the result.
        write: Computes the concatenation.
    """

    values: tuple[Resized, ...]
    shape: tuple[int, ...]
    write: Callable[[list[Any]], Any]

    @functools.cached_property
    def tensor(self) -> Any:
        return self.write([each.tensor for each in self.values])

    def mixed(self, layer: keras.layers.Conv2D, name: NewName) -> Resized | None:
        """Applies a 1x1 convolution as a sum of those of the maps; None if that takes no fewer multiplications."""
        filters, pixels = layer.filters, _pixels(self)
        now, then = self.shape[-1] * filters * pixels, 0
        for source, steps in (part for value in self.values for part in value.parts):
            resizing = BILINEAR * pixels * len(steps)
            now += resizing * source.shape[-1]
            then += resizing * filters + filters * source.shape[-1] * _pixels(source)
        if then >= now:
            return None
        kernel, *bias = weights_of(layer)
        ends = np.cumsum([each.shape[-1] for each in self.values])[:-1]
        parts: list[Part] = []
        for value, rows in zip(self.values, np.split(kernel, ends, axis=2), strict=True):
            parts += value.multiplied([rows] if parts else [rows, *bias], name).parts
        add = keras.layers.Add(dtype="float32", name=name())
        return Resized(tuple(parts), (*self.shape[:-1], filters), add)


def matrix_of(layer: keras.layers.Conv2D, source: Any, write: Callable[[], Any]) -> Matrix:
    """A 1x1 convolution as a layer of the model."""
    return Matrix(source, (*source.shape[:-1], layer.filters), functools.partial(weights_of, layer), write)


def normed(layer: keras.layers.Conv2D, value: Affine, name: NewName) -> Matrix:
    """A 1x1 convolution of a map that is scaled and shifted by channel, as one matrix: it has no padding to spoil."""
    kernel, *bias = weights_of(layer)
    total = _total([value.shift @ kernel[0, 0], *bias])
    return _matrix(value.source, [kernel * value.scale[:, None], *total], name)


def resizable(value: Any) -> Resized:
    """A map as a sum of one part, or the sum that it is."""
    hidden = value if isinstance(value, Matrix | Resized) else tensor_of(value)
    return hidden if isinstance(hidden, Resized) else Resized(((hidden, ()),), tuple(hidden.shape))


def added(values: list[Any], add: Callable[[list[Any]], Any]) -> Resized | None:
    """The sum of maps of one shape some of which are resized; None for anything else."""
    maps = [resizable(each) for each in values]
    if not _is_resized(maps) or len({each.shape for each in maps}) > 1 or any(len(each.parts) > 1 for each in maps):
        return None
    return Resized(tuple(each.parts[0] for each in maps), maps[0].shape, add)


def concatenated(values: list[Any], write: Callable[[list[Any]], Any]) -> Concatenated | None:
    """The channels of maps of one size some of which are resized; None for anything else."""
    maps = tuple(resizable(each) for each in values)
    if not _is_resized(maps) or len({each.shape[:-1] for each in maps}) > 1:
        return None
    return Concatenated(maps, (*maps[0].shape[:-1], sum(each.shape[-1] for each in maps)), write)


def _is_resized(maps: Sequence[Resized]) -> bool:
    return any(steps for each in maps for _, steps in each.parts)


def _pixels(value: Any) -> int:
    return math.prod(value.shape[1:3])


def _matrix(source: Any, weights: Weights, name: NewName) -> Matrix:
    shape = (*source.shape[:-1], weights[0].shape[-1])
    return Matrix(source, shape, lambda: weights, lambda: convolved(source, weights, name()))


def _multiplied(value: Any, weights: Weights, name: NewName) -> Matrix:
    """A 1x1 convolution of a map, or one matrix for it and the one that makes the map, if that is less to do."""
    if isinstance(value, Matrix):
        (first, *biases), (second, *others) = value.weights(), weights
        (rows, inner), columns = first.shape[2:], second.shape[3]
        if rows * columns < (rows + columns) * inner:
            total = _total([*(each @ second[0, 0] for each in biases), *others])
            return _matrix(value.source, [first @ second, *total], name)
    return _matrix(tensor_of(value), weights, name)


def _total(biases: Weights) -> Weights:
    """The sum of biases, if there is any."""
    return [np.sum(biases, axis=0)] if biases else []
