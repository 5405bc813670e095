"""Weight files: reading, recognizing and writing them, without PyTorch."""

from swiftformer_tf.checkpoints.checkpoint import Checkpoint
from swiftformer_tf.checkpoints.key_layouts import KEY_LAYOUTS, KeyLayoutName

__all__ = ["KEY_LAYOUTS", "Checkpoint", "KeyLayoutName"]
