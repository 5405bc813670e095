"""What is known of one model of the zoo: `zoo.json` in its folder, and the accuracies that are counted into it."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from swiftformer_tf.errors import ImageError
from swiftformer_tf.evaluation import evaluate_classifier
from swiftformer_tf.files import replacing
from swiftformer_tf.images.labels import labeled_images
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.predicting import predictor

__all__ = ["STATE", "begin", "evaluate", "write"]

STATE = "zoo.json"


def write(home: Path, state: dict[str, Any]) -> None:
    """Replaces `zoo.json`."""
    with replacing(home / STATE) as beside:
        beside.write_text(json.dumps(state, indent=2) + "\n")


def begin(home: Path, state: dict[str, Any]) -> None:
    """Puts a folder with nothing but `zoo.json` in the place of what an earlier run left there, if it left anything.

    Both are moved, since a folder without `zoo.json` is taken for somebody else's: a run that is killed leaves none.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".zoo-", dir=home.parent) as room:
        new = Path(room, "new")
        new.mkdir()
        write(new, state)
        if home.exists():
            home.rename(Path(room, "old"))
        new.rename(home)


def evaluate(home: Path, state: dict[str, Any], folder: Path) -> None:
    """Adds the top-1 accuracy of every file that has none yet, and keeps each as soon as it is counted.

    Without folders named after the model's classes there is nothing to count, which is said.
    """
    for recipe in [recipe for recipe in state["files"] if recipe not in state["accuracy"]]:
        predict, config = predictor(LiteModel.open(home / f"{home.name}_{recipe}.tflite"), num_threads=2)
        try:
            images = labeled_images(folder, config.labels)
        except ImageError as problem:
            print(f"not evaluated on {folder}: {problem}", file=sys.stderr)
            return
        state["accuracy"][recipe] = evaluate_classifier(predict, config, images).metrics["accuracy"]
        write(home, state)
