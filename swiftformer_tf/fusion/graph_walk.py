"""Walks along a functional model's operations and folds SwiftFormer's blocks and what follows them."""

import functools
import inspect
import types
from collections.abc import Iterator
from typing import Any

import keras

from swiftformer_tf.errors import ModelError, first_line, one_line
from swiftformer_tf.fusion.folding import (
    BLOCKS,
    PARTS,
    Affine,
    Pooled,
    average,
    dense,
    folded,
    norm_of,
    pool,
    tensor_of,
    upsampled,
)
from swiftformer_tf.fusion.mixing import (
    Concatenated,
    Matrix,
    Resized,
    added,
    concatenated,
    matrix_of,
    normed,
    resizable,
)
from swiftformer_tf.layer_settings import check_floats
from swiftformer_tf.layers.resizing import BilinearResize, BilinearUpsampling

__all__ = ["Walk", "in_float32", "is_graph"]

# Layers that do nothing outside training: exactly these classes, since a user's subclass may do anything.
TRAINING_ONLY = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


class _Copy:
    """Calls a model's operations again, with each layer in float32."""

    def __init__(self) -> None:
        self._names: set[str] = {"image"}
        # Copies by their originals: a layer that is called twice stays one layer.
        self._copies: dict[int, keras.layers.Layer] = {}

    def run(self, model: keras.Model, inputs: Any) -> Any:
        """The outputs of a model, in its structure; some may not be computed yet but an `Affine`."""
        if isinstance(model, keras.Sequential):
            (inputs,) = keras.tree.flatten(inputs)
            for layer in model.layers:
                inputs = self._call(layer, inputs)
            return inputs
        if isinstance(inputs, dict) and not isinstance(model.input, dict):
            inputs = [inputs[each.name] for each in model.inputs]
        # `keras.models.clone_model` does the same, but does not accept tensors from inside another graph.
        return model._run_through_graph(inputs, operation_fn=lambda operation: functools.partial(self._call, operation))

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(operation):
            return self.run(operation, args[0] if args else kwargs.get("inputs"))
        if isinstance(operation, keras.layers.Layer):
            return self._copied(operation, args, kwargs)
        return operation(*args, **kwargs)

    def _copied(self, layer: keras.layers.Layer, args: Any, kwargs: Any) -> Any:
        copy = self._copies.get(id(layer))
        if copy is not None:
            return copy(*args, **kwargs)
        self._copies[id(layer)] = copy = _anew(layer, self._name(layer.name))
        result = copy(*args, **kwargs)
        for mine, its in zip(copy._flatten_layers(), layer._flatten_layers(), strict=True):
            # Keras's own way from file to file: LoRA is merged, and what hangs on the weights is made again.
            store: dict[str, Any] = {}
            check_floats(its)
            its.save_own_variables(store)
            mine.load_own_variables(store)
        return result

    def _name(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}-{count}"
        self._names.add(name)
        return name


class Walk(_Copy):
    """Calls a model's operations on tensors of fixed size, with blocks replaced by their folded forms."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = 0

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_graph(operation):
            return super()._call(operation, *args, **kwargs)
        given = args[0] if args else kwargs.get("inputs")
        if isinstance(operation, BLOCKS):
            self.blocks += 1
            return folded(operation, given, self._name)
        others = (*args[1:], *(each for name, each in kwargs.items() if name != "inputs"))
        taken = self._resized(operation, given, others)
        if taken is None:
            taken = self._mixed(operation, given)
        if taken is None:
            taken = self._taken(operation, given if isinstance(given, Affine) else tensor_of(given))
        if taken is not None:
            return taken
        _check_operation(operation)
        args, kwargs = keras.tree.map_structure(tensor_of, (args, kwargs))
        try:
            result = super()._call(operation, *args, **kwargs)
            self._check_shapes(operation, args, kwargs, result)
            return result
        except ModelError:
            raise
        except Exception as error:  # whatever a layer, one of a user's among them, says of a size or of its arguments
            reason = " ".join(str(error).split())
            raise ModelError(
                f"{_named(operation)} fails in a graph with fixed sizes ({one_line(reason, 300)})"
            ) from error

    def _check_shapes(self, layer: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Rejects a layer whose shape in Keras differs from what it computes at inference, such as `RandomCrop`."""
        copy = self._copies.get(id(layer))
        if copy is None or not copy._call_has_training_arg:
            return
        args, kwargs = keras.tree.map_structure(_unsparse, (args, kwargs))
        computed = keras.Operation.compute_output_spec(copy, *args, **{**kwargs, "training": False})
        for mine, its in zip(*map(keras.tree.flatten, (computed, result)), strict=True):
            if mine.shape != its.shape:
                raise ModelError(
                    f"{_named(layer)} makes {mine.shape} at inference, but tells Keras {its.shape}; remove it from the "
                    "model"
                )

    def _resized(self, operation: Any, value: Any, others: tuple[Any, ...]) -> Any:
        """Folds a layer that resizes a map, or adds or concatenates resized maps; None for other layers."""
        kind = type(operation)
        if kind in (BilinearResize, BilinearUpsampling):
            # Only their size is read, which a matrix does not change.
            likes = [each.source if isinstance(each, Matrix) else tensor_of(each) for each in others]
            value = resizable(value)
            shape = operation.compute_output_shape(value.shape, *(each.shape for each in likes))
            return value.resized(lambda hidden: self._copied(operation, (hidden, *likes), {}), tuple(shape))
        if kind is keras.layers.Add and isinstance(value, list | tuple):
            return added(list(value), lambda maps: self._copied(operation, (maps,), {}))
        if kind is keras.layers.Concatenate and isinstance(value, list | tuple) and operation.axis in (-1, 3):
            return concatenated(list(value), lambda maps: self._copied(operation, (maps,), {}))
        return value if isinstance(value, Concatenated | Resized) and kind in TRAINING_ONLY else None

    def _mixed(self, operation: Any, value: Any) -> Any:
        """Folds a layer that mixes the channels of a map, or that scales mixed channels; None for other layers."""
        kind, name = type(operation), functools.partial(self._name, operation.name)
        if kind is keras.layers.Conv2D and _is_pointwise(operation):
            mixed = value.mixed(operation, name) if isinstance(value, Concatenated | Resized) else None
            if mixed is not None:
                return mixed
            if isinstance(value, Affine) and not _is_convolved(value.source):
                return normed(operation, value, name)
            source = tensor_of(value)
            return matrix_of(operation, source, lambda: self._copied(operation, (source,), {}))
        if kind is keras.layers.BatchNormalization and isinstance(value, Resized) and _is_by_channel(operation, value):
            return value.scaled(*norm_of(operation), name)
        return None

    def _taken(self, operation: Any, value: Any) -> Any:
        """The result for a layer in a chain that is folded as a whole; None for other layers."""
        kind, is_plain = type(operation), getattr(operation, "data_format", "channels_last") == "channels_last"
        if kind in TRAINING_ONLY:
            return value
        if kind is keras.layers.BatchNormalization and _is_by_channel(operation, value):
            # A convolution before it takes it, if the converter may: else it stays a layer unless a pooling or a 1x1
            # convolution follows.
            return Affine(value, *norm_of(operation), lambda each: self._copied(operation, (each.source,), {}))
        if kind is keras.layers.GlobalAveragePooling2D and is_plain and not operation.keepdims:
            return pool(value, self._name(operation.name))
        if kind is keras.layers.Dense and isinstance(value, Pooled) and value.kernel is None:
            made = dense(value, operation, self._name(operation.name))
            if operation.activation is keras.activations.linear:
                return made
            return keras.layers.Activation(operation.activation, name=self._name(f"{operation.name}-activation"))(
                made.tensor
            )
        if kind is keras.layers.UpSampling2D and is_plain and operation.interpolation == "nearest":
            return upsampled(tensor_of(value), operation.size)
        return average(value) if kind is keras.layers.Average else None


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a model that computes in float32: the model itself, or a copy if one of its layers has half precision.

    Raises:
        ModelError: The model has half precision and no graph.
    """
    if not any(each.compute_dtype in ("float16", "bfloat16") for each in model._flatten_layers()):
        return model
    if not is_graph(model):
        raise ModelError(
            f"{model.name} computes in half precision and is a subclassed model ({type(model).__name__}), which has no "
            "graph to copy in float32; make it one: keras.Model(image, outputs)"
        )
    images = [keras.Input(batch_shape=each.shape, dtype="float32", name=each.name) for each in model.inputs]
    # Alone, an image is asked as one array.
    return keras.Model(images if len(images) > 1 else images[0], _Copy().run(model, images), name=model.name)


def _anew(layer: keras.layers.Layer, name: str) -> keras.layers.Layer:
    """Returns an unbuilt layer with the same configuration, but in float32 and without LoRA."""
    if type(layer) is keras.layers.Lambda:
        # From its configuration Keras makes none, since it may be of a file. The function is here.
        return keras.layers.Lambda(layer.function, arguments=layer.arguments, dtype="float32", name=name)
    try:
        return type(layer).from_config({**_in_floats(layer.get_config()), "dtype": "float32", "name": name})
    except Exception as error:  # as above
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ModelError(f"{_named(layer)} cannot be recreated by its get_config and from_config ({reason})") from error


def _in_floats(value: Any) -> Any:
    """Returns a configuration in which nested layers are also in float32 and without LoRA."""
    if isinstance(value, dict):
        return {
            key: "float32" if key == "dtype" else _in_floats(each)
            for key, each in value.items()
            if not str(key).startswith("lora_")
        }
    return [_in_floats(each) for each in value] if isinstance(value, list) else value


def _named(operation: Any) -> str:
    """The beginning of an error message about a layer."""
    return f"fuse: {operation.name} ({type(operation).__name__})"


def _unsparse(value: Any) -> Any:
    """Marks a symbolic tensor as dense, since Keras considers products with a NumPy array sparse."""
    return keras.KerasTensor(value.shape, value.dtype) if isinstance(value, keras.KerasTensor) else value


def is_graph(operation: Any) -> bool:
    """Whether an operation is a model that is completely described by its own operations."""
    if not isinstance(operation, keras.Sequential | keras.Function) or not isinstance(operation, keras.Model):
        return False
    own = [each for each in type(operation).__mro__ if not each.__module__.startswith("keras.")]
    return not any("call" in vars(each) for each in own)


def _is_pointwise(conv: keras.layers.Conv2D) -> bool:
    """Whether a convolution is a matrix for each pixel, and nothing else."""
    has_one_tap = conv.kernel_size == (1, 1) and conv.strides == (1, 1) and conv.groups == 1
    return has_one_tap and conv.activation is keras.activations.linear and conv.data_format == "channels_last"


def _is_convolved(hidden: Any) -> bool:
    """Whether a map comes from a convolution, into which the converter folds what scales and shifts it."""
    return isinstance(hidden._keras_history.operation, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)


def _is_by_channel(norm: keras.layers.BatchNormalization, value: Any) -> bool:
    return not isinstance(value, Affine) and len(value.shape) == 4 and norm.axis in (-1, 3)


def _check_operation(layer: Any) -> None:
    if type(layer).__module__.startswith("keras.") and type(layer).__name__ in ("Argmax", "Argmin"):
        raise ModelError(
            f"{_named(layer)} needs operations that only TensorFlow has; end the model at its logits, and choose the "
            "class with classifier_activation='argmax'"
        )
    if isinstance(layer, PARTS):
        raise ModelError(f"{_named(layer)} is part of a block; expected whole blocks")
    for inner in _reached(layer) if isinstance(layer, keras.layers.Layer) else ():
        if isinstance(inner, BLOCKS + PARTS):
            raise ModelError(
                f"{_named(layer)} contains a SwiftFormer ({inner.path}), which cannot be folded there; call the "
                "backbone in the functional model itself"
            )


def _reached(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Layers inside a layer, including those that its function refers to, which Keras does not track."""
    yield from layer._flatten_layers(include_self=False)
    own = layer.function if isinstance(layer, keras.layers.Lambda) else type(layer).call
    waiting, seen = [own], set()
    while waiting:
        function = waiting.pop()
        # It follows calls within the function's own package: a library's functions hold no backbone of a user's.
        if id(function) in seen or not inspect.isfunction(function) or _package(function) in ("keras", "tensorflow"):
            continue
        seen.add(id(function))
        for each in _around(function):
            if isinstance(each, keras.layers.Layer):
                yield from each._flatten_layers()
            elif inspect.isfunction(each) and _package(each) == _package(own):
                waiting.append(each)


def _package(function: Any) -> str:
    return str(function.__module__).partition(".")[0]


def _around(function: types.FunctionType) -> Iterator[Any]:
    """The values that a function refers to in enclosing scopes and in its defaults."""
    # A cell is empty where its name is given its value later.
    yield from (cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType())
    yield from (function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__)
    yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
