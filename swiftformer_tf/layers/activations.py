"""Activations by their names in transformers' configurations, equal to PyTorch's within 1e-6."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

__all__ = ["FUNCTIONS", "IN_TRAINING", "activation"]

_exact = partial(ops.gelu, approximate=False)
_tanh = partial(ops.gelu, approximate=True)


@ops.custom_gradient  # type: ignore[untyped-decorator]  # Keras types none
def _exact_in_training(x: Any) -> Any:
    """Keeps only one tensor besides its input for the gradient, where TensorFlow's own differentiation keeps three.

    They are the largest tensors of a block: without them, a training step needs four fifths of the memory.
    """
    below = 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5)))

    def gradient(*arguments: Any, upstream: Any = None) -> Any:
        # PyTorch names it, TensorFlow and JAX do not.
        upstream = arguments[0] if upstream is None else upstream
        density = ops.exp(-0.5 * ops.square(x)) * math.sqrt(0.5 / math.pi)
        return upstream * (below + x * density)

    return x * below, gradient


def _softplus(x: Any) -> Any:
    """Uses values between 0.5 and 1, which integers can represent, rather than exp(x), which they cannot."""
    return ops.relu(x) - ops.log(ops.sigmoid(ops.abs(x)))


# `gelu_10`, `laplace`, `prelu`, `relu2`, `sqrtsoftplus` and `xielu` are left out: nobody made a SwiftFormer with them.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": _exact,
    "gelu_python": _exact,
    "gelu_accurate": _tanh,
    "gelu_fast": _tanh,
    "gelu_new": _tanh,
    "gelu_python_tanh": _tanh,
    "gelu_pytorch_tanh": _tanh,
    "quick_gelu": lambda x: x * ops.sigmoid(1.702 * x),
    "hardswish": ops.hard_swish,
    "leaky_relu": partial(ops.leaky_relu, negative_slope=0.01),
    "linear": keras.activations.linear,
    "mish": lambda x: x * ops.tanh(_softplus(x)),
    "relu": ops.relu,
    "relu6": ops.relu6,
    "sigmoid": ops.sigmoid,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}
"""Activation functions by name."""

IN_TRAINING: dict[str, Callable[[Any], Any]] = dict.fromkeys(("gelu", "gelu_python"), _exact_in_training)
"""The same functions where a training step would keep more of them than it needs."""


def activation(name: str, training: bool | None = None) -> Callable[[Any], Any]:
    """Returns the activation function with a name from a configuration.

    Args:
        name: A key of `FUNCTIONS`.
        training: Whether gradients are going to be computed: the same values, with less memory.

    Examples:
        >>> round(float(activation("quick_gelu")(keras.ops.convert_to_tensor([1.0]))[0]), 4)
        0.8458
    """
    return (training and IN_TRAINING.get(name)) or FUNCTIONS[name]
