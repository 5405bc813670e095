"""Recall at 1 of the shipped XS's features on Imagenette's val, by recipe.

    python docs/results/embeddings.py IMAGENETTE docs/results/embeddings.json --recipe float32 --recipe int8

IMAGENETTE holds `train/<wnid>` and `val/<wnid>`. Every photograph of val looks for the nearest other one, by the cosine
of pooled features; recall is the share of which that has the same class.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import swiftformer_tf as sf
from swiftformer_tf.exporting import calibrate
from swiftformer_tf.images.folders import balanced_sample, list_images
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.tasks.features import Retrieval, cosine, nearest_others

WEIGHTS = "swiftformer_xs_imagenette"
CALIBRATED_ON = 100


def measured(folder: Path, recipes: list[str]) -> dict[str, Any]:
    """A row for each recipe."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(WEIGHTS, num_labels=0)
    transform = model.config.transform
    train, val = list_images(folder / "train"), list_images(folder / "val")
    names, classes = np.unique([path.parent.name for path in val], return_inverse=True)
    deploy = sf.fuse(model)
    calibration = calibrate(deploy, balanced_sample(train, CALIBRATED_ON))
    files = {name: LiteRunner(sf.export(deploy, sf.RECIPES[name], calibration=calibration)) for name in recipes}
    vectors: dict[str, list[np.ndarray]] = {name: [] for name in recipes}
    for path in val:
        pixels = transform(path)[None]
        for name, run in files.items():
            vectors[name].append(run(pixels))
    found = {name: np.stack(each) for name, each in vectors.items()}
    first = found[recipes[0]]
    rows = {}
    for name, each in found.items():
        recall = Retrieval(classes, nearest_others(each), tuple(names)).recall_at_1
        rows[name] = {"recall_at_1": recall, "mean_cosine": cosine(first, each, model.config)}
    return {"photographs": len(val), "calibrated_on": CALIBRATED_ON, "cosine_against": recipes[0], "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imagenette", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--recipe", choices=list(sf.RECIPES), action="append", required=True)
    options = parser.parse_args()
    found = measured(options.imagenette, options.recipe)
    options.result.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
