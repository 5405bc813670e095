"""`interpreting.py KIT RECIPE COUNT`: outputs of the kit's first photographs by whatever runtime this Python has.

Runs in the environment of a client, which has numpy and the runtime and may be another kind of machine. Prints one line
of JSON: a run without its `variant`, see the README.
"""

import json
import sys

import numpy as np
from refusing import refusal

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter


def main(kit: str, recipe: str, count: str) -> dict:
    """One run."""
    try:
        interpreter = Interpreter(f"{kit}/{recipe}.tflite", num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return {"recipe": recipe, "refused": refusal(error)}
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for image in np.load(f"{kit}/inputs.npy")[: int(count)]:
        interpreter.set_tensor(source, image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target)[0].tolist())
    return {"recipe": recipe, "outputs": outputs}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
