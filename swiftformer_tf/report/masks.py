"""Photographs on the page of a segmenter, each with the ground truth and the masks of Keras and of every file."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from swiftformer_tf.images.masks import VOID
from swiftformer_tf.images.overlays import overlay
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.report.cards import Answer, Card, jpeg
from swiftformer_tf.verification import Outputs

__all__ = ["MAX_SHOWN", "mask_card", "mask_legend", "worst_first"]

# Photographs on the page.
MAX_SHOWN = 12

# Pixels of the longer side of each picture in the row.
MAX_SIDE = 240


def worst_first(compared: Sequence[tuple[LiteModel, Outputs]]) -> np.ndarray:
    """Indices of the images, sorted by the lowest share of pixels on which a file agrees with Keras."""
    shares = np.array([_shares(outputs) for _, outputs in compared])
    return np.argsort(shares.min(axis=0), kind="stable")


def mask_card(
    name: str,
    pixels: np.ndarray,
    index: int,
    compared: Sequence[tuple[LiteModel, Outputs]],
    colors: Mapping[str, str],
    truth: np.ndarray | None,
    problem: str = "",
) -> Card:
    """The photograph and, drawn over it, the ground truth, Keras's mask and each file's, from left to right.

    Args:
        name: What the photograph shows.
        pixels: Its pixels from 0 to 255, as the model sees them.
        index: Index among the images of the answers.
        compared: Each file with the outputs of the file and the reference: the class of each pixel.
        colors: Style color of each recipe.
        truth: Ground truth if known, uint8 (height, width): the class of each pixel, or `VOID`.
        problem: Why the ground truth is unknown although there is a mask.
    """
    photograph = Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8).squeeze()).convert("RGB")
    palette = compared[0][0].config.colors
    expected = compared[0][1].expected[index]
    masks = [expected, *(outputs.actual[index] for _, outputs in compared)]
    known = [] if truth is None else [truth]
    row = [photograph, *(overlay(photograph, mask, palette) for mask in (*known, *masks))]
    for picture in row:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    width, height = row[0].size
    strip = Image.new("RGB", (len(row) * width, height))
    for place, picture in enumerate(row):
        strip.paste(picture, (place * width, 0))
    answers = []
    if known or problem:
        answers.append(Answer("Truth", problem or "picture 2", "", "transparent", other=bool(problem)))
    first = 2 + len(known)
    answers.append(Answer("Keras", f"picture {first}{_right(expected, truth)}", "", "var(--soft)", other=False))
    for place, (lite, outputs) in enumerate(compared, start=first + 1):
        share = _shares(outputs)[index]
        least = lite.recipe.least_agreement("pixels")
        told = f"picture {place}{_right(outputs.actual[index], truth)}; pixels as Keras"
        answers.append(Answer(lite.recipe.name, told, f"{share:.2%}", colors[lite.recipe.name], bool(share < least)))
    return Card(name, jpeg(strip), *strip.size, tuple(answers), wide=True)


def mask_legend(lite: LiteModel) -> list[tuple[str, str]]:
    """Each class with its style color in the images."""
    return [(label, f"rgb{color}") for label, color in zip(lite.config.labels, lite.config.colors, strict=True)]


def _right(answers: np.ndarray, truth: np.ndarray | None) -> str:
    if truth is None or not (counted := truth != VOID).any():
        return ""
    return f", {np.mean(answers[counted] == truth[counted]):.1%} right"


def _shares(outputs: Outputs) -> np.ndarray:
    """For each image, the share of pixels of the same class."""
    same = outputs.expected == outputs.actual
    return np.asarray(same.reshape(len(same), -1).mean(axis=1))
