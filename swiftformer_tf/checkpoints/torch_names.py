"""Names in PyTorch's files, and how this package interprets each of them."""

import ml_dtypes
import numpy as np

__all__ = ["DTYPES", "INERT_CALLS", "OTHER_ARCHIVES", "STORAGES", "UNREAD_TENSORS"]

STORAGES: dict[str, np.dtype] = {
    f"torch.{name}Storage": np.dtype(dtype)
    for name, dtype in {
        "Float": "<f4",
        "Double": "<f8",
        "Half": "<f2",
        "BFloat16": ml_dtypes.bfloat16,
        "Long": "<i8",
        "Int": "<i4",
        "Short": "<i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "?",
    }.items()
}

# Types that PyTorch keeps in storages of bytes, by their own names.
DTYPES: dict[str, np.dtype] = {
    f"torch.{name}": np.dtype(getattr(ml_dtypes, name))
    for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
} | {f"torch.uint{bits}": np.dtype(f"<u{bits // 8}") for bits in (16, 32, 64)}

_BUILTINS = (
    *("bytearray", "bytes", "complex", "frozenset", "object", "range", "set", "slice", "type"),
    *("enumerate", "filter", "iter", "map", "reversed", "zip"),
)

# Data in the form of calls, as it occurs in training scripts' `args` and `optimizer`: it becomes a record. Under
# Python 3's names; `torch_pickle` translates those of Python 2, which PyTorch's protocol writes.
INERT_CALLS = (
    "_codecs.encode",
    *(f"builtins.{name}" for name in _BUILTINS),
    "collections.Counter",
    "collections.defaultdict",
    "collections.deque",
    "copyreg._reconstructor",
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    "decimal.Decimal",
    "fractions.Fraction",
    "functools.partial",
    *(f"itertools.{name}" for name in ("chain", "count", "cycle", "islice", "repeat")),
    *(
        f"numpy.{core}.{name}"
        for core in ("core", "_core")
        for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
    ),
    "numpy.dtype",
    "numpy.ma.core._mareconstruct",
    *(f"numpy.random._pickle.__{name}_ctor" for name in ("generator", "bit_generator", "randomstate")),
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
    ),
    "random.Random",
    "re._compile",
    "torch._C.Generator",
    "torch._dynamo.eval_frame.OptimizeContext",  # within a module that torch.compile made
    "torch.device",
    "torch.serialization._get_layout",
    # An enumeration, which is called with its value.
    "torchvision.transforms.functional.InterpolationMode",
    "types.SimpleNamespace",
    "uuid.UUID",
)

# Tensors whose numbers are not those of a plain file, by the function that PyTorch makes them with: what to do.
UNREAD_TENSORS = {
    "torch._utils._rebuild_meta_tensor_no_storage": "on the device 'meta', so it has no data; save the model after "
    "its weights are loaded",
    "torch._utils._rebuild_nested_tensor": "a nested tensor; save plain tensors",
    "torch._utils._rebuild_qtensor": "quantized by PyTorch; save the state dict of the float model that it was made "
    "from, and quantize with this package's recipes",
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor; save its .to_dense()",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a subclass, such as a distributed one; save its "
    ".full_tensor() or .dequantize()",
}


# Other archives that are zip files, too, by a member of each, and what helps.
OTHER_ARCHIVES = {
    "model.weights.h5": "a zip archive, but a Keras model; rename it to end in .keras",
    "constants.pkl": "a TorchScript program; with PyTorch, torch.save(torch.jit.load(path).state_dict(), new_path) "
    "makes a weight file",
    **dict.fromkeys(
        ("archive_format", "serialized_exported_program.json"),
        "a program of torch.export; with PyTorch, torch.save(dict(torch.export.load(path).state_dict), new_path) makes "
        "a weight file",
    ),
}
