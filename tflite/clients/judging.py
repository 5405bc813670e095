"""Is what a client answered right? Against LiteRT on this machine, and against Keras."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
from kit import Kit

from swiftformer_tf.verification import agreement, signal_to_noise

__all__ = ["KNOWN", "MIN_PHOTOGRAPHS", "TOLERANCES", "Verdict", "judge"]

# Below two there is no spread of the logits to hold an error against.
MIN_PHOTOGRAPHS = 2

# Most that an answer may differ from LiteRT's on this machine's processor, in logits, by client and recipe; for
# MediaPipe in scores. 0 is equal to the last bit. Where integers are rounded from floats while the model runs, the last
# bit of a float decides about a whole step here and there: that is what the wider ones allow.
TOLERANCES: dict[str, dict[str, float]] = {
    "mediapipe": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 1e-5,
        "mixed_int8": 1e-5,
        "int8": 1e-5,
        # Its own, older kernel of the int16 softmax is off by a few steps of 1/32768.
        "int16x8": 3e-4,
    },
    "arm64": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 1e-2,
        "mixed_int8": 1e-1,
        "int8": 0.0,
        "int16x8": 1e-3,  # seen: one step of its int16 logits, 1.9e-4
    },
    # It computes int8 models in floats: not the same roundings, no more noise.
    "gpu": {"float32": 1e-4, "float16": 1e-3, "dynamic_int8": 1e-1, "mixed_int8": 1e-1, "int8": 1e-1},
    "browser": {
        "float32": 1e-4,
        "float16": 1e-3,
        "dynamic_int8": 1e-2,
        "mixed_int8": 1e-1,
        "int8": 0.0,
        "int16x8": 0.0,
    },
    "runtimes": {
        "float32": 1e-4,
        "float16": 1e-4,
        "dynamic_int8": 1e-1,
        "mixed_int8": 1e-1,
        "int8": 1e-1,
        "int16x8": 1e-1,
    },
}

# What a client is known not to do. The tables say it; it does not count against the model.
KNOWN: dict[tuple[str, str], str] = {
    ("gpu", "int16x8"): "the WebGPU accelerator takes no int16 tensors",
}

Status = Literal["right", "wrong", "failed", "refused"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one recipe on one variant of a client.

    Args:
        client: Name of the client.
        variant: Which processor, accelerator or version.
        recipe: Name of the recipe.
        status: `"refused"` where the client would not take the file, `"failed"` where it broke while it ran.
        reason: Why it is not right; empty where it is.
        photographs: How many were compared.
        difference: Largest difference from LiteRT on this machine.
        snr_db: Signal-to-noise ratio against Keras; infinite for equal outputs.
        agreement: Share of photographs whose best label is Keras's.
        facts: What the client says of the run.
    """

    client: str
    variant: str
    recipe: str
    status: Status
    reason: str = ""
    photographs: int = 0
    difference: float | None = None
    snr_db: float | None = None
    agreement: float | None = None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def bad(self) -> bool:
        """Whether it counts against the model. An old runtime may refuse a file; to answer wrongly is never right."""
        if (self.client, self.recipe) in KNOWN:
            return False
        return self.status not in (("right", "refused") if self.client == "runtimes" else ("right",))


def judge(client: str, run: dict[str, Any], kit: Kit) -> Verdict:
    """Compares one run with the kit.

    Args:
        client: Name of the client, a row of `TOLERANCES`.
        run: What the client printed of it, see the README.
        kit: What the client was given.
    """
    variant, name = run["variant"], run["recipe"]
    verdict = Verdict(client, variant, name, "wrong", facts=run.get("facts", {}))
    for status in ("refused", "failed"):
        if run.get(status):
            return dataclasses.replace(verdict, status=status, reason=str(run[status]))
    recipe = kit.recipes[name]
    answers = np.asarray(run["outputs"], np.float64)
    if answers.ndim != 2 or len(answers) < MIN_PHOTOGRAPHS or answers.shape[1] != kit.logits.shape[1]:
        reason = f"outputs of shape {answers.shape}: expected (at least {MIN_PHOTOGRAPHS}, {kit.logits.shape[1]})"
        return dataclasses.replace(verdict, reason=reason)
    kind = run.get("file", "logits")
    keras = kit.logits[: len(answers)]
    expected = keras.astype(np.float64) if kind == "logits" else _softmax(keras)
    desktop = kit.desktop[name, kind][: len(answers)].astype(np.float64)
    difference = float(np.max(np.abs(answers - desktop)))
    snr = signal_to_noise(expected, answers)
    share = agreement(expected, answers)
    tolerance = TOLERANCES[client].get(name)
    if tolerance is None:
        reasons = [f"no tolerance for {name}: add one to TOLERANCES in {Path(__file__).name}"]
    else:
        # Written so that NaN fails.
        checks = [
            (
                difference <= tolerance,
                f"differs by {difference:.2g} from LiteRT on this machine, {tolerance:.2g} allowed",
            ),
            (snr is not None and snr >= recipe.min_snr, f"{_decibels(snr)} against Keras, {recipe.min_snr} needed"),
            (
                share >= recipe.min_agreement,
                f"the best label is Keras's on {share:.1%} of the photographs, {recipe.min_agreement:.1%} needed",
            ),
        ]
        reasons = [reason for passed, reason in checks if not passed]
    return dataclasses.replace(
        verdict,
        status="wrong" if reasons else "right",
        reason="; ".join(reasons),
        photographs=len(answers),
        difference=difference,
        snr_db=snr,
        agreement=share,
    )


def _decibels(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1f} dB"


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
