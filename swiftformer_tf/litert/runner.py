"""Runs a `LiteModel`, in this process or in a subprocess."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from swiftformer_tf.errors import ModelError, first_line, prefix_path
from swiftformer_tf.litert.integers import Kind, Quantization, dequantized, quantized
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.ops import count_partitions
from swiftformer_tf.litert.subprocess_interpreter import SubprocessInterpreter
from swiftformer_tf.native_logs import native_stderr_silenced

__all__ = ["LiteRunner", "litert_errors_as_model_errors", "open_interpreter"]

# The types that the input and output of a file may have.
INFERENCE_DTYPES = ("float32", "int8", "uint8", "int16")


class LiteRunner:
    """Runs a `LiteModel` with LiteRT's interpreter, on one batch at a time, which is usually a single image.

    A model that was read from a file runs in a subprocess, since a damaged or malicious file can crash LiteRT; one that
    was exported in this process runs in this process.

    Args:
        model: The model.
        num_threads: Number of threads of the CPU kernels.

    Raises:
        ModelError: LiteRT cannot load the content, or it does not match its metadata.

    Examples:
        >>> from swiftformer_tf import RECIPES, SwiftFormerConfig, SwiftFormerForImageClassification, export, fuse
        >>> config = SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), image_size=32)
        >>> config = config.replace(id2label={0: "cat", 1: "dog"})
        >>> run = LiteRunner(export(fuse(SwiftFormerForImageClassification(config)), RECIPES["float32"]))
        >>> run(np.zeros((1, 32, 32, 3), "float32")).shape, run.partitions
        ((2,), 1)
    """

    def __init__(self, model: LiteModel, *, num_threads: int = 1) -> None:
        self.model = model
        config = model.config
        with prefix_path(model.path):
            self.interpreter = open_interpreter(model, num_threads=num_threads)
            expected = [(model.batch_size, *config.input_size, config.num_channels)]
            (self._input,) = _tensors("input", self.interpreter, expected)
            self._outputs = _tensors("output", self.interpreter, [each.shape for each in model.outputs])
            self._output = self._outputs[model.outputs.index(model.main_output)]

    @property
    def partitions(self) -> int:
        """Number of partitions of the graph that were delegated to XNNPACK."""
        return count_partitions(self.interpreter)

    @property
    def input_quantization(self) -> tuple[float, int]:
        """Scale and zero point of the input; (0.0, 0) for floats."""
        return _scale_and_zero_point(self._input)

    @property
    def output_quantization(self) -> tuple[float, int]:
        """Scale and zero point of the main output; (0.0, 0) for floats."""
        return _scale_and_zero_point(self._output)

    @property
    def input_type(self) -> str:
        """Input type, by NumPy's name."""
        return _kind(self._input)

    @property
    def output_type(self) -> str:
        """Output type, by NumPy's name."""
        return _kind(self._output)

    def set_input(self, inputs: np.ndarray) -> None:
        """Quantizes float32 images (batch, height, width, channels) for the file's input and sets them.

        Raises:
            ModelError: The images have a different shape or are not floats.
        """
        expected = tuple(self._input["shape"].tolist())
        if inputs.shape != expected:
            raise ModelError(f"an input of shape {inputs.shape}: the model takes {expected}")
        if not np.issubdtype(inputs.dtype, np.floating):
            takes = "pixels from 0 to 255" if self.model.include_preprocessing else "normalized pixels"
            raise ModelError(f"an input of type {inputs.dtype}: the model takes {takes} as float32")
        with prefix_path(self.model.path), litert_errors_as_model_errors("take the input of"):
            self.interpreter.set_tensor(self._input["index"], _as_stored(inputs, self._input))

    def invoke(self) -> None:
        """Runs the graph on the last input.

        Raises:
            ModelError: LiteRT failed in an operation.
        """
        with prefix_path(self.model.path), litert_errors_as_model_errors("run"):
            self.interpreter.invoke()

    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs of the last run by name, dequantized to float32; integers without a scale are unchanged.

        With a batch size of 1, the batch axis is removed: (num_labels,) for a classifier.
        """
        results = {}
        with prefix_path(self.model.path), litert_errors_as_model_errors("read the output of"):
            for output, details in zip(self.model.outputs, self._outputs, strict=True):
                values = _as_floats(self.interpreter.get_tensor(details["index"]), details)
                results[output.name] = values[0] if len(values) == 1 else values
        return results

    def run(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs float32 images (batch, height, width, channels) and returns all outputs by name."""
        self.set_input(inputs)
        self.invoke()
        return self.outputs()

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Runs float32 images (batch, height, width, channels) and returns the main output, such as (num_labels,)."""
        return self.run(inputs)[self.model.main_output.name]


@contextlib.contextmanager
def litert_errors_as_model_errors(to: str) -> Iterator[None]:
    """Converts LiteRT's errors in the block to a `ModelError`.

    Args:
        to: What LiteRT was asked to do with the model, such as `"run"`.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"LiteRT cannot {to} the model: {first_line(error)}") from None


def open_interpreter(model: LiteModel, *, num_threads: int = 1) -> Any:
    """Opens LiteRT's interpreter for a model and allocates its tensors, in a subprocess if the model is from a file.

    Args:
        model: The model.
        num_threads: Number of threads of the CPU kernels.

    Raises:
        ModelError: LiteRT cannot load the content.
    """
    with litert_errors_as_model_errors("load"), native_stderr_silenced():
        if model.path is not None:
            interpreter: Any = SubprocessInterpreter(model_content=model.content, num_threads=num_threads)
        else:
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=model.content, num_threads=num_threads)
        interpreter.allocate_tensors()
    return interpreter


def _tensors(
    side: Literal["input", "output"], interpreter: Any, shapes: Sequence[tuple[int, ...]]
) -> list[dict[str, Any]]:
    tensors: list[dict[str, Any]] = (
        interpreter.get_input_details() if side == "input" else interpreter.get_output_details()
    )
    if len(tensors) != len(shapes):
        expected = "one" if len(shapes) == 1 else f"the {len(shapes)} of its configuration"
        raise ModelError(f"the model has {len(tensors)} {side}s: expected {expected}")
    for tensor, shape in zip(tensors, shapes, strict=True):
        found, dtype = tuple(tensor["shape"].tolist()), _kind(tensor)
        if found != shape:
            raise ModelError(f"the model's {side} has the shape {found}: by its configuration it should be {shape}")
        if dtype not in INFERENCE_DTYPES:
            raise ModelError(f"the model's {side} is of type {dtype}: expected one of {', '.join(INFERENCE_DTYPES)}")
    return tensors


def _kind(details: dict[str, Any]) -> Kind:
    name: Kind = np.dtype(details["dtype"]).name
    return name


def _scale_and_zero_point(details: dict[str, Any]) -> tuple[float, int]:
    scale, zero_point = details["quantization"]
    return float(scale), int(zero_point)


def _quantization(details: dict[str, Any]) -> Quantization:
    scale, zero_point = _scale_and_zero_point(details)
    return Quantization(np.array([scale], np.float32), zero_point)


def _as_stored(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    kind = _kind(details)
    return values.astype(np.float32) if kind == "float32" else quantized(values, _quantization(details), kind)


def _as_floats(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, _ = _scale_and_zero_point(details)
    return dequantized(values, _quantization(details)) if scale else values
