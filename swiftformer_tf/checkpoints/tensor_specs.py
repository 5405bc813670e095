"""Names and shapes of a SwiftFormer's weights: derives them from a configuration, and vice versa.

Names are canonical (timm's) and shapes are PyTorch's: convolution (out, in, height, width), dense (out, in).
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from swiftformer_tf.checkpoints.key_layouts import shorten
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.images.class_names import numbered_labels
from swiftformer_tf.segmentation_heads import feature_norm

__all__ = ["compare", "expected_shapes", "feature_norm_shapes", "infer_config"]

Shape = tuple[int, ...]


def expected_shapes(config: SwiftFormerConfig, *, final_norm: bool = True) -> dict[str, Shape]:
    """Returns all tensors of a model with this configuration, except for counters.

    Args:
        config: Architecture, labels and heads.
        final_norm: Whether the classifier's normalization follows the last stage.

    Returns:
        Shapes by canonical name.

    Examples:
        >>> shapes = expected_shapes(SwiftFormerConfig.from_variant("xs"))
        >>> shapes["stem.0.weight"], shapes["head_dist.weight"]
        ((24, 3, 3, 3), (1000, 220))
    """
    first, last = config.embed_dims[0], config.embed_dims[-1]
    modules = {
        "stem.0": _conv(first // 2, config.num_channels, 3),
        "stem.1": _norm(first // 2),
        "stem.3": _conv(first, first // 2, 3),
        "stem.4": _norm(first),
    }
    for stage, (depth, width) in enumerate(zip(config.depths, config.embed_dims, strict=True)):
        if config.downsampled[stage]:
            before = config.embed_dims[stage - 1]
            modules[f"stages.{stage}.downsample.proj"] = _conv(width, before, config.down_patch_size)
            modules[f"stages.{stage}.downsample.norm"] = _norm(width)
        hidden = int(width * config.mlp_ratio)
        for block in range(depth - 1):
            modules |= _under(f"stages.{stage}.blocks.{block}", _conv_encoder(width, hidden))
        modules |= _under(f"stages.{stage}.blocks.{depth - 1}", _encoder(width, hidden, config.use_layer_scale))
    if final_norm:
        modules["norm"] = _norm(last)
    if config.num_labels:
        for head in ("head", "head_dist") if config.distillation else ("head",):
            modules[head] = _dense(config.num_labels, last)
    return {
        f"{module}.{leaf}" if leaf else module: shape
        for module, leaves in modules.items()
        for leaf, shape in leaves.items()
    }


def feature_norm_shapes(config: SwiftFormerConfig) -> dict[str, Shape]:
    """Returns the tensors that normalize the outputs of the stages, see `SegmentationHead.feature_norms`.

    Examples:
        >>> feature_norm_shapes(SwiftFormerConfig.from_variant("xs"))["backbone.norm6.running_var"]
        (220,)
    """
    return {
        f"{feature_norm(stage)}.{leaf}": shape
        for stage, width in enumerate(config.embed_dims)
        for leaf, shape in _norm(width).items()
    }


def _conv_encoder(width: int, hidden: int) -> dict[str, dict[str, Shape]]:
    return {
        "dwconv": _conv(width, 1, 3),
        "norm": _norm(width),
        "pwconv1": _conv(hidden, width, 1),
        "pwconv2": _conv(width, hidden, 1),
        "layer_scale": _scale(width),
    }


def _encoder(width: int, hidden: int, layer_scale: bool) -> dict[str, dict[str, Shape]]:
    scales = ("layer_scale_1", "layer_scale_2") if layer_scale else ()
    return {
        **_under("local_representation", _conv_encoder(width, width)),
        "attn.w_g": {"": (width, 1)},
        **{f"attn.{name}": _dense(width, width) for name in ("to_query", "to_key", "proj", "final")},
        "linear.norm1": _norm(width),
        "linear.fc1": _conv(hidden, width, 1),
        "linear.fc2": _conv(width, hidden, 1),
        **{name: _scale(width) for name in scales},
    }


def _under(prefix: str, modules: Mapping[str, dict[str, Shape]]) -> dict[str, dict[str, Shape]]:
    return {f"{prefix}.{name}": leaves for name, leaves in modules.items()}


def _conv(out: int, into: int, kernel: int) -> dict[str, Shape]:
    return {"weight": (out, into, kernel, kernel), "bias": (out,)}


def _dense(out: int, into: int) -> dict[str, Shape]:
    return {"weight": (out, into), "bias": (out,)}


def _norm(width: int) -> dict[str, Shape]:
    return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (width,))


def _scale(width: int) -> dict[str, Shape]:
    return {"gamma": (width, 1, 1)}


def infer_config(shapes: Mapping[str, Shape], given: SwiftFormerConfig) -> SwiftFormerConfig:
    """Infers a configuration from tensors.

    Depths, widths, channels, labels, heads, MLP ratio, layer scales, downsamplings and their kernel size are inferred
    from names and shapes. What cannot be inferred (image size, stride and padding of the downsamplings, activation,
    epsilon, drop rates, label names, attention type, transform) is taken from `given`.

    Args:
        shapes: Shapes by canonical name.
        given: Configuration with the values that cannot be inferred.

    Raises:
        CheckpointError: A tensor that is needed to infer the architecture is missing.
        ConfigError: The sizes are impossible for a SwiftFormer.
    """
    depths = _depths(shapes)
    last = [f"stages.{stage}.blocks.{depth - 1}" for stage, depth in enumerate(depths)]
    widths = tuple(_size(shapes, f"{block}.attn.w_g", 0) for block in last)
    hidden = tuple(_size(shapes, f"{block}.linear.fc1.weight", 0) for block in last)
    kernels = [key for key in shapes if re.fullmatch(r"stages\.\d+\.downsample\.proj\.weight", key)]
    kernel = _size(shapes, kernels[0], 2) if kernels else given.down_patch_size
    between = tuple(f"stages.{stage}.downsample.proj.weight" in shapes for stage in range(1, len(depths)))
    labels = _size(shapes, "head.weight", 0) if any(key.startswith("head") for key in shapes) else 0
    found: dict[str, Any] = {
        "num_channels": _size(shapes, "stem.0.weight", 1),
        "depths": depths,
        "embed_dims": widths,
        "mlp_ratio": _ratio(widths, hidden, given.mlp_ratio),
        # The last entry is without effect; Hugging Face's default is true.
        "downsamples": (*between, True),
        "down_patch_size": kernel,
        "down_pad": min(given.down_pad, kernel - 1),
        "use_layer_scale": any(re.search(r"\.layer_scale_[12]\.", key) for key in shapes),
        "distillation": any(key.startswith("head_dist.") for key in shapes) if labels else given.distillation,
        "id2label": given.id2label if given.num_labels == labels else numbered_labels(labels),
    }
    if len(given.downsamples) == len(depths):
        declared = given.replace(depths=depths, embed_dims=widths)
        if declared.downsampled == (False, *between):
            found["downsamples"] = given.downsamples
    return given.replace(**found)


def _depths(shapes: Mapping[str, Shape]) -> tuple[int, ...]:
    blocks: dict[int, set[int]] = {}
    for key in shapes:
        if match := re.match(r"stages\.(\d{1,6})\.blocks\.(\d{1,6})\.", key):
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    # A gap is an error here already, lest one high number imply a model of any size.
    for stage in range(len(blocks) or 1):
        found = blocks.get(stage, set())
        if gaps := set(range(len(found) or 1)) - found:
            raise CheckpointError(f"missing: stages.{stage}.blocks.{min(gaps)}, although later blocks are there")
    return tuple(len(blocks[stage]) for stage in sorted(blocks))


def _size(shapes: Mapping[str, Shape], key: str, axis: int) -> int:
    if key not in shapes:
        raise CheckpointError(f"missing: {key}, from which the architecture is read")
    if len(shapes[key]) <= axis:
        raise CheckpointError(f"mis-shaped: {key} is {shapes[key]}, expected at least {axis + 1} axes")
    return shapes[key][axis]


def _ratio(widths: Shape, hidden: Shape, given: float) -> float:
    """The simplest ratio that gives these hidden channels, or the given one if it does."""

    def fits(ratio: float) -> bool:
        return all(int(width * ratio) == inner for width, inner in zip(widths, hidden, strict=True))

    if 0 in widths:
        raise CheckpointError(f"mis-shaped: widths {widths}, expected positive ones")
    lowest = max(inner / width for width, inner in zip(widths, hidden, strict=True))
    candidates = [given, *(math.ceil(round(lowest * 10**digits, 6)) / 10**digits for digits in range(12)), lowest]
    # Where no ratio fits, the comparison of shapes names the tensors that disagree.
    return next(filter(fits, candidates), given)


def compare(found: Mapping[str, Shape], expected: Mapping[str, Shape], name: Callable[[str], str] = str) -> None:
    """Checks that all expected tensors exist with the expected shapes, and no others.

    Args:
        found: Shapes by name.
        expected: Shapes by name.
        name: Function that formats a name for the message.

    Raises:
        CheckpointError: They differ; the message lists missing and unexpected tensors and wrong shapes.
    """
    missing = [name(key) for key in expected if key not in found]
    unexpected = [name(key) for key in found if key not in expected]
    wrong = [
        f"{name(key)} is {shape}, expected {expected[key]}"
        for key, shape in found.items()
        if key in expected and shape != expected[key]
    ]
    problems = {"missing": missing, "unexpected": unexpected, "mis-shaped": wrong}
    told = [f"{kind} ({len(names)}): {shorten(names)}" for kind, names in problems.items() if names]
    if told:
        raise CheckpointError(
            f"{len(found)} tensors, but the architecture that they imply has {len(expected)}; {'; '.join(told)}"
            f"{_classifier_cure(found, [key for key in found if key not in expected])}"
        )


def _classifier_cure(found: Mapping[str, Shape], unexpected: list[str]) -> str:
    """Advice if the only unexpected tensors look like a head under a different name."""
    layer = unexpected[0].rpartition(".")[0] if unexpected else ""
    is_linear = set(unexpected) in ({f"{layer}.weight"}, {f"{layer}.weight", f"{layer}.bias"})
    within = layer.partition(".")[0] in ("", "stem", "stages", "norm")
    if within or not is_linear or len(found[f"{layer}.weight"]) != 2 or "head.weight" in found:
        return ""
    return (
        f"; if {layer} is the classifier, rename it to head: with PyTorch, torch.save({{key.replace('{layer}.', "
        "'head.'): value for key, value in state_dict.items()}, new_path)"
    )
