"""What every client is given: the shipped model in every recipe, photographs, and what Keras says of them.

A kit is a folder:

    kit.json              labels, recipes, files, versions
    RECIPE.tflite         normalized float32 in, logits out
    RECIPE_scores.tflite  RGB from 0 to 255 in as float32, probabilities out
    RECIPE_uint8.tflite   the same with a picture's bytes in; of recipes that can have such an input
    RECIPE_int8.tflite    normalized in, logits out, both as int8; of recipes that are integer throughout
    converter.tflite      the same by the TFLite converter's own quantizer from the same graph, for comparison
    photographs/00.png    as the model sees them: of its size, so that no client has to resize
    pixels.npy            the same, (N, height, width, 3) uint8
    inputs.npy            the same, normalized, float32
    logits.npy            what Keras says, (N, labels) float32
    NAME.npy              what LiteRT on this machine's own processor makes of NAME.tflite, (N, labels) float32
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import swiftformer_tf as sf
from swiftformer_tf.checkpoints.pretrained import license_of, weights_path
from swiftformer_tf.deployment.targets import TARGETS
from swiftformer_tf.images.folders import balanced_sample, list_images
from swiftformer_tf.images.samples import photographs
from swiftformer_tf.images.transform import open_image
from swiftformer_tf.litert.metadata import min_runtime_version
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.recipes import INFERENCE_TYPES

__all__ = ["CONVERTER", "Kit", "converted", "fingerprint", "make_kit", "open_kit", "spread"]

WEIGHTS = "swiftformer_xs_imagenette"
# Real photographs of the classes of these weights, where somebody has laid them beside the checkout.
ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "imagenette224.tar"
CONVERTER = "converter.tflite"
CALIBRATED_ON, QUICKLY_CALIBRATED_ON = 32, 8


@dataclasses.dataclass(frozen=True)
class Kit:
    """An opened kit.

    Args:
        folder: Where it lies.
        about: Content of `kit.json`.
        logits: What Keras says, (N, labels).
        desktop: By recipe and kind of file, what LiteRT on this machine's own processor says, (N, labels).
    """

    folder: Path
    about: dict[str, Any]
    logits: np.ndarray
    desktop: dict[tuple[str, str], np.ndarray]

    @property
    def recipes(self) -> dict[str, sf.Recipe]:
        """The recipes by name, in the order of `RECIPES`."""
        return {name: sf.Recipe.from_dict(entry["recipe"]) for name, entry in self.about["recipes"].items()}


def open_kit(folder: Path) -> Kit:
    """Reads what `make_kit` wrote."""
    about = json.loads((folder / "kit.json").read_text())
    return Kit(
        folder,
        about,
        np.load(folder / "logits.npy"),
        {
            (name, kind): np.load(folder / f"{file.removesuffix('.tflite')}.npy")
            for name, entry in about["recipes"].items()
            for kind, file in entry["files"].items()
        },
    )


def make_kit(folder: Path, *, count: int, images: Path | None = None, quick: bool = False) -> Kit:
    """Exports every row of `RECIPES` into a folder, unless what lies there was made from the same things.

    Args:
        folder: Where the kit belongs.
        count: How many photographs.
        images: Folder of photographs. Default: Imagenette where it lies beside the checkout, else scikit-image's.
        quick: Calibrate on fewer.
    """
    calibrated_on = QUICKLY_CALIBRATED_ON if quick else CALIBRATED_ON
    made_from = fingerprint(count, images, calibrated_on)
    if (folder / "kit.json").is_file() and (kit := open_kit(folder)).about["made_from"] == made_from:
        return kit
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kit.json").unlink(missing_ok=True)  # written last: a kit without it is not one
    checkpoint = sf.Checkpoint.open(weights_path(WEIGHTS))
    model = sf.port(checkpoint).model
    transform = checkpoint.config.transform
    source, calibration, pixels = pictures(transform, count, calibrated_on, images)
    inputs = transform.normalize(pixels)
    (folder / "photographs").mkdir(exist_ok=True)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / "photographs" / f"{index:02}.png")
    arrays = {"pixels": pixels, "inputs": inputs, "logits": model.predict(inputs, verbose=0)}
    logits, scores = sf.fuse(model), sf.fuse(model, **TARGETS["mediapipe"].fuse_options(model.config))
    print("  calibrating", file=sys.stderr)
    measured = {id(graph): sf.calibrate(graph, calibration) for graph in (logits, scores)}
    entries = {}
    for name, recipe in sf.RECIPES.items():
        print(f"  exporting {name}", file=sys.stderr)
        kinds = {"logits": (logits, recipe), "scores": (scores, recipe)}
        if "uint8" in INFERENCE_TYPES[recipe.activations]:
            kinds["uint8"] = (scores, recipe.replace(inference_input_type="uint8"))
        if recipe.activations == "int8" and not recipe.float_ops:
            ends = {"inference_input_type": "int8", "inference_output_type": "int8"}
            kinds["int8"] = (logits, recipe.replace(**ends))
        files = {}
        for kind, (graph, typed) in kinds.items():
            license_text = license_of(weights_path(WEIGHTS))
            lite = sf.export(graph, typed, calibration=measured[id(graph)], license=license_text)
            stem = name if kind == "logits" else f"{name}_{kind}"
            files[kind] = f"{stem}.tflite"
            lite.save(folder / files[kind])
            runner = LiteRunner(lite)
            given = pixels.astype(np.float32) if graph is scores else inputs
            arrays[stem] = np.stack([runner(image[None]) for image in given])
        minimum = min_runtime_version((folder / files["logits"]).read_bytes())
        entries[name] = {"recipe": recipe.to_dict(), "files": files, "min_runtime_version": minimum}
    (folder / CONVERTER).write_bytes(converted(logits, transform.normalize(calibration)))
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    about = {
        "made_from": made_from,
        "weights": WEIGHTS,
        "labels": list(checkpoint.config.labels),
        "photographs": source,
        "recipes": entries,
        "converter": CONVERTER,
        "versions": {name: importlib.metadata.version(name) for name in ("ai-edge-litert", "keras", "tensorflow")},
    }
    (folder / "kit.json").write_text(json.dumps(about, indent=2) + "\n")
    return open_kit(folder)


def converted(deploy: sf.DeployModel, images: np.ndarray) -> bytes:
    """The TFLite converter's own int8, integer at both ends, of normalized images (N, height, width, 3)."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(deploy)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def pictures(
    transform: sf.Transform, count: int, calibrated_on: int, images: Path | None
) -> tuple[str, np.ndarray, np.ndarray]:
    """Where the photographs come from, `calibrated_on` of them, and `count` others, both uint8."""
    if images:
        paths = balanced_sample(list_images(images), calibrated_on + count)
        crops = np.stack([transform.crop_image(open_image(path)) for path in paths])
        return "a folder of photographs", crops[count:], crops[:count]
    if ARCHIVE.is_file():
        with tarfile.open(ARCHIVE) as archive:
            members = sorted((each for each in archive if each.isfile()), key=lambda each: each.name)

            def sample(split: str, wanted: int) -> np.ndarray:
                paths = {member.name: member for member in members if member.name.startswith(f"{split}/")}
                chosen = balanced_sample([Path(name) for name in paths], wanted)
                found = [archive.extractfile(paths[str(path)]) for path in chosen]
                return np.stack(
                    [transform.crop_image(Image.open(BytesIO(f.read())).convert("RGB")) for f in found if f]
                )

            return "Imagenette's validation split", sample("train", calibrated_on), sample("val", count)
    calibration, others = (each.pixels for each in photographs(transform))
    # Spread over all of them, since crops of one picture follow each other.
    return "scikit-image's photographs", spread(calibration, calibrated_on), spread(others, count)


def spread(pixels: np.ndarray, count: int) -> np.ndarray:
    """That many of the pictures, at even distances."""
    return pixels[np.linspace(0, len(pixels) - 1, min(count, len(pixels))).astype(int)]


def fingerprint(*settings: Any) -> str:
    """Hash of what a kit depends on: the package's sources and weights, this file, the settings."""
    digest = hashlib.sha256(repr(settings).encode())
    package = Path(sf.__file__).parent
    for path in sorted([*package.rglob("*.py"), Path(weights_path(WEIGHTS)), Path(__file__)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
