"""SwiftFormer as functional `keras.Model`s, whose outputs are chosen at construction."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, get_args

import keras
import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.relabeling import relabel
from swiftformer_tf.config import VARIANTS, SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError
from swiftformer_tf.layers import ConvEncoder, Downsample, Encoder, Stem
from swiftformer_tf.layers.base import BATCH_NORM_MOMENTUM
from swiftformer_tf.layers.initializers import TruncatedNormal
from swiftformer_tf.pretrained_model import PretrainedModel
from swiftformer_tf.registration import PACKAGE
from swiftformer_tf.variables import assign_tensors, backbone_of, checkpoint_of

__all__ = ["SwiftFormerForImageClassification", "SwiftFormerModel", "check_config"]

FeatureOutputs = Literal["last_hidden_state", "hidden_states"]
ClassifierOutputs = Literal["logits", "heads"]

# What is said of weights that have neither a head nor what precedes one.
HEADLESS = "a backbone without the classifier's normalization; expected classification weights"

# Fields of a config in which two models over the same layers may differ.
NOT_IN_LAYERS = ("image_size", "transform", "id2label", "label_colors", "distillation")

# Arguments of Hugging Face's models, and their replacements here.
INSTEAD = {
    "labels": "the loss is Keras's: model.compile(loss=...) and model.fit(pixels, labels)",
    "output_hidden_states": "use SwiftFormerModel(model.config, outputs='hidden_states', share_layers_with=model)",
    "output_attentions": "additive attention computes no map of token pairs",
    "return_dict": "its outputs are tensors",
}


class _SwiftFormer(PretrainedModel):
    """Common base of both models: calls accept Hugging Face's names, and graphs can share layers."""

    def __call__(self, *inputs: Any, pixel_values: Any = None, **arguments: Any) -> Any:
        for name in [
            name for name, value in arguments.items() if name in INSTEAD and (value is None or value is False)
        ]:
            # Features that are not requested need no error: they are absent anyway.
            del arguments[name]
        if wrong := next(iter(arguments.keys() - {"training", "mask"}), None):
            way = INSTEAD.get(wrong, "expected pixels, and training=True or False")
            raise ModelError(f"{self.name}: {wrong}=: no such argument of a Keras SwiftFormer; {way}")
        if pixel_values is None:
            return super().__call__(*inputs, **arguments)
        return super().__call__(pixel_values, *inputs, **arguments)

    @property
    def task(self) -> str:
        """The task of the outputs: a key of `tasks.TASKS`."""
        return "features"


@keras.saving.register_keras_serializable(PACKAGE)
class SwiftFormerModel(_SwiftFormer):
    """SwiftFormer without a head: a functional `keras.Model` that returns feature maps for images of any size.

    Input: pixels normalized by `config.transform`, (B, H, W, num_channels); any H and W.

    Output, depending on `outputs`:

    * `"last_hidden_state"`: (B, H/32, W/32, embed_dims[-1]).
    * `"hidden_states"`: list of Hugging Face's hidden states: one for the stem, one for each stage and one for each
      downsampling between stages, which makes 8 for the four variants.
    * with `out_indices`: list of the feature maps of those stages, at strides 4, 8, 16 and 32; a single map for a
      single stage.

    Heights and widths that are not divisible by the stride are rounded up.

    Args:
        config: Architecture.
        outputs: Which outputs the graph returns.
        out_indices: Index of a stage, or several indices, counted from 0, or backward from -1 for the last. Overrides
            `outputs`.
        share_layers_with: A `SwiftFormerModel` or classifier whose layers, and therefore weights, are reused.
        dtype: Keras dtype or dtype policy, such as `"mixed_float16"`; default is Keras's global policy.
        name: Name of the model.

    Raises:
        ConfigError: An unknown output, a stage that does not exist, or a `share_layers_with` of a different
            architecture.

    Examples:
        >>> import numpy as np
        >>> model = SwiftFormerModel(SwiftFormerConfig.from_variant("tiny"), out_indices=(0, 3))
        >>> [tuple(map.shape) for map in model(np.zeros((1, 64, 96, 3), "float32"))]
        [(1, 16, 24, 8), (1, 2, 3, 20)]
    """

    def __init__(
        self,
        config: SwiftFormerConfig,
        *,
        outputs: FeatureOutputs = "last_hidden_state",
        out_indices: int | Sequence[int] | np.ndarray | None = None,
        share_layers_with: "_SwiftFormer | None" = None,
        dtype: Any = None,
        name: str = "swiftformer",
    ) -> None:
        check_config(config)
        _check_outputs(outputs, FeatureOutputs)
        wanted = None if out_indices is None else _stages(out_indices, len(config.depths))
        _check_layers(config, share_layers_with)
        policy = _policy(share_layers_with, dtype)
        image = keras.Input((None, None, config.num_channels), name="image", dtype=policy.compute_dtype)
        states, stages = _features(config, image, _Layers(share_layers_with, policy))
        if wanted is not None:
            maps = [stages[index] for index in wanted]
            result: Any = maps if len(maps) > 1 else maps[0]
        else:
            result = {"last_hidden_state": states[-1], "hidden_states": states}[outputs]
        super().__init__(inputs=image, outputs=result, name=name)
        self._finish(config, policy, {"outputs": outputs, "out_indices": wanted})

    @classmethod
    def _from_stored(
        cls,
        stored: Checkpoint | PretrainedModel,
        name: str | Path,
        wanted: Mapping[int, str] | None,
        arguments: Mapping[str, Any],
    ) -> Self:
        if wanted is not None:
            raise ConfigError(f"{name}: num_labels and id2label: a SwiftFormerModel has no head; leave them out")
        checkpoint = backbone_of(_checkpoint(stored))
        model = cls(checkpoint.config, **arguments)
        assign_tensors(model, checkpoint.tensors)
        return model


@keras.saving.register_keras_serializable(PACKAGE)
class SwiftFormerForImageClassification(_SwiftFormer):
    """SwiftFormer with its classification head (arXiv:2303.15446), as a functional `keras.Model`.

    Input: pixels normalized by `config.transform`, (B, H, W, num_channels); any H and W.

    Output, depending on `outputs`:

    * `"logits"`: (B, num_labels), the mean of both heads if `config.distillation` is set; the pooled features (B,
      embed_dims[-1]) if there are no labels.
    * `"heads"`: list of two tensors (B, num_labels), the logits of `head` and of `head_dist`, for training with a
      teacher.

    Args:
        config: Architecture and labels.
        outputs: Which outputs the graph returns.
        share_layers_with: A classifier whose layers, and therefore weights, are reused: training one model trains the
            other.
        dtype: Keras dtype or dtype policy, such as `"mixed_float16"`; default is Keras's global policy. Logits are
            float32 under any mixed policy.
        name: Name of the model.

    Raises:
        ConfigError: An unknown output, `"heads"` for a model without two heads, or a `share_layers_with` of a different
            architecture or without the required heads.

    Examples:
        >>> import numpy as np
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> model(np.zeros((1, 64, 64, 3), "float32")).shape
        TensorShape([1, 1000])
        >>> student = SwiftFormerForImageClassification(model.config, outputs="heads", share_layers_with=model)
        >>> student.get_layer("head") is model.get_layer("head")
        True
    """

    def __init__(
        self,
        config: SwiftFormerConfig,
        *,
        outputs: ClassifierOutputs = "logits",
        share_layers_with: "SwiftFormerForImageClassification | None" = None,
        dtype: Any = None,
        name: str = "swiftformer_for_image_classification",
    ) -> None:
        check_config(config)
        _check_outputs(outputs, ClassifierOutputs)
        if outputs == "heads" and not (config.distillation and config.num_labels):
            raise ConfigError("outputs='heads': expected a config with distillation=True and at least one label")
        _check_layers(config, share_layers_with)
        _check_heads(config, share_layers_with)
        policy = _policy(share_layers_with, dtype)
        layers = _Layers(share_layers_with, policy)
        image = keras.Input((None, None, config.num_channels), name="image", dtype=policy.compute_dtype)
        states, _ = _features(config, image, layers)
        make_norm = partial(
            keras.layers.BatchNormalization, momentum=BATCH_NORM_MOMENTUM, epsilon=config.batch_norm_eps
        )
        norm = layers.get("norm", make_norm)
        result: Any = layers.get("pool", partial(keras.layers.GlobalAveragePooling2D, data_format="channels_last"))(
            norm(states[-1])
        )
        if config.num_labels:
            names = ("head", "head_dist") if config.distillation else ("head",)
            heads = [layers.get(head, partial(_head, config.num_labels))(result) for head in names]
            if outputs == "heads":
                result = heads
            else:
                result = keras.layers.Average(dtype="float32", name="logits")(heads) if len(heads) > 1 else heads[0]
        super().__init__(inputs=image, outputs=result, name=name)
        self._finish(config, policy, {"outputs": outputs})

    @property
    def task(self) -> str:
        """`"classification"`, or `"features"` for a model without labels."""
        return "classification" if self.config.num_labels else "features"

    @classmethod
    def _from_stored(
        cls,
        stored: Checkpoint | PretrainedModel,
        name: str | Path,
        wanted: Mapping[int, str] | None,
        arguments: Mapping[str, Any],
    ) -> Self:
        checkpoint = _checkpoint(stored)
        if not checkpoint.has_final_norm:
            raise ModelError(f"{name}: {HEADLESS}")
        if wanted is not None:
            before = checkpoint.config.num_labels
            checkpoint, said = relabel(checkpoint, wanted)
            if len(wanted) not in (0, before):  # without labels, nothing is new
                warnings.warn(f"{name}: {said}", stacklevel=3)
        model = cls(checkpoint.config, **arguments)
        assign_tensors(model, checkpoint.tensors)
        return model


def _checkpoint(stored: Checkpoint | PretrainedModel) -> Checkpoint:
    return stored if isinstance(stored, Checkpoint) else checkpoint_of(stored, stored.config)


class _Layers:
    """Creates layers, or reuses the layers of the same name from another model."""

    def __init__(self, shared: keras.Model | None, policy: keras.DTypePolicy) -> None:
        self._shared, self._policy = shared, policy

    def get(self, name: str, make: Callable[..., keras.layers.Layer]) -> keras.layers.Layer:
        if self._shared is not None:
            return self._shared.get_layer(name)
        return make(name=name, dtype=self._policy)


def _head(units: int, *, name: str, dtype: keras.DTypePolicy) -> keras.layers.Dense:
    """A dense layer whose logits stay float32 in mixed precision."""
    initializer = TruncatedNormal(stddev=0.02)
    return keras.layers.Dense(units, kernel_initializer=initializer, dtype=dtype.variable_dtype, name=name)


def _features(config: SwiftFormerConfig, image: Any, layers: _Layers) -> tuple[list[Any], list[Any]]:
    """Hugging Face's hidden states, and the feature map at the end of each stage."""
    eps = config.batch_norm_eps
    hidden = layers.get("stem", partial(Stem, config.embed_dims[0], eps))(image)
    states, stages = [hidden], []
    for stage, (depth, width) in enumerate(zip(config.depths, config.embed_dims, strict=True)):
        if config.downsampled[stage]:
            make = partial(Downsample, width, config.down_patch_size, config.down_stride, config.down_pad, eps)
            hidden = layers.get(f"stages-{stage}-downsample", make)(hidden)
            states.append(hidden)
        for block in range(depth):
            make_block = _encoder if block == depth - 1 else _conv_encoder
            hidden = layers.get(f"stages-{stage}-blocks-{block}", partial(make_block, config, stage))(hidden)
        states.append(hidden)
        stages.append(hidden)
    return states, stages


def _conv_encoder(config: SwiftFormerConfig, stage: int, **kwargs: Any) -> ConvEncoder:
    """The `ConvEncoder` of a stage as specified by `config`."""
    hidden = int(config.embed_dims[stage] * config.mlp_ratio)
    return ConvEncoder(hidden, config.batch_norm_eps, config.drop_conv_encoder_rate, **kwargs)


def _encoder(config: SwiftFormerConfig, stage: int, **kwargs: Any) -> Encoder:
    """The `Encoder` of a stage as specified by `config`."""
    return Encoder(
        int(config.embed_dims[stage] * config.mlp_ratio),
        config.token_weights,
        config.hidden_act,
        config.layer_scale_init_value if config.use_layer_scale else None,
        config.drop_path_rates[stage][-1],
        config.drop_mlp_rate,
        config.batch_norm_eps,
        **kwargs,
    )


def _policy(shared: _SwiftFormer | None, dtype: Any) -> keras.DTypePolicy:
    if shared is not None:
        return shared.dtype_policy
    return keras.dtype_policies.get(dtype or keras.config.dtype_policy())


def _check_layers(config: SwiftFormerConfig, shared: _SwiftFormer | None) -> None:
    if shared is None:
        return
    for field in dataclasses.fields(config):
        mine, its = getattr(config, field.name), getattr(shared.config, field.name)
        if field.name not in NOT_IN_LAYERS and mine != its:
            raise ConfigError(
                f"share_layers_with={shared.name!r}: its {field.name} is {its!r}, expected the config's {mine!r}"
            )


def _check_heads(config: SwiftFormerConfig, shared: _SwiftFormer | None) -> None:
    if shared is None:
        return
    if not isinstance(shared, SwiftFormerForImageClassification):
        raise ConfigError(
            f"share_layers_with={shared.name!r}: expected a SwiftFormerForImageClassification, "
            f"not a {type(shared).__name__}"
        )
    if config.num_labels and config.num_labels != shared.config.num_labels:
        raise ConfigError(
            f"share_layers_with={shared.name!r}: its num_labels is {shared.config.num_labels}, "
            f"expected the config's {config.num_labels}"
        )
    if config.num_labels and config.distillation and not shared.config.distillation:
        raise ConfigError(f"share_layers_with={shared.name!r}: its distillation is False, expected the config's True")


def _stages(indices: int | Sequence[int] | np.ndarray, count: int) -> list[int]:
    """Resolves stage indices, which may be negative as in Python lists."""
    several = [indices] if isinstance(indices, int | np.integer) else list(indices)
    if not several or not all(
        isinstance(index, int | np.integer) and not isinstance(index, bool) and -count <= index < count
        for index in several
    ):
        raise ConfigError(
            f"out_indices={indices!r}: expected stages from 0 to {count - 1}, or from -{count} to -1 from the end"
        )
    return [int(index) % count for index in several]


def check_config(config: Any) -> None:
    """Rejects anything but a configuration, such as the name of a variant, with a message that shows how to make one.

    Raises:
        ConfigError: The argument is not a `SwiftFormerConfig`.
    """
    if not isinstance(config, SwiftFormerConfig):
        way = f"; SwiftFormerConfig.from_variant({config!r}) makes one" if config in list(VARIANTS) else ""
        raise ConfigError(f"config={config!r}: expected a SwiftFormerConfig{way}")


def _check_outputs(outputs: str, kind: Any) -> None:
    if outputs not in get_args(kind):
        raise ConfigError(f"outputs={outputs!r}: expected one of {', '.join(get_args(kind))}")
