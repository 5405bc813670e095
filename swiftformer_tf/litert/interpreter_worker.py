"""The worker of `subprocess_interpreter.SubprocessInterpreter`: a script that runs one LiteRT interpreter.

It imports nothing from this package, so that it starts in a fraction of a second, without the seconds that Keras takes.
It reads and writes messages that consist of an 8-byte length and that many bytes: first the model, which is answered
with the interpreter's details as JSON; then one request per message: `s`, an input's index and an array's bytes to set
it, `i` to invoke, `g` and an output's index to get it. A response starts with `+`, or with `-` and an error message.
"""

import contextlib
import json
import os
import struct
import sys
from typing import IO, Any

import numpy as np

__all__ = ["MAX_BYTES", "PLACE", "read_message", "write_message"]

# Memory for a model and its tensors: the largest SwiftFormer needs a tenth, a hostile file may ask for all there is.
MAX_BYTES = 4 * 1024**3

# A tensor's place among the inputs or the outputs, behind the letter of the request.
PLACE = struct.Struct("<I")


def read_message(stream: IO[bytes]) -> bytes:
    """Reads the next message.

    Raises:
        EOFError: The other end was closed.
    """
    header = stream.read(8)
    if len(header) < 8:
        raise EOFError
    (length,) = struct.unpack("<Q", header)
    message = stream.read(length)
    if len(message) < length:
        raise EOFError
    return message


def write_message(stream: IO[bytes], *parts: bytes) -> None:
    """Writes the parts as one message."""
    stream.write(struct.pack("<Q", sum(map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def _serve(requests: IO[bytes], answers: IO[bytes], num_threads: int) -> None:
    from ai_edge_litert.interpreter import Interpreter

    _limit_memory()
    content = read_message(requests)
    try:
        interpreter = Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        operations = [op["op_name"] for op in interpreter._get_ops_details()]
        facts = {"inputs": list(map(_plain, inputs)), "outputs": list(map(_plain, outputs)), "operations": operations}
    except (RuntimeError, ValueError, MemoryError) as error:
        return write_message(answers, b"-", str(error).strip().encode())
    write_message(answers, b"+", json.dumps(facts).encode())
    while True:
        request = read_message(requests)
        try:
            write_message(answers, b"+", _answer(interpreter, inputs, outputs, request))
        except (RuntimeError, ValueError, MemoryError) as error:
            write_message(answers, b"-", str(error).strip().encode())


def _answer(interpreter: Any, inputs: Any, outputs: Any, request: bytes) -> bytes:
    if request[:1] == b"s":
        details = inputs[PLACE.unpack_from(request, 1)[0]]
        values = np.frombuffer(request, details["dtype"], offset=1 + PLACE.size).reshape(details["shape"])
        interpreter.set_tensor(details["index"], values)
        return b""
    if request[:1] == b"i":
        interpreter.invoke()
        return b""
    details = outputs[PLACE.unpack_from(request, 1)[0]]
    return bytes(np.ascontiguousarray(interpreter.get_tensor(details["index"])))


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    return {
        "index": int(details["index"]),
        "shape": details["shape"].tolist(),
        "dtype": np.dtype(details["dtype"]).name,
        "quantization": [float(scale), int(zero_point)],
    }


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, hard))


if __name__ == "__main__":
    # Output printed by native code must not be mixed with the answers.
    own_stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent has what it wanted
        _serve(sys.stdin.buffer, own_stdout, int(sys.argv[1]))
