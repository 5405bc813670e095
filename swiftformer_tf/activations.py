"""Activations by their names in transformers' configurations, equal to PyTorch's within 1e-6."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

__all__ = ["FUNCTIONS", "activation"]

_exact = partial(ops.gelu, approximate=False)
_tanh = partial(ops.gelu, approximate=True)


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


def activation(name: str) -> Callable[[Any], Any]:
    """Returns the activation function with a name from a configuration.

    Examples:
        >>> round(float(activation("quick_gelu")(keras.ops.convert_to_tensor([1.0]))[0]), 4)
        0.8458
    """
    return FUNCTIONS[name]
