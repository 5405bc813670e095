"""A `.tflite` file as a value: its content and its metadata."""

import dataclasses
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import ConfigError, ModelError, one_line
from swiftformer_tf.files import replacing
from swiftformer_tf.litert.metadata import LABELS, attach, model_metadata
from swiftformer_tf.litert.packing import IDENTIFIER
from swiftformer_tf.notebook import facts_table, first_labels
from swiftformer_tf.recipes import Recipe
from swiftformer_tf.tasks import TASKS, Activation, Output, main_output

__all__ = ["LiteModel"]

# Member of the zip archive at the end of the file, where TFLite Metadata keeps its label file.
CONFIG_MEMBER = "swiftformer.json"

# A million labels fit; a few compressed bytes can claim to be gigabytes.
MAX_CONFIG_BYTES = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class LiteModel:
    """A TFLite model that contains its configuration, labels and transform.

    Args:
        content: The bytes of the file.
        config: Architecture, labels and transform; its `image_size` is the input size of the file.
        recipe: The recipe with which it was quantized.
        include_preprocessing: Whether the model takes pixels from 0 to 255 instead of normalized ones.
        outputs: Descriptions of the outputs, in the order of the file.
        license: License of the weights, an SPDX identifier or a sentence; None if not specified.
        weights_sha256: Digest of the weights before quantization, the same in all recipes of a model; None if unknown.
        path: The file that the model was read from; None if it was exported in this process.

    Examples:
        >>> LiteModel.open("no.tflite")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no.tflite: no such file
    """

    content: bytes = dataclasses.field(repr=False)
    config: SwiftFormerConfig
    recipe: Recipe
    outputs: tuple[Output, ...]
    include_preprocessing: bool = False
    license: str | None = None
    weights_sha256: str | None = None
    path: Path | None = dataclasses.field(default=None, compare=False)

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 hash of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def batch_size(self) -> int:
        """Number of images per invocation."""
        return self.outputs[0].shape[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.config.labels

    @property
    def main_output(self) -> Output:
        """The output to use where only one can be shown: the first one with scores of labels, or else the first."""
        return main_output(self.outputs)

    @property
    def answers(self) -> str:
        """The content of the main output: `"logits"`, `"probabilities"`, `"mask"` or `"features"`, by its task."""
        return TASKS[self.main_output.task].output_name(self.main_output.activation)

    @property
    def classifier_activation(self) -> Activation | None:
        """The activation applied to the logits inside the model; None if the output is logits or features."""
        return self.main_output.activation

    @property
    def metadata(self) -> dict[str, Any]:
        """The TFLite Metadata that the file must contain, by the names of its schema."""
        return model_metadata(
            config=self.config,
            recipe=self.recipe,
            include_preprocessing=self.include_preprocessing,
            outputs=self.outputs,
            license=self.license,
        )

    @classmethod
    def pack(cls, flatbuffer: bytes, **fields: Any) -> Self:
        """Adds the fields to a converter's flatbuffer, as TFLite Metadata and in full as this package's own JSON."""
        model = cls(flatbuffer, **{**fields, "outputs": _in_order(flatbuffer, fields["outputs"])})
        flatbuffer = attach(flatbuffer, model.metadata)
        config_json = {
            # Detects damage that the zip archive's checksums do not cover.
            "flatbuffer": {"bytes": len(flatbuffer), "sha256": hashlib.sha256(flatbuffer).hexdigest()},
            "config": model.config.to_dict(),
            "recipe": model.recipe.to_dict(),
            "include_preprocessing": model.include_preprocessing,
            "outputs": [each.to_dict() for each in model.outputs],
            "license": model.license,
            "weights_sha256": model.weights_sha256,
        }
        archive = io.BytesIO(flatbuffer)
        with zipfile.ZipFile(archive, "a") as file:
            for name, text in (
                (CONFIG_MEMBER, json.dumps(config_json, indent=2)),
                (LABELS, "".join(f"{x}\n" for x in model.labels)),
            ):
                file.writestr(zipfile.ZipInfo(name), text)  # a fixed date: two exports are the same bytes
        return dataclasses.replace(model, content=archive.getvalue())

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Reads a file that was written by `save`, under any name.

        Raises:
            ModelError: The file is not a TFLite file, is damaged, or was not exported by this package.
        """
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError:
            raise ModelError(f"{path}: no such file") from None
        if content[4:8] != IDENTIFIER:
            raise ModelError(f"{path}: not a TFLite model (no {IDENTIFIER.decode()} at byte 4)")
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                if (size := file.getinfo(CONFIG_MEMBER).file_size) > MAX_CONFIG_BYTES:
                    raise ModelError(
                        f"{path}: its {CONFIG_MEMBER} claims {size} bytes, expected at most {MAX_CONFIG_BYTES}"
                    )
                config_json = json.loads(file.read(CONFIG_MEMBER))
            flatbuffer = content[: config_json["flatbuffer"]["bytes"]]
            if hashlib.sha256(flatbuffer).hexdigest() != config_json["flatbuffer"]["sha256"]:
                raise ModelError(f"{path}: damaged (its checksum does not match)")
            return cls(
                content,
                config=SwiftFormerConfig.from_dict(config_json["config"]),
                recipe=Recipe.from_dict(config_json["recipe"]),
                include_preprocessing=config_json["include_preprocessing"],
                outputs=tuple(Output.from_dict(each) for each in config_json["outputs"]),
                license=config_json["license"],
                weights_sha256=config_json["weights_sha256"],
                path=Path(path),
            )
        except ModelError:
            raise
        except Exception as error:  # zipfile raises whatever a damaged archive leads to
            reason = one_line(error if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}")
            raise ModelError(
                f"{path}: no readable {CONFIG_MEMBER} at its end ({reason}); it is damaged, or was not written by "
                "swiftformer_tf"
            ) from None

    def _repr_html_(self) -> str:
        """The display in notebooks: a description of the file and its outputs."""
        height, width = self.config.input_size
        facts = {
            "recipe": self.recipe.name,
            "size": f"{len(self.content) / 1e6:.2f} MB",
            "takes": f"{height} x {width} x {self.config.num_channels}, {self.recipe.inference_input_type}, "
            + ("pixels from 0 to 255" if self.include_preprocessing else "normalized"),
            "gives": ", ".join(each.name for each in self.outputs),
            "labels": first_labels(self.labels),
        }
        return facts_table(facts, "TFLite model")

    def save(self, path: str | Path) -> None:
        """Writes the file atomically: an existing file stays intact until the new one is complete."""
        with replacing(path) as beside:
            beside.write_bytes(self.content)


def _in_order(flatbuffer: bytes, outputs: Sequence[Output]) -> tuple[Output, ...]:
    """Sorts outputs by name into the order of the file, which is given by its signature."""
    if len(outputs) == 1:
        return tuple(outputs)
    from ai_edge_litert.schema_py_generated import Model

    model = Model.GetRootAs(flatbuffer, 0)
    signature, subgraph = model.SignatureDefs(0), model.Subgraphs(0)
    items = [signature.Outputs(index) for index in range(signature.OutputsLength())]
    tensors = {item.TensorIndex(): item.Name().decode() for item in items}
    by_name = {each.name: each for each in outputs}
    return tuple(by_name[tensors[subgraph.Outputs(index)]] for index in range(subgraph.OutputsLength()))
