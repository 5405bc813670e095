"""A photograph on the page with the predictions of the models."""

import base64
import dataclasses
import io

from PIL import Image

__all__ = ["Answer", "Card", "jpeg"]


@dataclasses.dataclass(frozen=True)
class Answer:
    """The prediction of one model for a photograph.

    Args:
        model: `"Keras"` or a recipe.
        label: The predicted label.
        probability: Probability of that label.
        color: Style color of the recipe.
        other: Whether it differs from Keras's label.
    """

    model: str
    label: str
    probability: str
    color: str
    other: bool


@dataclasses.dataclass(frozen=True)
class Card:
    """A photograph and its predictions, Keras's first; or, if it is wide, pictures of both side by side."""

    name: str
    source: str
    width: int
    height: int
    answers: tuple[Answer, ...]
    wide: bool = False


def jpeg(picture: Image.Image) -> str:
    """Encodes an image as a data URL."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
