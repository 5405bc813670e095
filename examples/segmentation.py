"""Semantic segmentation: a head of a few lines on SwiftFormer's four maps, trained and exported by every recipe.

    python examples/segmentation.py FOLDER

The maps are those of the weights that ship with the package. The pictures are drawn here: striped and checkered discs
of any colors on a plain ground, so that a pixel's class follows from what is around it. Takes a minute or two, most of
it for the files. Exit status 1 if a file fails its checks against Keras. The package has such a model ready,
`SwiftFormerForSemanticSegmentation`; this shows how to build one's own.
"""

import argparse
import sys
from typing import Any

import keras
import numpy as np

import swiftformer_tf as sf

CLASSES = ("plain", "striped", "checkered")


def draw(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (count, size, size, 3) of up to three discs, uint8, and their classes (count, size, size)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    pixels, masks = [], []
    for _ in range(count):
        picture, mask = np.full((size, size, 3), rng.integers(0, 256, 3)), np.zeros((size, size), np.uint8)
        for _ in range(rng.integers(1, 4)):
            kind, period = int(rng.integers(1, 3)), int(rng.integers(3, 6))
            across, down = rng.uniform(0, size, 2)
            inside = np.hypot(x - across, y - down) < rng.uniform(0.2, 0.35) * size
            tile = (x // period + (y // period if CLASSES[kind] == "checkered" else 0)) % 2
            first = rng.integers(0, 256, 3)
            second = (first + rng.integers(64, 193, 3)) % 256  # far enough from the first to be seen
            picture[inside] = np.where(tile[..., None], first, second)[inside]
            mask[inside] = kind
        pixels.append(np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8))
        masks.append(mask)
    return np.stack(pixels), np.stack(masks)


def features(backbone: sf.SwiftFormerModel, inputs: np.ndarray) -> list[np.ndarray]:
    """The backbone's maps of all pictures. It is not trained, so that they are computed once and not in each epoch."""
    batches = [backbone(inputs[i : i + 32], training=False) for i in range(0, len(inputs), 32)]
    return [np.concatenate(maps) for maps in zip(*batches, strict=True)]


def segmentation_head(shapes: list[tuple[int, ...]], width: int = 64) -> keras.Model:
    """From maps at strides 4, 8, 16 and 32, of `shapes` (height, width, channels), to logits of each pixel.

    Every map is brought to `width` channels and to stride 4, and a 1x1 convolution reads them together. All are
    normalized before: in integers, what is concatenated has one scale.
    """
    maps = [keras.Input(shape) for shape in shapes]
    projected = [_projected(each, width) for each in maps]
    upsampled = [keras.layers.UpSampling2D(2**i, interpolation="bilinear")(x) for i, x in enumerate(projected)]
    hidden = _projected(keras.layers.Concatenate()(upsampled), width)
    logits = keras.layers.Conv2D(len(CLASSES), 1)(hidden)
    return keras.Model(maps, keras.layers.UpSampling2D(4, interpolation="bilinear")(logits))


def _projected(hidden: Any, width: int) -> Any:
    hidden = keras.layers.Conv2D(width, 1, use_bias=False)(hidden)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(hidden))


def mean_iou(logits: np.ndarray, masks: np.ndarray) -> float:
    """Intersection over union of the predicted and the true pixels of a class, averaged over the classes."""
    metric = keras.metrics.MeanIoU(len(CLASSES), sparse_y_pred=False)
    metric.update_state(masks, logits)
    return float(metric.result())


def segmenter(backbone: sf.SwiftFormerModel, head: keras.Model, size: int) -> keras.Model:
    """Backbone and head as one model for pictures of one size."""
    image = keras.Input((size, size, 3), name="image")
    return keras.Model(image, head(backbone(image)), name="segmenter")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where the files go")
    parser.add_argument(
        "--recipe", action="append", choices=list(sf.RECIPES), help="may be given many times; default: all"
    )
    parser.add_argument("--size", type=int, default=96, help="of the pictures, in pixels: a multiple of 32")
    parser.add_argument("--count", type=int, default=512, help="pictures to train on")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(0)
    classifier = sf.SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette")
    backbone = sf.SwiftFormerModel(classifier.config, out_indices=(0, 1, 2, 3), share_layers_with=classifier)
    (pixels, masks), (unseen, truth) = draw(options.count, options.size, seed=1), draw(64, options.size, seed=2)
    held_out = backbone.config.transform.normalize(unseen)
    train_maps = features(backbone, backbone.config.transform.normalize(pixels))
    held_out_maps = features(backbone, held_out)

    head = segmentation_head([each.shape[1:] for each in train_maps])
    schedule = keras.optimizers.schedules.CosineDecay(5e-3, options.epochs * -(-options.count // 16))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA on a CPU takes longer to compile than this takes to train.
    head.compile(keras.optimizers.AdamW(schedule), loss, jit_compile=False)
    print(f"mIoU before training: {mean_iou(head.predict(held_out_maps, verbose=0), truth):.3f}")
    head.fit(train_maps, masks, batch_size=16, epochs=options.epochs, verbose=2)
    expected = head.predict(held_out_maps, verbose=0)
    print(f"mIoU after training:  {mean_iou(expected, truth):.3f}")

    exported = sf.export_files(
        segmenter(backbone, head, options.size),
        options.recipe or sf.RECIPES,
        options.folder,
        config=backbone.config,
        labels=CLASSES,
        tasks="semantic-segmentation",
        calibration=pixels[:100],
        images=unseen,
    )
    for each in exported:
        print(f"{each.path.name}: {each.report.measured['snr_db']:.1f} dB against Keras; {each.report.verdict}")
    return 0 if all(each.report.verdict == "passed" for each in exported) else 1


if __name__ == "__main__":
    sys.exit(main())
