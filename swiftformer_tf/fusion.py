"""The deploy graph: the same function, static and folded, so that XNNPACK takes all of it in one piece."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError
from swiftformer_tf.folding import BLOCKS, PARTS, Affine, average, dense, folded, norm_of, normalized, pool, upsampled
from swiftformer_tf.layer_settings import merged_weights
from swiftformer_tf.pretrained_model import config_of
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.tasks import TASKS, Activation, Output

__all__ = ["DeployModel", "fuse", "output_names"]


@keras.saving.register_keras_serializable(PACKAGE)
class DeployModel(keras.Model):
    """A model for deployment: fixed sizes, blocks folded, nothing that only training needs.

    A functional `keras.Model`, which `fuse` makes. Input `image`: (batch, height, width, num_channels) float32;
    normalized pixels, or 0 to 255 with `include_preprocessing`. It always runs with `training=False`: Keras would put
    batch normalizations behind a `Resizing`, `RandomFlip` or `CenterCrop` into training mode where nobody says so.

    Args:
        inputs: See `keras.Model`.
        outputs: Likewise.
        name: Of the model.
        trainable: See `keras.Model`.
        config: Transform, labels, and the `image_size` that the graph is bound to.
        include_preprocessing: See `fuse`.
        named_outputs: What the outputs are, in the order of `outputs`.

    Examples:
        >>> from swiftformer_tf import SwiftFormerForImageClassification
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=64))
        >>> deploy = fuse(model)
        >>> deploy.input.shape, deploy.named_outputs
        ((1, 64, 64, 3), (Output(name='logits', shape=(1, 1000), task='classification', activation=None),))
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        name: str | None = None,
        *,
        config: SwiftFormerConfig,
        include_preprocessing: bool,
        named_outputs: Sequence[Output],
        trainable: bool | None = None,
    ) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name, trainable=trainable)
        self._facts = (config, include_preprocessing, tuple(named_outputs))

    @property
    def config(self) -> SwiftFormerConfig:
        """Transform, labels and image size."""
        return self._facts[0]

    @property
    def include_preprocessing(self) -> bool:
        """Whether it takes pixels from 0 to 255."""
        return self._facts[1]

    @property
    def named_outputs(self) -> tuple[Output, ...]:
        """What the outputs are, in the order of `outputs`."""
        return self._facts[2]

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().call(inputs, training=False, mask=mask)

    def get_config(self) -> dict[str, Any]:
        facts = {
            "config": self.config.to_dict(),
            "include_preprocessing": self.include_preprocessing,
            "named_outputs": [each.to_dict() for each in self.named_outputs],
        }
        return {**super().get_config(), **facts}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        facts = {
            "config": SwiftFormerConfig.from_dict(config["config"]),
            "named_outputs": [Output.from_dict(each) for each in config["named_outputs"]],
        }
        model: Self = super().from_config({**config, **facts}, custom_objects=custom_objects)
        return model


def fuse(
    model: keras.Model,
    *,
    config: SwiftFormerConfig | None = None,
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 1,
    include_preprocessing: bool = False,
    classifier_activation: Activation | None = None,
    tasks: str | Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> DeployModel:
    """Folds a functional model over SwiftFormer's blocks into its deploy graph; `model` stays as it is.

    Each block gets its folded form; batch normalization, pooling and dense layers that follow each other become one
    matrix; all other layers are copied.

    Args:
        model: A `SwiftFormerForImageClassification`, a `SwiftFormerModel`, or any functional model with layers of
            Keras on them, of any precision (the graph is in float32) and with LoRA (which is merged): nested, with
            several outputs, with a backbone used twice.
        config: Transform and labels; needed where no SwiftFormer in `model` has one, which is so for
            `keras.Model(backbone.input, head(backbone.output))`.
        image_size: (height, width) in pixels, or an int for a square; default is the size that `model` is made for,
            or else that of its configuration. The graph is bound to it, since the number of tokens folds into the
            attention's matrices.
        batch_size: Images at once; the graph is bound to it.
        include_preprocessing: Whether the graph normalizes by `config.transform` itself and takes RGB from 0
            to 255, instead of normalized pixels.
        classifier_activation: What the graph makes of logits. Of classification `"softmax"`, or `"sigmoid"` by its
            `problem_type`: probabilities. Of semantic segmentation `"softmax"`: probabilities of each pixel of the
            image; `"argmax"`: its class, uint8 (B, H, W). None for logits, of a segmenter at stride 4.
        tasks: What outputs mean, by their names in `model` (keys of a dictionary, or `model.output_names`) or for all
            of them: keys of `TASKS`. Default is what SwiftFormer's own models say, and `"features"` for others.
        labels: Names of the classes, in their order; default is those of the configuration.

    Returns:
        A `DeployModel`.

    Raises:
        ConfigError: An impossible size, task, label or activation.
        ModelError: `model` has no graph, was quantized by Keras, or holds blocks where they cannot be folded.

    Examples:
        >>> import keras
        >>> from swiftformer_tf import SwiftFormerForImageClassification, SwiftFormerModel
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=64))
        >>> image = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
        >>> bool(np.allclose(fuse(model)(image), model.predict(image, verbose=0), atol=1e-5))
        True
        >>> backbone = SwiftFormerModel(model.config)
        >>> hidden = keras.layers.Conv2DTranspose(4, 2, strides=2)(backbone.output)
        >>> fuse(keras.Model(backbone.input, hidden), config=model.config).named_outputs
        (Output(name='features', shape=(1, 4, 4, 4), task='features', activation=None),)
    """
    _check_model(model)
    config = _with_labels(config or config_of(model), labels)
    (source,) = model.inputs
    size = _size(source.shape, image_size, config.image_size)
    config = config.replace(image_size=size)
    channels = len(config.transform.mean)
    if include_preprocessing and channels != source.shape[-1]:
        raise ModelError(f"fuse: transform.mean has {channels} entries for {source.shape[-1]} channels")
    image = keras.Input((*config.input_size, source.shape[-1]), batch_size=batch_size, name="image", dtype="float32")
    pixels: Any = image
    if include_preprocessing:
        mean, std = (255 * np.asarray(each, np.float64) for each in (config.transform.mean, config.transform.std))
        pixels = normalized(image, mean, std)
    walk = _Walk()
    results = walk.run(model, [pixels])
    if not walk.blocks:
        raise ModelError(f"fuse: {model.name} holds no block of a SwiftFormer; expected a model over its blocks")
    outputs, described = _described(model, results, config, tasks, classifier_activation)
    if not any(TASKS[each.task].rank for each in described):
        config = config.replace(id2label={})
    return DeployModel(
        image,
        outputs,
        "swiftformer_deploy",
        config=config,
        include_preprocessing=include_preprocessing,
        named_outputs=described,
    )


class _Walk:
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
        if _is_graph(operation):
            return self.run(operation, args[0] if args else kwargs)
        if isinstance(operation, BLOCKS):
            self.blocks += 1
            return folded(operation, args[0], self._name)
        if isinstance(operation, keras.layers.Dropout):
            return args[0]
        taken = self._taken(operation, args[0] if args else None)
        if taken is not None:
            return taken
        args, kwargs = keras.tree.map_structure(_tensor, (args, kwargs))
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
            return upsampled(_tensor(value), operation.size)
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


def _tensor(value: Any) -> Any:
    return value.tensor if isinstance(value, Affine) else value


def _is_graph(operation: Any) -> bool:
    """Whether an operation is a model whose own operations say all that it does."""
    if not isinstance(operation, keras.Sequential | keras.Function) or not isinstance(operation, keras.Model):
        return False
    own = [each for each in type(operation).__mro__ if not each.__module__.startswith("keras.")]
    return not any("call" in vars(each) for each in own)


def _is_by_channel(norm: keras.layers.BatchNormalization, value: Any) -> bool:
    return not isinstance(value, Affine) and len(value.shape) == 4 and norm.axis in (-1, 3)


def _is_plain_pooling(layer: keras.layers.GlobalAveragePooling2D) -> bool:
    return layer.data_format == "channels_last" and not layer.keepdims


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ModelError(f"fuse: expected a functional keras.Model, not a {type(model).__name__}")
    if isinstance(model, DeployModel):
        raise ModelError(f"fuse: {model.name} is a deploy graph already; give it to export")
    if not _is_graph(model):
        raise ModelError(
            f"fuse: {model.name} is a subclassed model ({type(model).__name__}), which has no graph to fold; make it "
            "one: keras.Model(image, outputs)"
        )
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = ", ".join(str(each.shape) for each in model.inputs)
        raise ModelError(f"fuse: {model.name} has inputs of shape {shapes}; expected one image (B, H, W, C)")


def _check_layer(layer: keras.layers.Layer) -> None:
    if isinstance(layer, PARTS):
        raise ModelError(f"fuse: {layer.name} is a part of a block ({type(layer).__name__}); expected whole blocks")
    for inner in layer._flatten_layers(include_self=False):
        if isinstance(inner, BLOCKS + PARTS):
            raise ModelError(
                f"fuse: {layer.name} ({type(layer).__name__}) has a SwiftFormer inside ({inner.path}), which cannot be "
                "folded there; call the backbone where the functional model is made"
            )


def _with_labels(config: SwiftFormerConfig, labels: Sequence[str] | None) -> SwiftFormerConfig:
    return config if labels is None else config.replace(id2label=dict(enumerate(labels)))


def _size(shape: tuple[int | None, ...], wanted: Any, default: Any) -> Any:
    """Of the graph: what is wanted, or else what the model is made for."""
    _, height, width, _ = shape
    if height is None or width is None:
        return default if wanted is None else wanted
    made_for = (height, width)
    if wanted is not None and wanted not in (made_for, list(made_for), height if height == width else None):
        raise ConfigError(f"image_size={wanted!r}: the model is made for {made_for} alone")
    return made_for


def _described(
    model: keras.Model,
    results: Any,
    config: SwiftFormerConfig,
    tasks: str | Mapping[str, str] | None,
    wanted: Activation | None,
) -> tuple[list[Any], list[Output]]:
    """Outputs with the activation that is wanted, and what they are."""
    tensors = [_tensor(each) for each in keras.tree.flatten(results)]
    names = output_names(model)
    by_name = _tasks(names, tasks, getattr(model, "task", "features"))
    outputs, described = [], []
    for name, tensor in zip(names, tensors, strict=True):
        task = TASKS[by_name[name]]
        possible = task.activations(config)
        if possible and wanted not in (None, *possible):
            raise ConfigError(f"classifier_activation={wanted!r}: expected {_told(possible)} or None")
        activation = wanted if possible else None
        if task.rank and (len(tensor.shape), tensor.shape[-1]) != (task.rank, config.num_labels):
            raise ConfigError(
                f"output {name} has the shape {tensor.shape}, and there are {config.num_labels} labels; give its labels"
            )
        tensor = task.activate(tensor, activation, config)
        outputs.append(tensor)
        name = task.output_name(activation) if len(tensors) == 1 else name
        described.append(Output(name, tuple(tensor.shape), task.name, activation))
    if wanted and not any(each.activation for each in described):
        raise ConfigError(f"classifier_activation={wanted!r}: expected a model with labels, this one has none")
    return outputs, described


def _told(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def output_names(model: keras.Model) -> list[str]:
    """Of each output of a functional model, in the order of `model.outputs`: its key, or the layer that makes it."""
    if isinstance(model.output, dict) and len(model.output) == len(model.outputs):
        return sorted(model.output)  # in which order Keras flattens it
    own = [each.removesuffix("/") for each in model.output_names]
    return [name if own.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(own)]


def _tasks(names: list[str], tasks: str | Mapping[str, str] | None, default: str) -> dict[str, str]:
    given = dict.fromkeys(names, tasks) if isinstance(tasks, str) else dict(tasks or {})
    for name, task in given.items():
        if name not in names:
            raise ConfigError(f"tasks: no output is called {name!r}; expected one of {', '.join(names)}")
        if task not in TASKS:
            raise ConfigError(f"tasks: {name} is of an unknown task {task!r}; expected one of {', '.join(TASKS)}")
    return {name: given.get(name, default) for name in names}
