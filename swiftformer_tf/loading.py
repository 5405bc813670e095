"""Opens any file that contains a model: a `.keras` file, a `.tflite` file, or a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.pretrained import check_one_model, file_kind, weights_path
from swiftformer_tf.config import TokenWeights
from swiftformer_tf.errors import ModelError
from swiftformer_tf.litert.model_file import LiteModel

if TYPE_CHECKING:  # Keras is imported only to create a Keras model, not to read other files
    from swiftformer_tf.fusion import DeployModel
    from swiftformer_tf.pretrained_model import PretrainedModel

__all__ = ["Answering", "Opened", "open_any", "open_checkpoint", "open_model"]

Answering: TypeAlias = "PretrainedModel | DeployModel | LiteModel"
Opened: TypeAlias = "Answering | Checkpoint"


def open_any(path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None) -> Opened:
    """Opens a file according to its kind: `.keras` and `.tflite` by suffix, everything else as a checkpoint.

    A `.keras` file may hold a model of this package, one with Keras layers on it, or a fused one (`DeployModel.save`).

    Args:
        path: The file or folder, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: The `.keras` or `.tflite` file cannot be used.
        CheckpointError: See `Checkpoint.open`.

    Examples:
        >>> open_any("swiftformer_xs_imagenette").config.labels[0]
        'tench'
    """
    path = weights_path(path)
    check_one_model(path, weights)
    kind = file_kind(path)
    if kind == "tflite":
        return LiteModel.open(path)
    if kind == "keras":
        from swiftformer_tf.keras_file import open_keras_file

        model: PretrainedModel | DeployModel = open_keras_file(path, fused=True)
        return model
    return Checkpoint.open(path, token_weights=token_weights, weights=weights)


def open_checkpoint(
    path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None
) -> Checkpoint:
    """Opens the weights of a checkpoint or of a `.keras` model.

    Args:
        path: The file or folder, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: The file is a `.tflite` file, whose weights can no longer be turned into a checkpoint, or a `.keras`
            file that cannot be used.
        CheckpointError: See `Checkpoint.open`.
    """
    from swiftformer_tf.porting import to_checkpoint
    from swiftformer_tf.pretrained_model import open_weights

    opened = open_weights(path, token_weights=token_weights, weights=weights)
    return opened if isinstance(opened, Checkpoint) else to_checkpoint(opened)


def open_model(
    path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None
) -> "PretrainedModel":
    """Opens a classifier or segmenter as a Keras model, from a `.keras` file or, by porting it, from a checkpoint.

    Args:
        path: The file or folder, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: The file is a `.tflite` file, which cannot be turned back into a Keras model; a `.keras` file that
            cannot be used; or a backbone, which has no head.
        CheckpointError: See `Checkpoint.open`.

    Examples:
        >>> type(open_model("swiftformer_xs_imagenette")).__name__
        'SwiftFormerForImageClassification'
    """
    from swiftformer_tf.model import HEADLESS, SwiftFormerModel
    from swiftformer_tf.porting import port
    from swiftformer_tf.pretrained_model import open_weights

    opened = open_weights(path, token_weights=token_weights, weights=weights)
    model = port(opened).model if isinstance(opened, Checkpoint) else opened
    if isinstance(model, SwiftFormerModel):
        raise ModelError(f"{path}: {HEADLESS}")
    return model
