"""TensorFlow without Keras, which it imports last, and leaves out where it is not installed."""

import sys
from typing import Any

modules: dict[str, Any] = sys.modules
modules["keras"] = None  # for the import system: there is none

import tensorflow  # noqa: E402, F401

del modules["keras"]
assert not [name for name in modules if name.startswith("keras.")]
