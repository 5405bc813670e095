"""What an integer file makes of one tensor."""

import dataclasses
import math
from typing import Any

from swiftformer_tf.comparison import decibels

__all__ = ["TensorReport"]


@dataclasses.dataclass(frozen=True)
class TensorReport:
    """One tensor of an integer file beside the float graph's, whose channels are scaled as the file's are.

    Args:
        position: In the order in which the file computes.
        name: Name of the tensor in the float graph, which the file's starts with.
        part: Part of the network, such as `"stages-0-blocks-1"`.
        op: The operation that makes it; QUANTIZE casts a float.
        scheme: How that operation computes: `"int8"`, `"int16x8"`, `"hybrid"` (floats times integers) or `"float32"`.
        scale: Scale of the tensor's integers; None for floats.
        zero_point: Likewise.
        weight_scales: Least and greatest scale of the operation's weights; None where it has none in integers.
        signal: Root mean square of the float tensor, each channel centered by its mean.
        noise: Root mean square of the difference as the file runs: with the errors of all operations before it.
        own_noise: The same of the operation alone, which is fed the float graph's values, as the file holds them, on
            both sides. A bias that takes back what operations before it shift in the mean counts as noise here.
        range_used: What the tensor's integers reach; None for floats.
        range_seen: Least and greatest value of the float tensor.
        saturated: Share of the float tensor's values that lie beyond what the integers reach.

    Examples:
        >>> rounded = TensorReport(
        ...     position=7, name="stages-0-blocks-1-attn-to_key/conv_2d", part="stages-0-blocks-1",
        ...     op="CONV_2D", scheme="int8", scale=0.02, zero_point=0, weight_scales=(0.001, 0.004),
        ...     signal=1.0, noise=0.1, own_noise=0.01, range_used=(-2.56, 2.54), range_seen=(-2.5, 2.4), saturated=0.0,
        ... )
        >>> rounded.snr, rounded.own_snr, rounded.short_name
        (20.0, 40.0, 'stages-0-blocks-1-attn-to_key/conv_2d')
    """

    position: int
    name: str
    part: str
    op: str
    scheme: str
    scale: float | None
    zero_point: int | None
    weight_scales: tuple[float, float] | None
    signal: float
    noise: float
    own_noise: float
    range_used: tuple[float, float] | None
    range_seen: tuple[float, float]
    saturated: float

    @property
    def snr(self) -> float | None:
        """Signal-to-noise ratio in dB as the file runs; infinite for equal tensors, None where the signal is zero."""
        return decibels(self.signal**2, self.noise**2)

    @property
    def own_snr(self) -> float | None:
        """The same of the operation alone: what this tensor adds to the loss."""
        return decibels(self.signal**2, self.own_noise**2)

    @property
    def short_name(self) -> str:
        """The name, with the part of the network where it does not say it."""
        return self.name if self.part in self.name else f"{self.part}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; a ratio that is infinite or unknown is None."""
        ratios = {"snr_db": self.snr, "own_snr_db": self.own_snr}
        known = {name: value if value is not None and math.isfinite(value) else None for name, value in ratios.items()}
        return {**dataclasses.asdict(self), **known}
