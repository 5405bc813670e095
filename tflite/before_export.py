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


def goals(models: list[dict[str, Any]]) -> list[Goal]:
    """`keras.Model` against timm's PyTorch, one step of `fit` with a batch of 32."""
    steps = {each["name"]: each["fit_32"] for each in models if not each["error"]}

    def ratio(what: str) -> float | None:
        ours, theirs = (steps.get(name) for name in ("keras.Model, TensorFlow", "timm, PyTorch eager"))
        return ours[what] / theirs[what] if ours and theirs else None

    jax = next((each.get("build_s") for each in models if each["name"] == "keras.Model, JAX"), None)
    return [
        Goal("a step of `fit` / timm's", 1.0, ratio("ms")),
        Goal("peak memory of `fit` / timm's", 1.3, ratio("peak")),
        Goal("building XS on JAX, seconds", 5, jax),
    ]


def section(measured: list[dict[str, Any]]) -> str:
    """Inference and training before export, and the goals for them."""
    steps = ("predict_1", "predict_32", "fit_32")
    lines = [
        "## Before export",
        "",
        f"`python tflite/before_export.py`, {datetime.date.today()}: {versions()}. XS at {SIZE} with 1,000 labels: "
        "inference with batches of 1 and 32, and a training step with a batch of 32 (cross-entropy, AdamW, float32). "
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
    return "\n".join(map(wrapped, lines)) + "\n\n"


if __name__ == "__main__":
    put(ROOT / "tflite" / "README.md", "before-export", section(models()))
