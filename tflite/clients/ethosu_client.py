"""Arm's compiler for Ethos-U NPUs, ethos-u-vela: what of a file it puts on the NPU, and how fast it takes that to be.

Runs in an environment with ethos-u-vela and without this package. Nothing is computed here: the compiler says which
operations stay on the CPU, into how many pieces that cuts the rest, and estimates inferences a second for Arm's own
reference systems. The TFLite converter's own int8 file of the same graph is compiled beside, to compare with.
"""

import collections
import csv
import importlib.metadata
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator
from ethosu.vela.tflite.Model import Model

__all__: list[str] = []

ACCELERATORS = ("ethos-u55-256", "ethos-u65-512", "ethos-u85-512")
NAMES = {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}
VELA = Path(sys.executable).with_name("vela")


def compile_file(path: Path, accelerator: str, folder: Path) -> dict[str, Any]:
    """What became of a file, or why vela would not take it."""
    command = [VELA, path, "--accelerator-config", accelerator, "--output-dir", folder]
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False)
    compiled = folder / f"{path.stem}_vela.tflite"
    if done.returncode < 0:  # what it said last is a warning
        return {"refused": f"vela crashed with {signal.Signals(-done.returncode).name}"}
    if done.returncode or not compiled.is_file():
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        return {"refused": said[-1]}
    names = operations(compiled)
    (summary,) = folder.glob(f"{path.stem}_summary_*.csv")
    with summary.open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    subgraphs = names.pop("ethos-u", 0)
    return {
        "compiled": {
            "on_cpu": names,
            "subgraphs": subgraphs,
            # The NPU's share alone: without what the CPU needs for the rest.
            "inferences_per_second": float(row["inferences_per_second"]) if subgraphs else 0.0,
            "system": f"{row['system_config']}, {row['memory_mode']}",
        }
    }


def compared(its: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """What became of a file, beside what became of the converter's."""
    if "refused" in peer:
        return {"failed": f"nothing to compare with, since vela refused the converter's file: {peer['refused']}"}
    return {"compiled": {**its, "converter": peer["compiled"]}}


def operations(path: Path) -> collections.Counter[str]:
    """How many operations of each kind there are in a compiled file; `ethos-u` is a piece for the NPU."""
    model = Model.GetRootAs(path.read_bytes(), 0)
    graph, names = model.Subgraphs(0), collections.Counter[str]()
    for index in range(graph.OperatorsLength()):
        code = model.OperatorCodes(graph.Operators(index).OpcodeIndex())
        names[code.CustomCode().decode() if code.CustomCode() else NAMES[code.BuiltinCode()]] += 1
    return names


def main() -> None:
    """Prints what the README of this folder asks for."""
    kit = Path(sys.argv[1])
    about = json.loads((kit / "kit.json").read_text())
    runs: list[dict[str, Any]] = []
    for accelerator in ACCELERATORS:
        with tempfile.TemporaryDirectory() as folder:
            peer = compile_file(kit / about["converter"], accelerator, Path(folder))
            for recipe, entry in about["recipes"].items():
                kind = "int8" if "int8" in entry["files"] else "logits"
                said = compile_file(kit / entry["files"][kind], accelerator, Path(folder))
                if "compiled" in said:
                    said = compared(said["compiled"], peer)
                runs.append({"variant": accelerator, "recipe": recipe, "file": kind, **said})
    print(json.dumps({"versions": {"ethos-u-vela": importlib.metadata.version("ethos-u-vela")}, "runs": runs}))


if __name__ == "__main__":
    main()
