"""What users set on the layers of a finished model: frozen ones, Keras's own quantization, LoRA.

A model's configuration says how it is made; these come on top, and a saved model has to have them, too: what is frozen
decides which variables an optimizer keeps state for, and a quantized layer has other variables.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from swiftformer_tf.errors import ModelError

__all__ = ["Settings", "apply_settings", "check_floats", "is_changed", "merged_weights", "named_layers", "settings_of"]

Settings = dict[str, dict[str, Any]]


def named_layers(model: keras.layers.Layer, above: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Every layer within a model with its path of names, outer ones first."""
    layers = model.layers if isinstance(model, keras.Model) else model._flatten_layers(False, False)
    for layer in layers:
        path = f"{above}/{layer.name}" if above else layer.name
        yield path, layer
        yield from named_layers(layer, path)


def settings_of(model: keras.layers.Layer, made_with: Mapping[str, str]) -> Settings:
    """What was set on each layer since the model was made, in JSON's types; layers as they were made are left out.

    A layer is frozen with the one around it: what is kept of `trainable` is where they differ.

    Args:
        model: Whose layers have names of their own.
        made_with: Name of each layer's precision as the model was made.

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
    """Sets on a model that was just made what `settings_of` found on another one, which was frozen as it is."""
    for path, layer in named_layers(model):
        own = settings.get(path, {})
        if "dtype" in own:
            # A quantized policy quantizes the layer.
            layer.dtype_policy = keras.saving.deserialize_keras_object(own["dtype"])
        if "lora" in own:
            layer.enable_lora(**own["lora"])
        if "trainable" in own:
            # Those within follow, and have their own turn later.
            layer.trainable = own["trainable"]
    for path, layer in named_layers(model):
        # A freeze from further out would have come over it.
        for variable, trained in zip(layer.weights, settings.get(path, {}).get("trained", ()), strict=False):
            variable.trainable = trained


def is_changed(layer: keras.layers.Layer) -> bool:
    """Whether a layer has LoRA or was quantized, so that its kernel is not all of its function."""
    return bool(getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False))


def check_floats(layer: keras.layers.Layer) -> None:
    """Raises for a layer whose float weights are gone.

    Raises:
        ModelError: Keras quantized it.
    """
    if getattr(layer, "quantization_mode", None):
        raise ModelError(
            f"{layer.path}: quantized by Keras ({layer.quantization_mode}), expected float weights; use the model "
            "from before model.quantize(), and quantize it with export(fuse(model), RECIPES['int8'])"
        )


def merged_weights(layer: keras.layers.Layer) -> list[np.ndarray]:
    """The weights of one layer as `get_weights` has them, with LoRA's product added to the kernel.

    Args:
        layer: Without layers of its own.

    Raises:
        ModelError: Keras quantized it, so that its float weights are gone.

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
