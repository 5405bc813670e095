"""Older LiteRT and tflite-runtime on this machine: which answer rightly, which refuse, and does any answer wrongly?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from environments import LeftOutError, venv
from running import interpret, recipe_names, say

__all__ = ["RUNTIMES"]

# Package, version, the TFLite that it has the code of (LiteRT counts anew: by the dates of its releases), version of
# numpy it works with, Pythons that it has wheels for. Oldest first.
RUNTIMES = (
    ("tflite-runtime", "2.8.0", "2.8.0", "numpy<2", ("3.9", "3.8")),
    ("tflite-runtime", "2.9.1", "2.9.1", "numpy<2", ("3.9", "3.8")),
    ("tflite-runtime", "2.11.0", "2.11.0", "numpy<2", ("3.9", "3.8")),
    ("tflite-runtime", "2.14.0", "2.14.0", "numpy<2", ("3.11", "3.10", "3.9")),
    ("ai-edge-litert", "1.0.1", "2.17.0", "numpy<2", ("3.11", "3.10", "3.9")),
    ("ai-edge-litert", "1.2.0", "2.19.0", "numpy<2", ("3.12", "3.11", "3.10", "3.9")),
    ("ai-edge-litert", "1.4.0", "2.20.0", "numpy", ("3.12", "3.11", "3.10", "3.9")),
    ("ai-edge-litert", "2.0.3", "2.20.0", "numpy", ("3.12", "3.11", "3.10")),
    ("ai-edge-litert", "2.1.0", "2.20.0", "numpy", ("3.12", "3.11", "3.10")),
)
COUNT = 5


def python(versions: tuple[str, ...]) -> str | None:
    """An interpreter of the first of these versions that works here."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in versions:
        return sys.executable
    for version in versions:
        for candidate in (shutil.which(f"python{version}"), *_pyenv(version)):
            if candidate and subprocess.run([candidate, "-c", "import venv"], capture_output=True).returncode == 0:
                return candidate
    return None


def _pyenv(version: str) -> list[str]:
    """Where pyenv keeps a version, whose shims work only where it is chosen."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(map(str, root.glob(f"versions/{version}.*/bin/python")))


def main(kit: Path, *, quick: bool) -> dict[str, Any]:
    """What the client says."""
    folder = Path(os.environ["CLIENT_FOLDER"])
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    runs, without = [], []
    for package, version, tflite, numpy, versions in RUNTIMES[-1:] if quick else RUNTIMES:
        name = f"{package} {version}"
        interpreter = python(versions)
        if interpreter is None:
            without.append(f"{name}: no Python {' or '.join(versions)}")
            continue
        try:
            environment = venv(folder / name.replace(" ", "-"), [f"{package}=={version}", numpy], python=interpreter)
        except LeftOutError as error:
            without.append(f"{name}: {error}")
            continue
        for recipe in recipe_names(kit):
            run = interpret([environment], kit, recipe, COUNT, variant=name, environment=own)
            runs.append({**run, "runtime_version": tflite})
    if not runs:
        raise LeftOutError(f"none can be installed: {'; '.join(without)}")
    return {"versions": {}, "without": without, "runs": runs}


if __name__ == "__main__":
    say(main)
