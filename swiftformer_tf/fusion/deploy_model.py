"""Builds the deploy graph: the same function, static and folded, which XNNPACK runs as one partition."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError, number_of
from swiftformer_tf.fusion.folding import normalized, tensor_of
from swiftformer_tf.fusion.graph_walk import Walk, is_graph
from swiftformer_tf.notebook import facts_table, first_labels
from swiftformer_tf.pretrained_model import config_of
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.tasks import CUSTOM_HEAD, TASKS, Activation, Output, main_output
from swiftformer_tf.variables import count_parameters

__all__ = ["DeployModel", "fuse", "graph_config", "output_names", "tasks_of"]


@keras.saving.register_keras_serializable(PACKAGE)
class DeployModel(keras.Model):
    """A model for deployment: static shapes, folded blocks, and nothing that is needed only for training.

    A functional `keras.Model`, created by `fuse`. Input `image`: float32 (batch, height, width, num_channels),
    normalized pixels, or pixels from 0 to 255 with `include_preprocessing`. It always runs with `training=False`: by
    default, Keras would run batch normalizations after a `Resizing`, `RandomFlip` or `CenterCrop` in training mode.

    Args:
        *args: See `keras.Model`: inputs, outputs and name.
        config: Transform, labels, and the `image_size` that the graph is built for.
        include_preprocessing: See `fuse`.
        named_outputs: Descriptions of the outputs, in the order of `outputs`.
        **kwargs: See `keras.Model`.

    Examples:
        >>> from swiftformer_tf import SwiftFormerForImageClassification
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny", image_size=64))
        >>> deploy = fuse(model)
        >>> deploy.input.shape, deploy.named_outputs
        ((1, 64, 64, 3), (Output(name='logits', shape=(1, 1000), task='classification', activation=None),))
    """

    def __init__(
        self,
        # Before 3.15, Keras does not save the graph of a class whose positional arguments have names.
        *args: Any,
        config: SwiftFormerConfig,
        include_preprocessing: bool,
        named_outputs: Sequence[Output],
        **kwargs: Any,
    ) -> None:
        # By keyword: Keras would take a model's three positional arguments for those of a layer.
        super().__init__(**dict(zip(("inputs", "outputs", "name"), args, strict=False)), **kwargs)
        self._facts = (config, include_preprocessing, tuple(named_outputs))

    @property
    def config(self) -> SwiftFormerConfig:
        """Transform, labels and image size."""
        return self._facts[0]

    @property
    def include_preprocessing(self) -> bool:
        """Whether the model takes pixels from 0 to 255."""
        return self._facts[1]

    @property
    def named_outputs(self) -> tuple[Output, ...]:
        """Descriptions of the outputs, in the order of `outputs`."""
        return self._facts[2]

    @property
    def main_output(self) -> Output:
        """See `LiteModel.main_output`."""
        return main_output(self.named_outputs)

    @property
    def task(self) -> str:
        """The task of its main output: a key of `tasks.TASKS`."""
        return self.main_output.task

    def _repr_html_(self) -> str:
        """The display in notebooks: the graph's input and outputs, in the form used for TFLite models."""
        height, width = self.config.input_size
        facts = {
            "takes": f"{height} x {width} x {self.config.num_channels}, {self.input.dtype}, "
            + ("pixels from 0 to 255" if self.include_preprocessing else "normalized"),
            "gives": ", ".join(each.name for each in self.named_outputs),
            "labels": first_labels(self.config.labels),
            "parameters": f"{count_parameters(self):,}",
        }
        return facts_table(facts, type(self).__name__)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        return super().call(inputs, training=False, mask=mask)

    def get_config(self) -> dict[str, Any]:
        facts = {
            "config": self.config.to_dict(),
            "include_preprocessing": self.include_preprocessing,
            "named_outputs": [each.to_dict() for each in self.named_outputs],
        }
        config, operations = super().get_config(), {each.name: each for each in self.operations}
        # For HDF5, Keras omits the modules, without which it can find layers again but not operations.
        layers = [
            each if "module" in each else each | keras.saving.serialize_keras_object(operations[each["name"]])
            for each in config["layers"]
        ]
        return {**config, **facts, "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        facts = {
            "config": SwiftFormerConfig.from_dict(config["config"]),
            "named_outputs": [Output.from_dict(each) for each in config["named_outputs"]],
        }
        model: Self = super().from_config({**config, **facts}, custom_objects=custom_objects)
        described = [each.shape for each in model.named_outputs]
        if described != (found := [tuple(each.shape) for each in model.outputs]):
            raise ModelError(f"its named_outputs have the shapes {described}, but its outputs {found}")
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
    """Folds a functional model made of SwiftFormer blocks into its deploy graph; `model` itself is unchanged.

    Each block is replaced by its folded form; consecutive batch normalization, pooling and dense layers are merged into
    one matrix; all other layers are copied.

    Args:
        model: A `SwiftFormerForImageClassification`, a `SwiftFormerModel`, or any functional model with Keras layers on
            top of one: nested, with several outputs, or with a backbone that is used twice. It may have any precision
            (the graph is in float32) and LoRA weights (which are merged).
        config: Transform and labels; required if no SwiftFormer in `model` has a configuration, as in
            `keras.Model(backbone.input, head(backbone.output))`.
        image_size: (height, width) in pixels, or an int for a square; default is the fixed input size of `model`, or
            else the size in its configuration. The graph works for this size only, since the number of tokens is folded
            into the matrices of the attention.
        batch_size: Number of images per batch; the graph works for this number only.
        include_preprocessing: Whether the graph normalizes by `config.transform` itself and takes RGB from 0
            to 255, instead of normalized pixels.
        classifier_activation: The activation to apply to logits inside the graph. For classification, `"softmax"`, or
            `"sigmoid"` if the `problem_type` calls for it, returns probabilities. For semantic segmentation,
            `"softmax"` returns class probabilities for each pixel of the image, and `"argmax"` the class of each pixel,
            uint8 (B, H, W). None returns logits, which a segmenter has at stride 4.
        tasks: The task of each output, a key of `TASKS`, by the output's name in `model` (a key of its output
            dictionary, or one of `model.output_names`); or one task for all outputs. Default: the task of a SwiftFormer
            model, and `"features"` for any other.
        labels: Class names in order; default is the labels of the configuration.

    Returns:
        A `DeployModel`.

    Raises:
        ConfigError: An impossible size, task, label or activation.
        ModelError: `model` has no graph, was quantized by Keras, or contains blocks in a place where they cannot be
            folded.

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
    config = graph_config(model, config, labels)
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
    walk = Walk()
    results = walk.run(model, [pixels])
    if not walk.blocks:
        raise ModelError(f"fuse: {model.name} contains no SwiftFormer block; expected a model built on them")
    outputs, described = _described(model, results, config, tasks, classifier_activation, batch_size)
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


def graph_config(
    model: keras.Model, config: SwiftFormerConfig | None = None, labels: Sequence[str] | None = None
) -> SwiftFormerConfig:
    """Returns the configuration from which the deploy graph of a model is built, apart from its size.

    Args:
        model: See `fuse`.
        config: See `fuse`.
        labels: See `fuse`.

    Raises:
        ConfigError: An impossible label.
        ModelError: See `fuse`.
    """
    _check_model(model)
    config = config or config_of(model)
    return config if labels is None else config.replace(id2label=dict(enumerate(labels)))


def tasks_of(model: keras.Model, tasks: str | Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the task of each output of a model, a key of `TASKS`, by the output's name.

    Args:
        model: See `fuse`.
        tasks: See `fuse`.

    Raises:
        ConfigError: No such output or task.
        ModelError: See `fuse`.

    Examples:
        >>> from swiftformer_tf import SwiftFormerModel
        >>> backbone = SwiftFormerModel(SwiftFormerConfig.from_variant("tiny", image_size=64))
        >>> row = keras.layers.Dense(4, name="colors")(keras.layers.GlobalAveragePooling2D()(backbone.output))
        >>> model = keras.Model(backbone.input, {"colors": row})
        >>> tasks_of(model), tasks_of(model, "classification")
        ({'colors': 'features'}, {'colors': 'classification'})
    """
    _check_model(model)
    names = output_names(model)
    given = dict.fromkeys(names, tasks) if isinstance(tasks, str) else dict(tasks or {})
    for name, task in given.items():
        if name not in names:
            raise ConfigError(f"`tasks`: no output is called {name!r}; expected one of {', '.join(names)}")
        if task not in TASKS:
            raise ConfigError(f"`tasks`: {name} has the unknown task {task!r}; expected one of {', '.join(TASKS)}")
    default = getattr(model, "task", CUSTOM_HEAD)
    return {name: given.get(name, default) for name in names}


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ModelError(f"fuse: expected a functional keras.Model, not a {type(model).__name__}")
    if isinstance(model, DeployModel):
        raise ModelError(f"fuse: {model.name} is a deploy graph already; give it to export")
    if not is_graph(model):
        raise ModelError(
            f"fuse: {model.name} is a subclassed model ({type(model).__name__}), which has no graph to fold; make it "
            "functional: keras.Model(image, outputs)"
        )
    if not model.built:
        raise ModelError(f"fuse: {model.name} is not built, so its input is unknown; start it with a keras.Input")
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = ", ".join(str(each.shape) for each in model.inputs)
        raise ModelError(f"fuse: {model.name} has inputs of shape {shapes}; expected one image (B, H, W, C)")
    if "float" not in model.inputs[0].dtype:  # bfloat16 is one, too
        kind = model.inputs[0].dtype  # Keras cuts what it is given to integers, and normalized pixels are none
        raise ModelError(f"fuse: {model.name} has an input of {kind}; expected floats: normalized pixels")


def _size(shape: tuple[int | None, ...], wanted: Any, default: Any) -> Any:
    """Input size of the graph: the requested size, or else the one that the model was built for."""
    _, height, width, _ = shape
    if height is None or width is None:
        return default if wanted is None else wanted
    made_for = (height, width)
    if wanted is not None and wanted not in (made_for, list(made_for), height if height == width else None):
        raise ConfigError(f"image_size={wanted!r}: the model was built for {made_for} only")
    return made_for


def _described(
    model: keras.Model,
    results: Any,
    config: SwiftFormerConfig,
    tasks: str | Mapping[str, str] | None,
    wanted: Activation | None,
    batch_size: int,
) -> tuple[list[Any], list[Output]]:
    """Applies the requested activation to the outputs, and describes them."""
    tensors = [tensor_of(each) for each in keras.tree.flatten(results)]
    names = output_names(model)
    _check_outputs(names, tensors, [(batch_size, *each.shape[1:]) for each in model.outputs])
    by_name = tasks_of(model, tasks)
    outputs, described = [], []
    for name, tensor in zip(names, tensors, strict=True):
        task = TASKS[by_name[name]]
        possible = task.activations(config)
        if possible and wanted not in (None, *possible):
            raise ConfigError(f"classifier_activation={wanted!r}: expected {' or '.join(map(repr, possible))} or None")
        activation = wanted if possible else None
        if task.rank and (len(tensor.shape), tensor.shape[-1]) != (task.rank, config.num_labels):
            raise ConfigError(
                f"output {name} has the shape {tensor.shape}, but the model has "
                f"{number_of(config.num_labels, 'label')}; give its labels"
            )
        tensor = task.activate(tensor, activation, config)
        outputs.append(tensor)
        name = task.output_name(activation) if len(tensors) == 1 else name
        described.append(Output(name, tuple(tensor.shape), task.name, activation))
    if wanted and not any(each.activation for each in described):
        raise ConfigError(f"classifier_activation={wanted!r}: expected a model with labels, but this one has none")
    return outputs, described


def _check_outputs(names: list[str], tensors: list[Any], expected: list[tuple[int | None, ...]]) -> None:
    """Rejects outputs that a file cannot have, and a model that was built for a different batch size."""
    seen: dict[int, str] = {}
    for name, tensor, shape in zip(names, tensors, expected, strict=True):
        if tensor.dtype != "float32":
            cure = "convert it with keras.ops.cast(x, 'float32')"
            raise ModelError(f"fuse: output {name} has type {tensor.dtype}, expected float32; {cure}")
        if (other := seen.setdefault(id(tensor), name)) != name:
            raise ModelError(f"fuse: outputs {other} and {name} are the same tensor; give only one of them")
        found = tuple(tensor.shape)
        if len(found) != len(shape) or any(each not in (None, own) for own, each in zip(found, shape, strict=True)):
            told = str(shape).replace("None", "?")
            raise ModelError(
                f"fuse: output {name} has the shape {found}, expected {told}; give the batch_size that the model was "
                "built for, or build the model for any"
            )


def output_names(model: keras.Model) -> list[str]:
    """Returns the names of a model's outputs in order: the keys of its output dictionary, or the names of the layers.

    Raises:
        ModelError: The model has no graph.
    """
    if isinstance(model, keras.Sequential):
        return [model.layers[-1].name]
    if not isinstance(model, keras.Function):
        raise ModelError(
            f"{model.name} is a subclassed model ({type(model).__name__}), whose outputs have no names; expected a "
            "functional one: keras.Model(image, outputs)"
        )
    own = [each.removesuffix("/") for each in model.output_names]
    if isinstance(model.output, dict):
        own = ["_".join(map(str, path)) or "output" for path, _ in keras.tree.flatten_with_path(model.output)]
    return [name if own.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(own)]
