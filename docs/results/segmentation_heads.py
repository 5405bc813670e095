"""Chooses the light head of segmenters by measurement: mIoU on a drive that was held out, against latency and size.

    python docs/results/segmentation_heads.py CAMVID RUN

CAMVID is as for `camvid.py`; RUN, a folder outside of the repository, gets what was trained. The backbone is that of
the shipped classifier and stays as it is, so that its four maps are computed once, of every training picture and its
mirror image at 192 x 256, and each head is trained on them by the same short budget, from several seeds. The drive
0001TP is held out and is what mIoU is measured on; `val` is not looked at. Every epoch is kept: a run that was ended
goes on where it was. One thread, so that it runs beside other work. Writes `segmentation_heads.json` and
`segmentation_heads.md` here.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from camvid import BACKBONE, COLORS, folder

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.images.masks import MaskFolder
from swiftformer_tf.layers.base import BATCH_NORM_MOMENTUM
from swiftformer_tf.layers.resizing import BilinearResize
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.segmentation import copy_backbone
from swiftformer_tf.segmentation_heads import SegmentationHead
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion, answers_at
from swiftformer_tf.training import SegmentationRecipe
from swiftformer_tf.training.segmentation import PixelCrossEntropy, PolynomialDecay, class_weights

RESULT = Path(__file__).with_suffix(".json")
SIZE = (192, 256)
# Size of the labels in training: at stride 2, since logits have stride 4.
LABEL_SIZE = (96, 128)
HELD_OUT = "0001TP"
EPOCHS, BATCH, RATE = 15, 8, 2e-3
# For each head: one alone says little where heads are a point of mIoU apart.
TRAININGS = 3
TIMED_RUNS = 15
CALIBRATED_ON_EVERY = 20

Maps = list[Any]
LABELS = dict(enumerate(name for name in COLORS if name != "void"))


def reduced_aspp(maps: Maps) -> Any:
    """MobileNetV3's reduced ASPP of 128 channels: the map at stride 16, gated by its mean, and that at stride 8."""
    deep = norm_relu(conv(128, use_bias=False)(maps[2]))
    gate = conv(128, activation="sigmoid")(keras.layers.GlobalAveragePooling2D(keepdims=True)(maps[2]))
    deep = BilinearResize()(keras.layers.Multiply()([deep, gate]), maps[1])
    return keras.layers.Add()([classified(each) for each in (deep, maps[1])])


def separable(maps: Maps) -> Any:
    """Laterals of 64 channels summed at stride 4, and one separable 3x3 convolution of the sum."""
    hidden = keras.layers.Add()([BilinearResize()(conv(64)(each), maps[0]) for each in maps])
    depthwise = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, depthwise_initializer="he_normal")
    return classified(norm_relu(conv(64, use_bias=False)(depthwise(hidden))))


def summed(maps: Maps, width: int = 64) -> Any:
    """The all-MLP's function with fewer weights: as many channels of each map, summed at stride 4."""
    wide = [BilinearResize()(conv(width)(each), maps[0]) for each in maps]
    return classified(norm_relu(keras.layers.Add()(wide)))


# What follows is as in the package's heads, so that settings do not decide between them.
conv = partial(keras.layers.Conv2D, kernel_size=1, kernel_initializer="he_normal")


def norm_relu(hidden: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=1e-5)(hidden))


def classified(hidden: Any) -> Any:
    return conv(len(LABELS))(keras.layers.SpatialDropout2D(SegmentationHead().dropout)(hidden))


# By name: a head of the package, or what makes logits of the four maps.
HEADS: dict[str, SegmentationHead | Callable[[Maps], Any]] = {
    "all_mlp 64, concatenated": sf.SEGMENTATION_HEADS["all_mlp"],
    "all_mlp 64, summed": summed,
    "laterals 64 and a separable 3x3": separable,
    "all_mlp 128, summed": partial(summed, width=128),
    "reduced ASPP 128, stride 8": reduced_aspp,
    "semantic_fpn 64 / 64": sf.SEGMENTATION_HEADS["semantic_fpn_64"],
}


def built(name: str, seed: int = 0) -> tuple[keras.Model, keras.Model, keras.Model]:
    """For a head, the whole model, its backbone alone and its head alone, which share their layers."""
    classifier = sf.SwiftFormerForImageClassification.from_pretrained(BACKBONE)
    config = classifier.config.replace(
        id2label=LABELS,
        image_size=SIZE,
        transform=classifier.config.transform.replace(size=SIZE, crop=None, interpolation="bilinear"),
        drop_path_rate=0.0,
    )
    keras.utils.set_random_seed(seed)
    backbone = sf.SwiftFormerModel(config, out_indices=range(4))
    head = HEADS[name]
    if isinstance(head, SegmentationHead):
        whole = sf.SwiftFormerForSemanticSegmentation(config, head=head)
        copy_backbone(whole, classifier)
        maps = [whole.get_layer(layer).output for layer in backbone.output_names]
    else:
        theirs = {layer.name: layer for layer in classifier.layers}
        for layer in backbone.layers:
            layer.set_weights(theirs[layer.name].get_weights())
        maps = list(backbone.outputs)
        whole = keras.Model(backbone.input, head(maps))
        whole.config = config
    return whole, keras.Model(whole.input, maps), keras.Model(maps, whole.output)


class Batches(keras.utils.PyDataset):
    """Maps and labels in random order, each picture or its mirror image."""

    def __init__(self, maps: list[np.ndarray], labels: np.ndarray, seed: int) -> None:
        super().__init__()
        self.maps, self.labels, self.random = maps, labels, np.random.default_rng(seed)
        self.on_epoch_begin()

    def __len__(self) -> int:
        return self.labels.shape[1] // BATCH

    def on_epoch_begin(self) -> None:
        self.order = self.random.permutation(self.labels.shape[1])

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        chosen = self.order[index * BATCH : (index + 1) * BATCH]
        mirrored = self.random.integers(0, 2, BATCH)
        maps = tuple(each[mirrored, chosen].astype(np.float32) for each in self.maps)
        return maps, self.labels[mirrored, chosen][..., None]


def split(camvid: Path) -> tuple[MaskFolder, MaskFolder]:
    """Train without one drive, and that drive."""
    every = folder(camvid, "train")
    held = [HELD_OUT in path.name for path in every.images]
    parts = []
    for wanted in (False, True):
        pairs = [
            pair
            for pair, is_held in zip(zip(every.images, every.masks, strict=True), held, strict=True)
            if is_held is wanted
        ]
        images, masks = zip(*pairs, strict=True)
        parts.append(MaskFolder(images, masks, every.classes))
    return parts[0], parts[1]


def features(run: Path, part: str, images: MaskFolder) -> tuple[list[np.ndarray], np.ndarray]:
    """Maps (2, pictures, height, width, channels) and labels (2, pictures, height, width), mirrored second."""
    path = run / f"{part}.npz"
    if not path.is_file():
        whole, backbone, _ = built("semantic_fpn 64 / 64")
        maps: list[list[list[np.ndarray]]] = [[[] for _ in range(4)] for _ in range(2)]
        labels: list[list[np.ndarray]] = [[], []]
        shown = whole.config.transform.replace(size=LABEL_SIZE)
        for image, mask in images:
            pixels = whole.config.transform(image)
            small = shown.crop_mask(mask)
            for mirrored, (seen, truth) in enumerate(((pixels, small), (pixels[:, ::-1], small[:, ::-1]))):
                for found, made in zip(maps[mirrored], backbone.predict_on_batch(seen[None]), strict=True):
                    found.append(np.asarray(made[0], np.float16))
                labels[mirrored].append(truth)
        with replacing(path) as beside, beside.open("wb") as file:
            np.savez(
                file,
                np.stack([np.stack(each) for each in labels]),
                *(np.stack([np.stack(maps[0][at]), np.stack(maps[1][at])]) for at in range(4)),
            )
    with np.load(path) as stored:
        labels_array, *arrays = (stored[f"arr_{index}"] for index in range(5))
    return arrays, labels_array


def trained(name: str, seed: int, run: Path, maps: list[np.ndarray], labels: np.ndarray) -> keras.Model:
    """The head; goes on with what an earlier run has trained of it."""
    _, _, head = built(name, seed)
    counts = np.bincount(labels.ravel(), minlength=256)[: len(LABELS)]
    weights = class_weights(counts, SegmentationRecipe())
    data = Batches(maps, labels, seed)
    rate = PolynomialDecay(RATE, EPOCHS * len(data), warmup_steps=30)
    head.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01), PixelCrossEntropy(weights.tolist()), jit_compile=False
    )
    kept = run / "".join(letter if letter.isalnum() else "_" for letter in f"{name} {seed}")
    head.fit(
        data, epochs=EPOCHS, verbose=2, callbacks=[keras.callbacks.BackupAndRestore(kept, delete_checkpoint=False)]
    )
    return head


def miou(head: keras.Model, maps: list[np.ndarray], images: MaskFolder) -> float:
    """The mean IoU of a head on pictures at their own size."""
    confusion = PixelConfusion.empty(tuple(LABELS.values()))
    for index, (_, mask) in enumerate(images):
        logits = head.predict_on_batch([each[0, index : index + 1].astype(np.float32) for each in maps])
        confusion = confusion.add(mask, answers_at(np.asarray(logits), mask.shape, len(LABELS)))
    return confusion.mean_iou


def cost(whole: keras.Model, images: MaskFolder) -> dict[str, float]:
    """The size of its files in megabytes, and their processor time on one thread."""
    deploy = sf.fuse(whole, config=whole.config)
    calibration = sf.calibrate(deploy, list(images.images[::CALIBRATED_ON_EVERY]))
    found = {}
    for name in ("float32", "int8"):
        lite = sf.export(deploy, sf.RECIPES[name], calibration=calibration)
        runner = LiteRunner(lite, num_threads=1)
        runner(whole.config.transform(images.images[0])[None])
        times = []
        for _ in range(TIMED_RUNS):
            start = time.process_time()
            runner.invoke()
            times.append(time.process_time() - start)
        found[f"{name}_ms"] = 1000 * min(times) / (SIZE[0] * SIZE[1] / 1e6)
        found[f"{name}_mb"] = len(lite.content) / 1e6
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown, the best first: means of the trainings, and how far they lie apart."""
    lines = [
        "<!-- written by docs/results/segmentation_heads.py -->",
        "",
        "| head | parameters | mIoU on the drive held out | from, to | ms a megapixel, float32 / int8 | MB, int8 |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in sorted(rows.items(), key=lambda item: -np.mean(item[1]["mean_iou"])):
        ious = row["mean_iou"]
        lines.append(
            f"| {name} | {row['parameters'] / 1e6:.2f} M | {np.mean(ious):.1%} | "
            f"{min(ious):.1%} to {max(ious):.1%} of {len(ious)} | "
            f"{row['float32_ms']:.0f} / {row['int8_ms']:.0f} | {row['int8_mb']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    options.run.mkdir(parents=True, exist_ok=True)
    train, held = split(options.camvid)
    maps, labels = features(options.run, "train", train)
    held_maps, _ = features(options.run, "held", held)
    settings = {"epochs": EPOCHS, "batch": BATCH, "rate": RATE, "size": SIZE, "pictures": [len(train), len(held)]}
    found = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    rows = found["rows"] if found.get("settings") == json.loads(json.dumps(settings)) else {}
    for name in HEADS:
        row = rows.setdefault(name, {"mean_iou": []})
        for seed in range(len(row["mean_iou"]), TRAININGS):
            head = trained(name, seed, options.run, maps, labels)
            row.update(parameters=head.count_params(), mean_iou=[*row["mean_iou"], miou(head, held_maps, held)])
            written(settings, rows)
        if "int8_ms" not in row:
            row.update(cost(built(name)[0], train))
            written(settings, rows)
        print(name, row, flush=True)


def written(settings: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    """What was measured so far; shown are heads that were both trained and timed."""
    RESULT.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n")
    shown = {name: row for name, row in rows.items() if row["mean_iou"] and "int8_ms" in row}
    RESULT.with_suffix(".md").write_text(table(shown))


if __name__ == "__main__":
    main()
