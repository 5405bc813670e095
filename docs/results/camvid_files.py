"""Measures the CamVid segmenter's files on all of val: every recipe, with probabilities at full size.

    python docs/results/camvid_files.py CAMVID RESULT

RESULT, a folder outside of the repository, gets the files; `docs/results/camvid/files.json` and `files.md` what was
measured. CAMVID is as for `camvid.py`. Times are processor time of one thread, the least of several runs, which says
the same whatever else the machine does.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from camvid import WEIGHTS, folder, published

import swiftformer_tf as sf
from swiftformer_tf.evaluation import answers_at
from swiftformer_tf.exporting import calibrate
from swiftformer_tf.images.masks import MaskFolder
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion
from swiftformer_tf.verification import check_file

HERE = Path(__file__).parent / "camvid"
MEGAPIXELS = 0.36 * 0.48
# Of train's 367 pictures every so many set the integer scales.
CALIBRATED_ON_EVERY = 5
TIMED_RUNS = 7


def answered(predict: Any, model: keras.Model, images: MaskFolder) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Truth and answer of each picture, at the mask's own size."""
    for image, labels in images:
        outputs = np.asarray(predict(model.config.transform(image)[None]))
        yield labels, answers_at(outputs.reshape(1, *outputs.shape[-3:]), labels.shape, model.config.num_labels)


def figures(
    predict: Any, model: keras.Model, images: MaskFolder, reference: list[np.ndarray] | None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """How often pixels are right, and how often they are the reference's."""
    confusion, masks = PixelConfusion.empty(model.config.labels), []
    for labels, answers in answered(predict, model, images):
        confusion = confusion.add(labels, answers)
        masks.append(answers.astype(np.uint8))
    same = None if reference is None else float(np.mean(np.stack(masks) == np.stack(reference)))
    iou = {label: float(value) for label, value in zip(confusion.labels, confusion.iou, strict=True)}
    return {
        "pictures": len(masks),
        "mean_iou": confusion.mean_iou,
        "pixel_accuracy": confusion.pixel_accuracy,
        "agreement": same,
        "iou": iou,
    }, masks


def processor_time(runner: LiteRunner) -> float:
    """Milliseconds of a run on one thread."""
    times = []
    for _ in range(TIMED_RUNS):
        start = time.process_time()
        runner.invoke()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def speeds(lite: sf.LiteModel, model: keras.Model, images: MaskFolder) -> dict[str, Any]:
    """Of a file: bytes, time, partitions."""
    runner = LiteRunner(lite, num_threads=1)
    runner(model.config.transform(images.images[0])[None])
    failed = [check.name for check in check_file(lite)[0] if check.status != "passed"]
    return {
        "bytes": len(lite.content),
        "ms_per_megapixel": processor_time(runner) / MEGAPIXELS,
        "partitions": runner.partitions,
        "failed_checks": failed,
    }


def light(train: MaskFolder, config: sf.SwiftFormerConfig) -> tuple[keras.Model, sf.LiteModel]:
    """The light head, untrained, in int8: its speed and size do not depend on what it learned."""
    model = SwiftFormerForSemanticSegmentation(config, head=SEGMENTATION_HEADS["all_mlp"])
    deploy = sf.fuse(model, classifier_activation="softmax")
    return model, sf.export(deploy, sf.RECIPES["int8"], calibration=calibrate(deploy, list(train.images[::40])))


def measured(camvid: Path, result: Path, recipes: list[str]) -> Iterator[dict[str, Any]]:
    """Writes the files; after each, what was measured so far: a row for Keras and for each of them."""
    train, val = folder(camvid, "train"), folder(camvid, "val")
    model = published(HERE / WEIGHTS)
    calibrated_on = list(train.images[::CALIBRATED_ON_EVERY])
    rows: dict[str, Any] = {}
    rows["Keras"], reference = figures(model.predict_on_batch, model, val, None)
    deploy = sf.fuse(model, classifier_activation="softmax")
    calibration = calibrate(deploy, calibrated_on)
    result.mkdir(parents=True, exist_ok=True)
    for name in recipes:
        lite = sf.export(deploy, sf.RECIPES[name], calibration=calibration, license="CC BY-NC 4.0")
        lite.save(result / f"camvid_xs_fpn64_{name}.tflite")
        found, _ = figures(LiteRunner(lite), model, val, reference)
        rows[name] = {**speeds(lite, model, val), **found}
        yield {"calibrated_on": len(calibrated_on), "rows": rows}
    other, lite = light(train, model.config)
    rows["all_mlp, int8, untrained"] = speeds(lite, other, val)
    yield {"calibrated_on": len(calibrated_on), "rows": rows}


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    rows = found["rows"]
    keras_row = rows["Keras"]
    lines = [
        "<!-- written by docs/results/camvid_files.py -->",
        "",
        "| file | pixels as Keras | mIoU | worst class, against Keras | MB | ms a megapixel | partitions |",
        "|---|---|---|---|---|---|---|",
        f"| Keras | | {keras_row['mean_iou']:.2%} | | | | |",
    ]
    for name, row in rows.items():
        speed = (
            f"{row['bytes'] / 1e6:.2f} | {row['ms_per_megapixel']:.0f} | {row['partitions']}" if "bytes" in row else ""
        )
        if "agreement" in row and row["agreement"] is not None:
            change = {label: row["iou"][label] - keras_row["iou"][label] for label in row["iou"]}
            worst = min(change, key=lambda label: change[label])
            change_text = f"{worst} {100 * change[worst]:+.2f}"
            lines.append(f"| {name} | {row['agreement']:.2%} | {row['mean_iou']:.2%} | {change_text} | {speed} |")
        elif speed:
            lines.append(f"| {name} | | | | {speed} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument(
        "--recipe", choices=list(sf.RECIPES), action="append", help="May be given many times; default: all."
    )
    options = parser.parse_args()
    # Written after each file: int16x8 takes most of the time.
    for found in measured(options.camvid, options.result, options.recipe or list(sf.RECIPES)):
        (HERE / "files.json").write_text(json.dumps(found, indent=1) + "\n")
        (HERE / "files.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
