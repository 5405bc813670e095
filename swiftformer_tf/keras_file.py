"""Opens `.keras` files of this package's models, after inspecting them before Keras deserializes anything."""

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftformer_tf.checkpoints.tensor_specs import expected_shapes
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError, first_line, one_line
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.segmentation_heads import SegmentationHead

if TYPE_CHECKING:  # Keras takes seconds to import: what is refused is refused before
    import keras

__all__ = ["open_keras_file"]

# Members of the archive.
KERAS_CONFIG, KERAS_WEIGHTS = "config.json", "model.weights.h5"

# The class that `fuse` returns.
FUSED = "DeployModel"

# Keras's classes of models made of layers, such as custom heads on a backbone.
FUNCTIONAL = ("Functional", "Sequential")

# A million labels fit.
MAX_KERAS_CONFIG_BYTES = 2**26


def open_keras_file(path: str | Path, *, fused: bool = False) -> "keras.Model":
    """Opens a `.keras` file with a model of this package, or with one under Keras layers.

    Args:
        path: Path of the file.
        fused: Whether the model may also be a saved `DeployModel`.

    Raises:
        ModelError: The file does not exist, is damaged, or contains a different kind of model.
    """
    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: not a Keras model (not a zip archive), or cut short")
    try:
        kind = _checked_kind(path, fused)
        import keras

        model = keras.models.load_model(path, compile=False)
    except (ConfigError, ModelError) as error:
        raise ModelError(f"{path}: {one_line(error)}") from None
    except Exception as error:  # Keras, h5py and zipfile each fail in their own ways
        raise ModelError(f"{path}: Keras cannot load it ({type(error).__name__}: {first_line(error, 200)})") from None
    if type(model).__name__ != kind:
        raise ModelError(f"{path}: Keras loads it as a {type(model).__name__}; the file may be malicious")
    return model


def _checked_kind(path: str | Path, fused: bool) -> str:
    """Rejects other classes, and a model larger than the file; returns the name of the class."""
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(KERAS_CONFIG).file_size > MAX_KERAS_CONFIG_BYTES:
            raise ModelError(f"its {KERAS_CONFIG} is larger than the {MAX_KERAS_CONFIG_BYTES:,} bytes that are read")
        if strange := set(archive.namelist()) - {"metadata.json", KERAS_CONFIG, KERAS_WEIGHTS}:
            # Keras would unpack them into a temporary folder.
            raise ModelError(f"holds {min(strange)}, but the archive of a SwiftFormer has no assets")
        values = json.loads(archive.read(KERAS_CONFIG))
        stored = archive.getinfo(KERAS_WEIGHTS).file_size
    if values.get("class_name") in FUNCTIONAL:
        _check_layers(values, stored)
        return str(values["class_name"])
    package, _, kind = str(values.get("registered_name")).partition(">")
    if (package, kind) == (PACKAGE, FUSED):
        if not fused:
            cure = "expected the model that was fused"
            raise ModelError(f"a fused model, which only `evaluate`, `predict` and `info` open; {cure}")
        _check_layers(values, stored)
        return kind
    if package != PACKAGE or kind not in _PARAMETERS:
        raise ModelError(f"a {values['class_name']}; expected one of {', '.join(_PARAMETERS)}")
    config = SwiftFormerConfig.from_dict(values["config"]["config"])
    parameters = _PARAMETERS[kind](config, values["config"])
    if parameters > stored:  # of one byte at least
        raise ModelError(f"its configuration has {parameters:,} parameters, which its {stored:,} bytes cannot hold")
    return kind


def _check_layers(values: dict[str, Any], stored: int) -> None:
    """Rejects a functional model with third-party layers, or with sizes that do not match its weights."""
    ours = f"{PACKAGE}>"
    objects = list(_objects(values))
    for value in objects:
        module, is_ours = str(value.get("module") or "keras"), str(value.get("registered_name")).startswith(ours)
        if not is_ours and module.split(".")[0] not in ("keras", "builtins"):
            raise ModelError(f"holds a {value.get('class_name')} of {module}; expected Keras's layers on a SwiftFormer")
        for name, number in value.items():
            if isinstance(number, int) and number > stored and name not in ("seed", "shared_object_id"):
                raise ModelError(f"its configuration has {name}={number:,}, which its {stored:,} bytes cannot hold")
    if not any(str(each.get("registered_name")).startswith(ours) for each in objects):
        raise ModelError(
            f"a {values['class_name']}; expected one of {', '.join(_PARAMETERS)}, or Keras's layers on one"
        )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a JSON document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(each)


def _backbone(config: SwiftFormerConfig, _: Mapping[str, Any]) -> int:
    shapes = expected_shapes(config.replace(id2label={}), final_norm=False)
    return sum(map(math.prod, shapes.values()))


def _classifier(config: SwiftFormerConfig, _: Mapping[str, Any]) -> int:
    return sum(map(math.prod, expected_shapes(config).values()))


def _segmenter(config: SwiftFormerConfig, values: Mapping[str, Any]) -> int:
    return _backbone(config, values) + SegmentationHead.from_dict(values["head"]).least_parameters


# The least parameters of each class, by its name: Keras finds the class itself among those that are registered.
_PARAMETERS: dict[str, Callable[[SwiftFormerConfig, Mapping[str, Any]], int]] = {
    "SwiftFormerForImageClassification": _classifier,
    "SwiftFormerForSemanticSegmentation": _segmenter,
    "SwiftFormerModel": _backbone,
}
