"""The walk along a functional model's operations, which folds SwiftFormer's blocks and what follows them."""

from collections.abc import Callable
from typing import Any

import keras

from swiftformer_tf.errors import ModelError
from swiftformer_tf.folding import BLOCKS, PARTS, Affine, average, dense, folded, norm_of, pool, upsampled
from swiftformer_tf.layer_settings import merged_weights

__all__ = ["Walk", "is_graph", "tensor_of"]


class Walk:
    """Calls a model's operations on tensors of fixed size, with folded forms in the place of blocks."""

    def __init__(self) -> None:
        self.blocks = 0
        self._names: set[str] = {"image"}
        # Copies by their originals: a layer that is called twice stays one layer.
        self._copies: dict[int, keras.layers.Layer] = {}

    def run(self, model: keras.Model, inputs: Any) -> Any:
        """The outputs of a model, in its structure; of some only what makes them is known, as an `Affine`."""
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                inputs = self._call(layer, inputs)
            return inputs
        if isinstance(inputs, dict) and not isinstance(model.input, dict):
            inputs = [inputs[each.name] for each in model.inputs]
        # What `keras.models.clone_model` does too, which takes no tensors from the middle of another graph.
        return model._run_through_graph(inputs, operation_fn=lambda operation: _bound(self._call, operation))

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(operation):
            return self.run(operation, args[0] if args else kwargs)
        if isinstance(operation, BLOCKS):
            self.blocks += 1
            return folded(operation, args[0], self._name)
        if isinstance(operation, keras.layers.Dropout):
            return args[0]
        taken = self._taken(operation, args[0] if args else None)
        if taken is not None:
            return taken
        args, kwargs = keras.tree.map_structure(tensor_of, (args, kwargs))
        if not isinstance(operation, keras.layers.Layer):
            return operation(*args, **kwargs)
        _check_layer(operation)
        return self._copied(operation, args, kwargs)

    def _taken(self, operation: Any, value: Any) -> Any:
        """What becomes of a layer that is part of a chain which the package folds whole; None for others."""
        kind, has_kernel = type(operation), isinstance(value, Affine) and value.kernel is not None
        if (
            kind is keras.layers.BatchNormalization
            and not isinstance(value, Affine)
            and _is_by_channel(operation, value)
        ):
            # A convolution before it takes it, if the converter may: it stays a layer unless a pooling follows.
            return Affine(value, *norm_of(operation), lambda each: self._copied(operation, (each.source,), {}))
        if kind is keras.layers.GlobalAveragePooling2D and not has_kernel and _is_plain_pooling(operation):
            return pool(value, self._name(operation.name))
        if kind is keras.layers.Dense and isinstance(value, Affine) and not has_kernel:
            made = dense(value, operation, self._name(operation.name))
            if operation.activation is keras.activations.linear:
                return made
            return keras.layers.Activation(operation.activation, name=self._name(f"{operation.name}-activation"))(
                made.tensor
            )
        if kind is keras.layers.UpSampling2D and operation.interpolation == "nearest":
            return upsampled(tensor_of(value), operation.size)
        return average(value) if kind is keras.layers.Average else None

    def _copied(self, layer: keras.layers.Layer, args: Any, kwargs: Any) -> Any:
        copy = self._copies.get(id(layer))
        if copy is None:
            config = {name: value for name, value in layer.get_config().items() if not name.startswith("lora_")}
            weights = merged_weights(layer)
            copy = type(layer).from_config({**config, "name": self._name(layer.name), "dtype": "float32"})
            self._copies[id(layer)] = copy
            result = copy(*args, **kwargs)
            copy.set_weights(weights)
            return result
        return copy(*args, **kwargs)

    def _name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}-{count}"
        self._names.add(name)
        return name


def _bound(call: Callable[..., Any], operation: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: call(operation, *args, **kwargs)


def tensor_of(value: Any) -> Any:
    return value.tensor if isinstance(value, Affine) else value


def is_graph(operation: Any) -> bool:
    """Whether an operation is a model whose own operations say all that it does."""
    if not isinstance(operation, keras.Sequential | keras.Function) or not isinstance(operation, keras.Model):
        return False
    own = [each for each in type(operation).__mro__ if not each.__module__.startswith("keras.")]
    return not any("call" in vars(each) for each in own)


def _is_by_channel(norm: keras.layers.BatchNormalization, value: Any) -> bool:
    return not isinstance(value, Affine) and len(value.shape) == 4 and norm.axis in (-1, 3)


def _is_plain_pooling(layer: keras.layers.GlobalAveragePooling2D) -> bool:
    return layer.data_format == "channels_last" and not layer.keepdims


def _check_layer(layer: keras.layers.Layer) -> None:
    if isinstance(layer, PARTS):
        raise ModelError(f"fuse: {layer.name} is a part of a block ({type(layer).__name__}); expected whole blocks")
    for inner in layer._flatten_layers(include_self=False):
        if isinstance(inner, BLOCKS + PARTS):
            raise ModelError(
                f"fuse: {layer.name} ({type(layer).__name__}) has a SwiftFormer inside ({inner.path}), which cannot be "
                "folded there; call the backbone where the functional model is made"
            )
