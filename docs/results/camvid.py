"""Trains and measures the published CamVid segmenter.

    python docs/results/camvid.py train CAMVID RUN
    python docs/results/camvid.py train CAMVID RUN --start docs/results/camvid/camvid_xs_fpn64_float16.safetensors
    python docs/results/camvid.py measure CAMVID RUN/model.keras RESULT
    python docs/results/camvid.py publish CAMVID RESULT/measured.keras docs/results/camvid
    python docs/results/camvid.py train CAMVID RUN --head all_mlp --epochs 8 --start ...    a new head on its backbone

CAMVID holds `images/{train,val}`, `masks/{train,val}` and `classes.csv`, which `classes` writes; RUN and RESULT are
folders outside of the repository. `measure` first takes BatchNorm's statistics anew from whole training pictures.
`publish` writes the weights as float16; `published` reads them.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy

import swiftformer_tf as sf
from swiftformer_tf.evaluation import evaluate_segmentation
from swiftformer_tf.images.masks import CLASSES, MaskFolder
from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS
from swiftformer_tf.training import update_batch_norm
from swiftformer_tf.training.segmentation import segmenter_on, train_segmenter
from swiftformer_tf.training.segmentation_recipes import SEGMENTATION_RECIPES

BACKBONE = "swiftformer_xs_imagenette"
HEAD_NAME = "semantic_fpn_64"
HEAD = SEGMENTATION_HEADS[HEAD_NAME]
RECIPE = SEGMENTATION_RECIPES["short"]
WEIGHTS = "camvid_xs_fpn64_float16.safetensors"
# CamVid's eleven classes and their usual colors.
COLORS = {
    "sky": "#808080",
    "building": "#800000",
    "pole": "#c0c080",
    "road": "#804080",
    "pavement": "#3c28de",
    "tree": "#808000",
    "sign": "#c08080",
    "fence": "#404080",
    "car": "#400080",
    "pedestrian": "#404000",
    "bicyclist": "#0080c0",
    "void": "#000000",
}


def folder(camvid: Path, part: str) -> MaskFolder:
    """A part of CamVid; writes its class list if there is none."""
    if not (camvid / CLASSES).is_file():
        (camvid / CLASSES).write_text("".join(f"{name},{color}\n" for name, color in COLORS.items()))
    return MaskFolder.open(camvid / "images" / part)


def segmenter() -> keras.Model:
    """A segmenter for 480 x 360 on the backbone of the bundled classifier."""
    classifier = sf.SwiftFormerForImageClassification.from_pretrained(BACKBONE)
    labels = [name for name in COLORS if name != "void"]
    config = classifier.config.replace(
        id2label=dict(enumerate(labels)),
        image_size=(360, 480),
        transform=classifier.config.transform.replace(size=(360, 480), crop=None, interpolation="bilinear"),
        drop_path_rate=RECIPE.drop_path_rate,
    )
    return segmenter_on(classifier, config, HEAD)[0]


def batches(images: MaskFolder, config: sf.SwiftFormerConfig, size: int = 8) -> Iterator[np.ndarray]:
    """Whole pictures, eight at a time, drives mixed."""
    order = np.random.default_rng(0).permutation(len(images))
    for start in range(0, len(order) - size + 1, size):
        yield np.stack([config.transform(images.images[index]) for index in order[start : start + size]])


def measure(model: keras.Model, camvid: Path, result: Path) -> None:
    """Writes the model with statistics of whole pictures, its float16 weights, and its figures on val."""
    train, val = folder(camvid, "train"), folder(camvid, "val")
    update_batch_norm(model, batches(train, model.config))
    result.mkdir(parents=True, exist_ok=True)
    model.save(result / "measured.keras")
    confusion = evaluate_segmentation(model.predict_on_batch, model.config, val)
    figures = {"pictures": len(val), **confusion.to_dict(), "confusion": confusion.matrix.tolist()}
    (result / "camvid.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(f"mIoU {confusion.mean_iou:.2%}, pixels {confusion.pixel_accuracy:.2%}")
    for row in figures["per_class"]:
        print(f"{row['label']:12} {row['iou']:.1%}")


def publish(model: keras.Model, camvid: Path, result: Path) -> None:
    """Writes the weights as float16 by the paths of their variables, and says how many pixels that changes."""
    result.mkdir(parents=True, exist_ok=True)
    tensors = {variable.path: variable.numpy().astype(np.float16) for variable in model.weights}
    safetensors.numpy.save_file(tensors, result / WEIGHTS, {"format": "np", "license": "CC BY-NC 4.0"})
    rounded, images = published(result / WEIGHTS), folder(camvid, "train").images[::20]
    pixels = np.stack([model.config.transform(path) for path in images])
    answers = [each.predict(pixels, batch_size=4, verbose=0).argmax(axis=-1) for each in (model, rounded)]
    print(f"{np.mean(answers[0] == answers[1]):.3%} of the answers on {len(images)} training pictures are the same")


def published(path: Path) -> keras.Model:
    """The segmenter with the weights of a file that `publish` wrote."""
    model, tensors = segmenter(), safetensors.numpy.load_file(path)
    if tensors.keys() != (paths := {variable.path for variable in model.weights}):
        raise SystemExit(f"{path}: not the weights of this segmenter, {min(tensors.keys() ^ paths)} is only in one")
    for variable in model.weights:
        variable.assign(tensors[variable.path].astype(np.float32))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measured = ("camvid", "model", "result")
    for name, arguments in (("train", ("camvid", "run")), ("measure", measured), ("publish", measured)):
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, type=Path)
        if name == "train":
            command.add_argument("--epochs", type=int, default=RECIPE.epochs, help="Default: %(default)s.")
            command.add_argument("--start", type=Path, help="Weights that `publish` wrote, to learn more from.")
            command.add_argument(
                "--head", choices=list(SEGMENTATION_HEADS), default=HEAD_NAME, help="Default: %(default)s."
            )
    options = parser.parse_args()
    if options.command == "train":
        recipe = RECIPE.with_epochs(options.epochs)
        model = published(options.start) if options.start else segmenter()
        if options.head != HEAD_NAME:
            model = segmenter_on(model, model.config, SEGMENTATION_HEADS[options.head])[0]
        source = options.start.name if options.start else BACKBONE
        train_segmenter(model, folder(options.camvid, "train"), recipe, options.run, source=source)
    else:
        act = measure if options.command == "measure" else publish
        act(keras.models.load_model(options.model, compile=False), options.camvid, options.result)


if __name__ == "__main__":
    main()
