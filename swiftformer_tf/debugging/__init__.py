"""Where an integer file loses: its tensors beside those of the float graph that it was made from."""

from swiftformer_tf.debugging.debugger import QuantizationReport, TensorReport, debug_quantization

__all__ = ["QuantizationReport", "TensorReport", "debug_quantization"]
