"""MediaPipe Tasks' `ImageSegmenter` and `ImageEmbedder` on files as they were exported; `mediapipe_tasks.py` runs it.

Runs in an environment with mediapipe and without this package. Writes answers as `.npz` beside the files, and prints
what else it saw.
"""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageEmbedder, ImageEmbedderOptions, ImageSegmenter, ImageSegmenterOptions
from refusing import refusal

__all__: list[str] = []

PAGE = Path(__file__).parents[2] / "docs" / "embeddings.md"
# Where the block of the page looks for a file and two photographs.
PLACES = ("models/features_mixed_int8.tflite", "photos/val/tench/0.jpg", "photos/val/parachute/0.jpg")


def segment(path: Path, photographs: list[Path]) -> dict[str, Any]:
    """Masks and probabilities of each photograph, and the labels that MediaPipe found."""
    options = ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(path)), output_category_mask=True, output_confidence_masks=True
    )
    arrays = {}
    with ImageSegmenter.create_from_options(options) as segmenter:
        labels = list(segmenter.labels)
        for photograph in photographs:
            result = segmenter.segment(mp.Image.create_from_file(str(photograph)))
            # Copies: the memory is freed with the segmenter.
            arrays[f"mask {photograph.name}"] = np.squeeze(result.category_mask.numpy_view()).copy()
            confidences = [np.squeeze(each.numpy_view()).copy() for each in result.confidence_masks]
            arrays[f"confidences {photograph.name}"] = np.stack(confidences, axis=-1)
    np.savez(path.with_suffix(".npz"), **arrays)
    return {"labels": labels}


def embed(path: Path, photographs: list[Path]) -> dict[str, Any]:
    """The vector of each photograph."""
    options = ImageEmbedderOptions(base_options=BaseOptions(model_asset_path=str(path)))
    arrays: dict[str, Any] = {}
    with ImageEmbedder.create_from_options(options) as embedder:
        for photograph in photographs:
            (head,) = embedder.embed(mp.Image.create_from_file(str(photograph))).embeddings
            arrays[f"embedding {photograph.name}"] = np.array(head.embedding)
    np.savez(path.with_suffix(".npz"), **arrays)
    one, other, *_ = arrays.values()
    similarity = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    if abs((said := documented(path, photographs[:2])) - similarity) > 1e-6:
        raise ValueError(f"the block of {PAGE.name} says {said}, expected {similarity}")
    return {"length": len(one)}


def documented(path: Path, photographs: list[Path]) -> float:
    """The similarity of two photographs that the block of the page prints, run on a file."""
    (block,) = re.findall(r"```py\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    said: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for source, place in zip((path, *photographs), PLACES, strict=True):
            target = Path(folder, place)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        with contextlib.chdir(folder):
            exec(block, {"print": said.append})
    return said[0]


TASKS = {"segment": segment, "embed": embed}


def main() -> None:
    """Reads `tasks.json` of a folder: files, photographs and the task of each."""
    folder = Path(sys.argv[1]).resolve()
    said: dict[str, Any] = {"mediapipe": mp.__version__}
    for task in json.loads((folder / "tasks.json").read_text()):
        path = folder / task["file"]
        try:
            said[task["file"]] = TASKS[task["task"]](path, [folder / name for name in task["photographs"]])
        except (RuntimeError, ValueError) as error:
            said[task["file"]] = {"refused": refusal(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    os.environ.setdefault("GLOG_minloglevel", "2")
    main()
