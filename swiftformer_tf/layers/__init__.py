"""The building blocks of SwiftFormer as Keras layers."""

from swiftformer_tf.layers.blocks import (
    ConvEncoder,
    Downsample,
    EfficientAdditiveAttention,
    Encoder,
    LayerScale,
    LocalRepresentation,
    Mlp,
    Stem,
)

__all__ = [
    "ConvEncoder",
    "Downsample",
    "EfficientAdditiveAttention",
    "Encoder",
    "LayerScale",
    "LocalRepresentation",
    "Mlp",
    "Stem",
]
