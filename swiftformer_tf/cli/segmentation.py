"""`swiftformer-tf train` and `evaluate` with `--task segmentation`"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import click

from swiftformer_tf.cli.console import note, print_json, print_table, progress_bar
from swiftformer_tf.cli.training_progress import progress

# Options of `train` that segmenters have no use for, with what they are when they are not given.
_UNUSED = {"teacher": None, "crop": None, "num_processes": 1, "process_id": 0, "coordinator_address": None}


def train_segmentation(
    folder: Path,
    output: Path,
    validation: Path | None,
    variant: str | None,
    source: Path | None,
    recipe: str | Path,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    image_size: Any,
    frozen: int,
    dtype: str,
    seed: int,
    tensorboard: bool,
    head: str | None,
    token_weights: Any,
    **others: Any,
) -> None:
    """Trains a segmenter with the options of `swiftformer-tf train`."""
    from swiftformer_tf.config import SwiftFormerConfig
    from swiftformer_tf.files import identity
    from swiftformer_tf.images.masks import MaskFolder
    from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel
    from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS
    from swiftformer_tf.training import best_epoch, freeze, segmenter_on, train_segmenter
    from swiftformer_tf.training.memory import keep_freed_memory

    if unused := next((name for name, value in _UNUSED.items() if others[name] != value), None):
        raise click.UsageError(f"--{unused.replace('_', '-')} is not for --task segmentation; leave it out")
    if variant and source:
        raise click.UsageError(f"--variant {variant} is of a new model, and --from {source} brings its own; give one")
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise click.UsageError("--tensorboard needs the package tensorboard: pip install 'swiftformer_tf[train]'")
    head = head or "semantic_fpn_64"
    if head not in SEGMENTATION_HEADS:
        raise click.UsageError(f"--head {head}: expected one of {', '.join(SEGMENTATION_HEADS)}")
    keep_freed_memory()
    chosen = _recipe(recipe)
    chosen = chosen.with_batch_size(batch_size) if batch_size else chosen
    chosen = chosen.with_epochs(epochs) if epochs else chosen
    chosen = chosen.replace(learning_rate=learning_rate) if learning_rate else chosen
    images = MaskFolder.open(folder)
    backbone = (
        SwiftFormerForImageClassification.from_pretrained(source, token_weights=token_weights)
        if source
        else SwiftFormerModel(SwiftFormerConfig.from_variant(variant or "xs"))
    )
    size = image_size or images.read(0)[0].size[::-1]
    transform = backbone.config.transform.replace(crop=None, interpolation="bilinear", crop_mode="center")
    config = backbone.config.replace(
        id2label=dict(enumerate(images.classes.labels)),
        image_size=size,
        transform=transform.replace(size=size if isinstance(size, tuple) else (size, size)),
        drop_path_rate=chosen.drop_path_rate,
    )
    model, _ = segmenter_on(backbone, config, SEGMENTATION_HEADS[head], seed=seed, dtype=dtype)
    freeze(model, frozen)
    with progress(chosen.epochs, output / "tensorboard" if tensorboard else None) as callbacks:
        history = train_segmenter(
            model,
            images,
            chosen,
            output,
            validation=MaskFolder.open(validation, images.classes) if validation else None,
            seed=seed,
            source=identity(source) if source else "random",
            callbacks=callbacks,
        )
    best = best_epoch(history)
    score = f", val_mean_iou {best['val_mean_iou']:.2%}" if "val_mean_iou" in best else ""
    click.echo(f"{output / 'model.keras'}: epoch {best['epoch']:.0f} of {len(history)}{score}")


def evaluate_masks(model: Path, folder: Path, threads: int, confusion_png: Path | None, as_json: bool) -> None:
    """Counts a segmenter's pixels at the size of the masks, and shows them."""
    from swiftformer_tf.errors import ModelError
    from swiftformer_tf.evaluation import evaluate_segmentation, save_confusion
    from swiftformer_tf.images.masks import MaskFolder
    from swiftformer_tf.loading import open_any
    from swiftformer_tf.predicting import predictor, task_of

    opened, images = open_any(model), MaskFolder.open(folder)
    if (task := task_of(opened)) != "semantic-segmentation":
        raise ModelError(f"{model}: a model for {task}; expected a segmenter")
    predict, config = predictor(opened, num_threads=threads)
    with progress_bar("photographs", len(images)) as progress:
        confusion = evaluate_segmentation(predict, config, images, progress=progress)
    result = {"model": str(model), "images": len(images), **confusion.to_dict()}
    said = f"mIoU {confusion.mean_iou:.2%}, {confusion.pixel_accuracy:.2%} of {result['pixels']} pixels right"
    if as_json:
        print_json(result)
    else:
        print_table([{**row, "iou": f"{row['iou']:.2%}"} for row in result["per_class"]])
        click.echo(f"{said}, {len(images)} photographs")
    if confusion_png:
        save_confusion(
            confusion_png,
            confusion.matrix,
            confusion.labels,
            title=said,
            answered="answered class",
            right="right class",
        )
        note(f"wrote {confusion_png}")


def _recipe(recipe: str | Path) -> Any:
    """One by name, or the fields in a JSON file or the `run.json` of another run."""
    from swiftformer_tf.errors import ConfigError, one_line
    from swiftformer_tf.files import read_text
    from swiftformer_tf.training import SEGMENTATION_RECIPES, SegmentationRecipe

    if isinstance(recipe, str):
        return SEGMENTATION_RECIPES[recipe]
    try:
        values = json.loads(read_text(recipe))
        if isinstance(values, dict) and isinstance(values.get("settings"), dict):
            values = values["settings"].get("recipe")
        return SegmentationRecipe.from_dict(values)
    except (ValueError, RecursionError) as error:  # a ConfigError is a ValueError
        raise ConfigError(f"{recipe}: {one_line(error)}") from None
