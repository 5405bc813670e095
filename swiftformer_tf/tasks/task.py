"""What every task says of an output."""

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
    """In how far two models say the same.

    Args:
        share: Share of the items, from 0 to 1.
        items: What was counted: images, or pixels of all images.
        distinct: How many different answers the reference gives.
        needed: Fewer say nothing: a model that always answers the same would agree as well.
        unit: What the items are.

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
        """Items that may differ where the share is to be `least`: of few, one may be more than that leaves."""
        return math.ceil((1 - least) * self.items - 1e-9)

    def reaches(self, least: float) -> bool:
        """Whether no more items differ than are allowed."""
        return round((1 - self.share) * self.items) <= self.allowed(least)


@dataclasses.dataclass(frozen=True)
class Output:
    """One output of a deploy graph or a file.

    Args:
        name: In the file's signature.
        shape: With the batch.
        task: A key of `TASKS`.
        activation: What was made of logits inside; None for logits, and for what is neither.

    Examples:
        >>> Output.from_dict(Output("features", (1, 220), "features").to_dict()).shape
        (1, 220)
    """

    name: str
    shape: tuple[int, ...]
    task: str
    activation: Activation | None = None

    def stored_type(self, numbers: str) -> str:
        """In numpy's word, where numbers are of the type `numbers`: indices are bytes in any file."""
        return "uint8" if self.activation in INDICES else numbers

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads `to_dict`.

        Raises:
            ConfigError: Fields missing or unknown.
        """
        try:
            return cls(**{**values, "shape": tuple(map(int, values["shape"]))})
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not an output: {error}") from None


@dataclasses.dataclass(frozen=True)
class Task:
    """What depends on the meaning of an output.

    Args:
        name: Key in `TASKS`.
        activation: What makes probabilities of its logits, by the model's configuration; None where there are none.
        output_name: Name of an output with that activation inside.
        activate: Makes of logits (N, ...), arrays or Keras tensors, what comes out with an activation inside.
        agreement: Share of equal answers of reference and file, both (images, ...); None where answers are numbers.
        largest_error: Largest error between the same, where answers are numbers; None elsewhere.
        kept: What stays in memory of outputs (N, ...) with an activation inside: all of them where they are few.
        answers: From what was kept to what `agreement` takes.
        logits_shape: From the shape of an output to that of the logits behind it; None where any size will do.
        rank: Dimensions of its logits, the last of which has an entry for each label; None where there are no labels.
        further_activations: What else can be made of its logits inside.
        unit: What agreement counts.
    """

    name: str
    activation: Callable[[SwiftFormerConfig], Activation | None]
    output_name: Callable[[Activation | None], str]
    activate: Callable[[Any, Activation | None, SwiftFormerConfig], Any]
    agreement: Callable[[np.ndarray, np.ndarray, SwiftFormerConfig], Agreement | None]
    largest_error: Callable[[np.ndarray, np.ndarray, SwiftFormerConfig], float | None] = lambda *_: None
    kept: Callable[[np.ndarray, Activation | None, SwiftFormerConfig], np.ndarray] = lambda values, *_: values
    answers: Callable[[np.ndarray, Activation | None, SwiftFormerConfig], np.ndarray] = lambda values, *_: values
    logits_shape: Callable[[Output, SwiftFormerConfig], tuple[int | None, ...]] = lambda output, _: output.shape
    rank: int | None = None
    further_activations: tuple[Activation, ...] = ()
    unit: str = "images"

    def activations(self, config: SwiftFormerConfig) -> tuple[Activation, ...]:
        """All that can be made of logits inside; what makes probabilities first."""
        usual = self.activation(config)
        return () if usual is None else (usual, *self.further_activations)
