"""The recipe for each kind of processor."""

import itertools

from swiftformer_tf.recipes import RECIPES

__all__ = ["CHIPS", "FASTEST_ON_CPU", "WHICH_RECIPE"]

FASTEST_ON_CPU = (
    *("mixed_int8", "int8", "static_int8", "dynamic_int8", "dynamic_int4"),
    *("float16", "float32", "int16x8"),
)
"""All recipes by latency on one CPU thread, see tflite/README.md; if equal, the one with fewer partitions is first."""

ADVICE = {"mixed_int8": "CPUs and Qualcomm's NPUs", "float16": "GPUs", "static_int8": "other NPUs"}
"""The recommended recipes, each with its chips; the first is the default if the chip is unknown."""

WHICH_RECIPE = "Take `{}` for {}, `{}` for {}, and `{}` for {}.".format(*itertools.chain.from_iterable(ADVICE.items()))
"""The recommendation as a sentence, for pages and the help of `export`."""

CHIPS = {
    **ADVICE,
    "int8": "CPUs without fast floats",
    "dynamic_int8": "CPUs, without calibration photographs",
    "dynamic_int4": "CPUs, the smallest file",
    "float32": "CPUs and GPUs, as the reference",
    "int16x8": RECIPES["int16x8"].caution,
}
"""The chips that each recipe is for, see docs/npu.md."""
