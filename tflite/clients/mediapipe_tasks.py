"""MediaPipe's ImageSegmenter and ImageEmbedder against LiteRT, on the files that this package writes for them.

    python tflite/clients/mediapipe_tasks.py FOLDER

FOLDER gets the files and MediaPipe's environment; `make clients` gives it `.clients/mediapipe`. The segmenter has the
weights in `docs/results/camvid`, the embedder those in the wheel; the photographs are scikit-image's. Writes
`docs/results/camvid/mediapipe.json`. Exit status 1 if a mask, a probability or a vector is another than LiteRT's.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from environments import venv
from PIL import Image
from run import MEDIAPIPE

import swiftformer_tf as sf
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.exporting import calibrate
from swiftformer_tf.images.samples import photographs
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.tasks import Activation
from swiftformer_tf.tasks.semantic_segmentation import answers_at

__all__: list[str] = []

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "docs" / "results"
sys.path.insert(0, str(RESULTS))
PHOTOGRAPHS = 6
OTHER_SIZE = (640, 400)
# Most that probabilities and vectors may differ, and the least share of equal pixels. Both sides compute with the same
# kernels, apart from the order of threads. But for int16x8 each makes its table of GELU when it loads the model, in
# floats, with its own compiler's fused multiplications (see `judging.py`): off by up to 9.5e-4 here, on 0.02 % of the
# pixels; allowed is half as much again.
SAME = (2e-5, 1.0)
ALLOWED = {"int16x8": (1.5e-3, 0.9997)}


def write_pictures(folder: Path, transform: sf.Transform) -> tuple[np.ndarray, list[str], str]:
    """Photographs of the model's own size, for calibration and for the comparison, and one of another size."""
    calibration, others = (each.pixels for each in photographs(transform))
    chosen = others[np.linspace(0, len(others) - 1, PHOTOGRAPHS).astype(int)]
    names = [f"{transform.size[0]}_{index}.png" for index in range(len(chosen))]
    for name, pixels in zip(names, chosen, strict=True):
        Image.fromarray(pixels).save(folder / name)
    other = f"other_{transform.size[0]}.png"
    Image.fromarray(chosen[0]).resize(OTHER_SIZE, Image.Resampling.BILINEAR).save(folder / other)
    return calibration[:: max(1, len(calibration) // 40)], names, other


def write_files(folder: Path, recipes: list[str]) -> list[dict[str, Any]]:
    """Segmenters with probabilities, one with logits at stride 4 and one with a mask, and embedders."""
    from camvid import WEIGHTS, published

    segmenter = published(RESULTS / "camvid" / WEIGHTS)
    embedder = sf.SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette", num_labels=0)
    tasks = []
    chosen = {name: sf.RECIPES[name] for name in recipes}
    others: dict[str, tuple[Activation | None, ...]] = {"segment": (None, "argmax"), "embed": ()}
    for task, model in (("segment", segmenter), ("embed", embedder)):
        calibration, names, other = write_pictures(folder, model.config.transform)
        options = TARGETS["mediapipe"].fuse_options(model.config, model.task)
        deploy = sf.fuse(model, **options)
        measured = calibrate(deploy, calibration)
        for name, recipe in chosen.items():
            file = f"{task}_{name}.tflite"
            sf.export(deploy, recipe, calibration=measured).save(folder / file)
            tasks.append({"task": task, "file": file, "photographs": [*names, other]})
        for activation in others[task]:
            deploy = sf.fuse(model, include_preprocessing=True, classifier_activation=activation)
            file = f"{task}_{deploy.named_outputs[0].name}_float32.tflite"
            sf.export(deploy, sf.RECIPES["float32"]).save(folder / file)
            tasks.append({"task": task, "file": file, "photographs": names})
    return tasks


def judged(folder: Path, task: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """What MediaPipe gave beside what LiteRT gives."""
    if "refused" in said:
        return said
    lite = sf.LiteModel.open(folder / task["file"])
    run, answers = LiteRunner(lite), np.load(folder / task["file"].replace(".tflite", ".npz"))
    rows: dict[str, list[float]] = {}
    for name in task["photographs"]:
        with Image.open(folder / name) as picture:
            size = picture.size[::-1]
            pixels = np.asarray(
                picture if size == lite.config.input_size else lite.config.transform.crop_image(picture)
            )
        outputs = run(pixels[None].astype(np.float32))
        own = "" if size == lite.config.input_size else ", another size"
        if task["task"] == "embed":
            rows.setdefault(f"largest error{own}", []).append(
                float(np.abs(answers[f"embedding {name}"] - outputs).max())
            )
            continue
        mask = answers_at(outputs[None], size, len(lite.labels))
        rows.setdefault(f"pixels{own}", []).append(float(np.mean(answers[f"mask {name}"] == mask)))
        confidences = answers[f"confidences {name}"]
        if confidences.shape == outputs.shape:
            error = float(np.abs(confidences - outputs).max())
            rows.setdefault(f"largest error{own}", []).append(error)
    summary = {key: min(values) if key.startswith("pixels") else max(values) for key, values in rows.items()}
    return {**said, **summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--recipe", choices=list(sf.RECIPES), action="append", help="May be given many times; default: all."
    )
    options = parser.parse_args()
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    tasks = write_files(folder, options.recipe or list(sf.RECIPES))
    (folder / "tasks.json").write_text(json.dumps(tasks))
    python = venv(folder / "venv", MEDIAPIPE)
    client = HERE / "mediapipe_tasks_client.py"
    result = subprocess.run([python, client, folder], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(result.stderr[-2000:])
    said = json.loads(result.stdout.splitlines()[-1])
    found = {task["file"]: judged(folder, task, said[task["file"]]) for task in tasks}
    document = {"mediapipe": said["mediapipe"], "photographs": PHOTOGRAPHS, "files": found}
    (RESULTS / "camvid" / "mediapipe.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))
    if wrong := [name for name, row in found.items() if not is_right(name, row)]:
        raise SystemExit(f"not as LiteRT: {', '.join(wrong)}")


def is_right(file: str, row: dict[str, Any]) -> bool:
    """Whether MediaPipe's answers are LiteRT's. Files that are not made for it are reported without a verdict."""
    task, _, recipe = file.removesuffix(".tflite").partition("_")
    if recipe not in sf.RECIPES:
        return True
    error, pixels = ALLOWED.get(recipe, SAME)
    return row.get("largest error", np.inf) <= error and (task == "embed" or row.get("pixels", 0) >= pixels)


if __name__ == "__main__":
    main()
