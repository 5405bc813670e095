"""Small pieces of HTML for the display of values in notebooks."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

__all__ = ["facts_table", "first_labels", "html_table", "scatter_svg"]

# A notebook stores its pictures in its file, so plots are limited to this many points.
MAX_POINTS = 1000

SIDE = 240


def html_table(rows: Sequence[Mapping[str, object]], caption: str) -> str:
    """Creates a table with a row for each mapping; the keys of the first are its header.

    Examples:
        >>> html_table([{"snr": "< 1 dB"}], "int8")
        '<table><caption>int8</caption><tr><th>snr</th></tr><tr><td>&lt; 1 dB</td></tr></table>'
    """

    def line(cells: Sequence[object], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    heading = line(list(rows[0]), "th") if rows else ""
    body = "".join(line(list(row.values()), "td") for row in rows)
    return f"<table><caption>{escape(caption)}</caption>{heading}{body}</table>"


def facts_table(facts: Mapping[str, object], caption: str) -> str:
    """Creates a table with a row for each fact: its name and its value.

    Examples:
        >>> facts_table({"recipe": "int8"}, "TFLite model").count("<tr>")
        2
    """
    return html_table([{"": name, "value": value} for name, value in facts.items()], caption)


def first_labels(labels: Sequence[str], count: int = 10) -> str:
    """The first labels, in one line, with an ellipsis for the others.

    Examples:
        >>> first_labels(["cat", "dog", "bird"], 2)
        'cat, dog, ...'
    """
    return ", ".join([*labels[:count], *(["..."] if len(labels) > count else [])])


def scatter_svg(x: np.ndarray, y: np.ndarray, x_label: str, y_label: str) -> str:
    """Plots two arrays of the same size against each other as SVG, with a line where they are equal.

    Examples:
        >>> scatter_svg(np.arange(3.0), np.arange(3.0), "Keras", "file").count("<circle")
        3
    """
    step = -(-x.size // MAX_POINTS)
    points = np.stack([x.ravel()[::step], y.ravel()[::step]]).astype(float)
    points = points[:, np.isfinite(points).all(axis=0)]
    low, high = (points.min(), points.max()) if points.size else (0.0, 1.0)
    inside = SIDE * (0.08 + 0.84 * (points - low) / ((high - low) or 1.0))
    circles = "".join(f'<circle cx="{a:.1f}" cy="{SIDE - b:.1f}" r="1.5"/>' for a, b in inside.T)
    return (
        f'<svg width="{SIDE}" height="{SIDE}" role="img" fill="#1f77b4" font-size="11">'
        f"<title>{escape(y_label)} against {escape(x_label)}</title>"
        f'<line x1="0" y1="{SIDE}" x2="{SIDE}" y2="0" stroke="#999"/>{circles}'
        f'<text x="{SIDE - 4}" y="{SIDE - 4}" text-anchor="end">{escape(x_label)}</text>'
        f'<text x="4" y="12">{escape(y_label)}</text></svg>'
    )
