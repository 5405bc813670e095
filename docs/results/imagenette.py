"""Ships the weights of a training run, and measures them: `imagenette.md`, `confusion.png` and `curves.png` here.

    python docs/results/imagenette.py ship run imagenette/train --image-size 192
    python docs/results/imagenette.py measure imagenette/val --sizes 128,160,192,224

`run` is the folder that `swiftformer-tf train` wrote from `imagenette/train`. `measure` takes the weights that ship.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from measuring import NAME, chosen_photographs, prepared

import swiftformer_tf as sf
from swiftformer_tf.evaluation import evaluate_classifier, save_confusion
from swiftformer_tf.files import replacing
from swiftformer_tf.images.labels import LabeledImages, labeled_images
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.predicting import Predictor, predictor
from swiftformer_tf.tasks.label_accuracy import LabelAccuracy
from swiftformer_tf.training import adapted_model, update_batch_norm
from swiftformer_tf.training.plots import plot_history

HERE = Path(__file__).parent
# For BatchNorm.
STATISTICS_BATCHES, STATISTICS_BATCH_SIZE = 30, 64
TEACHER_UNSEEN = "ILSVRC2012_val_"


def _count(*arguments: Any) -> LabelAccuracy:
    counted = evaluate_classifier(*arguments)
    assert isinstance(counted, LabelAccuracy)  # one right label a photograph
    return counted


@click.group()
def main() -> None:
    """The weights of swiftformer_xs_imagenette."""


@main.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("photographs", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--image-size", type=int, required=True, help="That the weights are to be used at.")
def ship(run: Path, photographs: Path, image_size: int) -> None:
    """Write the averaged model of RUN's best epoch into the package, and its metrics and curves here.

    BatchNorm's statistics are measured anew on training PHOTOGRAPHS of that size, half of them mirrored.
    """
    model = _resized(sf.SwiftFormerForImageClassification.from_pretrained(run / "model.keras"), image_size)
    chosen = chosen_photographs(photographs, STATISTICS_BATCHES * STATISTICS_BATCH_SIZE)
    update_batch_norm(
        model,
        (
            _every_other_mirrored(prepared(chosen[start : start + STATISTICS_BATCH_SIZE], model.config))
            for start in range(0, len(chosen), STATISTICS_BATCH_SIZE)
        ),
    )
    sf.to_checkpoint(model).save(sf.PRETRAINED[NAME], dtype="float16")
    metrics = (run / "metrics.csv").read_text("utf-8")
    (HERE / "metrics.csv").write_text(metrics, "utf-8")
    rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(metrics.splitlines())]
    plot_history(rows, HERE / "curves.png")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--sizes", default="128,160,192,224", show_default=True, help="Pixels to try, besides the weights' own.")
def measure(folder: Path, sizes: str) -> None:
    """Evaluate the weights that ship on the labeled photographs of FOLDER: three ways, and at several sizes."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    images = labeled_images(folder, model.config.labels)
    deploy = sf.fuse(model)
    lite = sf.export(deploy, sf.RECIPES["float32"])
    ways = {
        "Keras": _count(model.predict_on_batch, model.config, images),
        "fused": _count(_one_by_one(deploy.predict_on_batch), model.config, images),
        "float32 TFLite": _count(predictor(lite)[0], model.config, images),
    }
    by_size = {}
    for size in sorted({int(text) for text in sizes.split(",")}):
        resized = _resized(model, size)
        by_size[size] = _count(resized.predict_on_batch, resized.config, images)
    save_confusion(HERE / "confusion.png", ways["Keras"].confusion_matrix)
    with replacing(HERE / "imagenette.md") as beside:
        beside.write_text("\n".join([*_page(ways, by_size, model.config.image_size), *_unseen(model, images)]) + "\n")
    if len({way.confusion.tobytes() for way in ways.values()}) > 1:
        raise click.ClickException("the three evaluations differ")


def _resized(
    model: sf.SwiftFormerForImageClassification, size: int | tuple[int, int]
) -> sf.SwiftFormerForImageClassification:
    pair = size if isinstance(size, tuple) else (size, size)
    config = model.config
    return adapted_model(model, config.replace(image_size=size, transform=config.transform.replace(size=pair)))


def _every_other_mirrored(images: np.ndarray) -> np.ndarray:
    images[::2] = images[::2, :, ::-1].copy()
    return images


def _one_by_one(predict: Predictor) -> Predictor:
    """A function for batches from one for a batch of one."""
    return lambda images: np.concatenate([np.asarray(predict(image[None])) for image in images])


def _page(ways: dict[str, LabelAccuracy], by_size: dict[int, LabelAccuracy], own: object) -> Iterator[str]:
    any_way = next(iter(ways.values()))
    yield f"# {NAME} on {any_way.images} validation photographs"
    yield "\nMade by `python docs/results/imagenette.py measure imagenette/val`.\n"
    yield f"| at {own} px | top-1 | top-5 | photographs moved in the confusion matrix |\n|---|---|---|---|"
    for name, way in ways.items():
        differing = int(np.abs(way.confusion - ways["Keras"].confusion).sum()) // 2
        yield f"| {name} | {way.top1:.2%} | {way.top5:.2%} | {differing} |"
    yield "\n| size, px | top-1 | top-5 |\n|---|---|---|"
    for size, evaluation in by_size.items():
        yield f"| {size} | {evaluation.top1:.2%} | {evaluation.top5:.2%} |"
    yield "\n| class | photographs | top-1 |\n|---|---|---|"
    for row in any_way.to_dict()["per_class"]:
        yield f"| {row['label']} | {row['images']} | {row['top1']:.2%} |"


def _unseen(model: sf.SwiftFormerForImageClassification, images: LabeledImages) -> Iterator[str]:
    """Top-1 on the photographs that the teacher has not seen either."""
    pairs = zip(images.paths, images.targets, strict=True)
    unseen = [(path, target) for path, target in pairs if path.name.startswith(TEACHER_UNSEEN)]
    if unseen:
        paths, targets = zip(*unseen, strict=True)
        result = _count(model.predict_on_batch, model.config, LabeledImages(paths, targets, images.rule))
        yield f"\nThe teacher was trained on ImageNet. On the {result.images} photographs of ImageNet's own validation"
        yield f"set (`{TEACHER_UNSEEN}*`), which it has not seen, top-1 is {result.top1:.2%}, top-5 {result.top5:.2%}."


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
