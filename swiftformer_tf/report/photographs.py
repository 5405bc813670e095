"""Photographs on the page, each with the predictions of the Keras model and of every file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from swiftformer_tf.errors import ImageError
from swiftformer_tf.images.folders import list_images
from swiftformer_tf.images.inputs import ImageSource, image_inputs
from swiftformer_tf.images.masks import find_mask
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.report.cards import Answer, Card, jpeg
from swiftformer_tf.report.masks import MAX_SHOWN, mask_card, mask_legend, worst_first
from swiftformer_tf.tasks.classification import activate, activation
from swiftformer_tf.verification import Outputs

__all__ = ["legend", "photograph_groups"]

# Photographs on the page: those where a file answers otherwise, and others spread over all of them.
MAX_DISPUTED = 6
MAX_OTHERS = 12

# Pixels of a side; more only make the page heavy.
MAX_SIDE = 224


def photograph_groups(
    compared: Sequence[tuple[LiteModel, Outputs]],
    images: ImageSource | None,
    names: Sequence[str] | None,
    colors: Mapping[str, str],
) -> list[tuple[str, list[Card]]]:
    """Groups photographs under headings, beginning with those on which the models disagree.

    Args:
        compared: Each file with the outputs of the file and the reference.
        images: The images of the answers, in their order.
        names: Caption of each image; default is its file name or number.
        colors: Style color of each recipe.
    """
    if images is None or not compared or not compared[0][0].labels:
        return []
    if isinstance(images, (str, Path)):
        images = list_images(Path(images))
    return GROUPS[compared[0][0].main_output.task](compared, images, names, colors)


def _masks(
    compared: Sequence[tuple[LiteModel, Outputs]],
    images: ImageSource,
    names: Sequence[str] | None,
    colors: Mapping[str, str],
) -> list[tuple[str, list[Card]]]:
    count = len(compared[0][1].expected)
    chosen = worst_first(compared)[:MAX_SHOWN].tolist()
    lite = compared[0][0]
    pixels, titles = _pixels(images, chosen, lite), names or _names(images, count)
    truths = [_truth(images[i], lite) if _are_files(images) else (None, "") for i in chosen]
    cards = [mask_card(titles[i], pixels[i], i, compared, colors, *truths[at]) for at, i in enumerate(chosen)]
    known = ", truth" if any(truth is not None for truth, _ in truths) else ""
    return [(f"Photograph{known}, Keras and files side by side, the worst first: {len(cards)} of {count}", cards)]


def _truth(image: str | Path, lite: LiteModel) -> tuple[np.ndarray | None, str]:
    """True classes of a photograph as the model sees it, or why its mask cannot be used and is left out."""
    try:
        found = find_mask(image, lite.config.labels)
    except ImageError as error:
        return None, str(error)
    return None if found is None else lite.config.transform.crop_mask(found), ""


def _labels(
    compared: Sequence[tuple[LiteModel, Outputs]],
    images: ImageSource,
    names: Sequence[str] | None,
    colors: Mapping[str, str],
) -> list[tuple[str, list[Card]]]:
    best = np.array([outputs.actual.argmax(axis=1) for _, outputs in compared])
    expected = compared[0][1].expected
    differs = (best != expected.argmax(axis=1)).any(axis=0)
    disputed, others = np.flatnonzero(differs), np.flatnonzero(~differs)
    groups = []
    for chosen, heading in (
        (_spread(disputed, MAX_DISPUTED), f"Where a file answers otherwise: {len(disputed)} of {len(expected)}"),
        (_spread(others, MAX_OTHERS), f"Where all agree: {len(others)} of {len(expected)}"),
    ):
        if not len(chosen):
            continue
        pixels = _pixels(images, chosen, compared[0][0])
        titles = names or _names(images, len(expected))
        cards = [_card(titles[i], pixels[i], i, compared, colors) for i in chosen]
        total = len(disputed) if chosen[0] in disputed else len(others)
        groups.append((heading + (f", {len(chosen)} shown" if len(chosen) < total else ""), cards))
    return groups


# How photographs are shown, by the task of the outputs.
GROUPS = {"classification": _labels, "semantic-segmentation": _masks}

# What tells the classes of its pictures apart, of tasks whose pictures are colored.
LEGENDS = {"semantic-segmentation": mask_legend}


def legend(lite: LiteModel) -> list[tuple[str, str]]:
    """Each class with its style color in the images; empty if they have none."""
    return LEGENDS[task](lite) if (task := lite.main_output.task) in LEGENDS else []


def _spread(indices: np.ndarray, most: int) -> list[int]:
    """At most that many items, evenly spread from the first to the last."""
    if len(indices) > most:
        indices = indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]
    return [int(index) for index in indices]


def _pixels(images: Any, chosen: Sequence[int], lite: LiteModel) -> dict[int, np.ndarray]:
    """The selected images as the model sees them; from a list, only these are read."""
    wanted = set(chosen)
    if isinstance(images, (list, tuple, np.ndarray)):
        ordered = sorted(wanted)
        found = image_inputs([images[i] for i in ordered], lite.config.transform, raw=True)
        return {i: pixels[0] for i, pixels in zip(ordered, found, strict=True)}
    inputs = enumerate(image_inputs(images, lite.config.transform, raw=True))
    return {i: pixels[0] for i, pixels in inputs if i in wanted}


def _are_files(images: Any) -> TypeGuard[Sequence[str | Path]]:
    return isinstance(images, (list, tuple)) and all(isinstance(each, (str, Path)) for each in images)


def _names(images: Any, count: int) -> list[str]:
    if _are_files(images):
        root = os.path.commonpath([Path(each).parent for each in images])
        return [Path(os.path.relpath(each, root)).as_posix() for each in images]
    return [f"image {index + 1} of {count}" for index in range(count)]


def _card(
    name: str,
    pixels: np.ndarray,
    index: int,
    compared: Sequence[tuple[LiteModel, Outputs]],
    colors: Mapping[str, str],
) -> Card:
    first, outputs = compared[0]
    wanted = int(outputs.expected[index].argmax())
    scores = [("Keras", "var(--soft)", outputs.expected[index])]
    scores += [(lite.recipe.name, colors[lite.recipe.name], each.actual[index]) for lite, each in compared]
    answers, possible = [], activation(first.config)
    for model, color, values in scores:
        shares = values if first.classifier_activation else np.asarray(activate(values[None], possible))[0]
        answer = int(values.argmax())
        shown = f"{shares[answer]:.0%}" if possible else f"{shares[answer]:.4g}"
        answers.append(Answer(model, first.labels[answer], shown, color, answer != wanted))
    picture = Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8).squeeze())
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    return Card(name, jpeg(picture), *picture.size, tuple(answers))
