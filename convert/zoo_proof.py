"""What `zoo.py` does for one model: it ports, compares with its own library, exports, verifies, and writes a folder."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import references
import timm
import torch
import transformers
import zoo_card
import zoo_failures
import zoo_state
from comparing import THRESHOLD, error
from folders import by_transformers
from zoo_failures import ZooError

from swiftformer_tf import __version__
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.hub import fetch
from swiftformer_tf.images.folders import balanced_sample, iterate_images, list_images
from swiftformer_tf.images.samples import photographs
from swiftformer_tf.model import SwiftFormerForImageClassification
from swiftformer_tf.pipeline import export_files
from swiftformer_tf.porting import port
from swiftformer_tf.recipes import Recipe

# Who computes what a folder of this key layout means.
LIBRARIES: dict[str, Callable[[Path], torch.nn.Module]] = {
    "timm": lambda folder: timm.create_model(f"local-dir:{folder}", pretrained=True).eval(),
    "hf": lambda folder: by_transformers(folder)[0],
}

# Photographs that are compared with the library, calibrate, and verify.
COMPARED, CALIBRATION, VERIFICATION = 8, 200, 500


@dataclasses.dataclass(frozen=True)
class Options:
    """What the models of one table have in common.

    Args:
        output: Where the folders go.
        recipes: What to export.
        photographs: A folder with `train/` and `val/`, or None for scikit-image's pictures.
    """

    output: Path
    recipes: tuple[Recipe, ...]
    photographs: Path | None


def prove(name: str, options: Options) -> dict[str, Any]:
    """Does all that is not done yet for one model, and returns what its folder says of it.

    Raises:
        SwiftFormerError: It cannot be fetched or read, or its logits are not its library's.
        Exception: Its library or the hub refuses it, in words of their own.
    """
    transformers.logging.disable_progress_bar()
    source = fetch(name)
    checkpoint = Checkpoint.open(source)
    library = zoo_failures.library_for(name, checkpoint.key_layout, LIBRARIES)
    home = home_of(name, options)
    state = _state(home, name, source, checkpoint, options)
    model = port(checkpoint).model
    calibration, verification = _photographs(model, options.photographs)
    if "logits" not in state:
        state["logits"] = _compare(name, checkpoint.key_layout, library(source), model, verification[:COMPARED])
        model.save(home / f"{home.name}.keras")
        zoo_state.write(home, state)
    reports = {recipe.name: home / f"{home.name}_{recipe.name}.json" for recipe in options.recipes}
    export_files(
        model,
        [recipe for recipe in options.recipes if not reports[recipe.name].exists()],
        home,
        stem=home.name,
        calibration=calibration,
        images=verification,
        include_preprocessing=True,
        license=state["license"],
    )
    state["files"] = {recipe: json.loads(path.read_text()) for recipe, path in reports.items()}
    if options.photographs:
        state["dataset"] = zoo_card.dataset_type(options.photographs)
        zoo_state.evaluate(home, state, options.photographs / "val")
    zoo_state.write(home, state)
    zoo_card.write(home, state)
    return state


def home_of(name: str, options: Options) -> Path:
    return options.output / name.partition("@")[0].replace("/", "_")


def _state(home: Path, name: str, source: Path, checkpoint: Checkpoint, options: Options) -> dict[str, Any]:
    """What an earlier run left of the same work, or a new beginning."""
    made_of = {
        "model": name,
        "revision": source.name,
        "swiftformer_tf": __version__,
        "references": references.VERSIONS,
        "recipes": [recipe.name for recipe in options.recipes],
        "photographs": zoo_card.dataset_name(options.photographs) if options.photographs else "scikit-image",
    }
    path = home / zoo_state.STATE
    if path.exists() and (state := json.loads(path.read_text()))["made_of"] == made_of:
        return dict(state)
    if home.exists() and not path.exists():
        raise ZooError(f"{home}: is there already and was not made by zoo.py; move it away, or give another --output")
    # Asked first: where the hub is gone, what was there stays.
    license_name = zoo_card.license_of(name)
    state = {
        "made_of": made_of,
        "license": license_name,
        "token_weights": checkpoint.token_weights,
        "labels": checkpoint.config.num_labels,
        "transform": checkpoint.config.transform.to_dict(),
        "accuracy": {},
    }
    zoo_state.begin(home, state)
    return state


def _photographs(model: SwiftFormerForImageClassification, folder: Path | None) -> tuple[Any, Any]:
    if folder is None:
        calibration, verification = photographs(model.config.transform)
        return calibration.pixels, verification.pixels
    return (
        balanced_sample(list_images(folder / "train"), CALIBRATION),
        balanced_sample(list_images(folder / "val"), VERIFICATION),
    )


def _compare(
    name: str,
    key_layout: str,
    reference: torch.nn.Module,
    model: SwiftFormerForImageClassification,
    images: Sequence[Any],
) -> float:
    """Largest difference from the library's own logits over their largest value, on the same pixels."""
    transform = model.config.transform
    if isinstance(images, np.ndarray):
        pixels = transform.normalize(images)
    else:
        pixels = np.concatenate(list(iterate_images(images, transform)))
    difference = error(np.asarray(model(pixels, training=False)), references.logits(reference, pixels))
    if not difference <= THRESHOLD:
        raise ZooError(
            f"{name}: logits differ from {key_layout}'s by {difference:.1e} of their largest value, more than "
            f"{THRESHOLD:.0e}; nothing was exported"
        )
    return difference


def unmet(name: str, state: dict[str, Any]) -> list[str]:
    """A line for each file that did not pass."""
    lines = []
    for recipe, report in state["files"].items():
        if report["verdict"] != "passed":
            unmet = "; ".join(check["name"] for check in report["checks"] if check["status"] != "passed")
            lines.append(f"{name}: {recipe}: {report['verdict']}: {unmet}")
    return lines
