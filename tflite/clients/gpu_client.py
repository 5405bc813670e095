"""LiteRT's WebGPU accelerator on SwiftShader, a GPU in software that Debian's chromium package brings."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from environments import LeftOutError, debian_unpacked, filled
from refusing import refusal
from running import recipe_names, run_json, say

__all__ = ["COUNT"]

# About 4 s each.
COUNT = 3

VARIANT = "WebGPU"


def driver(folder: Path) -> Path:
    """SwiftShader's Vulkan driver: of the Chromium that is installed, or unpacked from its package."""
    here = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
    if here.is_file():
        return here

    def fill(folder: Path) -> None:
        debian_unpacked(folder, ["chromium"], suite="bookworm", architecture="amd64", dependencies=False)

    unpacked = filled(folder / "swiftshader", "chromium", fill)
    found = unpacked / "usr" / "lib" / "chromium" / here.name
    if not found.is_file():
        raise LeftOutError("Debian's chromium has no SwiftShader")
    return found


def main(kit: Path, *, quick: bool) -> dict[str, Any]:
    """What the client says: each recipe in a process of its own."""
    icd = driver(Path(os.environ["CLIENT_FOLDER"]))
    libraries = f"{icd.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    environment = {**os.environ, "VK_ICD_FILENAMES": str(icd), "LD_LIBRARY_PATH": libraries}
    runs = [
        run_json(
            [sys.executable, __file__, kit, "--recipe", name], variant=VARIANT, recipe=name, environment=environment
        )
        for name in recipe_names(kit)
    ]
    import ai_edge_litert

    return {"versions": {"ai-edge-litert": ai_edge_litert.__version__, "GPU": "SwiftShader"}, "runs": runs}


def run_recipe(kit: Path, recipe: str) -> dict[str, Any]:
    """One recipe on the GPU, and only there."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    try:
        model = CompiledModel.from_file(str(kit / f"{recipe}.tflite"), hardware_accel=HardwareAccelerator.GPU)
    except Exception as error:  # whatever the bindings raise
        return {"recipe": recipe, "refused": refusal(error)}
    if not model.is_fully_accelerated():
        return {"recipe": recipe, "refused": "the GPU does not take all of it"}
    signature = next(iter(model.get_signature_list()))
    details = next(iter(model.get_output_tensor_details(signature).values()))
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    answers = []
    for image in np.load(kit / "inputs.npy")[:COUNT]:
        inputs[0].write(np.ascontiguousarray(image).ravel())
        model.run_by_index(0, inputs, outputs)
        answer = np.array(outputs[0].read(int(np.prod(details["shape"])), np.float32))
        answers.append(answer.reshape(details["shape"])[0].tolist())
    return {"recipe": recipe, "outputs": answers}


if __name__ == "__main__":
    if "--recipe" in sys.argv:
        print(json.dumps(run_recipe(Path(sys.argv[1]), sys.argv[-1])))
    else:
        say(main)
