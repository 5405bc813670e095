"""Finds the attention type that a checkpoint was trained with, from outputs of the PyTorch model."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import TokenWeights
from swiftformer_tf.errors import CheckpointError, one_line
from swiftformer_tf.porting import port

__all__ = ["Expected", "Fit", "fit_token_weights", "fitted"]

# Largest difference over the largest expected number: float32 on another machine stays below a tenth of it, half
# precision does not.
TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Expected:
    """Input pixels and the outputs of a PyTorch model for them.

    Args:
        pixels: Normalized pixels as fed to the model: (N, H, W, channels), or (N, channels, H, W) as in PyTorch.
        logits: (N, num_labels), averaged over both heads.
        source: Where they come from, for error messages.
    """

    pixels: np.ndarray
    logits: np.ndarray
    source: str = "memory"

    @classmethod
    def open(cls, path: str | Path) -> "Expected":
        """Reads a `.npz` file with the arrays `pixels` and `logits`.

        Raises:
            CheckpointError: The file cannot be read, or does not contain these arrays.
        """
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, TypeError, AttributeError, EOFError) as error:
            raise CheckpointError(
                f"{path}: not a NumPy archive ({one_line(error)}); expected an .npz file of numpy.savez"
            ) from None
        except Exception as error:  # zipfile's own
            raise CheckpointError(
                f"{path}: damaged ({one_line(error)}); expected an .npz file of numpy.savez"
            ) from None
        if missing := [name for name in ("pixels", "logits") if name not in arrays]:
            found = one_line(", ".join(arrays), 200) or "nothing"
            raise CheckpointError(
                f"{path}: has no array {missing[0]}, found {found}; write it with numpy.savez(path, pixels=pixels, "
                "logits=logits)"
            )
        for name in ("pixels", "logits"):
            # For a member that is not an array at all, NumPy returns the bytes.
            if not isinstance(arrays[name], np.ndarray) or arrays[name].dtype.kind not in "fiu":
                raise CheckpointError(f"{path}: {name} is not an array of real numbers; save it as float32")
        return cls(arrays["pixels"], arrays["logits"], str(path))


@dataclasses.dataclass(frozen=True)
class Fit:
    """How far the logits of a checkpoint are from the expected ones, under each attention type.

    Args:
        differences: By attention type, the largest absolute difference divided by the largest absolute expected logit.
    """

    differences: Mapping[TokenWeights, float]

    @property
    def token_weights(self) -> TokenWeights | None:
        """The attention type that fits; None if neither or both do."""
        fitting = [name for name, difference in self.differences.items() if difference <= TOLERANCE]
        return fitting[0] if len(fitting) == 1 else None

    def __str__(self) -> str:
        told = ", ".join(f"{difference:.1e} with {name}" for name, difference in self.differences.items())
        if self.token_weights:
            said = f"{self.token_weights} fits"
        elif min(self.differences.values()) <= TOLERANCE:
            said = "both fit, so these outputs do not tell them apart"
        else:
            said = (
                f"neither fits within {TOLERANCE:g}: the pixels or weights are others, or one side ran in half "
                "precision"
            )
        return f"largest difference from the expected logits: {told}; {said}"


def fit_token_weights(checkpoint: Checkpoint, expected: Expected) -> Fit:
    """Compares a checkpoint under both attention types with the outputs of a PyTorch run.

    A file of the original repository does not say which of the two releases it was trained with, and loads into both
    with `strict=True`; only the outputs tell them apart.

    Args:
        checkpoint: The weights of a classifier.
        expected: Pixels and the expected logits.

    Raises:
        CheckpointError: Shapes do not match, or values are not finite.

    Examples:
        >>> from swiftformer_tf import PRETRAINED
        >>> checkpoint = Checkpoint.open(PRETRAINED["swiftformer_xs_imagenette"])
        >>> pixels = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype("float32")
        >>> logits = port(checkpoint).model(pixels).numpy()
        >>> fit_token_weights(checkpoint, Expected(pixels, logits)).token_weights
        'l2'
    """
    pixels = _channels_last(expected, checkpoint.config.num_channels)
    wanted = np.asarray(expected.logits, np.float64)
    if wanted.shape != (len(pixels), checkpoint.config.num_labels):
        raise CheckpointError(
            f"{expected.source}: logits are {wanted.shape}, expected {(len(pixels), checkpoint.config.num_labels)}, "
            "one row per image; for two heads, their mean"
        )
    scale = float(np.abs(wanted).max(initial=0))
    if not np.isfinite(pixels).all() or not np.isfinite(wanted).all() or not scale:
        raise CheckpointError(f"{expected.source}: expected finite numbers, and logits that are not all 0")
    differences: dict[TokenWeights, float] = {}
    for name in get_args(TokenWeights):
        config = checkpoint.config.replace(token_weights=name)
        logits = port(dataclasses.replace(checkpoint, config=config), dtype="float32").model.predict(pixels, verbose=0)
        differences[name] = float(np.abs(logits - wanted).max() / scale)
    return Fit(differences)


def fitted(
    checkpoint: Checkpoint, expected: Expected, *, token_weights: TokenWeights | None = None
) -> tuple[Checkpoint, Fit]:
    """Returns the checkpoint with the attention type that reproduces these outputs, and how well each type fits.

    Args:
        checkpoint: The weights of a classifier.
        expected: Pixels and the expected logits.
        token_weights: The attention type that must fit; None selects the one that does.

    Raises:
        CheckpointError: Neither attention type fits, or `token_weights` does not; or see `fit_token_weights`.
    """
    fit = fit_token_weights(checkpoint, expected)
    best = fit.token_weights
    fits = fit.differences[token_weights or best or checkpoint.token_weights] <= TOLERANCE
    if not fits:
        said = f" the outputs of token_weights={token_weights!r}" if token_weights else " the outputs of these weights"
        raise CheckpointError(f"{expected.source}: not{said}; {fit}")
    if best is None:
        return checkpoint, fit
    config = checkpoint.config.replace(token_weights=best)
    return dataclasses.replace(checkpoint, config=config, token_weights_assumed=False), fit


def _channels_last(expected: Expected, channels: int) -> np.ndarray:
    pixels = np.asarray(expected.pixels, np.float32)
    if pixels.ndim == 4 and pixels.shape[-1] == channels:
        return pixels
    if pixels.ndim == 4 and pixels.shape[1] == channels:
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    raise CheckpointError(
        f"{expected.source}: pixels are {pixels.shape}, expected (N, height, width, {channels}) or (N, {channels}, "
        "height, width)"
    )
