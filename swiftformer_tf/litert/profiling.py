"""Profiles time by kind of operation, including XNNPACK's, with LiteRT's C API: its Python API has no profiler."""

import collections
import contextlib
import ctypes
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from swiftformer_tf.errors import ModelError, first_line, prefix_path
from swiftformer_tf.litert.subprocess_interpreter import SubprocessInterpreter
from swiftformer_tf.native_logs import native_stderr_silenced

__all__ = ["OpKind", "matrix_share", "open_for_timing", "profile_ops"]

# LiteRT's numbers for element types, which are TFLite's.
ELEMENT_TYPES = {"float32": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9, "float16": 10}

CPU = 1  # kLiteRtHwAcceleratorCpu
WRITE = 1  # kLiteRtTensorBufferLockModeWrite

# LiteRT's kinds of events: a builtin kernel's run, and that of an operator inside XNNPACK.
OPERATOR, DELEGATED = 1 << 1, 1 << 3

# XNNPACK's profiler has no name for what it looks up in a table of 256 bytes, such as an int8 GELU.
NAMES = {"Invalid Unary Op": "Table lookup (NC, X8)"}

# How XNNPACK calls what multiplies matrices, convolutions as matrices among it, and the builtin kernels' names.
MATRIX_KINDS = ("GEMM", "CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL")


@dataclasses.dataclass(frozen=True)
class OpKind:
    """All operations of one kind in a run.

    Args:
        name: XNNPACK's name of the operator, or LiteRT's of a builtin kernel.
        count: Number of operations.
        milliseconds: Their total time in a run.
        xnnpack: Whether they ran in XNNPACK.
    """

    name: str
    count: int
    milliseconds: float
    xnnpack: bool

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix multiplication: fully connected, or a convolution that is not depthwise."""
        return any(kind in self.name for kind in MATRIX_KINDS) and "DEPTHWISE" not in self.name


def open_for_timing(path: str | Path, *, num_threads: int) -> Any:
    """Opens LiteRT's interpreter for a file, with its tensors allocated and its inputs filled with noise from 0 to 1.

    The file is first loaded and run in a subprocess, so that a crash of LiteRT does not end this process.

    Raises:
        ModelError: The file does not exist, or LiteRT cannot load or run it.

    Examples:
        >>> open_for_timing("no.tflite", num_threads=1)
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no.tflite: no such file
    """
    from ai_edge_litert.interpreter import Interpreter

    if not Path(path).is_file():
        raise ModelError(f"{path}: no such file")
    doing = "load"
    try:
        with prefix_path(Path(path)):
            trial = SubprocessInterpreter(Path(path).read_bytes(), num_threads)
            doing = "run"
            _fill_inputs(trial)
            trial.invoke()
        with native_stderr_silenced():
            interpreter = Interpreter(str(path), num_threads=num_threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: LiteRT cannot {doing} it: {first_line(error)}") from None
    _fill_inputs(interpreter)
    return interpreter


def _fill_inputs(interpreter: Any) -> None:
    noise = np.random.default_rng(0)
    for details in interpreter.get_input_details():
        values = noise.random(details["shape"])
        if not np.issubdtype(details["dtype"], np.floating):
            values = values * np.iinfo(details["dtype"]).max
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))


def profile_ops(path: str | Path, *, repeats: int = 15) -> list[OpKind]:
    """Profiles a file with a single input on one thread.

    The time of each operation is the median over all runs, so that interruptions do not matter.

    Args:
        path: The `.tflite` file.
        repeats: Number of runs.

    Returns:
        The kinds of operations, longest time first. Their sum includes the overhead of the profiler.

    Raises:
        ModelError: LiteRT cannot run the file.

    Examples:
        >>> profile_ops("no.tflite")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no.tflite: no such file
    """
    # The C API crashes on damaged files, which the interpreter refuses. It also knows shapes and types.
    interpreter = open_for_timing(path, num_threads=1)
    try:
        with native_stderr_silenced(), contextlib.ExitStack() as stack:
            runs = list(_runs(str(path), interpreter, repeats, stack))
    except RuntimeError as error:
        raise ModelError(f"{path}: LiteRT cannot profile it ({first_line(error)})") from None
    if not runs[0] or any(len(run) != len(runs[0]) for run in runs):
        raise ModelError(f"{path}: LiteRT cannot profile it (its profiler saw no operations)")
    medians = np.median([[microseconds for _, _, microseconds in run] for run in runs], axis=0)
    count: collections.Counter[tuple[str, bool]] = collections.Counter()
    total: collections.Counter[tuple[str, bool]] = collections.Counter()
    for (name, xnnpack, _), microseconds in zip(runs[0], medians.tolist(), strict=True):
        count[name, xnnpack] += 1
        total[name, xnnpack] += microseconds
    ops = [OpKind(name, count[name, xnnpack], total[name, xnnpack] / 1000, xnnpack) for name, xnnpack in count]
    return sorted(ops, key=lambda op: -op.milliseconds)


def matrix_share(ops: list[OpKind]) -> float:
    """Returns the share of time spent on matrix multiplication; only the rest can be optimized away.

    Examples:
        >>> matrix_share([OpKind("Fully Connected (NC, F32) GEMM", 2, 3.0, True), OpKind("Add (ND)", 1, 1.0, True)])
        0.75
    """
    return sum(op.milliseconds for op in ops if op.is_matrix) / sum(op.milliseconds for op in ops)


class _Layout(ctypes.Structure):
    _fields_ = (
        ("rank", ctypes.c_uint, 7),
        ("has_strides", ctypes.c_uint, 1),
        ("dimensions", ctypes.c_int32 * 8),
        ("strides", ctypes.c_uint32 * 8),
    )


class _TensorType(ctypes.Structure):
    _fields_ = (("element", ctypes.c_int), ("layout", _Layout))


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_char_p),
        ("event_type", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_size_t * 6),
        ("metadata", ctypes.c_uint64 * 2),
        ("source", ctypes.c_int),
    )


# Name of an operation, whether XNNPACK took it, and its microseconds.
_Operation = tuple[str, bool, int]


class _Api:
    """The functions of `libLiteRt`, which raise an exception for a nonzero status."""

    def __init__(self) -> None:
        import ai_edge_litert

        folder = Path(ai_edge_litert.__path__[0])
        found = sorted(folder.glob("libLiteRt.*")) + sorted(folder.glob("LiteRt.dll"))
        if not found:
            raise RuntimeError("this build of ai-edge-litert has no libLiteRt")
        self._library = ctypes.CDLL(str(found[0]))

    def call(self, name: str, *arguments: object) -> None:
        function = getattr(self._library, name)
        function.restype = ctypes.c_int
        if status := function(*arguments):
            raise RuntimeError(f"{name}: status {status}")

    def destroy(self, kind: str, handle: ctypes.c_void_p) -> None:
        function = getattr(self._library, f"LiteRtDestroy{kind}")
        function.restype = None
        function(handle)


def _runs(path: str, interpreter: Any, repeats: int, stack: contextlib.ExitStack) -> Iterator[list[_Operation]]:
    """The operations of each run in order."""
    api = _Api()
    env, model, options, compiled, profiler = (ctypes.c_void_p() for _ in range(5))

    def create(kind: str, handle: ctypes.c_void_p, function: str, *arguments: object) -> None:
        api.call(function, *arguments, ctypes.byref(handle))
        stack.callback(api.destroy, kind, handle)

    create("Environment", env, "LiteRtCreateEnvironment", 0, None)
    create("Model", model, "LiteRtCreateModelFromFile", env, path.encode())
    create("Options", options, "LiteRtCreateOptions")
    api.call("LiteRtSetOptionsHardwareAccelerators", options, CPU)
    _ask_for_profile(api, options)
    create("CompiledModel", compiled, "LiteRtCreateCompiledModel", env, model, options)
    inputs, outputs = _buffers(api, interpreter, env, compiled, create)

    def run() -> None:
        one, many = ctypes.c_size_t(1), ctypes.c_size_t(len(outputs))
        api.call("LiteRtRunCompiledModel", compiled, ctypes.c_size_t(0), one, inputs, many, outputs)

    run()
    api.call("LiteRtCompiledModelGetProfiler", compiled, ctypes.byref(profiler))
    for _ in range(repeats):
        api.call("LiteRtResetProfiler", profiler)
        api.call("LiteRtStartProfiler", profiler)
        run()
        api.call("LiteRtStopProfiler", profiler)
        yield _operations(api, profiler)


def _operations(api: _Api, profiler: ctypes.c_void_p) -> list[_Operation]:
    number = ctypes.c_int()
    api.call("LiteRtGetNumProfilerEvents", profiler, ctypes.byref(number))
    events = (_Event * number.value)()
    api.call("LiteRtGetProfilerEvents", profiler, number, events)
    return [
        (NAMES.get(name := event.tag.decode(), name), event.event_type == DELEGATED, event.elapsed_us)
        for event in events
        if event.event_type in (OPERATOR, DELEGATED)
    ]


def _ask_for_profile(api: _Api, options: ctypes.c_void_p) -> None:
    # LiteRT frees the text with the function given: it must be the C library's memory.
    if sys.platform == "win32":
        raise RuntimeError("profiling is not supported on Windows")
    libc = ctypes.CDLL(None)
    libc.strdup.restype, libc.strdup.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    text = ctypes.c_void_p(libc.strdup(b"enable_profiling = true\n"))
    opaque, free = ctypes.c_void_p(), ctypes.cast(libc.free, ctypes.c_void_p)
    api.call("LiteRtCreateOpaqueOptions", b"runtime_options_string", text, free, ctypes.byref(opaque))
    api.call("LiteRtAddOpaqueOptions", options, opaque)


def _buffers(
    api: _Api, interpreter: Any, env: ctypes.c_void_p, compiled: ctypes.c_void_p, create: Callable[..., None]
) -> tuple[ctypes.Array[ctypes.c_void_p], ctypes.Array[ctypes.c_void_p]]:
    """Buffers for the model's inputs, filled like the interpreter's, and for its outputs."""
    details = {"Input": interpreter.get_input_details(), "Output": interpreter.get_output_details()}
    made = {}
    for kind, tensors in details.items():
        handles = (ctypes.c_void_p * len(tensors))()
        for index, tensor in enumerate(tensors):
            needs, handle = ctypes.c_void_p(), ctypes.c_void_p()
            at = (ctypes.c_size_t(0), ctypes.c_size_t(index))
            api.call(f"LiteRtGetCompiledModel{kind}BufferRequirements", compiled, *at, ctypes.byref(needs))
            shape = [int(size) for size in tensor["shape"]]
            layout = _Layout(len(shape), 0, (ctypes.c_int32 * 8)(*shape), (ctypes.c_uint32 * 8)())
            dtype = np.dtype(tensor["dtype"]).name
            if dtype not in ELEMENT_TYPES:
                raise RuntimeError(f"an input or output of {dtype}")
            element = _TensorType(ELEMENT_TYPES[dtype], layout)
            function = "LiteRtCreateManagedTensorBufferFromRequirements"
            create("TensorBuffer", handle, function, env, ctypes.byref(element), needs)
            if kind == "Input":
                _fill(api, handle, interpreter.get_tensor(tensor["index"]))
            handles[index] = handle
        made[kind] = handles
    return made["Input"], made["Output"]


def _fill(api: _Api, handle: ctypes.c_void_p, values: np.ndarray) -> None:
    address = ctypes.c_void_p()
    api.call("LiteRtLockTensorBuffer", handle, ctypes.byref(address), WRITE)
    ctypes.memmove(address, values.ctypes.data, values.nbytes)
    api.call("LiteRtUnlockTensorBuffer", handle)
