"""Training and fine-tuning through plain `compile` and `fit`: recipes, batches, teachers, averages.

`train` goes from folders of photographs to a trained model, `train_classifier` and `train_segmenter` from a model; each
part works alone too.

Names are imported when they are first used, as those of the package are: the help of a command shows the table of
recipes without Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
