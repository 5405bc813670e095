"""Random architectures, for properties that hold for all of them."""

from typing import Any

from hypothesis import strategies as st

from swiftformer_tf import SwiftFormerConfig, Transform
from swiftformer_tf.config import ACTIVATIONS

__all__ = ["architectures"]


@st.composite
def architectures(draw: st.DrawFn, *, max_stages: int, max_depth: int, widths: tuple[int, ...]) -> SwiftFormerConfig:
    """Any depths, widths and downsamplings, any kernel, either attention type, one head or two or none.

    Args:
        draw: Hypothesis's.
        max_stages: Most stages.
        max_depth: Most blocks of a stage.
        widths: Channels that a stage may have.
    """
    stages = draw(st.integers(1, max_stages))

    def per_stage(elements: st.SearchStrategy) -> tuple[Any, ...]:
        return tuple(draw(st.lists(elements, min_size=stages, max_size=stages)))

    channels, kernel = draw(st.integers(1, 4)), draw(st.sampled_from((1, 2, 3, 5)))
    return SwiftFormerConfig(
        depths=per_stage(st.integers(1, max_depth)),
        embed_dims=per_stage(st.sampled_from(widths)),
        downsamples=per_stage(st.booleans()),
        mlp_ratio=draw(st.sampled_from((1, 1.5, 2, 2.75, 4, 10 / 3))),
        num_channels=channels,
        transform=Transform(mean=(0.4,) * channels, std=(0.2,) * channels),
        down_patch_size=kernel,
        down_stride=draw(st.integers(1, 3)),
        # So much that a map of one pixel leaves one.
        down_pad=draw(st.integers(kernel // 2, kernel - 1)),
        hidden_act=draw(st.sampled_from(ACTIVATIONS)),
        batch_norm_eps=draw(st.sampled_from((1e-5, 1e-3))),
        use_layer_scale=draw(st.booleans()),
        token_weights=draw(st.sampled_from(("l2", "uniform"))),
        distillation=draw(st.booleans()),
        id2label={index: f"LABEL_{index}" for index in range(draw(st.integers(0, 3)))},
    )
