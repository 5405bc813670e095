"""The published segmenter in every recipe through the clients of `run.py` that take a kit as it is.

    python tflite/clients/segmenters.py FOLDER
    python tflite/clients/segmenters.py FOLDER --client openvino --client ethosu
    python tflite/clients/segmenters.py FOLDER --probabilities

FOLDER gets the files and the clients' environments; `make clients` gives it `.clients`, where `run.py` has made these
already. The weights are those in `docs/results/camvid`, at 96 x 128, which emulators can compute; the photographs are
scikit-image's. Writes the tables of `docs/results/camvid/clients.md`, or of `clients_probabilities.md` for files with
probabilities at full size. A client that did not run keeps its last table. Exit status 1 if an answer is wrong, or
worse than `KNOWN_MASKS` says.
MediaPipe's tasks have a script of their own, `mediapipe_tasks.py`.
"""

import argparse
import dataclasses
import datetime
import inspect
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from environments import LeftOutError
from judging import (
    MIN_PHOTOGRAPHS,
    Result,
    Verdict,
    by_chance,
    labels_of_the_file,
    parts_left,
    signal_to_noise,
)
from kit import CONVERTER, Kit, converted, fingerprint, open_kit, spread
from PIL import Image
from run import CLIENTS, Client, ask
from tables import section, table

import swiftformer_tf as sf
from swiftformer_tf.images.samples import photographs
from swiftformer_tf.litert.metadata import min_runtime_version
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.tasks import Activation
from swiftformer_tf.tasks.semantic_segmentation import activate

__all__ = ["KNOWN_MASKS", "NAMES", "judge_masks", "make_segmenter_kit", "own_runs"]

RESULTS = Path(__file__).parents[2] / "docs" / "results"
# By what the files return.
PAGES: dict[Activation | None, Path] = {
    None: RESULTS / "camvid" / "clients.md",
    "softmax": RESULTS / "camvid" / "clients_probabilities.md",
}
NAMES = ("openvino", "ethosu", "arm64", "gpu", "browser", "runtimes")
SIZE = (96, 128)
PHOTOGRAPHS, CALIBRATED_ON = 6, 24

# Room for a client's own arithmetic, in decibels: how much nearer to Keras LiteRT on this machine may be if the client
# does not reach the recipe's threshold. The same as a factor of amplitudes, by which pixels change their class.
SNR_ROOM = 1.0
ROOM = 10 ** (SNR_ROOM / 20)

# Times as many pixels as the recipe lets differ may have another class than Keras's by LiteRT on this machine. These
# photographs are not street scenes, and two classes are close in more pixels: mixed_int8 has 4.9 times as many, the
# others 0 to 3.6 times.
UNLIKE_STREETS = 5


class Known(NamedTuple):
    """How far something is known to be from what is needed; what is worse counts against the model.

    Args:
        why: The cause as far as it is known; the tables have the figures beside it.
        least_same: Share of the pixels that must be of Keras's class all the same.
        most_stray: Share of the pixels that may be of neither Keras's class nor LiteRT's.
        on_cpu: Operations that a compiler leaves, and how many of each.
        subgraphs: Parts on the NPU.
        speed: Share of the converter's speed.
    """

    why: str
    least_same: float = 1.0
    most_stray: float = 0.0
    on_cpu: Mapping[str, int] = MappingProxyType({})
    subgraphs: int = 1
    speed: float = math.inf


NOTHING = Known("")

_FLOATS = "WebGPU computes integers in floats, whose sums it rounds with other last bits"
_RESIZE = "on U55 and U65, vela leaves the last RESIZE_BILINEAR to the CPU, so that what follows is a second part"
_OLDER = (
    "dynamic_int8 is less precise before LiteRT 1.2, with 36 dB where LiteRT here has 42; which of its operations "
    "differ is not known"
)
_OLDER_RUNTIMES = ("tflite-runtime 2.9.1", "tflite-runtime 2.11.0", "tflite-runtime 2.14.0", "ai-edge-litert 1.0.1")

# By what the files return, client, variant and recipe. The limits are what was measured, rounded to the worse side:
# 1.43 and 1.13 % of the pixels, 1.04 of the converter's speed, and 99.22 to 99.27 % of the pixels.
KNOWN_MASKS: dict[tuple[Activation | None, str, str, str], Known] = {
    (None, "gpu", "WebGPU", "static_int8"): Known(_FLOATS, most_stray=0.015),
    ("softmax", "gpu", "WebGPU", "static_int8"): Known(_FLOATS, most_stray=0.012),
    ("softmax", "ethosu", "ethos-u55-256", "static_int8"): Known(_RESIZE, on_cpu={"RESIZE_BILINEAR": 1}, subgraphs=2),
    ("softmax", "ethosu", "ethos-u65-512", "static_int8"): Known(
        _RESIZE, on_cpu={"RESIZE_BILINEAR": 1}, subgraphs=2, speed=1.03
    ),
    **{("softmax", "runtimes", each, "dynamic_int8"): Known(_OLDER, least_same=0.992) for each in _OLDER_RUNTIMES},
}

# The row of LiteRT on this machine, on the photographs that a client has seen.
HERE = "*LiteRT here*"


def segmenter() -> SwiftFormerForSemanticSegmentation:
    """The published one for small pictures."""
    sys.path.insert(0, str(RESULTS))
    from camvid import HEAD, WEIGHTS, published

    large = published(RESULTS / "camvid" / WEIGHTS)
    config = large.config.replace(image_size=SIZE, transform=large.config.transform.replace(size=SIZE))
    model = SwiftFormerForSemanticSegmentation(config, head=HEAD)
    model.set_weights(large.get_weights())
    return model


def make_segmenter_kit(folder: Path, activation: Activation | None = None) -> Kit:
    """Like `kit.make_kit`, with logits of every fourth pixel or probabilities of each.

    What lies there is left as it is if it was made from the same things.

    Args:
        folder: Where the kit belongs.
        activation: What the files apply to logits; their answers are called logits all the same.
    """
    sources = [inspect.getsource(each) for each in (segmenter, make_segmenter_kit)]
    made_from = fingerprint(SIZE, PHOTOGRAPHS, CALIBRATED_ON, activation, sources)
    if (folder / "kit.json").is_file() and (kit := open_kit(folder)).about["made_from"] == made_from:
        return kit
    (folder / "photographs").mkdir(parents=True, exist_ok=True)
    (folder / "kit.json").unlink(missing_ok=True)  # written last: a kit without it is not one
    model = segmenter()
    transform = model.config.transform
    calibration, others = (each.pixels for each in photographs(transform))
    calibration, pixels = spread(calibration, CALIBRATED_ON), spread(others, PHOTOGRAPHS)
    for index, each in enumerate(pixels):
        Image.fromarray(each).save(folder / "photographs" / f"{index:02}.png")
    inputs = transform.normalize(pixels)
    logits = model.predict(inputs, verbose=0)
    arrays = {"inputs": inputs, "logits": np.asarray(activate(logits, activation, model.config))}
    deploy = sf.fuse(model, classifier_activation=activation)
    measured = sf.calibrate(deploy, calibration)
    entries = {}
    for name, recipe in sf.RECIPES.items():
        print(f"  exporting {name}", flush=True)
        files = {"logits": recipe}
        if recipe.activations == "int8" and not recipe.float_ops:
            files["int8"] = recipe.replace(inference_input_type="int8", inference_output_type="int8")
        stems = {kind: name if kind == "logits" else f"{name}_{kind}" for kind in files}
        for kind, typed in files.items():
            lite = sf.export(deploy, typed, calibration=measured)
            lite.save(folder / f"{stems[kind]}.tflite")
            runner = LiteRunner(lite)
            arrays[stems[kind]] = np.stack([runner(image[None]) for image in inputs])
        entries[name] = {
            "recipe": recipe.to_dict(),
            "files": {kind: f"{stem}.tflite" for kind, stem in stems.items()},
            "min_runtime_version": min_runtime_version((folder / f"{name}.tflite").read_bytes()),
        }
    (folder / CONVERTER).write_bytes(converted(deploy, transform.normalize(calibration)))
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    about = {"made_from": made_from, "activation": activation, "recipes": entries, "converter": CONVERTER}
    (folder / "kit.json").write_text(json.dumps(about, indent=2) + "\n")
    return open_kit(folder)


def judge_masks(client: str, run: dict[str, Any], kit: Kit) -> Verdict:
    """Compares one run with the kit, see `judging.judge`: here each pixel has a class.

    The logits must be as near to Keras's as the recipe wants, or as LiteRT's on this machine, and so must the share of
    the pixels that are of Keras's class. As many pixels may be of a class that neither Keras nor LiteRT has as the
    recipe lets differ from Keras: two that round in other places each differ from Keras, and from each other more.
    What `KNOWN_MASKS` names has an excuse as long as it is not worse. LiteRT itself must have what the recipe wants of
    its logits, and Keras's class in enough pixels of these photographs: see `UNLIKE_STREETS`.

    Args:
        client: Name of the client.
        run: What the client printed of it, see the README.
        kit: What the client was given.
    """
    name, compiled = run["recipe"], run.get("compiled")
    verdict = Verdict(
        client,
        run["variant"],
        name,
        "wrong",
        facts=compiled or run.get("facts", {}),
        runtime_version=run.get("runtime_version", ""),
        min_runtime_version=kit.about["recipes"][name]["min_runtime_version"],
    )
    for status in ("refused", "failed"):
        if run.get(status):
            return dataclasses.replace(verdict, status=status, reason=str(run[status]))
    here = kit.desktop[name, run.get("file", "logits")]
    answers = np.asarray(here if compiled else run["outputs"], np.float32)
    if answers.ndim != 4 or len(answers) < MIN_PHOTOGRAPHS or answers.shape[1:] != here.shape[1:]:
        expected = f"(at least {MIN_PHOTOGRAPHS}, {', '.join(map(str, here.shape[1:]))})"
        return dataclasses.replace(verdict, reason=f"outputs of shape {answers.shape}: expected {expected}")
    keras, recipe, may_differ = flat(kit.logits), kit.recipes[name], 1 - kit.recipes[name].min_pixel_agreement
    own, here = flat(here), here[: len(answers)]
    own_snr, own_differ = signal_to_noise(keras, own), UNLIKE_STREETS * may_differ
    of_the_file = [
        labels_of_the_file(own.argmax(axis=1), keras.argmax(axis=1), own_differ, "pixels"),
        (own_snr >= recipe.min_snr, f"LiteRT on this machine has {own_snr:.1f} dB, {recipe.min_snr} needed"),
    ]
    total = answers[..., 0].size
    its, ours, true = flat(answers).argmax(axis=1), flat(here).argmax(axis=1), keras[:total].argmax(axis=1)
    same, apart = float(np.mean(its == true)), float(np.mean(ours != true))
    stray = float(np.mean((its != true) & (its != ours)))
    least_same = 1 - max(may_differ, ROOM * apart + by_chance(apart, total))
    most_stray = may_differ + by_chance(may_differ, total)
    snr, least = signal_to_noise(keras, flat(answers)), signal_to_noise(keras, flat(here)) - SNR_ROOM
    least = min(least, recipe.min_snr)

    def faults(known: Known) -> tuple[list[str], list[str]]:
        """What is wrong, and what is left in parts, beyond what is known."""
        same_needed, stray_allowed = min(least_same, known.least_same), max(most_stray, known.most_stray)
        # Written so that NaN fails.
        checks = [
            *of_the_file,
            (same >= same_needed, f"{same:.2%} of the pixels are of Keras's class, {same_needed:.2%} needed"),
            (
                stray <= stray_allowed,
                f"{stray:.2%} are of neither Keras's class nor LiteRT's, {stray_allowed:.2%} allowed",
            ),
            (snr >= least, f"{snr:.1f} dB against Keras, {least:.1f} needed"),
        ]
        wrong = [reason for passed, reason in checks if not passed]
        if not compiled:
            return wrong, []
        variant, parts, speed = run["variant"], known.subgraphs, known.speed
        return wrong, parts_left(client, variant, compiled, on_cpu=known.on_cpu, subgraphs=parts, speed=speed)

    wrong, parts = faults(NOTHING)
    known = KNOWN_MASKS.get((kit.about.get("activation"), client, run["variant"], name), NOTHING)
    return dataclasses.replace(
        verdict,
        status="wrong" if wrong else "in parts" if parts else "right",
        reason="; ".join([*wrong, *parts]),
        photographs=total,
        difference=float(np.max(np.abs(answers - here))),
        snr_db=snr,
        agreeing=int(np.sum(its == true)),
        excuse="" if any(faults(known)) or not (wrong or parts) else known.why,
    )


def own_runs(runs: list[dict[str, Any]], kit: Kit) -> list[dict[str, Any]]:
    """What LiteRT has on this machine, as runs beside those of a client that computes."""
    counts = {run["recipe"]: len(run["outputs"]) for run in runs if "outputs" in run}
    return [
        {"variant": HERE, "recipe": name, "outputs": kit.desktop[name, "logits"][: counts[name]]}
        for name in kit.recipes
        if name in counts
    ]


def flat(maps: np.ndarray) -> np.ndarray:
    """Each pixel for itself, (pixels, labels)."""
    return maps.reshape(-1, maps.shape[-1]).astype(np.float64)


def run_client(client: Client, kit: Kit, folder: Path, *, quick: bool) -> Result:
    """Prepares a client, runs it, judges what it says."""
    start = time.monotonic()
    try:
        said = ask(client, client.prepare(folder), kit, folder, quick=quick)
    except LeftOutError as error:
        return Result(client.name, left_out=str(error))
    verdicts = tuple(judge_masks(client.name, run, kit) for run in [*said["runs"], *own_runs(said["runs"], kit)])
    without = tuple(said.get("without", ()))
    return Result(
        client.name,
        versions=said.get("versions", {}),
        without=without,
        verdicts=verdicts,
        seconds=time.monotonic() - start,
        date=datetime.date.today().isoformat(),
    )


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--client", choices=NAMES, action="append", help="may be given many times; default: all")
    parser.add_argument("--quick", action="store_true", help="one emulated processor, the newest of the older runtimes")
    parser.add_argument("--probabilities", action="store_true", help="files with probabilities instead of logits")
    options = parser.parse_args()
    activation: Activation | None = "softmax" if options.probabilities else None
    page, kit_name = PAGES[activation], "segmenter_probabilities" if options.probabilities else "segmenter"
    kit, bad = make_segmenter_kit(options.folder / kit_name, activation), 0
    for name in options.client or NAMES:
        result = run_client(CLIENTS[name], kit, options.folder / name, quick=options.quick)
        print(f"{name}: {result.left_out or f'{result.seconds:.0f} s'}", flush=True)
        for each in result.verdicts:
            figures = f"{each.agreeing}/{each.photographs}, {each.snr_db:.1f} dB" if each.photographs else ""
            print(f"  {each.variant:22} {each.recipe:12} {each.status:8} {figures} {each.reason}", flush=True)
        if result.verdicts:
            page.write_text(section(page.read_text(), name, table(result, list(kit.recipes))))
        bad += len(result.bad)
    return int(bad > 0)


if __name__ == "__main__":
    with native_stderr_silenced():
        sys.exit(main())
