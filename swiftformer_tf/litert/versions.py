"""The versions of operations in LiteRT's registry that shapes and options need, by its `GetBuiltinOperatorVersion`.

A runtime refuses a file with an operation in a newer version than it has. What an operation needs is the larger of two:
the version that its types need, which `quantization.kernels` lists, and the one from here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from swiftformer_tf.litert.ops import groups

__all__ = ["Shapes", "option_version"]

# Shapes of an operation's inputs; None for an omitted one.
Shapes = Sequence[Sequence[int] | None]
Rule = tuple[int, Callable[[Any, Shapes], bool]]


def option_version(name: str, options: Any, shapes: Shapes) -> int:
    """Returns the first version of an operation that supports its shapes and options.

    Args:
        name: LiteRT's name of the operation.
        options: Its options, by the generated schema.
        shapes: Shapes of its inputs.

    Examples:
        >>> [option_version("PAD", None, [(1,) * rank, (rank, 2)]) for rank in (4, 5)]
        [1, 4]
    """
    return max((version for version, needs in RULES.get(name, ()) if needs(options, shapes)), default=1)


def _rank(shapes: Shapes) -> int:
    return len(shapes[0] or ())


def _broadcasts_many(_: Any, shapes: Shapes) -> bool:
    """Whether operands of different shapes have more than four dimensions."""
    first, second = (list(shape or ()) for shape in shapes[:2])
    return first != second and max(len(first), len(second)) > 4


def _is_grouped(_: Any, shapes: Shapes) -> bool:
    source, weights = shapes[:2]
    if not source or not weights:
        return False  # in a damaged file
    return groups("CONV_2D", source, weights) > 1


def _has_bias(_: Any, shapes: Shapes) -> bool:
    return len(shapes) == 4 and shapes[3] is not None


RULES: dict[str, tuple[Rule, ...]] = {
    "BATCH_TO_SPACE_ND": ((3, lambda _, shapes: _rank(shapes) != 4),),
    "CONV_2D": ((6, _is_grouped),),
    "DEPTHWISE_CONV_2D": ((2, lambda options, _: {options.dilationHFactor, options.dilationWFactor} != {1}),),
    "DIV": ((2, _broadcasts_many),),
    "FULLY_CONNECTED": (
        (5, lambda options, _: options.keepNumDims),
        (6, lambda _, shapes: len(shapes) == 2),
    ),
    "GATHER": ((5, lambda options, _: options.batchDims != 0),),
    "MAXIMUM": ((3, _broadcasts_many),),
    "MINIMUM": ((3, _broadcasts_many),),
    "PAD": ((4, lambda _, shapes: _rank(shapes) > 4),),
    "PADV2": ((4, lambda _, shapes: _rank(shapes) > 4),),
    "RESIZE_BILINEAR": ((3, lambda options, _: options.halfPixelCenters),),
    "RESIZE_NEAREST_NEIGHBOR": ((3, lambda options, _: options.halfPixelCenters or options.alignCorners),),
    "SELECT": ((3, lambda _, shapes: any(len(shape or ()) == 5 for shape in shapes)),),
    "SLICE": ((5, lambda _, shapes: _rank(shapes) > 4),),
    "SPACE_TO_BATCH_ND": ((3, lambda _, shapes: _rank(shapes) != 4),),
    "STRIDED_SLICE": (
        (4, lambda _, shapes: _rank(shapes) > 4),
        (6, lambda options, _: options.ellipsisMask or options.newAxisMask),
        (8, lambda options, _: options.offset),
    ),
    "SUB": ((3, _broadcasts_many),),
    "TRANSPOSE": ((4, lambda _, shapes: _rank(shapes) > 4), (6, lambda _, shapes: _rank(shapes) > 5)),
    "TRANSPOSE_CONV": ((3, _has_bias), (4, lambda options, _: options.fusedActivationFunction != 0)),
}
