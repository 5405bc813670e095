"""The recipe for each kind of processor."""

__all__ = ["FASTEST_ON_CPU", "RECIPE_OF", "WHICH_RECIPE"]

FASTEST_ON_CPU = (
    *("mixed_int8", "int8", "static_int8", "dynamic_int8", "dynamic_int4"),
    *("float16", "float32", "int16x8"),
)
"""All recipes by their latency on one thread of a CPU, see tflite/README.md; of equals, first that in fewer pieces."""

RECIPE_OF = {"CPU": FASTEST_ON_CPU[0], "GPU": "float16", "NPU": "static_int8"}
"""Recipes by the hardware that runs the file; the first is the one to use if it is unknown."""

WHICH_RECIPE = "Take `{CPU}` for CPUs, `{GPU}` for GPUs and `{NPU}` for NPUs.".format(**RECIPE_OF)
"""The advice on every page."""
