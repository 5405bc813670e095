"""The classes of all rooms that Keras finds by their names in saved files."""

from swiftformer_tf.registration import SavedClasses

__all__ = ["SAVED_CLASSES"]

SAVED_CLASSES = SavedClasses(
    by_module={
        "fusion.deploy_model": ("DeployModel",),
        "layers.blocks": (
            *("ConvEncoder", "Downsample", "EfficientAdditiveAttention", "Encoder"),
            *("LayerScale", "LocalRepresentation", "Mlp", "Stem"),
        ),
        "layers.initializers": ("RandomNormal", "TruncatedNormal"),
        "layers.resizing": ("BilinearResize", "BilinearUpsampling", "NearestUpsampling"),
        "model": ("SwiftFormerForImageClassification", "SwiftFormerModel"),
        "segmentation": ("SwiftFormerForSemanticSegmentation",),
        "tasks.pixel_class": ("PixelClass",),
        "training.objectives": ("ScaledAbsoluteError",),
        "training.optimization": ("ClippedAdamW",),
        "training.segmentation": ("PixelCrossEntropy", "PolynomialDecay"),
    },
    models=(
        *("DeployModel", "SwiftFormerForImageClassification", "SwiftFormerForSemanticSegmentation"),
        "SwiftFormerModel",
    ),
)
