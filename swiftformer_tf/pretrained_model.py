"""What all models of the package are: Keras models that have a configuration, and are opened and saved by name."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.input_channels import with_input_channels
from swiftformer_tf.checkpoints.pretrained import check_one_model, weights_path
from swiftformer_tf.checkpoints.relabeling import requested_labels
from swiftformer_tf.checkpoints.saving import Layout, save_folder
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import ModelError
from swiftformer_tf.keras_file import open_keras_file
from swiftformer_tf.layer_settings import apply_settings, named_layers, settings_of
from swiftformer_tf.variables import checkpoint_of

__all__ = ["PretrainedModel", "config_of", "open_weights"]

# Augmentation makes inputs a little larger than photographs are; pixels from 0 to 255 are some hundred times as large.
FAR = 5

# Rows of an array that are looked at.
BATCH = 32


class PretrainedModel(keras.Model):
    """A Keras model with `from_pretrained` and `save_pretrained`, whose configuration travels with the saved file."""

    config: SwiftFormerConfig

    def get_config(self) -> dict[str, Any]:
        # Functional's own config would list every layer; the architecture follows from ours.
        return {
            "config": self.config.to_dict(),
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            **self._arguments,
            "trainable": self.trainable,
            "layers": settings_of(self, dict(self._made_with)),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        arguments = dict(config)
        arguments["config"] = SwiftFormerConfig.from_dict(arguments["config"])
        arguments["dtype"] = keras.saving.deserialize_keras_object(arguments["dtype"])
        settings, trainable = arguments.pop("layers", {}), arguments.pop("trainable", True)
        model = cls(**arguments)
        if not trainable:
            model.trainable = False
        apply_settings(model, settings)
        return model

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        token_weights: TokenWeights | None = None,
        weights: str | None = None,
        num_labels: int | None = None,
        id2label: Mapping[int, str] | None = None,
        num_channels: int | None = None,
        **arguments: Any,
    ) -> Self:
        """A model with trained weights, by the name that they have.

        Args:
            name: A key of `PRETRAINED`; an id on the Hugging Face hub, such as `"timm/swiftformer_xs.dist_in1k"` or,
                of one revision, `"timm/swiftformer_xs.dist_in1k@main"`; or the path of a folder or file: Hugging Face's
                layout, timm's, a checkpoint or a `.keras` model.
            token_weights: For checkpoints, see `Checkpoint.open`.
            weights: For checkpoints, see `Checkpoint.open`.
            num_labels: Number of classes, if it shall be another: the heads are new then, and a warning says so.
            id2label: Names of the classes by index. As many as there are outputs rename them; another number is as
                `num_labels`.
            num_channels: Number of channels of the input, if it shall be another, see `with_input_channels`: what three
                channels have learned is kept.
            **arguments: Arguments of the class, such as `dtype`; a `.keras` file has its own where none is given.

        Raises:
            CheckpointError: No such weights, or they cannot be fetched or used.
            ConfigError: Labels that contradict each other, or that a model without a head has no use for; or another
                number of channels for weights that do not take three.
            ModelError: A `.keras` file that cannot be used, a `.tflite` file, or weights of another kind of model.

        Examples:
            >>> from swiftformer_tf import SwiftFormerForImageClassification
            >>> SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette").config.num_labels
            10
        """
        wanted = requested_labels(num_labels, id2label)
        stored = open_weights(name, token_weights=token_weights, weights=weights)
        if num_channels not in (None, stored.config.num_channels):
            checkpoint = stored if isinstance(stored, Checkpoint) else checkpoint_of(stored, stored.config)
            stored = with_input_channels(checkpoint, num_channels)
        if type(stored) is cls and wanted is None and not arguments:
            return stored
        return cls._from_stored(stored, name, wanted, arguments)

    def fit(self, x: Any = None, *arguments: Any, **options: Any) -> Any:
        """Keras's `fit`, which warns where `x` is pixels that nobody normalized.

        Args:
            x: As Keras's: arrays, or a dataset, of which one batch is read to look at it.
            *arguments: As Keras's.
            **options: As Keras's.
        """
        largest, seen = self.config.transform.largest, _largest(x)
        if seen > FAR * largest:
            warnings.warn(
                f"fit: the inputs reach {seen:g}, but normalized pixels only {largest:.1f}; pass "
                "model.config.transform.normalize(pixels) instead of pixels",
                stacklevel=2,
            )
        return super().fit(x, *arguments, **options)

    def save_pretrained(self, folder: str | Path, *, layout: Layout | None = None) -> None:
        """Writes a folder that transformers' or timm's `from_pretrained` loads, and this package's.

        The folder gets `model.safetensors`, `config.json` with the names of the labels (`id2label`), and the transform
        where the library looks for it: in `preprocessor_config.json` or in `pretrained_cfg`.

        Args:
            folder: Where to; is made if it is not there. Files of the same names are replaced once all are written,
                others stay.
            layout: `"hf"`, `"timm"` or, for transformers' `TimmWrapperForImageClassification`, `"timm_wrapper"`.
                Default: that of the library which computes what these weights were trained with, timm for `l2` and
                Hugging Face for `uniform`.

        Raises:
            CheckpointError: The library would compute something else, or the weights are not finite.
            ModelError: Keras quantized the model.
            OSError: The folder cannot be written to; all files in it are what they were.

        Examples:
            >>> import tempfile
            >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification
            >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_pretrained(folder)
            ...     SwiftFormerForImageClassification.from_pretrained(folder).config == model.config
            True
        """
        save_folder(checkpoint_of(self, self.config), folder, layout=layout)

    def _finish(self, config: SwiftFormerConfig, policy: Any, arguments: dict[str, Any]) -> None:
        """Keeps what a model was made of; `arguments` are the class's own, in JSON's types."""
        self.config = config
        self.dtype_policy = policy
        self._arguments = arguments
        # Pairs, since Keras would track a dict.
        self._made_with = tuple((path, layer.dtype_policy.name) for path, layer in named_layers(self))

    @classmethod
    def _from_stored(
        cls,
        stored: "Checkpoint | PretrainedModel",
        name: str | Path,
        wanted: Mapping[int, str] | None,
        arguments: Mapping[str, Any],
    ) -> Self:
        """A model of this class from weights of any, with the labels that are wanted."""
        raise NotImplementedError


def _largest(x: Any) -> float:
    """Largest absolute value in the first batch for `fit`; 0 where looking at a batch would consume it."""
    if isinstance(x, keras.utils.PyDataset):
        x = x[0]
    elif hasattr(x, "element_spec"):  # tf.data's
        x = next(iter(x.take(1)), ())
    elif not hasattr(x, "shape"):
        return 0.0
    first = keras.tree.flatten(x)[:1]
    values = keras.ops.convert_to_numpy(first[0][:BATCH]) if first else np.zeros(1)
    return float(np.abs(values.astype(np.float32)).max(initial=0))


def open_weights(
    name: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None
) -> Checkpoint | PretrainedModel:
    """The model of a `.keras` file, or else a checkpoint.

    Args:
        name: See `PretrainedModel.from_pretrained`.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: A `.keras` file that cannot be used, or a `.tflite` file, whose weights are no longer those of a
            checkpoint.
        CheckpointError: See `Checkpoint.open`.
    """
    path = weights_path(name)
    suffix = path.suffix.lower()
    check_one_model(path, weights)
    if suffix == ".tflite":
        raise ModelError(f"{path}: a TFLite model; expected a .keras model or a checkpoint")
    if suffix == ".keras":
        model: PretrainedModel = open_keras_file(path)
        return model
    return Checkpoint.open(path, token_weights=token_weights, weights=weights)


def config_of(model: keras.Model) -> SwiftFormerConfig:
    """Configuration of the model, or of the SwiftFormers in it.

    Raises:
        ModelError: None of them has one, or they have different transforms.
    """
    configs = [getattr(each, "config", None) for each in model._flatten_layers()]
    found = [each for each in configs if isinstance(each, SwiftFormerConfig)]
    if not found:
        raise ModelError(
            f"{model.name} has no configuration that says how pixels become its input; use the backbone as one "
            "layer, head(backbone(image)), which keeps it, or pass config=backbone.config; copy a model with "
            "type(model).from_config(model.get_config()), not with keras.models.clone_model(model)"
        )
    if any(each.transform != found[0].transform for each in found):
        raise ModelError(f"the SwiftFormers in {model.name} have different transforms; give one: config=...")
    return found[0]
