"""Models to start training from: new ones, and trained ones with different classes or frozen parts."""

from collections.abc import Sequence

import keras
import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError
from swiftformer_tf.images.labels import imagenet_classes
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.training.recipes import TrainingRecipe

__all__ = ["adapted_model", "class_labels", "freeze", "frozen_parts", "new_heads", "new_model", "start_from_mean"]

# Layers of a classifier that make logits.
HEADS = ("head", "head_dist")


def class_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the labels for classes whose folders have these names: English names if all are ImageNet's WordNet ids.

    Args:
        names: Folder names in the order of the classes.

    Examples:
        >>> class_labels(["n01440764", "n02102040"]), class_labels(["cat", "dog"])
        (('tench', 'English springer'), ('cat', 'dog'))
    """
    classes = imagenet_classes()
    english = tuple(classes.get(name, "") for name in names)
    return english if all(english) and len(set(english)) == len(names) else tuple(names)


def new_model(
    config: SwiftFormerConfig, recipe: TrainingRecipe, *, seed: int = 0, dtype: str = "float32"
) -> SwiftFormerForImageClassification:
    """Creates an untrained classifier with the layer scales and stochastic depth of a recipe.

    Args:
        config: Architecture, labels and transform.
        recipe: The training recipe.
        seed: Seed for the initial weights; sets the global seeds of Keras, NumPy and Python.
        dtype: Keras dtype or dtype policy, such as `"mixed_bfloat16"`.

    Examples:
        >>> new_model(SwiftFormerConfig.from_variant("tiny"), TrainingRecipe(drop_path_rate=0.1)).config.drop_path_rate
        0.1
    """
    keras.utils.set_random_seed(seed)
    fields = {"layer_scale_init_value": recipe.layer_scale_init_value, "drop_path_rate": recipe.drop_path_rate}
    return SwiftFormerForImageClassification(config.replace(**fields), dtype=dtype)


def adapted_model(
    model: SwiftFormerForImageClassification, config: SwiftFormerConfig, *, seed: int = 0, dtype: str = "float32"
) -> SwiftFormerForImageClassification:
    """Copies a trained classifier to a different configuration; heads are newly initialized if the labels differ.

    Args:
        model: The trained classifier.
        config: Configuration of the copy. The architecture must be the same; labels, image size, transform, drop rates
            and the number of heads may differ.
        seed: Seed for new heads; sets the global seeds of Keras, NumPy and Python.
        dtype: Keras dtype or dtype policy, such as `"mixed_bfloat16"`.

    Raises:
        ConfigError: The architecture differs; the message names the field.

    Examples:
        >>> model = SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette")
        >>> adapted_model(model, model.config.replace(id2label={0: "cat", 1: "dog"})).output_shape
        (None, 2)
    """
    for field in ("depths", "embed_dims", "mlp_ratio", "downsamples", "use_layer_scale", "token_weights", "hidden_act"):
        if getattr(model.config, field) != getattr(config, field):
            raise ConfigError(f"{field}={getattr(config, field)!r}: the model has {getattr(model.config, field)!r}")
    keras.utils.set_random_seed(seed)
    adapted = SwiftFormerForImageClassification(config, dtype=dtype)
    trained = {layer.name: layer for layer in model.layers}
    new = new_heads(model, config)
    for layer in adapted.layers:
        if layer.weights and layer.name not in new:
            layer.set_weights(trained[layer.name].get_weights())
    return adapted


def new_heads(model: SwiftFormerForImageClassification, config: SwiftFormerConfig) -> tuple[str, ...]:
    """Returns the names of the heads that `adapted_model` initializes anew for a configuration.

    Args:
        model: The trained classifier.
        config: Configuration of the copy.

    Examples:
        >>> model = SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette")
        >>> new_heads(model, model.config), new_heads(model, model.config.replace(id2label={0: "cat", 1: "dog"}))
        ((), ('head', 'head_dist'))
    """
    wanted = HEADS if config.distillation else HEADS[:1]
    trained = {layer.name for layer in model.layers} if model.config.labels == config.labels else ()
    return tuple(name for name in wanted if name not in trained)


def start_from_mean(model: SwiftFormerForImageClassification, targets: np.ndarray) -> None:
    """Initializes the biases of new regression heads to the mean of the targets instead of zero.

    A head is considered new if its bias is all zeros; trained heads are left unchanged.

    Args:
        model: The model to be trained.
        targets: Targets of the photographs, (photographs, labels).

    Examples:
        >>> config = SwiftFormerConfig.from_variant("tiny", id2label={0: "age"}, problem_type="regression")
        >>> model = SwiftFormerForImageClassification(config)
        >>> start_from_mean(model, np.array([[20.0], [40.0]]))
        >>> model.get_layer("head").bias.numpy().tolist()
        [30.0]
    """
    mean, spread = targets.mean(axis=0, dtype=np.float64), targets.std(axis=0, dtype=np.float64)
    for layer in model.layers:
        if layer.name in HEADS and not keras.ops.any(layer.bias):
            layer.kernel.assign(layer.kernel * np.where(spread > 0, spread, 1).astype(np.float32))
            layer.bias.assign(mean.astype(np.float32))


def freeze(model: SwiftFormerForImageClassification, frozen: int) -> None:
    """Freezes the stem and the first stages; their BatchNorm layers run in inference mode.

    Args:
        model: The model to be trained; freeze it before calling `compile_for`.
        frozen: Number of stages, including the downsampling before each; 0 freezes nothing, not even the stem.

    Raises:
        ConfigError: The model has fewer stages.

    Examples:
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> freeze(model, frozen=4)
        >>> sorted({variable.path.partition("/")[0] for variable in model.trainable_variables})
        ['head', 'head_dist', 'norm']
    """
    if not 0 <= frozen <= len(model.config.depths):
        raise ConfigError(f"{frozen=}: expected 0 to {len(model.config.depths)}, the number of the model's stages")
    names = ("stem", *(f"stages-{stage}-" for stage in range(frozen))) if frozen else ()
    for layer in model.layers:
        if layer.name.startswith(names):
            layer.trainable = False


def frozen_parts(stages: int) -> tuple[str, ...]:
    """Returns human-readable names of the parts that `freeze` freezes.

    Args:
        stages: Number of stages.

    Examples:
        >>> frozen_parts(2), frozen_parts(0)
        (('stem', 'stage 1', 'stage 2'), ())
    """
    return ("stem", *(f"stage {stage + 1}" for stage in range(stages))) if stages else ()
