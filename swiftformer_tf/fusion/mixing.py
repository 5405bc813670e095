"""Moves 1x1 convolutions before bilinear resizing, where there are fewer pixels or channels.

Bilinear resizing treats all channels alike and a 1x1 convolution treats all pixels alike, so their order affects the
cost but not the values. A convolution of concatenated maps is a sum of convolutions of these maps. Two convolutions in
succession, or a normalization and a convolution, merge into a single matrix.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from swiftformer_tf.fusion.folding import Affine, Lazy, Weights, convolved, tensor_of, weights_of

__all__ = ["Concatenated", "Matrix", "Resized", "added", "concatenated", "matrix_of", "normed", "resizable"]

# Multiplications per channel of a pixel that is interpolated from four others.
BILINEAR = 4

# Returns a new name for a layer.
NewName = Callable[[], str]

# A feature map, which may not be computed yet, and the steps that resize it.
Part = tuple[Any, tuple[Callable[[Any], Any], ...]]


@dataclasses.dataclass(eq=False)
class Matrix(Lazy):
    """A 1x1 convolution of a map. It is not computed yet, since later operations may be merged into its matrix.

    Args:
        source: The map, 4-D.
        shape: Shape of the result.
        weights: Function that returns the convolution's weights.
        write: Function that computes the convolution.
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
    """A bilinearly resized map, or a sum of such maps. It is not computed yet, since a matrix may be applied first.

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
        """Applies a 1x1 convolution that reduces channels to each map before resizing; None if that would cost more."""
        if layer.filters >= self.shape[-1] or not self._enlarges:
            return None
        return self.multiplied(weights_of(layer), name)

    def multiplied(self, weights: Weights, name: NewName) -> "Resized":
        """Applies a 1x1 convolution to each map, with its bias only in the first."""
        kernel, *bias = weights
        made = [_multiplied(x, [kernel] if at else [kernel, *bias], name) for at, (x, _) in enumerate(self.parts)]
        return self._of(made)

    def scaled(self, scale: np.ndarray, shift: np.ndarray, name: NewName) -> "Resized | None":
        """Merges a scale and a shift per channel into the matrices; None if a part has no matrix or shrinks."""
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
        """Whether no part has more pixels than the result, so that operating on the parts costs no more."""
        return all(_pixels(source) <= _pixels(self) for source, _ in self.parts)

    def _of(self, sources: list[Matrix]) -> "Resized":
        parts = tuple((source, steps) for source, (_, steps) in zip(sources, self.parts, strict=True))
        return Resized(parts, (*self.shape[:-1], sources[0].shape[-1]), self.add)


@dataclasses.dataclass(eq=False)
class Concatenated(Lazy):
    """Maps of the same size, concatenated by channel, some of them resized. It is not computed yet, see `Resized`.

    Args:
        values: The maps.
        shape: Shape of the result.
        write: Function that computes the concatenation.
    """

    values: tuple[Resized, ...]
    shape: tuple[int, ...]
    write: Callable[[list[Any]], Any]

    @functools.cached_property
    def tensor(self) -> Any:
        return self.write([each.tensor for each in self.values])

    def mixed(self, layer: keras.layers.Conv2D, name: NewName) -> Resized | None:
        """Applies a 1x1 convolution as a sum of convolutions of the maps; None unless that saves multiplications."""
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
    """Returns a 1x1 convolution that is a layer of the model."""
    return Matrix(source, (*source.shape[:-1], layer.filters), functools.partial(weights_of, layer), write)


def normed(layer: keras.layers.Conv2D, value: Affine, name: NewName) -> Matrix:
    """Merges a scale and a shift per channel into the next 1x1 convolution, which has no padding to prevent it."""
    kernel, *bias = weights_of(layer)
    total = _total([value.shift @ kernel[0, 0], *bias])
    return _matrix(value.source, [kernel * value.scale[:, None], *total], name)


def resizable(value: Any) -> Resized:
    """Returns a map as a `Resized`: itself if it is one, else with the map as its only part."""
    hidden = value if isinstance(value, Matrix | Resized) else tensor_of(value)
    return hidden if isinstance(hidden, Resized) else Resized(((hidden, ()),), tuple(hidden.shape))


def added(values: list[Any], add: Callable[[list[Any]], Any]) -> Resized | None:
    """Returns the sum of maps of the same shape; None if none is resized, or one is a sum itself, or shapes differ."""
    maps = [resizable(each) for each in values]
    if not _is_resized(maps) or len({each.shape for each in maps}) > 1 or any(len(each.parts) > 1 for each in maps):
        return None
    return Resized(tuple(each.parts[0] for each in maps), maps[0].shape, add)


def concatenated(values: list[Any], write: Callable[[list[Any]], Any]) -> Concatenated | None:
    """Returns the concatenation of maps of the same size; None if none is resized or sizes differ."""
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
    """Returns a 1x1 convolution of a map, merged with the matrix that computes the map if that costs less."""
    if isinstance(value, Matrix):
        (first, *biases), (second, *others) = value.weights(), weights
        (rows, inner), columns = first.shape[2:], second.shape[3]
        if rows * columns < (rows + columns) * inner:
            total = _total([*(each @ second[0, 0] for each in biases), *others])
            return _matrix(value.source, [first @ second, *total], name)
    return _matrix(tensor_of(value), weights, name)


def _total(biases: Weights) -> Weights:
    """Returns a list with the sum of the biases, or an empty list if there are none."""
    return [np.sum(biases, axis=0)] if biases else []
