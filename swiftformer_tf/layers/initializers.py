"""Initial weights. On JAX they are drawn with NumPy: JAX would trace and compile a program for every shape."""

from typing import Any

import keras
import numpy as np

from swiftformer_tf.registration import PACKAGE

__all__ = ["RandomNormal", "TruncatedNormal"]


def _generator(seed: Any) -> np.random.Generator:
    drawn = isinstance(seed, keras.random.SeedGenerator)
    return np.random.default_rng(np.asarray(seed.next()) if drawn else seed % 2**32)


@keras.saving.register_keras_serializable(PACKAGE)
class RandomNormal(keras.initializers.RandomNormal):
    """Keras's normal distribution.

    Examples:
        >>> RandomNormal(stddev=1.0)((2, 3)).shape
        TensorShape([2, 3])
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        if keras.backend.backend() != "jax":
            return super().__call__(shape, dtype)
        values = _generator(self.seed).standard_normal(shape, np.float32)
        return keras.ops.convert_to_tensor(self.mean + self.stddev * values, dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class TruncatedNormal(keras.initializers.TruncatedNormal):
    """Keras's normal distribution, truncated at two standard deviations from the mean.

    Examples:
        >>> bool(keras.ops.max(TruncatedNormal(stddev=0.02)((100, 100))) <= 0.04)
        True
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        if keras.backend.backend() != "jax":
            return super().__call__(shape, dtype)
        generator = _generator(self.seed)
        values = generator.standard_normal(shape, np.float32)
        while (outside := np.abs(values) > 2).any():
            values[outside] = generator.standard_normal(outside.sum(), np.float32)
        return keras.ops.convert_to_tensor(self.mean + self.stddev * values, dtype)
