"""ONNX Runtime on what tf2onnx makes of the files.

Runs in an environment with tf2onnx (which needs TensorFlow), onnx and onnxruntime, and without this package.
"""

import contextlib
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tf2onnx.convert
from refusing import refusal

__all__: list[str] = []

OPSET = 18
# How tf2onnx calls an operation of TFLite that it cannot translate and leaves as it is.
UNTRANSLATED = "TFL_"


def answers(path: Path, inputs: np.ndarray, folder: Path) -> dict[str, Any]:
    """Outputs of each photograph, or why there are none."""
    target = folder / f"{path.stem}.onnx"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET, output_path=str(target))
    except Exception as error:  # whatever it stumbles over
        return {"refused": f"tf2onnx: {_line(error)}"}
    if left := sorted({node.op_type for node in model.graph.node if node.op_type.startswith(UNTRANSLATED)}):
        return {"refused": f"tf2onnx translates no {', '.join(name.removeprefix(UNTRANSLATED) for name in left)}"}
    try:
        session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        return {"refused": f"ONNX Runtime: {_line(error)}"}
    (source,) = session.get_inputs()
    return {"outputs": [session.run(None, {source.name: image[None]})[0][0].tolist() for image in inputs]}


def _line(error: Exception) -> str:
    line = refusal(error)
    return line if len(line) < 160 else f"{line[:120]} ... {line[-40:]}"


def main() -> None:
    """Prints what the README of this folder asks for."""
    kit = Path(sys.argv[1])
    about = json.loads((kit / "kit.json").read_text())
    inputs, runs = np.load(kit / "inputs.npy"), []
    onnxruntime.set_default_logger_severity(4)  # what it refuses is in the run
    with tempfile.TemporaryDirectory() as folder:
        for recipe, entry in about["recipes"].items():
            said = answers(kit / entry["files"]["logits"], inputs, Path(folder))
            runs.append({"variant": "CPU", "recipe": recipe, **said})
            print(f"{recipe}: {said.get('refused', 'ran')}", flush=True)
    versions = {name: importlib.metadata.version(name) for name in ("tf2onnx", "onnxruntime")}
    print(json.dumps({"versions": versions, "runs": runs}))


if __name__ == "__main__":
    main()
