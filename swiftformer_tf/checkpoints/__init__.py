"""Weight files: reading, recognizing and writing them, without PyTorch.

Names are imported on first use: whether a name is known is asked before the libraries that read files are needed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
