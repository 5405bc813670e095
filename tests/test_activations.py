"""Activations against transformers 5.23 (`ACT2FN`, PyTorch 2.15, float32) at eight points."""

import numpy as np
import pytest
import tensorflow as tf

from swiftformer_tf.config import ACTIVATIONS
from swiftformer_tf.layers.activations import FUNCTIONS, IN_TRAINING, activation

POINTS = np.array([-8, -3, -1, -0.1, 0, 0.5, 2, 8], np.float32)
TRANSFORMERS = {
    "gelu": [-0.0, -0.0040502, -0.1586553, -0.0460172, 0.0, 0.3457312, 1.9544997, 8.0],
    "gelu_python": [-0.0, -0.0040497, -0.1586553, -0.0460172, 0.0, 0.3457312, 1.9544997, 8.0],
    "gelu_accurate": [-0.0, -0.0036374, -0.158808, -0.0460172, 0.0, 0.345714, 1.9545977, 8.0],
    "gelu_fast": [-0.0, -0.0036374, -0.158808, -0.0460172, 0.0, 0.345714, 1.9545977, 8.0],
    "gelu_new": [-0.0, -0.0036374, -0.158808, -0.0460172, 0.0, 0.345714, 1.9545977, 8.0],
    "gelu_python_tanh": [-0.0, -0.0036374, -0.158808, -0.0460172, 0.0, 0.345714, 1.9545977, 8.0],
    "gelu_pytorch_tanh": [-0.0, -0.0036374, -0.158808, -0.0460172, 0.0, 0.345714, 1.9545977, 8.0],
    "quick_gelu": [-9.8e-06, -0.0180713, -0.1542042, -0.0457552, 0.0, 0.3503884, 1.9356586, 7.9999905],
    "hardswish": [-0.0, -0.0, -0.3333333, -0.0483333, 0.0, 0.2916667, 1.6666666, 8.0],
    "leaky_relu": [-0.08, -0.03, -0.01, -0.001, 0.0, 0.5, 2.0, 8.0],
    "linear": [-8.0, -3.0, -1.0, -0.1, 0.0, 0.5, 2.0, 8.0],
    "mish": [-0.0026833, -0.1456475, -0.3034014, -0.0567886, 0.0, 0.3752452, 1.943959, 7.9999981],
    "relu": [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 8.0],
    "relu6": [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 6.0],
    "sigmoid": [0.0003354, 0.0474259, 0.2689414, 0.4750208, 0.5, 0.6224594, 0.880797, 0.9996647],
    "silu": [-0.0026828, -0.1422776, -0.2689414, -0.0475021, 0.0, 0.3112297, 1.7615941, 7.9973173],
    "swish": [-0.0026828, -0.1422776, -0.2689414, -0.0475021, 0.0, 0.3112297, 1.7615941, 7.9973173],
    "tanh": [-0.9999998, -0.9950548, -0.7615942, -0.099668, 0.0, 0.4621172, 0.9640276, 0.9999998],
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_activations_are_those_of_transformers(name: str) -> None:
    found = np.asarray(activation(name)(POINTS))
    # Relative to inputs above 1: float32 has no more digits.
    assert (np.abs(found - TRANSFORMERS[name]) <= 1e-6 * np.maximum(1, np.abs(POINTS))).all()


def test_a_configuration_takes_all_of_them() -> None:
    assert set(ACTIVATIONS) == set(FUNCTIONS) == set(TRANSFORMERS)


@pytest.mark.parametrize("name", IN_TRAINING)
def test_gradients_of_a_training_step_are_those_of_the_function(name: str) -> None:
    points = tf.constant(np.linspace(-8, 8, 401, dtype=np.float32))
    found = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(points)
            values = activation(name, training)(points)
        found.append((np.asarray(values), np.asarray(tape.gradient(values, points))))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-6)


def test_a_training_step_keeps_one_array_of_gelu_beside_its_input() -> None:
    """The gradient reads one that the forward pass computes; that of the plain function reads three."""
    assert len(_computed_and_kept(training=True)) == 1
    assert len(_computed_and_kept(training=False)) >= 3


def _computed_and_kept(training: bool) -> list[str]:
    """Operations of the forward pass whose results of x's size are read by the gradient's."""

    @tf.function
    def step(x: tf.Tensor) -> tf.Tensor:
        return tf.gradients(activation("gelu", training)(x), x)[0]

    operations = step.get_concrete_function(tf.TensorSpec((64,))).graph.get_operations()
    backward = [op for op in operations if op.name.startswith("gradients")]
    read = {each.op.name: each for op in backward for each in op.inputs if each.op not in backward}
    passed_on = ("Placeholder", "IdentityN", "Const")  # x itself
    return [name for name, each in read.items() if each.shape.rank and each.op.type not in passed_on]
