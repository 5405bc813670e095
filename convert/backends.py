"""The same checkpoint on each of Keras's backends, against the PyTorch reference: the third table of `parity.py`.

A process takes one backend, so each has a process of its own, `backend_logits.py`.
"""

import dataclasses
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
from comparing import CONTROL, OTHER, SIZES, THRESHOLD, error, images

from swiftformer_tf.config import TokenWeights

BACKENDS = ("tensorflow", "jax", "torch")
CHILD = Path(__file__).with_name("backend_logits.py")


@dataclasses.dataclass(frozen=True)
class BackendCase:
    """One row: a backend under one arithmetic.

    Args:
        backend: As `KERAS_BACKEND` has it, and its version.
        token_weights: The arithmetic.
        logits: Error against the reference.
        odd_size: The same at a size that no stage divides evenly.
        tensorflow: Error against Keras on TensorFlow; the worse of both sizes.
        wrong: Error of the other arithmetic on this backend against the reference.
    """

    backend: str
    token_weights: str
    logits: float
    odd_size: float
    tensorflow: float
    wrong: float

    @property
    def passed(self) -> bool:
        return max(self.logits, self.odd_size, self.tensorflow) <= THRESHOLD and self.wrong >= CONTROL


# At each size, by arithmetic.
Logits = dict[TokenWeights, list[np.ndarray]]


def run(backend: str, checkpoint: Path, pictures: list[np.ndarray], folder: Path) -> tuple[str, Logits]:
    """Version of a backend, and what Keras computes on it: logits at each size by arithmetic."""
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


def judge(backend: str, ours: Logits, on_tensorflow: Logits, expected: Logits) -> Iterator[BackendCase]:
    """A row for each arithmetic."""
    for kind, other in OTHER.items():
        yield BackendCase(
            backend=backend,
            token_weights=kind,
            logits=error(ours[kind][0], expected[kind][0]),
            odd_size=error(ours[kind][1], expected[kind][1]),
            tensorflow=max(map(error, ours[kind], on_tensorflow[kind])),
            wrong=error(ours[other][0], expected[kind][0]),
        )


def backend_cases(l2: torch.nn.Module, uniform: torch.nn.Module) -> Iterator[BackendCase]:
    """Every backend, on the weights of a pair under the original names, which both arithmetics share."""
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
            yield from judge(f"{backend} {version}", ours, on_tensorflow, expected)
