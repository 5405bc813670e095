"""TFLite Metadata in `.tflite` files, the public format that Android's libraries read."""

import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import number_of
from swiftformer_tf.litert.damage import damage_told
from swiftformer_tf.litert.metadata_schema import decode, encode
from swiftformer_tf.litert.ops import operation_name
from swiftformer_tf.litert.packing import pack_model
from swiftformer_tf.recipes import Recipe
from swiftformer_tf.tasks import TASKS, Activation, Output

__all__ = [
    "LABELS",
    "TaskMetadata",
    "attach",
    "min_runtime_version",
    "model_metadata",
    "packed_labels",
    "read",
    "summary",
]

# The label file in the zip archive at the end of a model.
LABELS = "labels.txt"

# Names of entries in the flatbuffer's own list of metadata.
ENTRY = b"TFLITE_METADATA"
MIN_RUNTIME_ENTRY = b"min_runtime_version"

# The first TFLite with what our files hold and the converter does not look at, by the operation and the types of its
# inputs. LiteRT counts anew: its 1.0 follows TFLite 2.17, its 1.4 came with 2.20.
FIRST_RUNTIMES = {
    ("FULLY_CONNECTED", "FLOAT32", "INT8", "FLOAT32"): "2.17.0",  # with a scale a row; older ones read the first alone
    ("FULLY_CONNECTED", "FLOAT32", "INT4", "FLOAT32"): "2.17.0",  # likewise
    ("TRANSPOSE_CONV", "INT32", "INT8", "FLOAT32", "FLOAT32"): "2.17.0",
    ("LOG", "INT8"): "2.15.0",
    ("EXP", "INT8"): "2.12.0",
    ("GELU", "INT16"): "2.20.0",
}

# Bytes that the converter keeps for the oldest runtime.
RUNTIME_BYTES = 16

# Alignment of the data of a buffer, in bytes.
ALIGNMENT = 16

# The schema's numbers.
COLOR_SPACES = {1: 2, 3: 1}  # by channels: grayscale, RGB
SEGMENTER_ACTIVATIONS = {None: 2, "softmax": 0}  # what MediaPipe is to do with an output: softmax, nothing
TENSOR_AXIS_LABELS = 2

# All that `model_metadata` fills but custom metadata, which says what a segmenter is, is in the schema's first version.
MIN_PARSER_VERSION, CUSTOM_PARSER_VERSION = "1.0.0", "1.5.0"
SEGMENTER_ENTRY = "SEGMENTER_METADATA"

# A few compressed bytes can claim to be gigabytes.
MAX_LABEL_BYTES = 64 * 1024 * 1024

UNKNOWN_LICENSE = "not stated: that of the weights from which it was exported"


def model_metadata(
    *,
    config: SwiftFormerConfig,
    recipe: Recipe,
    include_preprocessing: bool,
    outputs: Sequence[Output],
    license: str | None,  # noqa: A002  the schema's word
) -> dict[str, Any]:
    """Creates the metadata of an exported model, by the names of the schema (see `metadata_schema.TABLES`).

    Args:
        config: Configuration of the model; its `image_size` is the input size of the file.
        recipe: The recipe with which it was quantized.
        include_preprocessing: Whether the model takes pixels from 0 to 255 instead of normalized ones.
        outputs: The outputs in the order of the file.
        license: License of the weights; None if not specified.
    """
    variant = f"-{config.variant.upper()}" if config.variant else ""
    height, width = config.input_size
    kind = " and ".join(dict.fromkeys(TASK_METADATA[each.task].kind(config.num_labels) for each in outputs))
    custom = [entry for each in outputs for entry in TASK_METADATA[each.task].custom(each)]
    return {
        "name": f"SwiftFormer{variant} {recipe.name}",
        "description": f"{kind[0].upper()}{kind[1:]}, for images of {width} x {height} pixels. Quantization: "
        f"{recipe.description}. Token weights: {config.token_weights}.",
        "subgraph_metadata": [
            {
                "input_tensor_metadata": [_input(config, recipe, include_preprocessing)],
                "output_tensor_metadata": [_output(each, config) for each in outputs],
                **({"custom_metadata": custom} if custom else {}),
            }
        ],
        "license": license or UNKNOWN_LICENSE,
        "min_parser_version": CUSTOM_PARSER_VERSION if custom else MIN_PARSER_VERSION,
    }


def _input(config: SwiftFormerConfig, recipe: Recipe, include_preprocessing: bool) -> dict[str, Any]:
    height, width = config.input_size
    transform = config.transform
    # (pixel - mean) / std with pixels from 0 to 255 is what the tensor holds.
    mean, std = (
        ([0.0], [1.0])
        if include_preprocessing
        else ([255 * x for x in transform.mean], [255 * x for x in transform.std])
    )
    takes = "pixels from 0 to 255, normalized inside the model" if include_preprocessing else "pixels, normalized"
    stored = (
        "" if recipe.inference_input_type == "float32" else f"; as {recipe.inference_input_type} by the tensor's scale"
    )
    color_space = {"color_space": COLOR_SPACES[config.num_channels]} if config.num_channels in COLOR_SPACES else {}
    return {
        "name": "image",
        "description": f"{'RGB ' if config.num_channels == 3 else ''}{takes}{stored}; channels last.",
        "content": {
            "content_properties": {
                "ImageProperties": {**color_space, "default_size": {"width": width, "height": height}}
            }
        },
        "process_units": [{"options": {"NormalizationOptions": {"mean": _float32(mean), "std": _float32(std)}}}],
    }


def _output(output: Output, config: SwiftFormerConfig) -> dict[str, Any]:
    return {"name": output.name, **TASK_METADATA[output.task].output(output, config)}


def _features(output: Output, config: SwiftFormerConfig) -> dict[str, Any]:
    return {"description": "Features.", **FEATURES}


def _scores(output: Output, config: SwiftFormerConfig) -> dict[str, Any]:
    score: dict[str, Any] = {"description": "A number for each label."}
    if output.activation:
        how = {"softmax": "all of them sum to 1", "sigmoid": "each by itself"}[output.activation]
        score = {"description": f"Score of each label: a probability, {how}.", **PROBABILITIES}
    elif possible := TASKS[output.task].activation(config):
        score = {"description": f"Score of each label: a logit, without bounds; {possible} makes probabilities."}
    return {**score, **FEATURES, "associated_files": [_label_file("scores")]}


def _pixels(output: Output, config: SwiftFormerConfig) -> dict[str, Any]:
    said: dict[Activation | None, dict[str, Any]] = {
        None: {"description": "Logits of each class, without bounds, for every fourth row and column of the image."},
        "softmax": {"description": "Probability of each class for each pixel of the image.", **PROBABILITIES},
        "argmax": {
            "description": "Class of each pixel of the image. Not for MediaPipe, whose ImageSegmenter takes a number "
            "for each class."
        },
    }
    mask = {"content": {"content_properties": {"ImageProperties": {"color_space": COLOR_SPACES[1]}}}}
    return {**said[output.activation], **mask, "associated_files": [_label_file("classes")]}


def _segmenter_entry(output: Output) -> list[dict[str, Any]]:
    """Custom metadata that tells MediaPipe's ImageSegmenter how to read an output; none if it would misread it."""
    if output.activation not in SEGMENTER_ACTIVATIONS:
        return []
    options = {"activation": SEGMENTER_ACTIVATIONS[output.activation], "min_parser_version": MIN_PARSER_VERSION}
    return [{"name": SEGMENTER_ENTRY, "data": encode(options, "ImageSegmenterOptions")}]


def _label_file(what: str) -> dict[str, Any]:
    return {"name": LABELS, "description": f"A label a line, in the order of the {what}.", "type": TENSOR_AXIS_LABELS}


FEATURES: dict[str, Any] = {"content": {"content_properties": {"FeatureProperties": {}}}}
PROBABILITIES: dict[str, Any] = {"stats": {"max": [1.0], "min": [0.0]}}


@dataclasses.dataclass(frozen=True)
class TaskMetadata:
    """The metadata of an output, by its task.

    Args:
        kind: Function from the number of labels to the kind of model.
        output: The output's `TensorMetadata` without its name.
        custom: The `CustomMetadata` entries of the file.
    """

    kind: Callable[[int], str]
    output: Callable[[Output, SwiftFormerConfig], dict[str, Any]]
    custom: Callable[[Output], list[dict[str, Any]]] = lambda _: []


TASK_METADATA = {
    "classification": TaskMetadata(lambda count: f"image classifier with {number_of(count, 'label')}", _scores),
    "features": TaskMetadata(lambda _: "image features", _features),
    "semantic-segmentation": TaskMetadata(
        lambda count: f"image segmenter with {number_of(count, 'class')}", _pixels, _segmenter_entry
    ),
}


def attach(flatbuffer: bytes, metadata: dict[str, Any]) -> bytes:
    """Adds metadata to a converter's flatbuffer, replacing any that exists, and aligns its matrices.

    The minimum runtime version in it is raised if an operation needs a newer one.

    Args:
        flatbuffer: A TFLite model without trailing data.
        metadata: The metadata from `model_metadata`.
    """
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT
    from ai_edge_litert.tools import flatbuffer_utils

    class AlignedBuffer(BufferT):
        """A buffer whose data is aligned to 16 bytes.

        The schema requires it, but the generated Python code, with which the converter wrote the file, does not do it;
        runtimes then copy each matrix instead of using it directly from the mapped file.
        """

        def __init__(self, data: np.ndarray | None) -> None:
            super().__init__()
            self.data = data

        def Pack(self, builder: Any) -> int:  # noqa: N802  the generated name
            if self.data is not None:
                builder.Prep(ALIGNMENT, len(self.data))
            return int(super().Pack(builder))

    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph.buffers = [AlignedBuffer(buffer.data) for buffer in graph.buffers]
    graph.metadata = graph.metadata or []

    def put(name: bytes, content: bytes) -> None:
        buffer = AlignedBuffer(np.frombuffer(content, np.uint8))
        for each in graph.metadata:
            if each.name == name:
                graph.buffers[each.buffer] = buffer
                return
        graph.metadata.append(MetadataT(name=name, buffer=len(graph.buffers)))
        graph.buffers.append(buffer)

    put(ENTRY, encode(metadata))
    told = min_runtime_version(flatbuffer)
    needed = max(filter(None, (told, *_first_runtimes(graph))), key=_numbers, default=None)
    if needed is not None and needed != told:
        put(MIN_RUNTIME_ENTRY, needed.encode().ljust(RUNTIME_BYTES, b"\0"))
    return pack_model(graph)


def _first_runtimes(graph: Any) -> Iterator[str | None]:
    """First runtime version of each operation that is in `FIRST_RUNTIMES`."""
    from ai_edge_litert.tools import flatbuffer_utils

    names = [operation_name(code) for code in graph.operatorCodes]
    for subgraph in graph.subgraphs:
        for op in subgraph.operators:
            inputs = (flatbuffer_utils.type_to_name(subgraph.tensors[each].type) for each in op.inputs if each >= 0)
            yield FIRST_RUNTIMES.get((names[op.opcodeIndex], *inputs))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def read(content: bytes) -> dict[str, Any] | None:
    """Reads the TFLite Metadata of a model in the form of `model_metadata`; None if there is none.

    Raises:
        ModelError: The file is damaged.
    """
    found = _entry(content, ENTRY)
    return None if found is None else decode(found)


def summary(metadata: dict[str, Any]) -> dict[str, Any]:
    """Summarizes metadata for people: the kind of file, and its inputs and outputs.

    Args:
        metadata: The metadata from `read`, of any file.
    """
    subgraph = (metadata.get("subgraph_metadata") or [{}])[0]
    shown = {name: metadata.get(name) for name in ("name", "description", "license", "min_parser_version")}
    for side in ("input", "output"):
        tensors = subgraph.get(f"{side}_tensor_metadata") or []
        for field in ("name", "description") if tensors else ():
            told = [tensor.get(field) for tensor in tensors]
            shown[f"{side}_{field}"] = told if len(told) > 1 else told[0]
        for tensor in tensors:
            for unit in tensor.get("process_units") or []:
                shown |= (unit.get("options") or {}).get("NormalizationOptions") or {}
            if files := [file.get("name") for file in tensor.get("associated_files") or []]:
                shown["label_file"] = files[0]
    return shown


def packed_labels(content: bytes) -> tuple[str, ...] | None:
    """Reads the lines of the label file in a model; None if there is none that can be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(LABELS).file_size > MAX_LABEL_BYTES:
                return None
            return tuple(archive.read(LABELS).decode("utf-8").removesuffix("\n").split("\n"))
    except Exception:  # zipfile raises whatever a damaged archive leads to
        return None


def min_runtime_version(content: bytes) -> str | None:
    """Reads the oldest TFLite version that supports a model's operations, according to the file; None if not stated.

    Raises:
        ModelError: The file is damaged.
    """
    found = _entry(content, MIN_RUNTIME_ENTRY)
    return None if found is None else found.rstrip(b"\0").decode("utf-8", "replace")


def _entry(content: bytes, name: bytes) -> bytes | None:
    with damage_told():
        return next((data for each, data in _entries(content) if each == name), None)


def _entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    from ai_edge_litert.schema_py_generated import Model

    model = Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        data = model.Buffers(entry.Buffer()).DataAsNumpy()
        yield entry.Name(), data.tobytes() if isinstance(data, np.ndarray) else b""


def _float32(values: list[float]) -> list[float]:
    """Rounds numbers as the file stores them, so that reading returns what was written."""
    return [float(np.float32(value)) for value in values]
