"""Settings that users make on the layers of an existing model: freezing, Keras's own quantization, and LoRA.

They are not part of the model's configuration, but a saved model must include them: frozen layers determine which
variables an optimizer keeps state for, and quantized layers have different variables.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from swiftformer_tf.errors import ModelError

__all__ = ["Settings", "apply_settings", "check_floats", "is_changed", "merged_weights", "named_layers", "settings_of"]

Settings = dict[str, dict[str, Any]]


def named_layers(model: keras.layers.Layer, above: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """All layers within a model with their paths, outer ones first."""
    layers = model.layers if isinstance(model, keras.Model) else model._flatten_layers(False, False)
    for layer in layers:
        path = f"{above}/{layer.name}" if above else layer.name
        yield path, layer
        yield from named_layers(layer, path)


def settings_of(model: keras.layers.Layer, made_with: Mapping[str, str]) -> Settings:
    """Returns the settings made on each layer since the model was created, as JSON types; unchanged layers are omitted.

    A layer is frozen along with the one that contains it, so `trainable` is stored only where they differ.

    Args:
        model: A model whose layers have unique names.
        made_with: Dtype policy of each layer when the model was created, by name.

    Examples:
        >>> dense = keras.layers.Dense(2, name="dense")
        >>> model = keras.Sequential([keras.Input((3,)), dense])
        >>> dense.trainable = False
        >>> settings_of(model, {"dense": "float32"})
        {'dense': {'trainable': False}}
    """
    found: Settings = {}
    around = {"": model.trainable}
    for path, layer in named_layers(model):
        around[path] = layer.trainable
        own: dict[str, Any] = {}
        if layer.trainable != around[path.rpartition("/")[0]]:
            own["trainable"] = layer.trainable
        if layer.dtype_policy.name != made_with.get(path, layer.dtype_policy.name):
            own["dtype"] = keras.saving.serialize_keras_object(layer.dtype_policy)
        if getattr(layer, "lora_enabled", False):
            own["lora"] = {"rank": layer.lora_rank, "lora_alpha": layer.lora_alpha}
            # Whether it was frozen before or after it got LoRA is not in its own flag.
            own["trained"] = [variable.trainable for variable in layer.weights]
        if own:
            found[path] = own
    return found


def apply_settings(model: keras.layers.Layer, settings: Settings) -> None:
    """Applies settings from `settings_of` to a newly created model, which has the same `trainable` as the original."""
    for path, layer in named_layers(model):
        own = settings.get(path, {})
        if "dtype" in own:
            # A quantized policy quantizes the layer.
            layer.dtype_policy = keras.saving.deserialize_keras_object(own["dtype"])
        if "lora" in own:
            layer.enable_lora(**own["lora"])
        if "trainable" in own:
            # This also changes the layers inside, which have their own turn later.
            layer.trainable = own["trainable"]
    for path, layer in named_layers(model):
        # In a second loop, since freezing an outer layer would have overwritten it.
        for variable, trained in zip(layer.weights, settings.get(path, {}).get("trained", ()), strict=False):
            variable.trainable = trained


def is_changed(layer: keras.layers.Layer) -> bool:
    """Whether a layer has LoRA or was quantized, so that its kernel alone does not define its function."""
    return bool(getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False))


def check_floats(layer: keras.layers.Layer) -> None:
    """Raises an error for a layer whose float weights are gone.

    Raises:
        ModelError: The layer was quantized by Keras.
    """
    if getattr(layer, "quantization_mode", None):
        raise ModelError(
            f"{layer.path}: quantized by Keras ({layer.quantization_mode}), expected float weights; use the model "
            "from before model.quantize(), and quantize it with export(fuse(model), RECIPES['int8'])"
        )


def merged_weights(layer: keras.layers.Layer) -> list[np.ndarray]:
    """Returns the weights of a layer in the order of `get_weights`, with LoRA's product added to the kernel.

    Args:
        layer: A layer without sublayers.

    Raises:
        ModelError: The layer was quantized by Keras, so its float weights are gone.

    Examples:
        >>> dense = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)
        >>> dense.build((None, 2))
        >>> dense.enable_lora(1, a_initializer="ones", b_initializer="ones")
        >>> merged_weights(dense)[0].tolist()
        [[1.0], [1.0]]
    """
    check_floats(layer)
    if not getattr(layer, "lora_enabled", False):
        return [np.asarray(array) for array in layer.get_weights()]
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel))
    return [kernel] if layer.bias is None else [kernel, np.asarray(layer.bias.numpy())]
