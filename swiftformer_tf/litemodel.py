"""A `.tflite` file as a value: its content, and what it says of itself."""

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.deployment.metadata import LABELS, attach, model_metadata
from swiftformer_tf.errors import ConfigError, ModelError, naming, one_line
from swiftformer_tf.files import replacing
from swiftformer_tf.isolation import IsolatedInterpreter
from swiftformer_tf.quiet import native_stderr_silenced
from swiftformer_tf.recipes import Recipe

__all__ = ["LiteModel", "LiteRunner", "load_interpreter", "told_as_ours"]

# Member of the zip archive at the end of the file, where TFLite Metadata keeps its label file.
CARD = "swiftformer.json"

# What the input and output of a file may hold.
BORDER_DTYPES = ("float32", "int8", "uint8", "int16")

# A million labels fit; a few compressed bytes can claim to be gigabytes.
MAX_CARD_BYTES = 64 * 1024 * 1024

# The flatbuffer's file identifier, at byte 4.
IDENTIFIER = b"TFL3"


@dataclasses.dataclass(frozen=True)
class LiteModel:
    """A TFLite model with its configuration, labels and transform inside.

    Args:
        content: The bytes of the file.
        config: Architecture, labels and transform; its `image_size` is the size that the file takes.
        recipe: How it was quantised.
        include_preprocessing: Whether it takes pixels from 0 to 255 instead of normalised ones.
        classifier_activation: `"softmax"` where it answers with probabilities.
        license: Of the weights, an SPDX name or a sentence; None where nobody said.
        path: The file that it was read from; None where this process made it.

    Example:
        >>> LiteModel.open("no.tflite")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no.tflite: no such file
    """

    content: bytes = dataclasses.field(repr=False)
    config: SwiftFormerConfig
    recipe: Recipe
    include_preprocessing: bool = False
    classifier_activation: Literal["softmax"] | None = None
    license: str | None = None
    path: Path | None = dataclasses.field(default=None, compare=False)

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in the order of the outputs."""
        return self.config.labels

    @property
    def metadata(self) -> dict[str, Any]:
        """What the TFLite Metadata inside must say, in the names of its schema."""
        return model_metadata(
            config=self.config,
            recipe=self.recipe,
            include_preprocessing=self.include_preprocessing,
            classifier_activation=self.classifier_activation,
            license=self.license,
        )

    @classmethod
    def pack(cls, flatbuffer: bytes, **fields: Any) -> Self:
        """Puts what the fields say into a converter's flatbuffer: as TFLite Metadata, and whole as our own card."""
        model = cls(flatbuffer, **fields)
        flatbuffer = attach(flatbuffer, model.metadata)
        card = {
            # What damage the zip archive's checksums do not cover is found out by this one.
            "flatbuffer": {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()},
            "config": model.config.to_dict(),
            "recipe": model.recipe.to_dict(),
            "include_preprocessing": model.include_preprocessing,
            "classifier_activation": model.classifier_activation,
            "license": model.license,
        }
        archive = io.BytesIO(flatbuffer)
        with zipfile.ZipFile(archive, "a") as file:
            for name, text in ((CARD, json.dumps(card, indent=2)), (LABELS, "".join(f"{x}\n" for x in model.labels))):
                file.writestr(zipfile.ZipInfo(name), text)  # a fixed date: two exports are the same bytes
        return dataclasses.replace(model, content=archive.getvalue())

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads a file that `save` wrote, under whatever name.

        Raises:
            ModelError: Not a TFLite file, damaged, or not one of ours.
        """
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: no such file") from None
        if content[4:8] != IDENTIFIER:
            raise ModelError(f"{path}: not a TFLite model (no {IDENTIFIER.decode()} at byte 4)")
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                if (size := file.getinfo(CARD).file_size) > MAX_CARD_BYTES:
                    raise ModelError(f"{path}: its {CARD} claims {size} bytes, expected at most {MAX_CARD_BYTES}")
                card = json.loads(file.read(CARD))
            flatbuffer = content[: card["flatbuffer"]["bytes"]]
            if hashlib.sha256(flatbuffer).hexdigest() != card["flatbuffer"]["sha256"]:
                raise ModelError(f"{path}: damaged (its content is not what was written)")
            return cls(
                content,
                config=SwiftFormerConfig.from_dict(card["config"]),
                recipe=Recipe.from_dict(card["recipe"]),
                include_preprocessing=card["include_preprocessing"],
                classifier_activation=card["classifier_activation"],
                license=card["license"],
                path=Path(path),
            )
        except ModelError:
            raise
        except Exception as error:  # a damaged archive makes zipfile fail in whatever way it leads it to
            reason = one_line(error if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}")
            raise ModelError(
                f"{path}: no readable {CARD} at its end ({reason}); it is damaged, or was not written by swiftformer_tf"
            ) from None

    def save(self, path: str | Path) -> None:
        """Writes the file; a file that is there stays whole until the new one is complete."""
        with replacing(path) as beside:
            beside.write_bytes(self.content)


class LiteRunner:
    """Runs a `LiteModel` through LiteRT's interpreter, one image at a time.

    A model that was read from a file runs in a process of its own, since a damaged or hostile file can crash LiteRT;
    one that this process exported runs here.

    Args:
        model: The model.
        num_threads: Threads of the CPU kernels.

    Raises:
        ModelError: LiteRT cannot load the content, or it is not what the model says of itself.

    Example:
        >>> from swiftformer_tf import RECIPES, DeployModel, export
        >>> deploy = DeployModel(SwiftFormerConfig.from_variant("tiny", image_size=32, id2label={0: "cat", 1: "dog"}))
        >>> run = LiteRunner(export(deploy, RECIPES["float32"]))
        >>> run(np.zeros((1, 32, 32, 3), "float32")).shape, run.partitions
        ((2,), 1)
    """

    def __init__(self, model: LiteModel, *, num_threads: int = 1) -> None:
        self.model = model
        config = model.config
        answers = config.num_labels or config.embed_dims[-1]
        with naming(model.path):
            self.interpreter = load_interpreter(model, num_threads=num_threads)
            self._input = _the_tensor("input", self.interpreter, (1, *config.input_size, config.num_channels))
            self._output = _the_tensor("output", self.interpreter, (1, answers))

    @property
    def partitions(self) -> int:
        """Number of pieces of the graph that XNNPACK took."""
        return sum(op["op_name"] == "DELEGATE" for op in self.interpreter._get_ops_details())

    @property
    def input_quantization(self) -> tuple[float, int]:
        """Scale and zero point of the input; (0.0, 0) for floats."""
        return _scale_and_zero_point(self._input)

    @property
    def output_quantization(self) -> tuple[float, int]:
        """Scale and zero point of the output; (0.0, 0) for floats."""
        return _scale_and_zero_point(self._output)

    @property
    def input_type(self) -> str:
        """Type of the input in numpy's word."""
        return np.dtype(self._input["dtype"]).name

    @property
    def output_type(self) -> str:
        """Type of the output in numpy's word."""
        return np.dtype(self._output["dtype"]).name

    def set_input(self, inputs: np.ndarray) -> None:
        """Quantises (1, height, width, channels) float32 as the file wants it.

        Raises:
            ModelError: Another shape, or no floats.
        """
        expected = tuple(self._input["shape"].tolist())
        if inputs.shape != expected:
            raise ModelError(f"an input of shape {inputs.shape}: the model takes {expected}")
        if not np.issubdtype(inputs.dtype, np.floating):
            takes = "pixels from 0 to 255" if self.model.include_preprocessing else "normalised pixels"
            raise ModelError(f"an input of type {inputs.dtype}: the model takes {takes} as float32")
        with naming(self.model.path), told_as_ours("take the input of"):
            self.interpreter.set_tensor(self._input["index"], _quantized(inputs, self._input))

    def invoke(self) -> None:
        """Runs the graph on the last input.

        Raises:
            ModelError: LiteRT fails in an operation.
        """
        with naming(self.model.path), told_as_ours("run"):
            self.interpreter.invoke()

    def output(self) -> np.ndarray:
        """The last result, dequantised: (num_labels,) float32."""
        with naming(self.model.path), told_as_ours("read the output of"):
            values = self.interpreter.get_tensor(self._output["index"])
        return _dequantized(values, self._output)[0]

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """One image (1, height, width, channels) float32 to its outputs (num_labels,) float32."""
        self.set_input(inputs)
        self.invoke()
        return self.output()


@contextlib.contextmanager
def told_as_ours(to: str) -> Iterator[None]:
    """Tells LiteRT's errors in the block as a `ModelError`.

    Args:
        to: What LiteRT was to do with the model, such as `"run"`.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        # A hostile file can have it say thousands of lines.
        first = str(error).strip().partition("\n")[0][:300]
        raise ModelError(f"LiteRT cannot {to} the model: {first}") from None


def load_interpreter(model: LiteModel, *, num_threads: int = 1) -> Any:
    """LiteRT's interpreter of a model with its tensors allocated, in a process of its own where it is from a file.

    Args:
        model: The model.
        num_threads: Threads of the CPU kernels.

    Raises:
        ModelError: LiteRT cannot load the content.
    """
    with told_as_ours("load"), native_stderr_silenced():
        if model.path is not None:
            interpreter: Any = IsolatedInterpreter(model_content=model.content, num_threads=num_threads)
        else:
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=model.content, num_threads=num_threads)
        interpreter.allocate_tensors()
    return interpreter


def _the_tensor(side: Literal["input", "output"], interpreter: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    tensors = interpreter.get_input_details() if side == "input" else interpreter.get_output_details()
    if len(tensors) != 1:
        raise ModelError(f"the model has {len(tensors)} {side}s: expected one")
    found, dtype = tuple(tensors[0]["shape"].tolist()), np.dtype(tensors[0]["dtype"]).name
    if found != shape:
        raise ModelError(f"the model's {side} has the shape {found}: by its configuration it should be {shape}")
    if dtype not in BORDER_DTYPES:
        raise ModelError(f"the model's {side} is of type {dtype}: expected one of {', '.join(BORDER_DTYPES)}")
    return tensors[0]


def _scale_and_zero_point(details: dict[str, Any]) -> tuple[float, int]:
    scale, zero_point = details["quantization"]
    return float(scale), int(zero_point)


def _quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if details["dtype"] == np.float32:
        return values.astype(np.float32)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])


def _dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    if details["dtype"] == np.float32:
        return values
    scale, zero_point = details["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
