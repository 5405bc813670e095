"""How fast LiteRT multiplies matrices at best: `python tflite/core_peak.py` prints operations a second as JSON.

On one thread, by the types of a matrix's input and weights; a multiply-add counts as two operations. Measured on files
of a single 1x1 convolution, exported with every recipe of the package, as `benchmark.py` profiles its files.
"""

import collections
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from swiftformer_tf import RECIPES, DeployModel, LiteModel, Recipe, SwiftFormerConfig, export
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.litert.profiling import OpKind, profile_ops
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.tasks import Output

__all__ = ["SIZES", "core_peak", "fastest_profile", "multiply_adds"]

# Height and width, inputs and outputs: large enough that all but the arithmetic is small beside it. Which one is
# fastest depends on the processor and on the types.
SIZES = ((32, 256, 256), (16, 1024, 256), (32, 512, 512), (16, 1024, 1024))

# What interrupts a run makes it slower, and nothing makes it faster: the fastest profile counts.
PROFILES = 3


def multiply_adds(lite: LiteModel) -> dict[str, int]:
    """Multiply-adds of a file's matrices, without depthwise convolutions as in `matrix_share`, by their arithmetic.

    This is the types that the kernels read, such as `"float32 x int8"`: input, then weights.
    """
    found: collections.Counter[str] = collections.Counter()
    for op in inspect_model(lite).ops:
        if op.name in ("CONV_2D", "FULLY_CONNECTED") and op.matrix:
            found[" x ".join(op.inputs[:2]).lower()] += op.matrix.multiply_adds
    return dict(found)


def fastest_profile(path: Path, profiles: int = PROFILES) -> list[OpKind]:
    """The profile of a file, of several, whose operations took the least time together."""
    return min((profile_ops(path) for _ in range(profiles)), key=lambda ops: sum(op.milliseconds for op in ops))


def single_matrix(side: int, inputs: int, outputs: int) -> DeployModel:
    """A deploy graph of nothing but a 1x1 convolution."""
    image = keras.Input((side, side, inputs), batch_size=1)
    output = keras.layers.Conv2D(outputs, 1, name="matrix")(image)
    config = SwiftFormerConfig.from_variant("tiny", image_size=side, num_channels=inputs)
    named = (Output("features", (1, side, side, outputs), "features"),)
    return DeployModel([image], [output], config=config, include_preprocessing=False, named_outputs=named)


def core_peak(
    recipes: Iterable[Recipe] = RECIPES.values(),
    sizes: Iterable[tuple[int, int, int]] = SIZES,
    profiles: int = PROFILES,
) -> dict[str, float]:
    """Operations a second by arithmetic, as `multiply_adds` names it."""
    peaks: dict[str, float] = {}
    recipes = list(recipes)
    for size in sizes:
        deploy = single_matrix(*size)
        images = np.random.default_rng(0).normal(size=(2, *deploy.inputs[0].shape[1:])).astype(np.float32)
        for recipe in recipes:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "matrix.tflite")
                lite = export(deploy, recipe, calibration=images)
                lite.save(path)
                ((arithmetic, count),) = multiply_adds(lite).items()
                milliseconds = sum(op.milliseconds for op in fastest_profile(path, profiles) if op.is_matrix)
                peaks[arithmetic] = max(peaks.get(arithmetic, 0.0), 2e3 * count / milliseconds)
    return peaks


if __name__ == "__main__":
    with native_stderr_silenced():
        print(json.dumps(core_peak()))
