"""Weight files: reading, recognising and writing them, without PyTorch."""

from swiftformer_tf.checkpoints.checkpoint import Checkpoint
from swiftformer_tf.checkpoints.key_layouts import SCHEMES, SchemeName

__all__ = ["SCHEMES", "Checkpoint", "SchemeName"]
