"""Opens whatever holds a classifier: a Keras model, a TFLite file or a PyTorch checkpoint."""

import zipfile
from pathlib import Path

import keras

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import TokenWeights
from swiftformer_tf.errors import CheckpointError, ModelError
from swiftformer_tf.litemodel import LiteModel
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.porting import port
from swiftformer_tf.pretrained import PRETRAINED, weights_path

__all__ = ["Opened", "from_pretrained", "open_any", "open_keras", "open_model"]

Opened = SwiftFormerForImageClassification | LiteModel | Checkpoint


def open_any(path: str | Path, *, token_weights: TokenWeights | None = None) -> Opened:
    """Opens a file for what it is: `.keras` and `.tflite` by their suffix, everything else as a checkpoint.

    Args:
        path: The file, or a name of `PRETRAINED`.
        token_weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: A `.keras` or `.tflite` file that cannot be used.
        CheckpointError: See `Checkpoint.open`.
    """
    path = weights_path(path)
    suffix = path.suffix.lower()
    if suffix == ".tflite":
        return LiteModel.open(path)
    if suffix == ".keras":
        return open_keras(path)
    return Checkpoint.open(path, token_weights=token_weights)


def open_model(path: str | Path, *, token_weights: TokenWeights | None = None) -> SwiftFormerForImageClassification:
    """A Keras classifier from a `.keras` file or, ported, from a checkpoint.

    Args:
        path: The file, or a name of `PRETRAINED`.
        token_weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: A `.tflite` file, which cannot become a Keras model again, or a `.keras` file that cannot be used.
        CheckpointError: See `Checkpoint.open`.
    """
    opened = open_any(path, token_weights=token_weights)
    if isinstance(opened, LiteModel):
        raise ModelError(f"{path}: a TFLite model; expected a .keras model or a checkpoint")
    model = port(opened).model if isinstance(opened, Checkpoint) else opened
    if not isinstance(model, SwiftFormerForImageClassification):
        raise ModelError(f"{path}: a backbone without the classifier's normalisation; expected classification weights")
    return model


def open_keras(path: str | Path) -> SwiftFormerForImageClassification:
    """A classifier that was saved with `model.save("name.keras")`.

    Raises:
        ModelError: No such file, damaged, or another kind of model.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: not a Keras model (not a zip archive), or cut short")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, h5py and zipfile each fail in their own ways
        raise ModelError(f"{path}: Keras cannot load it ({type(error).__name__}: {_first_line(error)})") from None
    if not isinstance(model, SwiftFormerForImageClassification):
        raise ModelError(f"{path}: a {type(model).__name__}; expected a SwiftFormerForImageClassification")
    return model


def from_pretrained(name: str) -> SwiftFormerForImageClassification:
    """A classifier with weights that ship with the package.

    Args:
        name: A key of `PRETRAINED`.

    Raises:
        CheckpointError: No such weights.

    Example:
        >>> from_pretrained("swiftformer_xs_imagenette").config.num_labels
        10
    """
    if name not in PRETRAINED:
        raise CheckpointError(f"{name}: no such weights; expected one of {', '.join(PRETRAINED)}")
    return open_model(name)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
