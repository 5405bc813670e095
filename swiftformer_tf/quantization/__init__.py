"""Integers in the place of floats, written into the converter's float flatbuffer by our own hand."""

from swiftformer_tf.quantization.centring import centre, is_centred
from swiftformer_tf.quantization.equalizing import equalize, is_equalized
from swiftformer_tf.quantization.gating import gate, is_gated
from swiftformer_tf.quantization.graph import Graph
from swiftformer_tf.quantization.norms import fit_norms, has_fitted_norms
from swiftformer_tf.quantization.ranges import Statistics, last_matrix, measure
from swiftformer_tf.quantization.rewriting import Arithmetic, arithmetic, rewrite

__all__ = [
    "Arithmetic",
    "Graph",
    "Statistics",
    "arithmetic",
    "centre",
    "equalize",
    "fit_norms",
    "gate",
    "has_fitted_norms",
    "is_centred",
    "is_equalized",
    "is_gated",
    "last_matrix",
    "measure",
    "rewrite",
]
