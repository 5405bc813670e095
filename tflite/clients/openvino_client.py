"""OpenVINO's own reader of TFLite files, on this machine's processor.

Runs in an environment with openvino and without this package. It knows tensors by their names, and where two of a file
have one name it computes something else, without a word.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from refusing import refusal

__all__: list[str] = []

# bfloat16 is its default on processors that have it, and is not what is compared here.
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}


def answers(core: ov.Core, path: Path, inputs: np.ndarray) -> dict[str, Any]:
    """Outputs of each photograph, or why there are none."""
    try:
        model = core.compile_model(str(path), "CPU", SETTINGS)
    except RuntimeError as error:
        return {"refused": refusal(error, line=-1)}
    return {"outputs": [model(image[None])[0][0].tolist() for image in inputs]}


def main() -> None:
    """Prints what the README of this folder asks for."""
    kit = Path(sys.argv[1])
    about = json.loads((kit / "kit.json").read_text())
    inputs, core = np.load(kit / "inputs.npy"), ov.Core()
    runs = [
        {"variant": "CPU", "recipe": recipe, **answers(core, kit / entry["files"]["logits"], inputs)}
        for recipe, entry in about["recipes"].items()
    ]
    print(json.dumps({"versions": {"openvino": ov.__version__.partition("-")[0]}, "runs": runs}))


if __name__ == "__main__":
    main()
