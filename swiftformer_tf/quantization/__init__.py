"""Quantization: replaces floats with integers in the converter's float flatbuffer."""

from swiftformer_tf.quantization.choices import Precision, operation_precisions
from swiftformer_tf.quantization.equalization import equalize, equalize_by_weights
from swiftformer_tf.quantization.gelu import lower_gelu
from swiftformer_tf.quantization.graph import Graph
from swiftformer_tf.quantization.lowering import lower_float_only
from swiftformer_tf.quantization.naming import name_tensors
from swiftformer_tf.quantization.output_bias import correct_output_bias
from swiftformer_tf.quantization.probabilities import PROBABILITY_OPS, lower_softmax
from swiftformer_tf.quantization.ranges import Statistics, measure
from swiftformer_tf.quantization.rewriting import rewrite
from swiftformer_tf.quantization.rsqrt import fit_norm_ranges, lower_rsqrt

__all__ = [
    "PROBABILITY_OPS",
    "Graph",
    "Precision",
    "Statistics",
    "correct_output_bias",
    "equalize",
    "equalize_by_weights",
    "fit_norm_ranges",
    "lower_float_only",
    "lower_gelu",
    "lower_rsqrt",
    "lower_softmax",
    "measure",
    "name_tensors",
    "operation_precisions",
    "rewrite",
]
