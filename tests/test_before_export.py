"""What is measured of models before export, beside timm's, and its table."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import before_export
import pytest
from benchmark import ROOT


def test_models_are_measured_before_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """In real processes, on a tiny model; a peer that cannot run says why."""
    mine = (("keras.Model, TensorFlow", Path(sys.executable), "keras", "tensorflow"),)
    monkeypatch.setattr(before_export, "MODELS", (*mine, ("timm, PyTorch eager", Path("/nowhere/python"), "timm", "")))
    ours, theirs = before_export.models("tiny", size=32)
    assert ours["error"] is None
    assert all(ours[step]["ms"] > 0 for step in ("predict_1", "predict_32", "train_32"))
    assert 1e8 < ours["predict_1"]["peak"] <= ours["predict_32"]["peak"] <= ours["train_32"]["peak"]
    assert os.strerror(2) in theirs["error"]
    goals = {goal.name: goal.row for goal in before_export.goals([ours, theirs])}
    assert goals["a step of `train_on_batch` / timm's"].endswith("| - | not measured |")
    table = before_export.section([ours, theirs]).splitlines()
    assert any(line.startswith("| keras.Model, TensorFlow | ") for line in table)
    assert any(line.startswith("| timm, PyTorch eager | ") and "/nowhere" not in line for line in table)


def test_the_table_before_export_has_time_and_memory_of_each_step() -> None:
    steps = {
        "predict_1": {"ms": 1.26, "peak": 1e6},
        "predict_32": {"ms": 2.0, "peak": 2e6},
        "train_32": {"ms": 3.0, "peak": 3e6},
    }
    measured = {"name": "ours", "error": None, "build_s": 0.5, "first_s": 1.5, **steps}
    page = before_export.section([measured, {"name": "theirs", "error": "none there"}])
    head, line, *rows = [each for each in page.splitlines() if each.startswith("|")][:4]
    columns = ["model", "build, s", "first answer, s", "ms, 1", "ms, 32", "ms, step"]
    assert [each.strip() for each in head.strip("|").split("|")] == [
        *columns,
        *("peak MB, 1", "peak MB, 32", "peak MB, step"),
    ]
    assert rows == [
        "| ours | 0.5 | 1.5 | 1.3 | 2.0 | 3.0 | 1 | 2 | 3 |",
        "| theirs | none there | - | - | - | - | - | - | - |",
    ]
    assert {each.count("|") for each in (head, line, *rows)} == {10}


def test_what_a_parent_held_is_not_its_childs_peak() -> None:
    """As `ru_maxrss` has it: with a large parent all models had the same peak."""
    child = [sys.executable, "-c", "import process_memory; print(process_memory.peak())"]
    parent = f"import subprocess; held = b'x' * 300_000_000; print(subprocess.check_output({child}, text=True))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tflite")}
    said = subprocess.run([sys.executable, "-c", parent], env=environment, capture_output=True, text=True, check=True)
    assert 1e6 < int(said.stdout) < 1e8


def test_training_is_held_against_timms() -> None:
    def model(name: str, ms: float, peak: float) -> dict[str, Any]:
        steps = {step: {"ms": ms, "peak": peak} for step in ("predict_1", "predict_32", "train_32")}
        return {"name": name, "error": None, "build_s": 6.0, "first_s": 1.0, **steps}

    models = [model("keras.Model, TensorFlow", 90, 5e9), model("timm, PyTorch eager", 100, 4e9)]
    rows = [goal.row for goal in before_export.goals([*models, model("keras.Model, JAX", 1, 1)])]
    assert rows == [
        "| a step of `train_on_batch` / timm's | ≤ 1 | 0.90 | met |",
        "| peak memory of `train_on_batch` / timm's | ≤ 1.3 | 1.25 | met |",
        "| building XS on JAX, seconds | ≤ 5 | 6.00 | **not met** |",
    ]
    assert "On JAX" not in before_export.section(models)
    page = before_export.section([*models, model("keras.Model, JAX", 1234.5, 1)])
    assert page.endswith(
        "\n\nThe ratios of a step are on TensorFlow. On JAX, a step takes 12.3 times as long as timm's (1,234 against "
        "100 ms).\n\n"
    )
    models[0]["train_32"] = {"ms": 101.0, "peak": 5.3e9}
    assert [goal.row.split(" | ")[-1] for goal in before_export.goals(models)] == [
        *["**not met** |"] * 2,
        "not measured |",
    ]


def test_the_sentence_on_jax_is_of_the_table_above_it() -> None:
    """As `before_export.py` would write both."""
    page = (ROOT / "tflite" / "README.md").read_text("utf-8").partition("## Before export\n")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.partition("\n## ")[0].splitlines()]
    column = next(row for row in rows if "ms, step" in row).index("ms, step")
    names = ("keras.Model, JAX", "timm, PyTorch eager")
    steps = {row[0]: {"ms": float(row[column])} for row in rows if row and row[0] in names}
    remark = before_export.on_jax([{"name": name, "error": None, "train_32": step} for name, step in steps.items()])
    assert f"\n\n{remark}\n\n" in page
