"""MediaPipe Tasks' `ImageClassifier`, the library that Android apps use, on the files as they were exported.

Runs in an environment with mediapipe and without this package. Labels and their order come from the file itself, by its
TFLite Metadata; the metadata is read by mediapipe's own generated code too.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import mediapipe as mp
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as model_schema
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions
from refusing import refusal

__all__: list[str] = []

SNIPPETS = Path(__file__).parents[2] / "docs" / "tutorials" / "running-the-files.md"


def classify(path: Path, photographs: list[Path], labels: list[str]) -> dict[str, Any]:
    """Scores of each photograph in the order of `labels`, or why there are none."""
    options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=str(path)))
    try:
        classifier = ImageClassifier.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        return {"refused": refusal(error)}
    with classifier:
        outputs = []
        for photograph in photographs:
            (head,) = classifier.classify(mp.Image.create_from_file(str(photograph))).classifications
            # Sorted by score: each says which output it was, and by which name the file calls it.
            scores = np.full(len(labels), np.nan)
            for category in head.categories:
                if category.category_name != labels[category.index]:
                    reason = f"output {category.index} is called {category.category_name!r}: {labels[category.index]!r}"
                    return {"failed": f"{reason} expected"}
                scores[category.index] = category.score
            best = [category.index for category in head.categories]
            if not np.array_equal(scores[best], np.sort(scores)[::-1]):
                return {"failed": "the labels are not in the order of their scores"}
            outputs.append(scores.tolist())
    return {"outputs": outputs}


def metadata(path: Path) -> dict[str, Any]:
    """What mediapipe's own reader finds in the file."""
    model = model_schema.Model.GetRootAs(path.read_bytes(), 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == b"TFLITE_METADATA":
            content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            root = metadata_schema.ModelMetadata.GetRootAs(content, 0)
            told = metadata_schema.ModelMetadataT.InitFromObj(root)
            (image,) = told.subgraphMetadata[0].inputTensorMetadata
            (scores,) = told.subgraphMetadata[0].outputTensorMetadata
            options = image.processUnits[0].options
            return {
                "name": told.name.decode(),
                "license": told.license.decode(),
                "parser": told.minParserVersion.decode(),
                "mean": np.asarray(options.mean).tolist(),
                "std": np.asarray(options.std).tolist(),
                "labels": scores.associatedFiles[0].name.decode(),
            }
    raise ValueError(f"{path.name}: no TFLite Metadata")


def documented(path: Path, photograph: Path) -> list[tuple[str, float]]:
    """What the snippet of the documentation finds best, first."""
    (block,) = re.findall(r"```py\n(.*?)```", SNIPPETS.read_text("utf-8"), re.DOTALL)
    given = f"path, photograph = {str(path)!r}, {str(photograph)!r}"
    code, count = re.subn(r"^path, photograph = .*$", lambda _: given, block, flags=re.MULTILINE)
    assert count == 1
    found: dict[str, Any] = {"print": lambda *_: None}
    exec(code, found)
    return [(each.category_name, each.score) for each in found["result"].classifications[0].categories]


def main() -> None:
    """Prints what the README of this folder asks for."""
    kit = Path(sys.argv[1])
    about = json.loads((kit / "kit.json").read_text())
    photographs = sorted((kit / "photographs").iterdir())
    if "--quick" in sys.argv[2:]:
        photographs = photographs[:4]
    runs = []
    for recipe, entry in about["recipes"].items():
        for kind, variant in (("scores", "float32 input"), ("uint8", "uint8 input")):
            if kind in entry["files"]:
                path = kit / entry["files"][kind]
                said = classify(path, photographs, about["labels"])
                if outputs := said.get("outputs"):
                    best = int(np.argmax(outputs[0]))
                    label, score = documented(path, photographs[0])[0]
                    if (label, score) != (about["labels"][best], outputs[0][best]):
                        said = {"failed": f"the snippet of {SNIPPETS.name} says {label} {score}"}
                runs.append({"variant": variant, "recipe": recipe, "file": kind, "facts": metadata(path), **said})
    print(json.dumps({"versions": {"mediapipe": mp.__version__}, "runs": runs}))


if __name__ == "__main__":
    os.environ.setdefault("GLOG_minloglevel", "2")
    main()
