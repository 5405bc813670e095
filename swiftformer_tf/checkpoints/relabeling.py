"""Changes the labels of a checkpoint: renames its outputs, or creates new heads."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.errors import CheckpointError, ConfigError, number_of
from swiftformer_tf.images.class_names import check_labels, numbered_labels

__all__ = ["relabel", "requested_labels"]

# As the layers' own initial weights are: the truncated normal of the paper's code.
STDDEV = 0.02


def requested_labels(num_labels: int | None, id2label: Mapping[int, str] | None) -> dict[int, str] | None:
    """Returns the labels requested by either of two arguments; None if neither is given.

    Raises:
        ConfigError: The arguments contradict each other, or are invalid.

    Examples:
        >>> requested_labels(2, None)
        {0: 'LABEL_0', 1: 'LABEL_1'}
    """
    if id2label is None:
        return None if num_labels is None else numbered_labels(num_labels)
    check_labels(id2label)
    if num_labels not in (None, len(id2label)):
        named = number_of(len(id2label), "label")
        raise ConfigError(f"num_labels={num_labels}: id2label has {named}; give one of the two")
    return dict(id2label)


def relabel(checkpoint: Checkpoint, id2label: Mapping[int, str], *, seed: int = 0) -> tuple[Checkpoint, str]:
    """Returns a checkpoint with these labels, and a sentence about its heads.

    If the number of labels is unchanged, they are new names for the same outputs. Otherwise, the heads are replaced
    with new ones with random weights, which must be trained.

    Args:
        checkpoint: A checkpoint with the classifier's normalization.
        id2label: Class names by index.
        seed: Seed for new heads.

    Raises:
        CheckpointError: The checkpoint is a backbone, which ends before the classifier's normalization.
        ConfigError: There are no labels.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification, to_checkpoint
        >>> model = SwiftFormerForImageClassification(SwiftFormerConfig.from_variant("tiny"))
        >>> relabel(to_checkpoint(model), {0: "cat", 1: "dog"})[1]
        'the heads for 1000 labels are dropped; new ones for 2 labels have random weights (seed 0) and must be trained'
    """
    if not checkpoint.has_final_norm:
        raise CheckpointError(
            f"{checkpoint.source}: a backbone without the classifier's normalization; no new head can be put on it"
        )
    before = checkpoint.config
    config = before.replace(id2label=id2label)
    if config.num_labels == before.num_labels:
        said = f"the weights of the {number_of(config.num_labels, 'output')} are kept"
        return dataclasses.replace(checkpoint, config=config), said
    body = {key: tensor for key, tensor in checkpoint.tensors.items() if not key.startswith(("head.", "head_dist."))}
    heads = _new_heads(config.num_labels, config.embed_dims[-1], config.distillation, seed) if config.num_labels else {}
    old, wanted = (number_of(each.num_labels, "label") for each in (before, config))
    dropped = f"the heads for {old} are dropped" if before.num_labels else "there were no heads"
    new = f"new ones for {wanted} have random weights (seed {seed}) and must be trained"
    replaced = dataclasses.replace(checkpoint, tensors=body | heads, config=config)
    return replaced, f"{dropped}; {new if heads else 'features come out'}"


def _new_heads(labels: int, width: int, two: bool, seed: int) -> dict[str, np.ndarray]:
    import keras

    rng = np.random.default_rng(seed)
    heads: dict[str, np.ndarray] = {}
    for name in ("head", "head_dist") if two else ("head",):
        weight = keras.initializers.TruncatedNormal(stddev=STDDEV, seed=int(rng.integers(2**31)))((labels, width))
        heads |= {f"{name}.weight": np.array(weight, np.float32), f"{name}.bias": np.zeros(labels, np.float32)}
    return heads
