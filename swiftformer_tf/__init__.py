"""SwiftFormer for Keras: PyTorch weights in, verified Android models out.

>>> import swiftformer_tf as sf
>>> model = sf.SwiftFormerForImageClassification(sf.SwiftFormerConfig.from_variant("tiny", image_size=64))
>>> lite = sf.export(sf.fuse(model), sf.RECIPES["float32"])
>>> lite.config == model.config
True
"""

from swiftformer_tf.native_logs import native_stderr_silenced

with native_stderr_silenced():
    import keras as _keras  # noqa: F401  TensorFlow greets on import

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.pretrained import PRETRAINED
from swiftformer_tf.config import VARIANTS, SwiftFormerConfig
from swiftformer_tf.debugging.debugger import QuantizationReport, TensorReport, debug_quantization
from swiftformer_tf.errors import (
    CheckpointError,
    ConfigError,
    ExportError,
    ImageError,
    ModelError,
    SwiftFormerError,
    VerificationError,
)
from swiftformer_tf.exporting import Calibration, calibrate, export
from swiftformer_tf.fusion import DeployModel, fuse
from swiftformer_tf.images.transform import TRANSFORMS, Transform
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.loading import from_pretrained, open_model
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel
from swiftformer_tf.porting import Ported, port, to_checkpoint
from swiftformer_tf.recipes import RECIPES, Recipe
from swiftformer_tf.saving import save_pretrained
from swiftformer_tf.verification import VerificationCheck, VerificationReport, verify

__version__ = "0.1.0"

__all__ = [
    "PRETRAINED",
    "RECIPES",
    "TRANSFORMS",
    "VARIANTS",
    "Calibration",
    "Checkpoint",
    "CheckpointError",
    "ConfigError",
    "DeployModel",
    "ExportError",
    "ImageError",
    "LiteModel",
    "LiteRunner",
    "ModelError",
    "Ported",
    "QuantizationReport",
    "Recipe",
    "SwiftFormerConfig",
    "SwiftFormerError",
    "SwiftFormerForImageClassification",
    "SwiftFormerModel",
    "TensorReport",
    "Transform",
    "VerificationCheck",
    "VerificationError",
    "VerificationReport",
    "calibrate",
    "debug_quantization",
    "export",
    "from_pretrained",
    "fuse",
    "open_model",
    "port",
    "save_pretrained",
    "to_checkpoint",
    "verify",
]
