"""The report on one tensor of an integer file."""

import dataclasses
import math
from typing import Any

from swiftformer_tf.verification.comparison import decibels

__all__ = ["TensorReport"]


@dataclasses.dataclass(frozen=True)
class TensorReport:
    """Compares one tensor of an integer file with that of the float graph, whose channels are scaled like the file's.

    Args:
        position: Position in the order of computation.
        name: Name of the tensor in the float graph; the name in the file starts with it.
        part: Part of the network, such as `"stages-0-blocks-1"`.
        op: The operation that writes it; QUANTIZE casts a float.
        precision: Precision of that operation: `"int8"`, `"int16x8"`, `"hybrid"` (floats times integers) or
            `"float32"`.
        scale: Scale of the tensor's integers; None for floats.
        zero_point: Zero point of the tensor's integers; None for floats.
        weight_scales: Minimum and maximum scale of the operation's weights; None if it has no integer weights.
        signal: Root mean square of the float tensor, with each channel centered by its mean.
        noise: Root mean square of the difference, including the errors of all operations before it.
        own_noise: The same for the operation alone, with the float graph's values, as the file stores them, as inputs
            on both sides. A bias that corrects mean shifts of earlier operations counts as noise here.
        range_used: Range that the tensor's integers can represent; None for floats.
        range_seen: Minimum and maximum value of the float tensor.
        saturated: Share of the float tensor's values that are outside `range_used`.

    Examples:
        >>> rounded = TensorReport(
        ...     position=7, name="stages-0-blocks-1-attn-to_key/conv_2d", part="stages-0-blocks-1",
        ...     op="CONV_2D", precision="int8", scale=0.02, zero_point=0, weight_scales=(0.001, 0.004),
        ...     signal=1.0, noise=0.1, own_noise=0.01, range_used=(-2.56, 2.54), range_seen=(-2.5, 2.4), saturated=0.0,
        ... )
        >>> rounded.snr, rounded.own_snr, rounded.short_name
        (20.0, 40.0, 'stages-0-blocks-1-attn-to_key/conv_2d')
    """

    position: int
    name: str
    part: str
    op: str
    precision: str
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
        """Signal-to-noise ratio in dB, with accumulated errors; infinite for equal tensors, None without a signal."""
        return decibels(self.signal**2, self.noise**2)

    @property
    def own_snr(self) -> float | None:
        """The same for the operation alone: the contribution of this tensor to the loss of accuracy."""
        return decibels(self.signal**2, self.own_noise**2)

    @property
    def short_name(self) -> str:
        """The name, preceded by the part of the network if the name does not contain it."""
        return self.name if self.part in self.name else f"{self.part}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Converts to plain JSON types; infinite and unknown ratios become None, and the precision is `scheme`."""
        ratios = {"snr_db": self.snr, "own_snr_db": self.own_snr}
        known = {name: value if value is not None and math.isfinite(value) else None for name, value in ratios.items()}
        fields = {{"precision": "scheme"}.get(name, name): value for name, value in dataclasses.asdict(self).items()}
        return {**fields, **known}
