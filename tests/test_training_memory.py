"""glibc's allocator in a process of its own, since its settings last."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
import resource
from swiftformer_tf.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_arrays_reuse_their_pages() -> None:
    """64 MB twenty times: each time new pages, or the same ones again."""
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, check=True).stdout)
        for mode in ("default", "keep")
    }
    if not faults["default"]:
        pytest.skip("this system counts no page faults")
    assert faults["keep"] < 0.1 * faults["default"]
