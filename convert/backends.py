"""The same checkpoint on each of Keras's backends, against the PyTorch reference: the third table of `parity.py`.

A process takes one backend, so each has a process of its own, `backend_logits.py`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import references
import torch
from comparing import OTHER, SIZES, images
from rows import BackendCase, Logits, backend_rows

BACKENDS = ("tensorflow", "jax", "torch")
CHILD = Path(__file__).with_name("backend_logits.py")


def run(backend: str, checkpoint: Path, pictures: list[np.ndarray], folder: Path) -> tuple[str, Logits]:
    """Version of a backend, and what Keras computes on it: logits at each size by attention type."""
    np.savez(folder / "pictures.npz", *pictures)
    command = [sys.executable, str(CHILD), str(checkpoint), str(folder / "pictures.npz"), str(folder / "logits.npz")]
    child = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True, check=False
    )
    if child.returncode:
        raise RuntimeError(f"{CHILD.name} on {backend} ended with {child.returncode}:\n{child.stderr}")
    said = json.loads(child.stdout.splitlines()[-1])
    if said["backend"] != backend:
        raise AssertionError(f"asked for Keras on {backend}, got {said['backend']}")
    with np.load(folder / "logits.npz") as file:
        arrays = {kind: [file[f"{kind}-{index}"] for index in range(len(pictures))] for kind in OTHER}
    return said["version"], arrays


def backend_cases(l2: torch.nn.Module, uniform: torch.nn.Module) -> Iterator[BackendCase]:
    """Every backend, on the weights of a pair under the original names, which both attention types share."""
    pictures = [images(size, seed=4) for size in SIZES]
    expected: Logits = {
        "l2": [references.logits(l2, batch) for batch in pictures],
        "uniform": [references.logits(uniform, batch) for batch in pictures],
    }
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "original.pth")
        references.training_file(references.original_names(l2.state_dict()), checkpoint)
        on_tensorflow: Logits = {}
        for backend in BACKENDS:
            version, ours = run(backend, checkpoint, pictures, Path(folder))
            on_tensorflow = on_tensorflow or ours
            yield from backend_rows(f"{backend} {version}", ours, on_tensorflow, expected)
