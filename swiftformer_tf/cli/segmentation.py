"""`swiftformer-tf evaluate` with `--task segmentation`"""

from pathlib import Path

import click

from swiftformer_tf.cli.console import note, print_json, print_table, progress_bar


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
