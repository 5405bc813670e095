"""Processor time of a command from its start to its end: writes `start_time.md` here.

    python docs/results/start_time.py

Seconds of user and system time of all threads, the least of five runs of the installed script. What is imported is held
by `tests/test_registration.py`, since seconds hang on the machine.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import swiftformer_tf as sf

RUNS = 5
WEIGHTS = "swiftformer_xs_imagenette"

# The commands, and the goal of each in seconds.
GOALS = {
    "--version": 0.3,
    "--help": 0.3,
    "exprot": 0.3,
    "export --recipe int9": 0.3,
    f"info {WEIGHTS}": 1.0,
    "info xs_float32.tflite": 1.0,
}


def seconds(words: list[str], folder: Path) -> float:
    """The least of several runs."""
    script = Path(sys.executable).with_name("swiftformer-tf")
    found = []
    for _ in range(RUNS):
        before = os.times()
        subprocess.run([str(script), *words], cwd=folder, env=os.environ, capture_output=True, check=False)
        after = os.times()
        found.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(found)


def main() -> None:
    lines = [
        "# Processor time of a start",
        "",
        "Made by `python docs/results/start_time.py`: seconds of user and system time of all threads, the lowest of "
        f"{RUNS} runs.",
        "",
        "| `swiftformer-tf` | seconds | goal |",
        "|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = sf.SwiftFormerForImageClassification.from_pretrained(WEIGHTS)
        sf.export(sf.fuse(model), sf.RECIPES["float32"]).save(folder / "xs_float32.tflite")
        for command, goal in GOALS.items():
            lines.append(f"| `{command}` | {seconds(command.split(), folder):.2f} | {goal} |")
    Path(__file__).with_suffix(".md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
