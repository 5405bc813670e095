"""Measures the CamVid segmenter's files on all of val: every recipe, with probabilities at full size.

    python docs/results/camvid_files.py CAMVID RESULT

RESULT, a folder outside of the repository, gets the files; `docs/results/camvid/files.json` and `files.md` what was
measured; recipes that are not asked for keep their rows. CAMVID is as for `camvid.py`. Times are processor time of one
thread, the least of several runs, which says the same whatever else the machine does. `--light MODEL` measures another
model that `camvid.py measure` wrote, with the light head, in the recipes that its goals name.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from camvid import WEIGHTS, folder, published

import swiftformer_tf as sf
from swiftformer_tf.exporting import calibrate
from swiftformer_tf.images.masks import MaskFolder
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion, answers_at
from swiftformer_tf.verification import check_file

HERE = Path(__file__).parent / "camvid"
MEGAPIXELS = 0.36 * 0.48
# The integer scales are set on every fifth of the 367 training pictures.
CALIBRATED_ON_EVERY = 5
TIMED_RUNS = 7
# For the light head.
LIGHT_RECIPES: tuple[str, ...] = ("float32", "dynamic_int8", "mixed_int8", "int8")
# Recipes that take seconds a picture see every so many of them, and Keras for comparison too.
PICTURES_APART = {"int16x8": 10}


def answered(predict: Any, model: keras.Model, images: MaskFolder) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Truth and answer of each picture, at the mask's own size."""
    for image, labels in images:
        outputs = np.asarray(predict(model.config.transform(image)[None]))
        yield labels, answers_at(outputs.reshape(1, *outputs.shape[-3:]), labels.shape, model.config.num_labels)


def figures(predict: Any, model: keras.Model, images: MaskFolder) -> tuple[dict[str, Any], np.ndarray]:
    """How often pixels are right, and the class of each."""
    found = [(labels, answers.astype(np.uint8)) for labels, answers in answered(predict, model, images)]
    truth, masks = (np.stack(each) for each in zip(*found, strict=True))
    return {"pictures": len(masks), **against(truth, masks, model.config.labels)}, masks


def against(truth: np.ndarray, masks: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    confusion = PixelConfusion.empty(labels).add(truth, masks)
    iou = {label: float(value) for label, value in zip(labels, confusion.iou, strict=True)}
    return {"mean_iou": confusion.mean_iou, "pixel_accuracy": confusion.pixel_accuracy, "iou": iou}


def processor_time(runner: LiteRunner) -> float:
    """Milliseconds of a run on one thread."""
    times = []
    for _ in range(TIMED_RUNS):
        start = time.process_time()
        runner.invoke()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def speeds(lite: sf.LiteModel, model: keras.Model, images: MaskFolder) -> dict[str, Any]:
    """A file's bytes, time and partitions."""
    runner = LiteRunner(lite, num_threads=1)
    runner(model.config.transform(images.images[0])[None])
    failed = [check.name for check in check_file(lite)[0] if check.status != "passed"]
    return {
        "bytes": len(lite.content),
        "ms_per_megapixel": processor_time(runner) / MEGAPIXELS,
        "partitions": runner.partitions,
        "failed_checks": failed,
    }


def every(images: MaskFolder, apart: int) -> MaskFolder:
    return MaskFolder(images.images[::apart], images.masks[::apart], images.classes)


def measured(
    model: keras.Model, camvid: Path, result: Path, recipes: Sequence[str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Writes the files, named with a prefix; after each what was measured, and first what Keras answers."""
    train, val = folder(camvid, "train"), folder(camvid, "val")
    keras_row, reference = figures(model.predict_on_batch, model, val)
    yield f"{prefix}Keras", keras_row
    deploy = sf.fuse(model, classifier_activation="softmax")
    calibration = calibrate(deploy, list(train.images[::CALIBRATED_ON_EVERY]))
    result.mkdir(parents=True, exist_ok=True)
    for name in recipes:
        lite = sf.export(deploy, sf.RECIPES[name], calibration=calibration, license="CC BY-NC 4.0")
        lite.save(result / f"camvid_xs_{model.head.name}_{name}.tflite")
        apart = PICTURES_APART.get(name, 1)
        seen = every(val, apart)
        found, masks = figures(LiteRunner(lite), model, seen)
        found["agreement"] = float(np.mean(masks == reference[::apart]))
        if apart > 1 or prefix:
            truth = np.stack([mask for _, mask in seen])
            found["Keras"] = against(truth, reference[::apart], model.config.labels)
        yield prefix + name, {**speeds(lite, model, val), **found}


def table(found: dict[str, Any]) -> str:
    """Markdown."""
    rows = {name: found["rows"][name] for name in (*sf.RECIPES, *found["rows"]) if name in found["rows"]}
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
            its = row.get("Keras", keras_row)
            change = {label: row["iou"][label] - its["iou"][label] for label in row["iou"]}
            worst = min(change, key=lambda label: change[label])
            change_text = f"{worst} {100 * change[worst]:+.2f}"
            miou = f"{row['mean_iou']:.2%}"
            if "Keras" in row:
                miou += f" of {row['pictures']} pictures, where Keras has {its['mean_iou']:.2%}"
            lines.append(f"| {name} | {row['agreement']:.2%} | {miou} | {change_text} | {speed} |")
        elif speed:
            lines.append(f"| {name} | | | | {speed} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument(
        "--recipe",
        choices=list(sf.RECIPES),
        action="append",
        help="May be given many times; default: all, or four with --light.",
    )
    parser.add_argument("--light", type=Path, metavar="MODEL", help="Measure this model with the light head instead.")
    options = parser.parse_args()
    written = HERE / "files.json"
    found = json.loads(written.read_text()) if written.is_file() else {"rows": {}}
    found["calibrated_on"] = len(range(0, len(folder(options.camvid, "train")), CALIBRATED_ON_EVERY))
    if options.light:
        model, recipes, prefix = keras.models.load_model(options.light, compile=False), LIGHT_RECIPES, "all_mlp, "
    else:
        model, recipes, prefix = published(HERE / WEIGHTS), tuple(sf.RECIPES), ""
    # Written after each file: int16x8 takes most of the time.
    for name, row in measured(model, options.camvid, options.result, options.recipe or list(recipes), prefix):
        found["rows"][name] = row
        written.write_text(json.dumps(found, indent=1) + "\n")
        (HERE / "files.md").write_text(table(found))
        print(name, row.get("agreement", ""), row.get("mean_iou", ""), flush=True)


if __name__ == "__main__":
    main()
