"""Is what a client answered right? Against LiteRT on this machine, and against Keras."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from kit import Kit

from swiftformer_tf.tasks import Activation
from swiftformer_tf.tasks.classification import activate
from swiftformer_tf.verification.comparison import decibels

__all__ = [
    "KNOWN",
    "MIN_PHOTOGRAPHS",
    "SPEEDS",
    "TOLERANCES",
    "Result",
    "Verdict",
    "by_chance",
    "judge",
    "labels_of_the_file",
    "parts_left",
    "row",
    "signal_to_noise",
]

# A client that answers the same whatever it is shown is right on one.
MIN_PHOTOGRAPHS = 2

# Most that an answer may differ from LiteRT's on this machine's processor, in logits, by client and recipe, and by
# variant where a client computes in two ways; for MediaPipe in scores. 0 is equal to the last bit.
#
# Integer models are computed in integers everywhere but on a GPU, and are mostly equal. What is not, and why:
# * int8 on ARM64: XNNPACK's MEAN rounds a mean of squares that lies between two integers otherwise than on x86-64. On
#   the six photographs of today all logits are equal; earlier files were off by one step (0.034) on two of six. Two
#   steps are allowed.
# * int8 before LiteRT 1.2: its convolutions round their sums otherwise. The first is off by one in 48 of 153,600
#   numbers, and in the end that makes up to three steps of the logits (0.039 each), at 30 to 33 dB against Keras where
#   today's LiteRT has 31. Allowed is what that is off from Keras (0.14).
# * int16x8: LiteRT makes its int16 table of GELU when it loads the model, in floats, with the compiler's fused
#   multiplications or without. On ARM64 all tensors before the first GELU with such an entry are equal, there a few
#   of its 307,200 numbers are off by one, and that goes on. Five steps of the logits (1.9e-4) are allowed, and what
#   they make of a score.
# * dynamic_int8 and mixed_int8: floats are rounded to integers while the model runs, and where one lies on the border
#   between two, its last bit decides about a whole step. The step of dynamic_int8 is chosen by such floats too, one
#   for all pixels where a matrix keeps the width: off by 0.023 on ARM64, at 45 dB against Keras. The depthwise
#   convolutions of mixed_int8 are float, with other last bits on every processor: earlier files were off by
#   0.025 on ARM64 and in the browser, at the decibels that they had here; today's are equal there. LiteRT 1.0's
#   floats are off by 1e-6, and its mixed_int8 of before was off by 0.023.
# * dynamic_int4: rounds while it runs, as dynamic_int8, but most of its matrices measure a range for each pixel, so a
#   last bit decides about one pixel alone. Processors are off by up to 0.011 (ARM64, WebAssembly, LiteRT 1.0 to 2.0);
#   not quite twice that is allowed. WebGPU and OpenVINO compute in floats, are off by 0.03 and may be as far off as
#   with dynamic_int8.
# * GPU: it computes integers in floats. The activations of dynamic_int8 it does not round at all (57 dB against Keras,
#   where the processor has 46 on the same photographs); those of mixed_int8 and int8 it rounds to the same steps, from
#   sums with other last bits (35 and 30 dB, 33 and 30). Allowed is what LiteRT itself is off from Keras on these
#   photographs (0.03, 0.14 and 0.14), and somewhat more for dynamic_int8, where only one of the two rounds.
# * The browser: WebAssembly is one more processor, with other last bits of floats than ours (dynamic_int8 is off by
#   0.011, mixed_int8 by 0.025, int16x8 by 2.2e-4: what is said of ARM64 and steps holds), and its WebGPU is the GPU's.
# * OpenVINO: it computes integers in floats where that is faster, and rounds between operations elsewhere than LiteRT.
#   Its answers to integer files are as far from Keras as LiteRT's, and about half as far from LiteRT's (dynamic_int8
#   0.034, mixed_int8 0.078, int8 0.11, int16x8 0.012 in logits); allowed is half as much again.
# * ONNX Runtime: the same, since tf2onnx writes floats between QuantizeLinear and DequantizeLinear (int8 0.074).
TOLERANCES: dict[str, dict[str, float]] = {
    "mediapipe": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 1e-5,
        "dynamic_int4": 1e-5,
        "mixed_int8": 1e-5,
        "int8": 1e-5,
        "static_int8": 1e-5,
        "int16x8": 3e-4,
    },
    "arm64": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 5e-2,
        "dynamic_int4": 2e-2,
        "mixed_int8": 4e-2,
        "int8": 7e-2,
        "static_int8": 7e-2,
        "int16x8": 1e-3,
    },
    "gpu": {
        "float32": 1e-4,
        "float16": 1e-3,
        "dynamic_int8": 5e-2,
        "dynamic_int4": 5e-2,
        "mixed_int8": 1.4e-1,
        "int8": 1.4e-1,
        "static_int8": 1.4e-1,
    },
    "browser wasm": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 5e-2,
        "dynamic_int4": 2e-2,
        "mixed_int8": 4e-2,
        "int8": 0.0,
        "static_int8": 0.0,
        "int16x8": 1e-3,
    },
    "browser webgpu": {
        "float32": 1e-4,
        "float16": 1e-3,
        "dynamic_int8": 5e-2,
        "dynamic_int4": 5e-2,
        "mixed_int8": 1.4e-1,
        "int8": 1.4e-1,
        "static_int8": 1.4e-1,
    },
    "runtimes": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 5e-2,
        "dynamic_int4": 2e-2,
        "mixed_int8": 4e-2,
        "int8": 1.4e-1,
        "static_int8": 1.4e-1,
        "int16x8": 1e-3,
    },
    "openvino": {
        "float32": 1e-5,
        "float16": 1e-5,
        "dynamic_int8": 5e-2,
        "dynamic_int4": 5e-2,
        "mixed_int8": 1.2e-1,
        "int8": 1.7e-1,
        "static_int8": 1.7e-1,
        "int16x8": 2e-2,
    },
    "onnxruntime": {"int8": 1.7e-1},
}

# Clients that compile but do not compute, by variant: inferences per second in their own estimate, as a share of the
# TFLite converter's own int8 file of the same graph, both with integer inputs and outputs. Nothing may stay on the CPU,
# and the rest must be one piece.
SPEEDS: dict[str, dict[str, float]] = {
    "ethosu": {"ethos-u55-256": 1.0, "ethos-u65-512": 1.05, "ethos-u85-512": 1.05},
}

_NO_GELU = "tf2onnx translates no GELU"
_FLOATS = "Ethos-U computes in integers only"

# What a client is known not to take, or not whole. The tables say it; it does not count against the model. A wrong
# answer does, but for those of segmenters that `segmenters.py` names with their figures.
KNOWN: dict[tuple[str, str], str] = {
    ("gpu", "int16x8"): "the WebGPU accelerator takes no int16 tensors",
    ("browser webgpu", "int16x8"): "the WebGPU accelerator takes no int16 tensors",
    ("onnxruntime", "float32"): _NO_GELU,
    ("onnxruntime", "float16"): _NO_GELU,
    ("onnxruntime", "dynamic_int8"): _NO_GELU,
    ("onnxruntime", "dynamic_int4"): "tf2onnx reads no INT4, and translates no GELU",
    ("onnxruntime", "mixed_int8"): _NO_GELU,
    ("onnxruntime", "static_int8"): _NO_GELU,
    ("onnxruntime", "int16x8"): _NO_GELU,
    ("ethosu", "float32"): _FLOATS,
    ("ethosu", "float16"): _FLOATS,
    ("ethosu", "dynamic_int8"): _FLOATS,
    ("ethosu", "dynamic_int4"): "vela 5.2.0 crashes on int4 weights (SIGFPE), on litert-quantizer's too",
    ("ethosu", "mixed_int8"): f"{_FLOATS}, and this recipe keeps floats where XNNPACK is better at them",
    ("ethosu", "int8"): "made for CPUs' tables: its GELU is six operations, and its 1 / sqrt(x) three",
    ("ethosu", "int16x8"): "Ethos-U takes no GELU in int16",
}


def row(client: str, variant: str) -> str:
    """Key of `TOLERANCES` and `KNOWN`: the client's name, with the variant where a client computes in two ways."""
    both = f"{client} {variant}"
    return both if both in TOLERANCES else client


Status = Literal["right", "wrong", "failed", "refused", "in parts"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one recipe on one variant of a client.

    Args:
        client: Name of the client.
        variant: Which processor, accelerator or version.
        recipe: Name of the recipe.
        status: `"refused"` where the client would not take the file, `"failed"` where it broke while it ran,
            `"in parts"` where a compiler took it, but not whole or not as well as it should.
        reason: Why it is not right; empty where it is.
        photographs: How many were compared.
        difference: Largest difference from LiteRT on this machine.
        snr_db: Signal-to-noise ratio against Keras; infinite for equal outputs.
        agreeing: On how many of them the best label is Keras's.
        facts: What the client says of the run.
        runtime_version: Version of an older runtime, in TFLite's numbering.
        min_runtime_version: The oldest that will do, by the file's own word.
        excuse: Why it is not right, where that is known and it is not worse than it was.
    """

    client: str
    variant: str
    recipe: str
    status: Status
    reason: str = ""
    photographs: int = 0
    difference: float | None = None
    snr_db: float | None = None
    agreeing: int = 0
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    runtime_version: str = ""
    min_runtime_version: str = ""
    excuse: str = ""

    @property
    def too_old(self) -> bool:
        """Whether the file says that it needs a newer runtime."""
        return bool(self.runtime_version) and _numbers(self.runtime_version) < _numbers(self.min_runtime_version)

    @property
    def bad(self) -> bool:
        """Whether it counts against the model: what is not right and not announced."""
        excused = self.too_old or self.excuse or (self.known and self.status in ("refused", "in parts"))
        return self.status != "right" and not excused

    @property
    def known(self) -> str:
        """What is known of it beforehand; empty where nothing is."""
        return KNOWN.get((row(self.client, self.variant), self.recipe), "")


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one client.

    Args:
        client: Its name.
        left_out: Why it could not run; empty if it did.
        versions: The versions of its parts, as it reports them.
        without: Parts of it that could not run here, each with the reason.
        verdicts: One a run.
        seconds: How long it took, installation included.
        date: On which it ran, as ISO has it.
    """

    client: str
    left_out: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    without: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    seconds: float = 0.0
    date: str = ""

    @property
    def bad(self) -> list[Verdict]:
        """What counts against the model."""
        return [verdict for verdict in self.verdicts if verdict.bad]


def judge(client: str, run: dict[str, Any], kit: Kit) -> Verdict:
    """Compares one run with the kit.

    A few photographs cannot tell a share of 97 % from one of 90 %; that is for `verify`, on hundreds. Here each
    photograph counts: its best label must be Keras's, or that which LiteRT on this machine mistakes it for too. LiteRT
    itself may be mistaken as often as the recipe allows, and by chance. What the noise is held against is the spread of
    Keras's answers to all photographs of the kit, not to those few.

    Args:
        client: Name of the client; with the variant, a row of `TOLERANCES`.
        run: What the client printed of it, see the README.
        kit: What the client was given.
    """
    variant, name = run["variant"], run["recipe"]
    verdict = Verdict(
        client,
        variant,
        name,
        "wrong",
        facts=run.get("facts", {}),
        runtime_version=run.get("runtime_version", ""),
        min_runtime_version=kit.about["recipes"][name]["min_runtime_version"],
    )
    for status in ("refused", "failed"):
        if run.get(status):
            return dataclasses.replace(verdict, status=status, reason=str(run[status]))
    kind = run.get("file", "logits")
    compiled = run.get("compiled")
    recipe, own = kit.recipes[name], kit.desktop[name, kind].astype(np.float64)
    # What a compiler makes of a file cannot run here: the file itself must be right, by LiteRT on this machine.
    answers = np.asarray(own if compiled else run["outputs"], np.float64)
    if answers.ndim != 2 or len(answers) < MIN_PHOTOGRAPHS or answers.shape[1] != kit.logits.shape[1]:
        reason = f"outputs of shape {answers.shape}: expected (at least {MIN_PHOTOGRAPHS}, {kit.logits.shape[1]})"
        return dataclasses.replace(verdict, reason=reason)
    activation: Activation | None = None if kind in ("logits", "int8") else "softmax"
    keras = np.asarray(activate(kit.logits.astype(np.float64), activation))
    expected, desktop = keras[: len(answers)], own[: len(answers)]
    difference = float(np.max(np.abs(answers - desktop)))
    snr = signal_to_noise(keras, answers)
    best, agreeing = answers.argmax(axis=1), expected.argmax(axis=1)
    stray = int(np.sum((best != agreeing) & (best != desktop.argmax(axis=1))))
    tolerance = 0.0 if compiled else TOLERANCES[row(client, variant)].get(name)
    if tolerance is None:
        reasons = [f"no tolerance for {name}: add one to TOLERANCES in {Path(__file__).name}"]
    else:
        # Written so that NaN fails.
        checks = [
            (
                difference <= tolerance,
                f"differs by {difference:.2g} from LiteRT on this machine, {tolerance:.2g} allowed",
            ),
            (snr >= recipe.min_snr, f"{snr:.1f} dB against Keras, {recipe.min_snr} needed"),
            labels_of_the_file(own.argmax(axis=1), keras.argmax(axis=1), 1 - recipe.min_agreement, "photographs"),
            (stray == 0, f"the best label is neither Keras's nor LiteRT's on {stray} of {len(answers)} photographs"),
        ]
        reasons = [reason for passed, reason in checks if not passed]
    parts = parts_left(client, variant, compiled) if compiled else []
    return dataclasses.replace(
        verdict,
        status="wrong" if reasons else "in parts" if parts else "right",
        reason="; ".join([*reasons, *parts]),
        facts=compiled or verdict.facts,
        photographs=len(answers),
        difference=difference,
        snr_db=snr,
        agreeing=int(np.sum(best == agreeing)),
    )


def labels_of_the_file(ours: np.ndarray, keras: np.ndarray, may_differ: float, of: str) -> tuple[bool, str]:
    """Whether LiteRT on this machine has Keras's labels often enough, and what to say if not.

    A client is compared with LiteRT, and a compiled file is judged by it alone.

    Args:
        ours: The best label of everything in the kit, by LiteRT on this machine.
        keras: The same, by Keras.
        may_differ: Share that may differ, of as many as leave nothing to chance.
        of: What has a label.
    """
    right, needed = int(np.sum(ours == keras)), 1 - may_differ - by_chance(may_differ, len(keras))
    said = f"LiteRT on this machine has Keras's label on {right} of {len(keras)} {of}, {needed:.2%} needed"
    return right >= needed * len(keras), said


def by_chance(share: float, count: int) -> float:
    """How much larger a share of so few is in one of twenty by chance: two standard deviations."""
    return 2 * math.sqrt(share / count)


def parts_left(
    client: str,
    variant: str,
    compiled: dict[str, Any],
    *,
    on_cpu: Mapping[str, int] | None = None,
    subgraphs: int = 1,
    speed: float = math.inf,
) -> list[str]:
    """What keeps a compiled file from being whole, or from being as fast as the TFLite converter's own.

    Args:
        client: Name of the client.
        variant: Which NPU.
        compiled: What the client printed of it.
        on_cpu: Operations that may stay on the CPU, and how many of each.
        subgraphs: Most parts.
        speed: Share of the converter's speed that is enough, if that in `SPEEDS` is not reached.
    """
    reasons, may_stay = [], on_cpu or {}
    if left := {name: count for name, count in compiled["on_cpu"].items() if count > may_stay.get(name, 0)}:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(left.items()))
        reasons.append(f"{listed} on the CPU")
    if not 1 <= compiled["subgraphs"] <= subgraphs:
        reasons.append(f"{compiled['subgraphs']} subgraphs on the NPU, one expected")
    its, peer = compiled["inferences_per_second"], compiled["converter"]["inferences_per_second"]
    least = min(SPEEDS[client][variant], speed)
    if not its >= least * peer:
        reasons.append(f"{its:.0f} inferences a second, {least:g} times the converter's {peer:.0f} needed")
    return reasons


def signal_to_noise(expected: np.ndarray, answers: np.ndarray) -> float:
    """Decibels of the variance of all `expected` (N, labels) over the mean square error of the first `answers`."""
    signal = np.mean((expected - expected.mean(axis=0)) ** 2)
    noise = np.mean((answers - expected[: len(answers)]) ** 2)
    ratio = decibels(float(signal), float(noise))
    return -math.inf if ratio is None else ratio


def _numbers(version: str) -> tuple[int, ...]:
    """2.17 is 2.17.0."""
    numbers = tuple(map(int, version.split(".")))
    return numbers + (0,) * (3 - len(numbers))
