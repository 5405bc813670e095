"""What tests share that is no fixture."""

import os
from pathlib import Path

__all__ = ["ENVIRONMENT", "TESTS"]

TESTS = Path(__file__).parents[1]

# For `python -m support.x` in a process of its own; the package may be installed or not.
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
