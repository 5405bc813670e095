"""Converts a deploy graph to a float flatbuffer with the TFLite converter.

The converter accepts only TensorFlow graphs. With Keras's other backends, it runs in a subprocess, which loads the
graph with the TensorFlow backend: `python -m swiftformer_tf.conversion DEPLOY.keras WEIGHTS OUTPUT [MODULE:CLASS]...`.
"""

import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import keras

from swiftformer_tf.errors import ExportError, first_line, one_line
from swiftformer_tf.fusion import DeployModel
from swiftformer_tf.native_logs import native_stderr_silenced, tensorflow_notes_silenced
from swiftformer_tf.quantization.naming import name_tensors

__all__ = ["convert"]

# The converter's message about operations that LiteRT lacks, and cures by TensorFlow's name of the operation.
_MISSING = re.compile(r"^(?:TF Select|Custom) ops: (\w+)", re.MULTILINE)
_CURES = {"ResizeBicubic": 'use interpolation="bilinear"'}


def convert(deploy: DeployModel, weights: Literal["float32", "float16"] = "float32") -> bytes:
    """Converts a deploy graph with one signature, from `image` to the graph's named outputs.

    Args:
        deploy: The deploy graph, as returned by `fuse`.
        weights: Type of the stored weights; everything else is float32.

    Raises:
        ExportError: A layer uses an operation that LiteRT does not have; the message names both. Or the converter
            failed otherwise; the message contains the first line of its error. Or Keras does not use the TensorFlow
            backend, and a subprocess cannot load the graph.

    Examples:
        >>> from swiftformer_tf import SwiftFormerConfig, SwiftFormerModel, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> convert(fuse(SwiftFormerModel(config)))[4:8]
        b'TFL3'
    """
    if keras.backend.backend() != "tensorflow":
        return _converted_elsewhere(deploy, weights)
    import tensorflow as tf

    try:
        with native_stderr_silenced(), tensorflow_notes_silenced():
            traced = _traced(deploy)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
            if weights == "float16":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            content = bytes(converter.convert())
    except Exception as error:  # the converter raises whatever its passes raise
        if missing := _MISSING.findall(str(error)):
            raise ExportError(f"{weights}: {_refusal(missing[0], traced.graph, deploy)}") from error
        raise ExportError(f"{weights}: the TFLite converter failed: {first_line(error)}") from error
    return name_tensors(content, set(_layer_names(deploy)))


def _converted_elsewhere(deploy: DeployModel, weights: str) -> bytes:
    """Returns the result of `convert` from a subprocess with Keras's TensorFlow backend."""
    with tempfile.TemporaryDirectory() as folder:
        saved, output = Path(folder, "deploy.keras"), Path(folder, "deploy.tflite")
        deploy.save(saved)
        # The caller's classes are imported there from the same paths as here.
        classes = {type(layer) for layer in deploy._flatten_layers(include_self=False)}
        own = [f"{each.__module__}:{each.__qualname__}" for each in classes if not _is_known(each)]
        here = {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-P", "-m", "swiftformer_tf.conversion", str(saved), weights, str(output), *own]
        process = subprocess.run(command, env={**os.environ, **here}, capture_output=True, check=False)
        if process.returncode == 0 and output.is_file():
            return output.read_bytes()
        said = process.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit {process.returncode}"]
    raise ExportError(
        f"{one_line(said[-1])} (on the backend {keras.backend.backend()!r} conversion runs in a separate process on "
        "TensorFlow, which must be able to import your layers; with KERAS_BACKEND=tensorflow it runs in this one)"
    )


def _is_known(layer: type) -> bool:
    return layer.__module__.partition(".")[0] in ("keras", "swiftformer_tf")


def _convert_file(saved: str, weights: Literal["float32", "float16"], output: str, *classes: str) -> None:
    """Runs in the subprocess; if it fails, its last line on standard error is the reason."""
    try:
        found = {
            each: getattr(importlib.import_module(module), each)
            for module, each in (name.split(":") for name in classes)
        }
        deploy = keras.models.load_model(saved, compile=False, custom_objects=found)
        content = convert(deploy, weights)
    except ExportError as error:
        sys.exit(str(error))
    except Exception as error:  # a missing module, and Keras's many errors about unknown classes
        sys.exit(f"the deploy graph cannot be loaded there: {first_line(error)}")
    Path(output).write_bytes(content)


def _refusal(kind: str, graph: Any, deploy: DeployModel) -> str:
    """Names the layer with an operation that LiteRT lacks, and what to do about it."""
    layers = set(_layer_names(deploy))
    # TensorFlow appends a number to a scope's name if it has been used before.
    scopes = (scope for op in graph.get_operations() if op.type == kind for scope in op.name.split("/"))
    names = (name for scope in scopes for name in (scope, re.sub(r"_\d+$", "", scope)))
    layer = next((f"layer {name}: " for name in names if name in layers), "")
    return f"{layer}LiteRT has no operation {kind}; {_CURES.get(kind, 'use operations that LiteRT has')}"


def _layer_names(model: keras.Model) -> Iterator[str]:
    """Names of the layers of a model, including nested ones."""
    for layer in model.layers:
        yield layer.name
        if isinstance(layer, keras.Model):
            yield from _layer_names(layer)


def _traced(deploy: DeployModel) -> Any:
    import tensorflow as tf

    spec = tf.TensorSpec(deploy.inputs[0].shape, tf.float32, name="image")
    names = [each.name for each in deploy.named_outputs]
    # Variables would remain resources in the file, which no other tool can read; arrays become constants.
    states = [
        [each.numpy() for each in variables]
        for variables in (deploy.trainable_variables, deploy.non_trainable_variables)
    ]

    def signature(image: Any) -> dict[str, Any]:
        with tf.name_scope(deploy.name):
            results, _ = deploy.stateless_call(*states, image, training=False)
            return dict(zip(names, keras.tree.flatten(results), strict=True))

    return tf.function(signature, input_signature=[spec]).get_concrete_function()


if __name__ == "__main__":
    _convert_file(*sys.argv[1:])  # type: ignore[arg-type]  # the words of `_converted_elsewhere`
