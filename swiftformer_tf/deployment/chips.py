"""The recipe for each kind of processor."""

__all__ = ["RECIPE_OF", "WHICH_RECIPE"]

RECIPE_OF = {"CPU": "mixed_int8", "GPU": "float16", "NPU": "static_int8"}
"""By what runs the file; the first is what to take where nobody knows."""

WHICH_RECIPE = "Take `{CPU}` for CPUs, `{GPU}` for GPUs and `{NPU}` for NPUs.".format(**RECIPE_OF)
"""The advice of every page."""
