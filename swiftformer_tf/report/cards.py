"""A photograph of the page and what models say of it."""

import base64
import dataclasses
import io

from PIL import Image

__all__ = ["Answer", "Card", "jpeg"]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one model says of a photograph.

    Args:
        model: `"Keras"` or a recipe.
        label: The best label.
        probability: Probability of that label.
        color: Color of the recipe, for the style.
        other: Whether it is not Keras's label.
    """

    model: str
    label: str
    probability: str
    color: str
    other: bool


@dataclasses.dataclass(frozen=True)
class Card:
    """A photograph and its answers, Keras's first; or pictures of both, side by side, where it is wide."""

    name: str
    source: str
    width: int
    height: int
    answers: tuple[Answer, ...]
    wide: bool = False


def jpeg(picture: Image.Image) -> str:
    """A picture as an address that holds it whole."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
