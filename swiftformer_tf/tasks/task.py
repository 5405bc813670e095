"""The interface of a task."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError

__all__ = ["INDICES", "Activation", "Agreement", "Output", "Task"]

Activation = Literal["softmax", "sigmoid", "argmax"]

# Activations whose outputs are indices: that two of them are close in value says nothing.
INDICES: tuple[Activation, ...] = ("argmax",)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """To what extent the outputs of two models agree.

    Args:
        share: Share of items on which they agree, from 0 to 1.
        items: Number of items: images, or pixels of all images.
        distinct: Number of distinct answers of the reference.
        needed: Number of distinct answers needed for the share to be meaningful: with fewer, a model with a constant
            output would agree as well.
        unit: What an item is.

    Examples:
        >>> Agreement(share=0.98, items=50, distinct=10, needed=5).reaches(0.97)
        True
    """

    share: float
    items: int
    distinct: int
    needed: int
    unit: str = "images"

    def allowed(self, least: float) -> int:
        """Number of items that may differ if the share must be `least`, rounded up, since one item may exceed it."""
        return math.ceil((1 - least) * self.items - 1e-9)

    def reaches(self, least: float) -> bool:
        """Whether the number of items that differ is within `allowed`."""
        return round((1 - self.share) * self.items) <= self.allowed(least)


@dataclasses.dataclass(frozen=True)
class Output:
    """One output of a deploy graph or a file.

    Args:
        name: Name in the file's signature.
        shape: Shape, including the batch.
        task: A key of `TASKS`.
        activation: The activation applied to the logits inside; None for logits and features.

    Examples:
        >>> Output.from_dict(Output("features", (1, 220), "features").to_dict()).shape
        (1, 220)
    """

    name: str
    shape: tuple[int, ...]
    task: str
    activation: Activation | None = None

    def stored_type(self, numbers: str) -> str:
        """The stored type, by NumPy's name: `numbers`, except for class indices, which are uint8 in any file."""
        return "uint8" if self.activation in INDICES else numbers

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the output of `to_dict`.

        Raises:
            ConfigError: Fields are missing or unknown.
        """
        try:
            return cls(**{**values, "shape": tuple(map(int, values["shape"]))})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not an output: {error}") from None


@dataclasses.dataclass(frozen=True)
class Task:
    """Everything that depends on the meaning of an output.

    Args:
        name: Key in `TASKS`.
        activation: Function from the model's configuration to the activation that turns logits into probabilities; None
            if there are none.
        heads: Function from the model's configuration to the number of its heads.
        output_name: Function from an activation to the name of an output to which it has been applied.
        activate: Function that applies an activation to logits (N, ...), arrays or Keras tensors.
        agreement: Function that measures the agreement of reference and file, both (images, ...); returns None for
            regression.
        largest_error: Function that measures the largest error between the same for regression; None for other tasks.
        cosine: Function that measures the mean cosine between the same for features; None for other tasks.
        kept: Function that reduces outputs (N, ...) to what is kept in memory; the identity for small outputs.
        answers: Function from what was kept to the argument of `agreement`.
        logits_shape: Function from the shape of an output to that of its logits; None if any shape is valid.
        rank: Number of dimensions of the logits, the last of which has an entry for each label; None if there are no
            labels.
        further_activations: Further activations that can be applied to logits.
        unit: What `agreement` counts.
        can_teach: Whether a classifier can learn from the logits, as those of a distillation's teacher.
    """

    name: str
    activation: Callable[[SwiftFormerConfig], Activation | None]
    heads: Callable[[SwiftFormerConfig], int]
    output_name: Callable[[Activation | None], str]
    activate: Callable[[Any, Activation | None, SwiftFormerConfig], Any]
    agreement: Callable[[np.ndarray, np.ndarray, SwiftFormerConfig], Agreement | None]
    largest_error: Callable[[np.ndarray, np.ndarray, SwiftFormerConfig], float | None] = lambda *_: None
    cosine: Callable[[np.ndarray, np.ndarray, SwiftFormerConfig], float | None] = lambda *_: None
    kept: Callable[[np.ndarray, Activation | None, SwiftFormerConfig], np.ndarray] = lambda values, *_: values
    answers: Callable[[np.ndarray, Activation | None, SwiftFormerConfig], np.ndarray] = lambda values, *_: values
    logits_shape: Callable[[Output, SwiftFormerConfig], tuple[int | None, ...]] = lambda output, _: output.shape
    rank: int | None = None
    further_activations: tuple[Activation, ...] = ()
    unit: str = "images"
    can_teach: bool = False

    def activations(self, config: SwiftFormerConfig) -> tuple[Activation, ...]:
        """All activations that can be applied to logits; first the one that returns probabilities."""
        usual = self.activation(config)
        return () if usual is None else (usual, *self.further_activations)
