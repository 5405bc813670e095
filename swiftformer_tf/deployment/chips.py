"""The recipe for each kind of processor."""

__all__ = ["RECIPE_OF", "WHICH_RECIPE"]

RECIPE_OF = {"CPU": "mixed_int8", "GPU": "float16", "NPU": "static_int8"}
"""Recipes by the hardware that runs the file; the first is the one to use if it is unknown."""

WHICH_RECIPE = "Take `{CPU}` for CPUs, `{GPU}` for GPUs and `{NPU}` for NPUs.".format(**RECIPE_OF)
"""The advice on every page."""
