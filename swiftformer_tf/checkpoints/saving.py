"""Writes checkpoints in the form that other libraries expect."""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors

from swiftformer_tf.checkpoints import config_formats, image_processors
from swiftformer_tf.checkpoints.checkpoint import Checkpoint
from swiftformer_tf.checkpoints.folders import CONFIG, PROCESSOR
from swiftformer_tf.errors import CheckpointError, ConfigError
from swiftformer_tf.files import filling

__all__ = ["Layout", "save_folder"]

Layout = Literal["hf", "timm", "timm_wrapper"]

WEIGHTS = "model.safetensors"


def save_folder(checkpoint: Checkpoint, folder: str | Path, *, layout: Layout | None = None) -> None:
    """Writes a folder that `from_pretrained` of transformers or timm, and of this package, can load.

    The folder contains `model.safetensors`, `config.json` with the label names (`id2label`), and the transform where
    the library looks for it: in `preprocessor_config.json` or in `pretrained_cfg`.

    Args:
        checkpoint: The weights.
        folder: The folder to write, created if needed. Files of the same names are replaced once all have been written;
            other files are kept.
        layout: `"hf"`, `"timm"` or, for transformers' `TimmWrapperForImageClassification`, `"timm_wrapper"`. Default:
            the layout of the library that implements the attention type of these weights: timm for `l2` and Hugging
            Face for `uniform`. A segmenter has no layout: it is a single file with mmsegmentation's names for tensors,
            which also contains its configuration.

    Raises:
        CheckpointError: The library would compute different results from these weights.
        OSError: The folder cannot be written to; its files are then unchanged.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_folder(Checkpoint.open("swiftformer_xs_imagenette"), folder, layout="timm")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['config.json', 'model.safetensors']
    """
    if checkpoint.segmenter:
        if layout is not None:
            raise CheckpointError(
                f"layout={layout!r}: a layout for classifiers; leave it out to write a segmenter in mmsegmentation's"
            )
        with filling(folder) as beside:
            checkpoint.save(beside / WEIGHTS)
        return
    layout = layout or ("timm" if checkpoint.token_weights == "l2" else "hf")
    if layout not in get_args(Layout):
        raise CheckpointError(f"layout={layout!r}: expected one of {', '.join(get_args(Layout))}")
    try:
        with filling(folder) as beside:
            checkpoint.save(beside / WEIGHTS, key_layout=layout)
            for name, values in _documents(checkpoint, layout, beside / WEIGHTS).items():
                (beside / name).write_text(json.dumps(values, indent=2) + "\n", "utf-8")
    except ConfigError as error:
        raise CheckpointError(f"{folder}: layout={layout!r} cannot represent it; {error}") from None


def _documents(checkpoint: Checkpoint, layout: Layout, weights: Path) -> dict[str, dict[str, Any]]:
    config = checkpoint.config
    if layout == "hf":
        return {CONFIG: config_formats.to_hf(config), PROCESSOR: image_processors.to_values(config.transform)}
    with safetensors.safe_open(weights, framework="numpy") as file:
        layer_scales = any(".layer_scale" in key for key in file.keys())  # noqa: SIM118  (it is no dict)
    values = config_formats.to_timm(config, layer_scales=layer_scales)
    return {CONFIG: config_formats.to_timm_wrapper(values) if layout == "timm_wrapper" else values}
