"""Opens whatever holds a classifier: a Keras model, a TFLite file, a checkpoint, a folder or an id on the hub."""

import json
import math
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.pretrained import weights_path
from swiftformer_tf.checkpoints.relabeling import relabel, requested_labels
from swiftformer_tf.checkpoints.tensor_specs import expected_shapes
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import ConfigError, ModelError, one_line
from swiftformer_tf.litert.model_file import LiteModel

if TYPE_CHECKING:  # Keras is imported where a Keras model is made, and not to look into other files
    from swiftformer_tf.model import SwiftFormerForImageClassification
    from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation

__all__ = ["Opened", "from_pretrained", "open_any", "open_checkpoint", "open_keras", "open_model"]

# Members of a `.keras` archive.
KERAS_CONFIG, KERAS_WEIGHTS = "config.json", "model.weights.h5"

# A million labels fit.
MAX_KERAS_CONFIG_BYTES = 2**26

Opened: TypeAlias = "SwiftFormerForImageClassification | LiteModel | Checkpoint"


def open_any(path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None) -> Opened:
    """Opens a file for what it is: `.keras` and `.tflite` by their suffix, everything else as a checkpoint.

    Args:
        path: The file or folder, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

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
    return Checkpoint.open(path, token_weights=token_weights, weights=weights)


def open_model(
    path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None
) -> "SwiftFormerForImageClassification":
    """A Keras classifier from a `.keras` file or, ported, from a checkpoint.

    Args:
        path: The file or folder, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: A `.tflite` file, which cannot become a Keras model again, or a `.keras` file that cannot be used.
        CheckpointError: See `Checkpoint.open`.

    Examples:
        >>> open_model("swiftformer_xs_imagenette").config.labels[0]
        'tench'
    """
    from swiftformer_tf.model import SwiftFormerForImageClassification
    from swiftformer_tf.porting import port

    opened = open_any(path, token_weights=token_weights, weights=weights)
    if isinstance(opened, LiteModel):
        raise ModelError(f"{path}: a TFLite model; expected a .keras model or a checkpoint")
    model = port(opened).model if isinstance(opened, Checkpoint) else opened
    if not isinstance(model, SwiftFormerForImageClassification):
        raise ModelError(f"{path}: a backbone without the classifier's normalisation; expected classification weights")
    return model


def open_checkpoint(
    path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None
) -> Checkpoint:
    """The weights of a checkpoint or of a `.keras` model.

    Args:
        path: The file or folder, a name of `PRETRAINED`, or an id on the Hugging Face hub.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: A `.tflite` file, whose weights are no longer those of a checkpoint, or a `.keras` file that cannot
            be used.
        CheckpointError: See `Checkpoint.open`.
    """
    from swiftformer_tf.porting import to_checkpoint

    opened = open_any(path, token_weights=token_weights, weights=weights)
    if isinstance(opened, LiteModel):
        raise ModelError(f"{path}: a TFLite model; expected a .keras model or a checkpoint")
    return opened if isinstance(opened, Checkpoint) else to_checkpoint(opened)


def open_keras(path: str | Path) -> "SwiftFormerForImageClassification":
    """A classifier that was saved with `model.save("name.keras")`.

    Raises:
        ModelError: No such file, damaged, or another kind of model.
    """
    from swiftformer_tf.model import SwiftFormerForImageClassification

    return _load_keras(path, SwiftFormerForImageClassification)


def open_segmenter(path: str | Path) -> "SwiftFormerForSemanticSegmentation":
    """A segmenter that was saved with `model.save("name.keras")`, such as a training's `model.keras`.

    Raises:
        ModelError: No such file, damaged, or another kind of model.
    """
    from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation

    return _load_keras(path, SwiftFormerForSemanticSegmentation)


def _load_keras(path: str | Path, kind: Any) -> Any:
    import keras

    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: not a Keras model (not a zip archive), or cut short")
    try:
        _check_keras(path, kind)
        model = keras.models.load_model(path, compile=False)
    except (ConfigError, ModelError) as error:
        raise ModelError(f"{path}: {one_line(error)}") from None
    except Exception as error:  # Keras, h5py and zipfile each fail in their own ways
        reason = one_line(str(error).strip().partition("\n")[0], 200)
        raise ModelError(f"{path}: Keras cannot load it ({type(error).__name__}: {reason})") from None
    if not isinstance(model, kind):
        raise ModelError(f"{path}: Keras makes a {type(model).__name__} of it; the file was made to do harm")
    return model


def _check_keras(path: str | Path, kind: Any) -> None:
    """Refuses another class, and a model larger than the file, before Keras makes any of it."""
    import keras

    from swiftformer_tf.segmentation import SegmentationHead

    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(KERAS_CONFIG).file_size > MAX_KERAS_CONFIG_BYTES:
            raise ModelError(f"its {KERAS_CONFIG} is larger than the {MAX_KERAS_CONFIG_BYTES:,} bytes that are read")
        if strange := set(archive.namelist()) - {"metadata.json", KERAS_CONFIG, KERAS_WEIGHTS}:
            # Keras would unpack them into a temporary folder.
            raise ModelError(f"holds {min(strange)}, and the archive of a SwiftFormer has no assets")
        values = json.loads(archive.read(KERAS_CONFIG))
        stored = archive.getinfo(KERAS_WEIGHTS).file_size
    registered = keras.saving.get_registered_name(kind)
    if values.get("registered_name") != registered:
        raise ModelError(f"a {values['class_name']}; expected a {kind.__name__}")
    config = SwiftFormerConfig.from_dict(values["config"]["config"])
    parameters = sum(map(math.prod, expected_shapes(config).values()))
    if head := values["config"].get("head"):
        parameters += SegmentationHead.from_dict(head).least_parameters
    if parameters > stored:  # of one byte at least
        raise ModelError(f"its configuration has {parameters:,} parameters, which its {stored:,} bytes cannot hold")


def from_pretrained(
    name: str | Path,
    *,
    token_weights: TokenWeights | None = None,
    weights: str | None = None,
    num_labels: int | None = None,
    id2label: Mapping[int, str] | None = None,
) -> "SwiftFormerForImageClassification":
    """A classifier with trained weights, by the name that they have.

    Args:
        name: A key of `PRETRAINED`; an id on the Hugging Face hub, such as `"timm/swiftformer_xs.dist_in1k"` or, of one
            revision, `"timm/swiftformer_xs.dist_in1k@main"`; or the path of a folder or file: Hugging Face's layout,
            timm's, a checkpoint or a `.keras` model.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.
        num_labels: Number of classes, if it shall be another: the heads are new then, and a warning says so.
        id2label: Names of the classes by index. As many as there are outputs rename them; another number is as
            `num_labels`.

    Raises:
        CheckpointError: No such weights, or they cannot be fetched or used.
        ConfigError: Labels that contradict each other.
        ModelError: See `open_model`.

    Examples:
        >>> from_pretrained("swiftformer_xs_imagenette").config.num_labels
        10
    """
    from swiftformer_tf.porting import port

    wanted = requested_labels(num_labels, id2label)
    if wanted is None:
        return open_model(name, token_weights=token_weights, weights=weights)
    checkpoint = open_checkpoint(name, token_weights=token_weights, weights=weights)
    changed, said = relabel(checkpoint, wanted)
    if changed.config.num_labels != checkpoint.config.num_labels:
        warnings.warn(f"{name}: {said}", stacklevel=2)
    return port(changed).model
