"""SwiftFormer for Keras: PyTorch weights in, verified Android models out.

>>> import swiftformer_tf as sf
>>> model = sf.SwiftFormerForImageClassification(sf.SwiftFormerConfig.from_variant("tiny", image_size=64))
>>> lite = sf.export(sf.fuse(model), sf.RECIPES["float32"])
>>> lite.config == model.config
True

Names are imported lazily, on first use, so that commands that do not need Keras start without it. `__init__.pyi` says
which module each name comes from.
"""

from typing import Any

import lazy_loader

from swiftformer_tf.registration import register_with_keras
from swiftformer_tf.saved_classes import SAVED_CLASSES

_public_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _public_name(name)
    import importlib.metadata  # which imports `email`: a fifth of the time in which `--help` answers

    return importlib.metadata.version(__name__)


register_with_keras(SAVED_CLASSES)
