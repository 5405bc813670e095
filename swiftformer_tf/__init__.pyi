"""What `import swiftformer_tf` gives: `__init__.py` imports each name from here when it is first used."""

from . import training
from .accuracy import evaluate
from .checkpoints import Checkpoint
from .checkpoints.pretrained import PRETRAINED
from .config import VARIANTS, SwiftFormerConfig
from .debugging.debugger import debug_quantization
from .errors import (
    CheckpointError,
    ConfigError,
    ExportError,
    ImageError,
    ModelError,
    SwiftFormerError,
    VerificationError,
)
from .exporting import Calibration, calibrate, export
from .fusion import DeployModel, fuse
from .images.transform import TRANSFORMS, Transform
from .litert.model_file import LiteModel
from .litert.runner import LiteRunner
from .model import SwiftFormerForImageClassification, SwiftFormerModel
from .pipeline import export_files
from .porting import port, to_checkpoint
from .recipes import RECIPES, Recipe
from .segmentation import SwiftFormerForSemanticSegmentation
from .segmentation_heads import SEGMENTATION_HEADS
from .verification import VerificationReport, verify

__all__ = [
    "PRETRAINED",
    "RECIPES",
    "SEGMENTATION_HEADS",
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
    "Recipe",
    "SwiftFormerConfig",
    "SwiftFormerError",
    "SwiftFormerForImageClassification",
    "SwiftFormerForSemanticSegmentation",
    "SwiftFormerModel",
    "Transform",
    "VerificationError",
    "VerificationReport",
    "calibrate",
    "debug_quantization",
    "evaluate",
    "export",
    "export_files",
    "fuse",
    "port",
    "to_checkpoint",
    "training",
    "verify",
]

__version__: str
