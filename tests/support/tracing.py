"""Whether Keras traces steps and predictions into TensorFlow's graphs, or runs them operation by operation."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

__all__ = ["steps_traced", "trace_steps"]


def trace_steps(traced: bool) -> None:
    """From now on, of all models."""
    tf.config.run_functions_eagerly(not traced)


@contextlib.contextmanager
def steps_traced(traced: bool) -> Iterator[None]:
    """Within the block."""
    before = not tf.config.functions_run_eagerly()
    trace_steps(traced)
    yield
    trace_steps(before)
