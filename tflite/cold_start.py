"""A program of its own, `python cold_start.py MODEL [CACHE]`: how long until a file has answered once.

Prints one line of JSON: `ms` from opening the file to its first answer on one thread, of which `load_ms` passed before
the file could be run, and `peak`, the bytes by which both raised what this process held at most. With CACHE, a file for
XNNPACK's weight cache, it reads or writes that. It loads nothing but the file's runtime and numpy, and those before the
clock starts.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from process_memory import peak

__all__: list[str] = []

# Takes the paths of a file and of a cache, and returns what runs the file once.
Load = Callable[[str, str], Callable[[], object]]


def litert() -> Load:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_options import CpuOptions
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import Options

    def load(path: str, cache: str) -> Callable[[], object]:
        cpu = CpuOptions(num_threads=1, xnnpack_weight_cache_path=cache)
        options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=cpu)
        model = CompiledModel.from_file(path, options=options)
        signature = next(iter(model.get_signature_list()))
        (taken,) = model.get_input_tensor_details(signature).values()
        (given,) = model.get_output_tensor_details(signature).values()
        inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)

        def run() -> object:
            inputs[0].write(np.zeros(int(np.prod(taken["shape"])), taken["dtype"]))
            model.run_by_index(0, inputs, outputs)
            return outputs[0].read(int(np.prod(given["shape"])), given["dtype"])

        return run

    return load


def onnx_runtime() -> Load:
    import onnxruntime

    def load(path: str, cache: str) -> Callable[[], object]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (taken,) = session.get_inputs()
        return lambda: session.run(None, {taken.name: np.zeros(taken.shape, np.float32)})

    return load


RUNTIMES: dict[str, Callable[[], Load]] = {".tflite": litert, ".onnx": onnx_runtime}


def first_answer(path: str, cache: str = "") -> dict[str, float]:
    """Loads a file, runs it once on zeros and reads the answer."""
    load = RUNTIMES[Path(path).suffix]()
    before, start = peak(), time.perf_counter()
    run = load(path, cache)
    loaded = time.perf_counter()
    run()
    answered = time.perf_counter()
    return {"load_ms": 1000 * (loaded - start), "ms": 1000 * (answered - start), "peak": peak() - before}


if __name__ == "__main__":
    print(json.dumps(first_answer(*sys.argv[1:3])))
