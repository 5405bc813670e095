from .checkpoint import Checkpoint
from .key_layouts import KEY_LAYOUTS, KeyLayoutName

__all__ = ["KEY_LAYOUTS", "Checkpoint", "KeyLayoutName"]
