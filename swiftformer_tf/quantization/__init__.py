"""Integers in the place of floats, written into the converter's float flatbuffer by our own hand."""

from swiftformer_tf.quantization.equalizing import equalize, is_equalized
from swiftformer_tf.quantization.gating import gate, is_gated
from swiftformer_tf.quantization.graph import Graph
from swiftformer_tf.quantization.ranges import Statistics, measure
from swiftformer_tf.quantization.rewriting import Arithmetic, arithmetic, rewrite

__all__ = [
    "Arithmetic",
    "Graph",
    "Statistics",
    "arithmetic",
    "equalize",
    "gate",
    "is_equalized",
    "is_gated",
    "measure",
    "rewrite",
]
