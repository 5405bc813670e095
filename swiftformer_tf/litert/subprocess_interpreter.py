"""LiteRT's interpreter in a subprocess, so that a damaged or malicious file cannot crash the calling process.

LiteRT validates the structure of a file but not its meaning: an operation with wrong options, an impossible shape or an
index outside a tensor can crash the process.
"""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import ModelError
from swiftformer_tf.litert import interpreter_worker
from swiftformer_tf.litert.interpreter_worker import PLACE, read_message, write_message

__all__ = ["SubprocessInterpreter"]

# Timeout for an answer: the slowest recipe of the largest variant takes seconds on a phone's core.
ANSWER_SECONDS = 120.0


class SubprocessInterpreter:
    """The part of `ai_edge_litert.interpreter.Interpreter` that this package uses, running in a subprocess.

    Args:
        model_content: The bytes of the file.
        num_threads: Number of threads of the CPU kernels.

    Raises:
        RuntimeError: LiteRT rejected the file; the message is LiteRT's.
        ModelError: LiteRT crashed on the file, or did not respond.
    """

    def __init__(self, model_content: bytes, num_threads: int = 1) -> None:
        command = [sys.executable, "-P", str(Path(interpreter_worker.__file__)), str(num_threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._stop = weakref.finalize(self, _stop, self._process)
        self._facts = json.loads(self._ask("loading it", model_content))

    def allocate_tensors(self) -> None:
        """Does nothing: tensors are allocated when the file is loaded."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """Index, shape, type and quantization of each input."""
        return list(map(_details, self._facts["inputs"]))

    def get_output_details(self) -> list[dict[str, Any]]:
        """Index, shape, type and quantization of each output."""
        return list(map(_details, self._facts["outputs"]))

    def _get_ops_details(self) -> list[dict[str, Any]]:
        return [{"op_name": name} for name in self._facts["operations"]]

    def set_tensor(self, index: int, value: np.ndarray) -> None:
        """Sets an input."""
        place = _place(self._facts["inputs"], index)
        self._ask("setting its input", b"s", place, np.ascontiguousarray(value).tobytes())

    def invoke(self) -> None:
        """Runs the graph."""
        self._ask("running it", b"i")

    def get_tensor(self, index: int) -> np.ndarray:
        """Returns an output."""
        place = _place(self._facts["outputs"], index)
        facts = self._facts["outputs"][PLACE.unpack(place)[0]]
        return np.frombuffer(self._ask("reading its output", b"g", place), facts["dtype"]).reshape(facts["shape"])

    def _ask(self, doing: str, *request: bytes) -> bytes:
        process = self._process
        requests, answers = process.stdin, process.stdout
        assert requests is not None
        assert answers is not None
        timed_out = threading.Event()

        def give_up() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(ANSWER_SECONDS, give_up)
        timer.start()
        try:
            write_message(requests, *request)
            answer = read_message(answers)
        except (EOFError, OSError):
            status = process.wait()
            if timed_out.is_set():
                reason = f"LiteRT did not answer within {ANSWER_SECONDS:g} s when {doing}"
            else:
                reason = f"LiteRT crashed when {doing} ({_death(status)})"
            raise ModelError(f"{reason}: the file is damaged or malicious") from None
        finally:
            timer.cancel()
        if answer[:1] != b"+":
            raise RuntimeError(answer[1:].decode("utf-8", "replace"))
        return answer[1:]


def _place(tensors: list[dict[str, Any]], index: int) -> bytes:
    return PLACE.pack([facts["index"] for facts in tensors].index(index))


def _details(facts: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = facts["quantization"]
    return {
        "index": facts["index"],
        "shape": np.array(facts["shape"], np.int32),
        "dtype": np.dtype(facts["dtype"]).type,
        "quantization": (scale, zero_point),
    }


def _death(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()
    process.kill()
    process.wait()
