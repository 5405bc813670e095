"""What every comparison of `parity.py` shares: the measure, its thresholds, the pictures."""

import numpy as np

from swiftformer_tf.config import TokenWeights

# Largest difference over largest value, in float32 on the CPU.
THRESHOLD = 1e-5
# What the same comparison must exceed when the attention type is the wrong one, or it could not tell them apart.
CONTROL = 0.1

OTHER: dict[TokenWeights, TokenWeights] = {"l2": "uniform", "uniform": "l2"}

SIZES = ((224, 224), (190, 250))


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference over largest value; infinite where one is not finite, or their shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    return difference if np.isfinite(difference) else float("inf")


def images(size: tuple[int, int], seed: int) -> np.ndarray:
    """Two normalized pictures (2, height, width, 3): noise, and noise over a smooth ground as photographs have it."""
    generator = np.random.default_rng(seed)
    rows, columns = (np.linspace(-2, 2, side, dtype=np.float32) for side in size)
    ground = np.sin(rows[:, None, None] * [1, 2, 3]) + np.cos(columns[None, :, None] * [3, 1, 2])
    noise = generator.standard_normal((2, *size, 3), np.float32)
    return np.stack([noise[0], ground.astype(np.float32) + 0.2 * noise[1]])
