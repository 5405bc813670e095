"""Photographs of a segmenter's page: each with the mask of the Keras model and of every file, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from swiftformer_tf.images.overlays import class_colors, overlay
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.report.cards import Answer, Card, jpeg
from swiftformer_tf.verification import Outputs

__all__ = ["MAX_SHOWN", "mask_card", "worst_first"]

# Photographs on the page.
MAX_SHOWN = 12

# Pixels of the longer side of each picture in the row.
MAX_SIDE = 200


def worst_first(compared: Sequence[tuple[LiteModel, Outputs]]) -> np.ndarray:
    """Indices of the images: first those of which a file has the fewest pixels as Keras."""
    shares = np.array([_shares(outputs) for _, outputs in compared])
    return np.argsort(shares.min(axis=0), kind="stable")


def mask_card(
    name: str,
    pixels: np.ndarray,
    index: int,
    compared: Sequence[tuple[LiteModel, Outputs]],
    colors: Mapping[str, str],
) -> Card:
    """The photograph, Keras's mask over it, and each file's, from left to right.

    Args:
        name: What the photograph shows.
        pixels: Of it, from 0 to 255, as the model sees it.
        index: Among the images of the answers.
        compared: Each file with what it and the reference answered: the class of each pixel.
        colors: Style color of each recipe.
    """
    photograph = Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8).squeeze()).convert("RGB")
    palette = class_colors(compared[0][0].config.num_labels)
    masks = [compared[0][1].expected[index], *(outputs.actual[index] for _, outputs in compared)]
    row = [photograph, *(overlay(photograph, mask, palette) for mask in masks)]
    for picture in row:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
    width, height = row[0].size
    strip = Image.new("RGB", (len(row) * width, height))
    for place, picture in enumerate(row):
        strip.paste(picture, (place * width, 0))
    answers = [Answer("Keras", "second picture", "", "var(--soft)", other=False)]
    for place, (lite, outputs) in enumerate(compared, start=3):
        share = _shares(outputs)[index]
        least = lite.recipe.least_agreement("pixels")
        told = f"picture {place}, pixels as Keras"
        answers.append(Answer(lite.recipe.name, told, f"{share:.2%}", colors[lite.recipe.name], bool(share < least)))
    return Card(name, jpeg(strip), *strip.size, tuple(answers))


def _shares(outputs: Outputs) -> np.ndarray:
    """Of each image, the share of pixels of the same class."""
    same = outputs.expected == outputs.actual
    return np.asarray(same.reshape(len(same), -1).mean(axis=1))
