"""A weight file as a value: tensors by canonical name, and what is known about them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self, get_args

import numpy as np

from swiftformer_tf.checkpoints import (
    folders,
    hdf5_file,
    key_layouts,
    safetensors_file,
    selection,
    tensor_specs,
    torch_zip,
)
from swiftformer_tf.checkpoints.container import Container
from swiftformer_tf.checkpoints.implied_tensors import (
    all_or_no_layer_scales,
    equal_heads,
    unit_layer_scales,
    zero_biases,
)
from swiftformer_tf.checkpoints.key_layouts import KEY_LAYOUTS, KeyLayoutName
from swiftformer_tf.checkpoints.pretrained import weights_path
from swiftformer_tf.checkpoints.selection import Weights
from swiftformer_tf.config import SwiftFormerConfig, TokenWeights
from swiftformer_tf.errors import CheckpointError, ConfigError, number_of, one_line
from swiftformer_tf.files import replacing
from swiftformer_tf.images.class_names import numbered_labels
from swiftformer_tf.images.colors import Color
from swiftformer_tf.segmentation_heads import FEATURE_NORM

__all__ = ["Checkpoint"]

FloatName = Literal["float32", "float16"]

# Files that people pass by mistake, by their first bytes, and what helps.
MISTAKES: dict[bytes, str] = {
    # PyTorch's own began with a number of ten bytes.
    b"\x80\x02\x8a\x0a": "a bare pickle, as PyTorch wrote before version 1.6, which cannot be read without running it. "
    "With PyTorch: torch.save(torch.load(path, weights_only=True), new_path)",
    b"\x80": "a bare pickle, not written by PyTorch, which cannot be read without running it. If you trust its source "
    "and it holds NumPy arrays, with PyTorch: torch.save({key: torch.from_numpy(array) for key, array in "
    "pickle.load(open(path, 'rb')).items()}, new_path)",
    b"\x1f\x8b": "compressed with gzip; decompress it first, with gunzip or Python's gzip",
    b"version https://git-lfs": "a Git LFS pointer, not the weights; fetch them with git lfs pull",
    b"<": "a web page, not the weights; download the file itself",
}
FORMATS = "expected a PyTorch file (.pth, .pt, .bin; a zip archive), .safetensors or tf_model.h5"
TORCH_SUFFIXES = (".pth", ".pt", ".bin")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """The complete and finite weights of one SwiftFormer.

    Args:
        tensors: float32 arrays by canonical name (timm's), in PyTorch's shapes: convolution (out, in, height,
            width), depthwise (channels, 1, height, width), dense (out, in), layer scale (channels, 1, 1).
        config: Architecture, labels, attention type and transform.
        key_layout: Key layout of the file that they came from: `"original"`, `"hf"` or `"timm"`.
        token_weights_assumed: Whether the attention type was unknown, so that `"l2"` was assumed.
        source: The file, and which of its weights were used.
        notes: Remarks, such as other weights in the file, a prefix of all keys, or ignored tensors.
        segmenter: float32 arrays of a segmentation head by mmsegmentation's names; `tensors` is then its backbone.
        segmenter_labels: Class names of that head by index.
        segmenter_colors: Their colors, see `SwiftFormerConfig.label_colors`.

    Raises:
        CheckpointError: Tensors are missing, unexpected, of the wrong shape, not finite, or not float32.

    Examples:
        >>> from swiftformer_tf import SwiftFormerForImageClassification, to_checkpoint
        >>> config = SwiftFormerConfig.from_variant("tiny")
        >>> checkpoint = to_checkpoint(SwiftFormerForImageClassification(config))
        >>> checkpoint.token_weights, checkpoint.tensors["stem.0.weight"].shape
        ('l2', (4, 3, 3, 3))
    """

    tensors: Mapping[str, np.ndarray]
    config: SwiftFormerConfig
    key_layout: KeyLayoutName = "timm"
    token_weights_assumed: bool = False
    source: str = "memory"
    notes: tuple[str, ...] = ()
    segmenter: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    segmenter_labels: Mapping[int, str] = dataclasses.field(default_factory=dict)
    segmenter_colors: tuple[Color, ...] = ()

    def __post_init__(self) -> None:
        if self.key_layout not in get_args(KeyLayoutName):
            raise CheckpointError(
                f"key_layout={self.key_layout!r}: expected one of {', '.join(get_args(KeyLayoutName))}"
            )
        names = key_layouts.from_canonical(self.tensors, self.key_layout)
        tensor_specs.compare(
            {key: tensor.shape for key, tensor in self.tensors.items()},
            tensor_specs.expected_shapes(self.config, final_norm=self.has_final_norm),
            lambda key: names.get(key) or key_layouts.from_canonical([*self.tensors, key], self.key_layout)[key],
        )
        norms = {key: tensor.shape for key, tensor in self.segmenter.items() if key.startswith(FEATURE_NORM)}
        if norms:
            tensor_specs.compare(norms, tensor_specs.feature_norm_shapes(self.config))
        everything = {**self.tensors, **self.segmenter}
        for key, tensor in everything.items():
            if tensor.dtype != np.float32:
                raise CheckpointError(f"{names.get(key, key)}: {tensor.dtype}, expected float32")
        broken = [names.get(key, key) for key, tensor in everything.items() if not np.isfinite(tensor).all()]
        if broken:
            raise CheckpointError(f"not finite in float32 ({len(broken)}): {key_layouts.shorten(broken)}")
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    @property
    def task(self) -> str:
        """A key of `tasks.TASKS`: whether these are a segmenter's weights, or a classifier's with or without heads."""
        return "semantic-segmentation" if self.segmenter else "classification"

    @property
    def model_config(self) -> SwiftFormerConfig:
        """The configuration of the model with these weights, including the labels of a segmentation head."""
        if not self.segmenter:
            return self.config
        return self.config.replace(id2label=self.segmenter_labels, label_colors=self.segmenter_colors)

    @property
    def token_weights(self) -> TokenWeights:
        """The attention type of these weights; see `SwiftFormerConfig`."""
        return self.config.token_weights

    @property
    def has_final_norm(self) -> bool:
        """Whether the classifier's normalization is included; Hugging Face's model without a head lacks it."""
        return bool(self.config.num_labels) or any(key.startswith("norm.") for key in self.tensors)

    @classmethod
    def open(cls, path: str | Path, *, token_weights: TokenWeights | None = None, weights: str | None = None) -> Self:
        """Reads weights of the original repository, Hugging Face or timm, without PyTorch.

        No code in the file is executed. Architecture, labels and heads are inferred from its tensors. What cannot be
        inferred has the default of the reference implementation, unless it is stored in the file (by `save`) or in a
        `config.json` of the same depths and widths next to it (Hugging Face's, with `preprocessor_config.json`, or
        timm's).

        In a training checkpoint, weights are recognized by their content, under any name and at any depth. If there are
        several sets (raw and averaged), the one that the reference implementation uses is chosen: the averaged weights
        in timm's files, and `"model"` in others, as in the original repository's evaluation. `source` says which was
        chosen, and `notes` lists the others.

        Args:
            path: A `.pth`, `.pt`, `.bin`, `.safetensors` or `.h5` file (from transformers' TensorFlow port), recognized
                by its content; the `.index.json` of a sharded checkpoint; or a folder that contains one of these under
                its usual name, such as `model.safetensors`. Or the name of weights that ship with the package
                (`PRETRAINED`), or an id on the Hugging Face hub, `OWNER/NAME` or `OWNER/NAME@REVISION`.
            token_weights: The attention type that the weights were trained with: `"l2"` (original repository since July
                2023, timm) or `"uniform"` (first release, Hugging Face). Default is the type stored in the file, or
                else the one implied by its key layout. Files of the original repository do not specify it, and `"l2"`
                is assumed.
            weights: Which of several sets of weights in the file to use: its name, or a word that occurs in only one
                name (`"ema"`).

        Raises:
            CheckpointError: The file cannot be read, is not a SwiftFormer, or its weights are incomplete or not finite;
                the message names the file.
        """
        path = weights_path(path)
        try:
            file = folders.weight_file(path) if path.is_dir() else path
            return cls._from_container(file, _read(file), token_weights, weights)
        except (CheckpointError, ConfigError) as error:
            raise CheckpointError(f"{path}: {one_line(error)}") from None
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None

    @classmethod
    def _from_container(
        cls, path: Path, container: Container, token_weights: TokenWeights | None, weights: str | None
    ) -> Self:
        found = selection.find(container)
        chosen = selection.choose(found, weights)
        key_layout = chosen.key_layout
        canonical = key_layouts.to_canonical(chosen.keys.values(), key_layout)
        stored = chosen.read([*chosen.keys, *chosen.segmenter])
        tensors = {canonical[name]: _as_float32(key, stored[key]) for key, name in chosen.keys.items()}
        tensors |= (zeros := zero_biases(tensors))
        if KEY_LAYOUTS[key_layout].all_layer_scales:
            tensors |= unit_layer_scales(tensors)
        shapes = {key: tensor.shape for key, tensor in tensors.items()}
        given = _given_config(path, container.record, key_layout, shapes)
        config = tensor_specs.infer_config(
            shapes, given or SwiftFormerConfig(transform=KEY_LAYOUTS[key_layout].transform)
        )
        implied = given.token_weights if given else KEY_LAYOUTS[key_layout].token_weights
        config = config.replace(token_weights=token_weights or implied or "l2")
        if given and not given.distillation and equal_heads(tensors):
            # `save` doubled the one head for a key layout that has two.
            config = config.replace(distillation=False)
            tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("head_dist.")}
        segmenter = {name: _as_float32(key, stored[key]) for key, name in chosen.segmenter.items()}
        segmenter_labels, segmenter_colors = _segmenter_labels(segmenter, given)
        return cls(
            tensors=tensors,
            config=config,
            segmenter=segmenter,
            segmenter_labels=segmenter_labels,
            segmenter_colors=segmenter_colors,
            key_layout=key_layout,
            token_weights_assumed=not (token_weights or implied),
            source=f"{path}, {chosen.name!r}" if chosen.name else str(path),
            notes=(
                *_notes(chosen, found),
                *_label_notes(given, config),
                *(f"{key}: not in the file, zeros" for key in zeros),
            ),
        )

    def save(self, path: str | Path, *, key_layout: KeyLayoutName | None = None, dtype: FloatName = "float32") -> None:
        """Writes the weights to a file that the library of the key layout loads with `strict=True`.

        `.safetensors` files store the configuration (labels, attention type, transform) in their metadata. `.pth` files
        of the original key layout, whose form is `{"model": ...}`, store it too; other `.pth` and `.bin` files are bare
        state dicts, which have no place for it. `num_batches_tracked` is written as 0. If the key layout always has two
        heads, a single head is written as two equal ones.

        Args:
            path: A path that ends in `.safetensors`, `.pth`, `.pt` or `.bin`. An existing file is replaced atomically.
            key_layout: The key layout to write; default is that of the file that the weights came from.
            dtype: Precision of the stored weights; `"float16"` halves the file size.

        Raises:
            CheckpointError: The suffix or dtype is not supported, the library of the key layout would compute different
                results from these weights, or a value is out of float16's range.
            OSError: The file cannot be written.
        """
        path, key_layout = Path(path), key_layout or ("original" if self.segmenter else self.key_layout)
        if dtype not in get_args(FloatName):
            raise CheckpointError(f"dtype={dtype!r}: expected one of {', '.join(get_args(FloatName))}")
        named = self._named(key_layout, np.dtype(dtype))
        record = self.model_config.to_json()
        with replacing(path) as beside:
            if path.suffix == ".safetensors":
                safetensors_file.write(beside, named, record)
            elif path.suffix in TORCH_SUFFIXES:
                part = ("state_dict" if self.segmenter else "model") if key_layout == "original" else None
                torch_zip.write(beside, named, part, record if part else None)
            else:
                raise CheckpointError(f"{path}: expected a name ending in .safetensors or {', '.join(TORCH_SUFFIXES)}")

    def _named(self, key_layout: KeyLayoutName, dtype: np.dtype) -> dict[str, np.ndarray]:
        """The tensors as listed by the key layout's own model."""
        if key_layout not in get_args(KeyLayoutName):
            raise CheckpointError(f"key_layout={key_layout!r}: expected one of {', '.join(get_args(KeyLayoutName))}")
        row = KEY_LAYOUTS[key_layout]
        if row.token_weights not in (None, self.token_weights):
            raise CheckpointError(
                f"layout {key_layout}: its code computes {row.token_weights} token weights, but these weights are for "
                f"{self.token_weights} and would give other results; use the layout original, which holds both"
            )
        tensors = dict(self.tensors)
        if row.two_heads and self.config.num_labels and not self.config.distillation:
            tensors |= {key.replace("head.", "head_dist."): tensors[key] for key in ("head.weight", "head.bias")}
        if row.all_layer_scales and not self.config.use_layer_scale:
            tensors = all_or_no_layer_scales(tensors, self.config)
        names = key_layouts.from_canonical(tensors, key_layout)
        if self.segmenter:
            names = {key: selection.BACKBONE + name for key, name in names.items()}
            names |= {key: key for key in self.segmenter}
            tensors |= self.segmenter
        named = {}
        for key, name in names.items():
            with np.errstate(over="ignore"):
                named[name] = tensors[key].astype(dtype)
            if not np.isfinite(named[name]).all():
                raise CheckpointError(f"{name}: has values that {dtype} cannot represent; write float32")
            if key.endswith(".running_var"):
                named[name.replace(".running_var", key_layouts.COUNTER)] = np.zeros((), np.int64)
        return named


def _notes(chosen: Weights, found: list[Weights]) -> Iterator[str]:
    """Describes what was done without being asked for."""
    if others := [str(weights) for weights in found if weights is not chosen]:
        yield f"taken: {chosen}; also in the file: {', '.join(others)}"
    if chosen.prefix:
        yield f"all keys begin with {chosen.prefix!r}, which was ignored"
    if chosen.wrappers:
        yield f"ignored in the keys, where PyTorch's wrappers put them: {', '.join(chosen.wrappers)}"
    if chosen.passed_over:
        yield f"ignored, since they are not weights: {key_layouts.shorten(chosen.passed_over)}"


def _label_notes(given: SwiftFormerConfig | None, config: SwiftFormerConfig) -> Iterator[str]:
    """Notes about class names that were ignored because their number differs from that of the outputs."""
    names = given.id2label if given and config.num_labels else {}
    if len(names) != config.num_labels and names != numbered_labels(len(names)):
        named = number_of(len(names), "class")
        yield f"the configuration names {named}, the head has {config.num_labels}: they are numbered"


def _read(path: Path) -> Container:
    if path.name.endswith(folders.INDEX):
        return folders.read_shards(path, _read)
    if folders.is_part(path.name):
        raise CheckpointError(f"one file of {folders.PARTS}")
    with path.open("rb") as file:
        start = file.read(32)
    if reader := _reader(start):
        return reader(path)
    cure = next((text for magic, text in MISTAKES.items() if start.startswith(magic)), None)
    raise CheckpointError(cure or ("empty" if not start else f"not a weight file; {FORMATS}"))


def _reader(start: bytes) -> Callable[[Path], Container] | None:
    if start.startswith(b"PK\x03\x04"):
        return torch_zip.read
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return hdf5_file.read
    # Eight bytes of length, then a JSON object.
    return safetensors_file.read if start[8:9] == b"{" else None


def _as_float32(key: str, tensor: np.ndarray) -> np.ndarray:
    # The types of ml_dtypes are not of kind `f`.
    if tensor.dtype.kind != "f" and not tensor.dtype.name.startswith(("bfloat16", "float8")):
        raise CheckpointError(
            f"{key}: {tensor.dtype} numbers, expected floating point; quantized files are not supported"
        )
    # Too large a float64 becomes infinite, which is refused with the other non-finite values.
    with np.errstate(over="ignore"):
        return tensor.astype(np.float32)


def _given_config(
    path: Path, record: str | None, key_layout: KeyLayoutName, shapes: Mapping[str, tuple[int, ...]]
) -> SwiftFormerConfig | None:
    """Returns the configuration for these tensors, from the file or its library's configuration next to it."""
    if record is not None:
        return SwiftFormerConfig.from_json(record)
    given = folders.config_beside(path, key_layout)
    if given is None:
        return None
    found = tensor_specs.infer_config(shapes, given)
    # A file of other depths or widths is about other weights.
    return given if (given.depths, given.embed_dims) == (found.depths, found.embed_dims) else None


def _segmenter_labels(
    segmenter: Mapping[str, np.ndarray], given: SwiftFormerConfig | None
) -> tuple[Mapping[int, str], tuple[Color, ...]]:
    """Class names and colors: those of the file's own configuration if their number matches."""
    if not segmenter:
        return {}, ()
    classifier = segmenter.get("decode_head.conv_seg.weight")
    if classifier is None:
        raise CheckpointError("missing: decode_head.conv_seg.weight, which tells how many classes the segmenter has")
    if classifier.ndim != 4:
        raise CheckpointError(
            f"decode_head.conv_seg.weight: shape {classifier.shape}, expected the four axes of a 2-D convolution's "
            "kernel"
        )
    count = len(classifier)
    if given and given.num_labels == count:
        return given.id2label, given.label_colors
    return numbered_labels(count), ()
