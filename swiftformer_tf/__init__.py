"""SwiftFormer for Keras: PyTorch weights in, verified Android models out.

>>> import swiftformer_tf as sf
>>> model = sf.SwiftFormerForImageClassification(sf.SwiftFormerConfig.from_variant("tiny", image_size=64))
>>> lite = sf.export(sf.fuse(model), sf.RECIPES["float32"])
>>> lite.config == model.config
True

Names are imported lazily, on first use, so that commands that do not need Keras start without it. `__init__.pyi` says
which module each name comes from.
"""

import importlib.metadata

import lazy_loader

from swiftformer_tf.registration import register_with_keras

__version__ = importlib.metadata.version(__name__)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_with_keras()
