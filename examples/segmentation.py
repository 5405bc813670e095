"""Semantic segmentation without any data: the commands for photographs and masks, on pictures that are drawn here.

    python examples/segmentation.py FOLDER

Draws striped and checkered discs of any color on a plain ground, so that the class of a pixel follows from what is
around it, and lays pictures and masks out as `train --task segmentation` reads them. A light head on the weights that
ship with the package learns them to a mIoU of 77 %, and the files are verified against Keras. Takes 110 seconds of
processor time, measured on a busy machine, so one to two minutes on two cores; `--recipe` chooses other files, and each
adds to it. Exit status 1 if a file fails its checks. In a shell, after the drawing:

    swiftformer-tf train FOLDER/drawn/images/train -o FOLDER/run --validation FOLDER/drawn/images/val \\
        --task segmentation --from swiftformer_xs_imagenette --head all_mlp --epochs 4
    swiftformer-tf evaluate FOLDER/run/model.keras FOLDER/drawn/images/val
    swiftformer-tf export FOLDER/run/model.keras -o FOLDER --recipe mixed_int8 --probabilities \\
        --calibration FOLDER/drawn/images/train --images FOLDER/drawn/images/val
    swiftformer-tf predict FOLDER/model_mixed_int8.tflite FOLDER/drawn/images/val -o FOLDER/masks

A head of your own is in `docs/tutorials/own-head.md`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import swiftformer_tf as sf
from swiftformer_tf.predicting import predict_photographs
from swiftformer_tf.training import SegmentationRecipe, train

RECIPES = ("float32", "mixed_int8")
CLASSES = {"plain": "#808080", "striped": "#e69f00", "checkered": "#0072b2"}


def draw(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (count, size, size, 3) of up to three discs, uint8, and their classes (count, size, size)."""
    rng, names = np.random.default_rng(seed), list(CLASSES)
    y, x = np.mgrid[:size, :size]
    pixels, masks = [], []
    for _ in range(count):
        picture, mask = np.full((size, size, 3), rng.integers(0, 256, 3)), np.zeros((size, size), np.uint8)
        for _ in range(rng.integers(1, 4)):
            kind, period = int(rng.integers(1, 3)), int(rng.integers(3, 6))
            across, down = rng.uniform(0, size, 2)
            inside = np.hypot(x - across, y - down) < rng.uniform(0.2, 0.35) * size
            tile = (x // period + (y // period if names[kind] == "checkered" else 0)) % 2
            first = rng.integers(0, 256, 3)
            second = (first + rng.integers(64, 193, 3)) % 256  # far enough from the first to be seen
            picture[inside] = np.where(tile[..., None], first, second)[inside]
            mask[inside] = kind
        pixels.append(np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8))
        masks.append(mask)
    return np.stack(pixels), np.stack(masks)


def write(folder: Path, part: str, pixels: np.ndarray, masks: np.ndarray) -> Path:
    """`images/PART`, and beside it the masks of the same names; where the pictures are."""
    (folder / "classes.csv").write_text("".join(f"{name},{color}\n" for name, color in CLASSES.items()))
    for kind, arrays in (("images", pixels), ("masks", masks)):
        (folder / kind / part).mkdir(parents=True, exist_ok=True)
        for index, array in enumerate(arrays):
            Image.fromarray(array).save(folder / kind / part / f"{index:03}.png")
    return folder / "images" / part


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything goes")
    parser.add_argument(
        "--recipe",
        action="append",
        choices=list(sf.RECIPES),
        help=f"may be given many times; default: {' and '.join(RECIPES)}",
    )
    parser.add_argument("--size", type=int, default=64, help="of the pictures, in pixels: a multiple of 32")
    parser.add_argument("--count", type=int, default=128, help="pictures to train on")
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args(arguments)

    options.folder.mkdir(parents=True, exist_ok=True)
    drawn = options.folder / "drawn"
    drawn.mkdir(exist_ok=True)
    train_images = write(drawn, "train", *draw(options.count, options.size, seed=1))
    val_images = write(drawn, "val", *draw(64, options.size, seed=2))
    # Textures stay about as large as they are drawn.
    recipe = SegmentationRecipe(
        epochs=options.epochs,
        learning_rate=3e-3,
        warmup_steps=20,
        ema=0.98,
        scale=(0.9, 1.1),
        whole_epochs=1.0,
        whole_scale=(0.9, 1.1),
    )
    history = train(
        train_images,
        options.folder / "run",
        task="semantic-segmentation",
        validation=val_images,
        source="swiftformer_xs_imagenette",
        head="all_mlp",
        recipe=recipe,
    )
    for row in history:
        print(f"epoch {row['epoch']:.0f}: loss {row['loss']:.3f}, mIoU {row['val_mean_iou']:.3f}")
    model = options.folder / "run" / "model.keras"
    print(f"trained: {sf.evaluate(model, val_images).scores.summary}")

    exported = sf.export_files(
        model,
        options.recipe or RECIPES,
        options.folder,
        classifier_activation="probabilities",
        calibration=train_images,
        calibration_count=100,
        images=val_images,
    )
    for each in exported:
        print(f"{each.path.name}: {each.report.measured['snr_db']:.1f} dB against Keras; {each.report.verdict}")
    predict_photographs(exported[-1].path, [val_images], output=options.folder / "masks")
    print(f"{options.folder / 'masks'}: the masks that {exported[-1].path.name} finds, and overlays")
    return 0 if all(each.report.verdict == "passed" for each in exported) else 1


if __name__ == "__main__":
    sys.exit(main())
