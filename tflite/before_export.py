"""How fast is a model before it is exported, beside timm's? Writes a section of `tflite/README.md`.

`make benchmark` runs `python tflite/before_export.py` after `benchmark.py`; it takes two minutes. On a busy machine:
`chrt -f 50 .venv/bin/python tflite/before_export.py`.
"""

import datetime
import sys
from pathlib import Path
from typing import Any

from benchmark import ROOT, SIZE, TORCH, json_of
from benchmark_report import Goal, put, reason, versions, wrapped

from swiftformer_tf.litert.benchmarking import is_real_time

__all__ = ["MODELS", "goals", "models", "section"]

# What is measured: name, interpreter, the argument of `benchmark_models.py`, Keras's backend.
MODELS = (
    ("keras.Model, TensorFlow", Path(sys.executable), "keras", "tensorflow"),
    ("keras.Model, JAX", Path(sys.executable), "keras", "jax"),
    ("timm, PyTorch eager", TORCH, "timm", ""),
)


def models(variant: str = "xs", size: int = SIZE) -> list[dict[str, Any]]:
    """Inference and training before export, each in a process of its own; what cannot run has an `error`."""
    found = []
    for name, python, source, backend in MODELS:
        try:
            command = [str(python), str(ROOT / "tflite" / "benchmark_models.py"), source, variant, str(size)]
            found.append({"name": name, "error": None, **json_of(command, KERAS_BACKEND=backend)})
        except (OSError, RuntimeError) as error:  # that a peer cannot run is a result
            found.append({"name": name, "error": str(error)})
    return found


def step_of(models: list[dict[str, Any]], name: str) -> dict[str, float] | None:
    """What a training step with a batch of 32 took; None if the model could not run."""
    return next((each["train_32"] for each in models if each["name"] == name and not each["error"]), None)


def goals(models: list[dict[str, Any]]) -> list[Goal]:
    """`keras.Model` on TensorFlow against timm's PyTorch."""
    ours, theirs = (step_of(models, name) for name in ("keras.Model, TensorFlow", "timm, PyTorch eager"))

    def ratio(what: str) -> float | None:
        return ours[what] / theirs[what] if ours and theirs else None

    jax = next((each.get("build_s") for each in models if each["name"] == "keras.Model, JAX"), None)
    return [
        Goal("a step of `train_on_batch` / timm's", 1.0, ratio("ms")),
        Goal("peak memory of `train_on_batch` / timm's", 1.3, ratio("peak")),
        Goal("building XS on JAX, seconds", 5, jax),
    ]


def on_jax(models: list[dict[str, Any]]) -> str | None:
    """A step on JAX, which has no goal; None unless both were measured."""
    ours, theirs = (step_of(models, name) for name in ("keras.Model, JAX", "timm, PyTorch eager"))
    if not ours or not theirs:
        return None
    ratio = ours["ms"] / theirs["ms"]
    return (
        f"The ratios of a step are on TensorFlow. On JAX, a step takes {ratio:.1f} times as long as timm's "
        f"({ours['ms']:,.0f} against {theirs['ms']:,.0f} ms)."
    )


def section(measured: list[dict[str, Any]]) -> str:
    """Inference and training before export, and the goals for them."""
    steps = ("predict_1", "predict_32", "train_32")
    lines = [
        "## Before export",
        "",
        f"`python tflite/before_export.py`, {datetime.date.today()}: {versions()}. XS at {SIZE} with 1,000 labels: "
        "inference with batches of 1 and 32 (`predict_on_batch`), and a training step with a batch of 32 "
        "(`train_on_batch`: cross-entropy, AdamW, float32), beside the same in timm. "
        "Each row is one process on all cores; a first answer includes compilation. Times are medians, memory is the "
        "peak of the process so far."
        f"{' Run under real-time priority on a busy machine.' if is_real_time() else ''}",
        "",
        "| model | build, s | first answer, s | ms, 1 | ms, 32 | ms, step | peak MB, 1 | peak MB, 32 | peak MB, step |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in measured:
        if each["error"]:
            lines.append(f"| {each['name']} | {reason(each)} |{' - |' * (1 + 2 * len(steps))}")
            continue
        cells = [f"{each['build_s']:.1f}", f"{each['first_s']:.1f}", *(f"{each[step]['ms']:.1f}" for step in steps)]
        cells += [f"{each[step]['peak'] / 1e6:.0f}" for step in steps]
        lines.append(f"| {each['name']} | {' | '.join(cells)} |")
    lines += ["", "| ratio | goal | measured | |", "|---|---|---|---|", *(goal.row for goal in goals(measured))]
    if remark := on_jax(measured):
        lines += ["", remark]
    return "\n".join(map(wrapped, lines)) + "\n\n"


if __name__ == "__main__":
    put(ROOT / "tflite" / "README.md", "before-export", section(models()))
