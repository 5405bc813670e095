"""What tests share that is no fixture."""

import importlib.metadata
import os
from pathlib import Path

__all__ = ["ENVIRONMENT", "JAX_ENVIRONMENT", "TESTS"]

TESTS = Path(__file__).parents[1]

# For `python -m support.x` in a process of its own; the package may be installed or not. Threads as in `conftest`.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
    "TF_NUM_INTRAOP_THREADS": "1",
}

# XLA's compiler takes half a minute with its optimizations, and a few seconds without.
XLA_FLAGS = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
# Fusion emitters double these. A flag that XLA does not know ends the process, and this one may go again.
if any(each.version.startswith("0.10.") for each in importlib.metadata.distributions(name="jaxlib")):
    XLA_FLAGS.append("--xla_cpu_use_fusion_emitters=false")

# For Keras on JAX, which warns of variables about proxies where processes train together.
JAX_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if "_proxy" not in name.lower()} | {
    "KERAS_BACKEND": "jax",
    "XLA_FLAGS": " ".join(XLA_FLAGS),
}
