"""Processor time of a command from its start to its end: writes `start_time.md` here.

    python docs/results/start_time.py

Seconds of user and system time of all threads, the least of nine runs of the installed script. The commands take turns
with `import numpy` alone: the ratio to it depends less on the machine and on what else it does. What is imported is
held by `tests/test_registration.py`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import swiftformer_tf as sf

RUNS = 9
WEIGHTS = "swiftformer_xs_imagenette"

# The commands, and the goal of each in seconds.
GOALS = {
    "--version": 0.3,
    "exprot": 0.3,
    "--help": 0.3,
    "export --recipe int9": 0.3,
    "info swiftformer_xs_imagenett": 0.3,
    f"export {WEIGHTS} -o out --recipe int8": 0.3,
    f"info {WEIGHTS}": 1.0,
    "info xs_float32.tflite": 1.0,
}


def seconds(command: list[str], folder: Path) -> float:
    """User and system time of one run."""
    before = os.times()
    subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    script = str(Path(sys.executable).with_name("swiftformer-tf"))
    numpy = [sys.executable, "-c", "import numpy"]
    commands = {command: [script, *command.split()] for command in GOALS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = sf.SwiftFormerForImageClassification.from_pretrained(WEIGHTS)
        sf.export(sf.fuse(model), sf.RECIPES["float32"]).save(folder / "xs_float32.tflite")
        turns = [[seconds(each, folder) for each in (numpy, *commands.values())] for _ in range(RUNS)]
    base, *found = map(min, zip(*turns, strict=True))
    lines = [
        "# Processor time of a start",
        "",
        "Made by `python docs/results/start_time.py`: seconds of user and system time of all threads, the least of "
        f"{RUNS} runs in turns,",
        f'and their ratio to those of `python -c "import numpy"`, {base:.2f} s in the same runs.',
        "",
        "| `swiftformer-tf` | seconds | ratio | goal in seconds |",
        "|---|---|---|---|",
        *(
            f"| `{command}` | {least:.2f} | {least / base:.1f} | {goal} |"
            for (command, goal), least in zip(GOALS.items(), found, strict=True)
        ),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
