"""MediaPipe Tasks' `ImageSegmenter` and `ImageEmbedder` on files as they were exported; `mediapipe_tasks.py` runs it.

Runs in an environment with mediapipe and without this package. Writes answers as `.npz` beside the files, and prints
what else it saw.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageEmbedder, ImageEmbedderOptions, ImageSegmenter, ImageSegmenterOptions

__all__: list[str] = []


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
    return {"length": len(next(iter(arrays.values())))}


TASKS = {"segment": segment, "embed": embed}


def main() -> None:
    """Reads `tasks.json` of a folder: files, photographs and the task of each."""
    folder = Path(sys.argv[1])
    said: dict[str, Any] = {"mediapipe": mp.__version__}
    for task in json.loads((folder / "tasks.json").read_text()):
        path = folder / task["file"]
        try:
            said[task["file"]] = TASKS[task["task"]](path, [folder / name for name in task["photographs"]])
        except (RuntimeError, ValueError) as error:
            said[task["file"]] = {"refused": str(error).strip().splitlines()[0]}
    print(json.dumps(said))


if __name__ == "__main__":
    os.environ.setdefault("GLOG_minloglevel", "2")
    main()
