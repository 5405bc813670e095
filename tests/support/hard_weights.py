"""Weights whose channels differ: the same function, other ranges."""

import dataclasses
import re

import keras
import numpy as np

__all__ = ["Scaling", "scale_channels"]

# A stage's residual stream: the layers that write it, and those that read it, among them the next stage's downsampling
# convolution.
STREAM_WRITERS = r"stem/4|stages-\d+-downsample/norm|.*/layer_scale(_[12])?"
STREAM_READERS = r".*/dwconv|.*/attn/to_query|.*/attn/to_key|.*/linear/norm1|stages-\d+-downsample/proj|norm"


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Channels multiplied by `2 ** normal(0, spread)` and divided where they are read.

    Args:
        spread: See above.
        share: Share of the channels that are scaled.
        dead: Share of the channels that are always zero; the function is then another one.
    """

    spread: float
    share: float = 1.0
    dead: float = 0.0


def scale_channels(model: keras.Model, scaling: Scaling, rng: np.random.Generator) -> None:
    """Scales each stage's residual stream, and what depthwise convolutions hand on to matrices, in place.

    Args:
        model: A SwiftFormer.
        scaling: How.
        rng: Draws the factors.
    """
    layers = {each.path: each for each in model._flatten_layers(include_self=False) if each.weights}
    streams: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for path, layer in layers.items():
        if re.fullmatch(STREAM_WRITERS, path):
            stage = _stage(path)
            streams.setdefault(stage, _factors(layer.weights[0].shape[0], scaling, rng))
            _write(layer, *streams[stage])
    last = max(streams)
    for path, layer in layers.items():
        if re.fullmatch(STREAM_READERS, path):
            stage = last if path == "norm" else _stage(path) - path.endswith("/proj")
            _read(layer, streams[stage][0])
        if path.endswith("/dwconv"):
            block = path.removesuffix("/dwconv")
            factors, alive = _factors(layer.kernel.shape[-2], scaling, rng)
            _write(layers[f"{block}/norm"], factors, alive)
            _read(layers[f"{block}/pwconv1"], factors)


def _stage(path: str) -> int:
    found = re.match(r"stages-(\d+)", path)
    return int(found[1]) if found else 0


def _factors(count: int, scaling: Scaling, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The channels' factors, and which channels are alive; the same ones for every spread."""
    normal, chosen, alive = rng.normal(size=count), rng.random(count), rng.random(count)
    return np.where(chosen < scaling.share, 2.0 ** (scaling.spread * normal), 1.0), alive >= scaling.dead


def _write(layer: keras.Layer, factors: np.ndarray, alive: np.ndarray) -> None:
    """Scales what a layer makes, by its gamma and beta or its layer scale."""
    for variable in layer.trainable_variables:
        variable.assign(np.array(variable) * factors * alive)


def _read(layer: keras.Layer, factors: np.ndarray) -> None:
    """Takes factors back in what a layer makes of its inputs."""
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.gamma.assign(np.array(layer.gamma) / factors)
        layer.moving_mean.assign(np.array(layer.moving_mean) * factors)
    else:
        layer.kernel.assign(np.array(layer.kernel) / factors[:, None])
