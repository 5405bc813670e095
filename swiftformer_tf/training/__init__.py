"""Training and fine-tuning with Keras's `compile` and `fit`: recipes, batches, teachers and averaged weights.

`train` starts from folders of photographs, `train_classifier` and `train_segmenter` from a model; each part can also be
used on its own.

Names are imported lazily, on first use, like those of the package, so that `--help` can show the table of recipes
without importing Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
