"""Base class of the package's models: Keras models with a configuration that are loaded and saved by name."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.input_channels import with_input_channels
from swiftformer_tf.checkpoints.pretrained import check_one_model, file_kind, weights_path
from swiftformer_tf.checkpoints.relabeling import requested_labels
from swiftformer_tf.checkpoints.saving import Layout, save_folder
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import ModelError
from swiftformer_tf.keras_file import open_keras_file
from swiftformer_tf.layer_settings import apply_settings, named_layers, settings_of
from swiftformer_tf.notebook import facts_table, first_labels
from swiftformer_tf.variables import checkpoint_of, count_parameters

__all__ = ["PretrainedModel", "config_of", "open_weights"]

# Augmentation makes inputs a little larger than photographs are; pixels from 0 to 255 are some hundred times as large.
FAR = 5

# Rows of an array that are looked at.
BATCH = 32


class PretrainedModel(keras.Model):
    """A Keras model with `from_pretrained` and `save_pretrained`, whose configuration is stored in the saved file."""

    config: SwiftFormerConfig

    @property
    def task(self) -> str:
        """The task of the outputs: a key of `tasks.TASKS`."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """The display in notebooks: what distinguishes this model from others of its class."""
        config = self.config
        facts = {
            "variant": config.variant or f"depths {config.depths}, widths {config.embed_dims}",
            "image size": " x ".join(map(str, (*config.input_size, config.num_channels))),
            "parameters": f"{count_parameters(self):,}",
            "gives": self.task,
            "labels": first_labels(config.labels),
            "problem type": config.problem_type or "not specified",
            "token weights": config.token_weights,
            "dtype": self.dtype_policy.name,
        }
        return facts_table(facts, type(self).__name__)

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
        """Loads a model with trained weights by name or path.

        Args:
            name: A key of `PRETRAINED`; an id on the Hugging Face hub, such as `"timm/swiftformer_xs.dist_in1k"`, or
                with a revision, `"timm/swiftformer_xs.dist_in1k@main"`; or the path of a folder in Hugging Face's or
                timm's layout, of a checkpoint, or of a `.keras` model.
            token_weights: For checkpoints, see `Checkpoint.open`.
            weights: For checkpoints, see `Checkpoint.open`.
            num_labels: Number of classes, if different from that of the weights: the heads are then newly initialized,
                with a warning. With 0, a classifier returns pooled features.
            id2label: Class names by index. If there are as many as outputs, they rename the classes; otherwise they
                have the same effect as `num_labels`.
            num_channels: Number of input channels, if different from that of the weights: the learned weights of the
                three channels are adapted, see `with_input_channels`.
            **arguments: Arguments of the class, such as `dtype`; those not given default to the values stored in a
                `.keras` file.

        Raises:
            CheckpointError: The weights do not exist, or cannot be downloaded or used.
            ConfigError: Labels contradict each other or are given for a model without a head; or the number of channels
                differs for weights that do not take three.
            ModelError: The file is a `.keras` file that cannot be used, a `.tflite` file, or holds a different kind of
                model.

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
        """Keras's `fit`, with a warning if `x` appears to contain pixels that have not been normalized.

        Args:
            x: As in `keras.Model.fit`: arrays or a dataset, of which one batch is read for the check.
            *arguments: As in `keras.Model.fit`.
            **options: As in `keras.Model.fit`.
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
        """Writes a folder that `from_pretrained` of transformers or timm, and of this package, can load.

        The folder contains `model.safetensors`, `config.json` with the label names (`id2label`), and the transform
        where the library looks for it: in `preprocessor_config.json` or in `pretrained_cfg`.

        Args:
            folder: The folder to write, created if needed. Files of the same names are replaced once all have been
                written; other files are kept.
            layout: `"hf"`, `"timm"` or, for transformers' `TimmWrapperForImageClassification`, `"timm_wrapper"`.
                Default: the layout of the library that implements the attention type of these weights: timm for `l2`
                    and Hugging Face for `uniform`.

        Raises:
            CheckpointError: The library would compute different results from these weights, or they are not finite.
            ModelError: The model was quantized by Keras.
            OSError: The folder cannot be written to; its files are then unchanged.

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
        """Stores the arguments that a model was created with; `arguments` are the class's own, as JSON types."""
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
        """Creates a model of this class, with the requested labels, from the weights of any model class."""
        raise NotImplementedError


def _largest(x: Any) -> float:
    """Largest absolute value in the first batch for `fit`; 0 if inspecting a batch would consume it."""
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
    """Opens the model in a `.keras` file, or a checkpoint.

    Args:
        name: See `PretrainedModel.from_pretrained`.
        token_weights: For checkpoints, see `Checkpoint.open`.
        weights: For checkpoints, see `Checkpoint.open`.

    Raises:
        ModelError: The file is a `.keras` file that cannot be used, or a `.tflite` file, whose weights can no longer be
            turned into a checkpoint.
        CheckpointError: See `Checkpoint.open`.
    """
    path = weights_path(name)
    check_one_model(path, weights)
    kind = file_kind(path)
    if kind == "tflite":
        raise ModelError(f"{path}: a TFLite model; expected a .keras model or a checkpoint")
    if kind == "keras":
        model: PretrainedModel = open_keras_file(path)
        return model
    return Checkpoint.open(path, token_weights=token_weights, weights=weights)


def config_of(model: keras.Model) -> SwiftFormerConfig:
    """Returns the configuration of a model, or of the SwiftFormer models nested in it.

    Raises:
        ModelError: There is no configuration, or there are several with different transforms.
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
