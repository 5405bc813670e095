"""Finds where an integer file loses accuracy, by comparing its tensors with those of the float graph."""

from swiftformer_tf.debugging.debugger import QuantizationReport, TensorReport, debug_quantization

__all__ = ["QuantizationReport", "TensorReport", "debug_quantization"]
