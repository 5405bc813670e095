"""Draws `house.svg`, the rooms of the package with what imports what, and walks them.

    python docs/pictures/house.py                       # draws the picture
    python docs/pictures/house.py --walk checkpoint     # prints a walk, and counts its climbs
    python docs/pictures/house.py --walk photograph

The rooms and their order are import-linter's contract in pyproject.toml, and the arrows are its own reading of the
sources (grimp). A walk runs real code and notes each doorway, a call from a room into another, when it is first taken;
a climb is a doorway into a room above the one that was entered before.
"""

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = "swiftformer_tf"
ROOT = Path(__file__).parents[2]

WIDTH, ROW, BOX, LEFT = 1000, 64, 34, 16


def rows() -> list[list[str]]:
    """Rooms from the roof to the ground; those of a row do not know each other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = project["tool"]["importlinter"]["contracts"][0]
    return [[room.strip() for room in line.split("|")] for line in contract["layers"]]


def arrows(rooms: list[str]) -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second, without those that follow from others."""
    import grimp

    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    direct = {
        (importer, imported)
        for importer in rooms
        for imported in rooms
        if importer != imported
        and graph.direct_import_exists(
            importer=f"{PACKAGE}.{importer}", imported=f"{PACKAGE}.{imported}", as_packages=True
        )
    }
    return {pair for pair in direct if not _follows(pair, direct)}


def _follows(pair: tuple[str, str], direct: set[tuple[str, str]]) -> bool:
    """Whether the second is reached from the first by way of another room."""
    start, end = pair
    reached, ahead = set(), {b for a, b in direct if a == start and b != end}
    while ahead:
        room = ahead.pop()
        reached.add(room)
        ahead |= {b for a, b in direct if a == room} - reached
    return end in reached


def picture() -> str:
    """The picture as SVG, with ink for light and for dark paper."""
    places: dict[str, tuple[float, float, float]] = {}
    parts: list[str] = []
    for index, row in enumerate(rows()):
        y = 12.0 + index * ROW
        widths = [14 + 8.4 * len(room) for room in row]
        gap = (WIDTH - 2 * LEFT - sum(widths)) / (len(row) + 1)
        x = LEFT + gap
        for room, width in zip(row, widths, strict=True):
            places[room] = (x, y, width)
            parts.append(f'<rect class="box" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="6"/>')
            parts.append(f'<text x="{x + width / 2:.0f}" y="{y + 22:.0f}" text-anchor="middle">{escape(room)}</text>')
            x += width + gap
    lines = []
    for importer, imported in sorted(arrows(list(places))):
        (x, y, width), (below_x, below_y, below_width) = places[importer], places[imported]
        start, end = x + width / 2, below_x + below_width / 2
        lines.append(
            f'<path class="line" d="M{start:.0f} {y + BOX:.0f}C{start:.0f} {y + BOX + 26:.0f} {end:.0f} '
            f'{below_y - 26:.0f} {end:.0f} {below_y - 3:.0f}" marker-end="url(#head)"/>'
        )
    return "\n".join([_head(12 + len(rows()) * ROW), *lines, *parts, "</svg>", ""])


def _head(height: int) -> str:
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t">
<title id="t">The rooms of {PACKAGE}, from the roof to the ground: each imports what an arrow leads to</title>
<style>
text {{ font: 14px system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; fill: #1d2833 }}
.box {{ fill: #f5f7f9; stroke: #cfd7de }} .line {{ fill: none; stroke: #0b6e69; opacity: 0.45 }}
#head path {{ fill: #0b6e69 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e4e9ee }} .box {{ fill: #1b222a; stroke: #3a4651 }}
.line {{ stroke: #54c7bd }} #head path {{ fill: #54c7bd }}
}}
</style>
<defs><marker id="head" markerWidth="6" markerHeight="6" viewBox="0 0 8 8" refX="6" refY="4" orient="auto">
<path d="M0 0l8 4l-8 4z"/></marker></defs>"""


@contextmanager
def walked() -> Iterator[list[tuple[str, str]]]:
    """Doorways in the order in which they are first taken: the room that calls, and the module that is called."""
    rooms = {room for row in rows() for room in row}
    taken: dict[tuple[str, str], None] = {}
    doorways: list[tuple[str, str]] = []

    def notice(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_code.co_name == "<module>":
            return
        called = _module(frame)
        caller = _caller(frame)
        if called is None or caller is None:
            return
        pair = (caller.partition(".")[0], called)
        if pair[0] == called.partition(".")[0] or not {pair[0], called.partition(".")[0]} <= rooms:
            return
        if pair not in taken:
            taken[pair] = None
            doorways.append(pair)

    sys.setprofile(notice)
    try:
        yield doorways
    finally:
        sys.setprofile(None)


def _module(frame: FrameType) -> str | None:
    """The module below the package that a frame's code is in."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.removeprefix(f"{PACKAGE}.") if name.startswith(f"{PACKAGE}.") else None


def _caller(frame: FrameType) -> str | None:
    """The nearest module of the package among the callers, whatever library is between."""
    above = frame.f_back
    while above is not None:
        if (module := _module(above)) is not None:
            return module
        above = above.f_back
    return None


def climbs(doorways: list[tuple[str, str]]) -> list[int]:
    """Places in a walk at which a room is entered that lies above the one that was entered before."""
    level = {room: index for index, row in enumerate(rows()) for room in row}
    entered = [level[module.partition(".")[0]] for _, module in doorways]
    return [place for place in range(1, len(entered)) if entered[place] < entered[place - 1]]


def _checkpoint(folder: Path) -> None:
    from swiftformer_tf.cli import cli

    options = ["--recipe", "float32", "-o", str(folder)]
    cli(["export", "swiftformer_xs_imagenette", *options], standalone_mode=False)


def _photograph(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    import swiftformer_tf as sf

    config = sf.SwiftFormerConfig.from_variant("tiny", image_size=64)
    deploy = sf.fuse(sf.SwiftFormerForImageClassification(config))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)).save(folder / "a.png")
    sf.calibrate(deploy, [folder / "a.png"])


WALKS: dict[str, Callable[[Path], None]] = {"checkpoint": _checkpoint, "photograph": _photograph}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walk", choices=WALKS)
    walk = parser.parse_args().walk
    if walk is None:
        Path(__file__).with_suffix(".svg").write_text(picture())
        return
    with tempfile.TemporaryDirectory() as folder, walked() as doorways:
        WALKS[walk](Path(folder))
    up = climbs(doorways)
    for place, (caller, called) in enumerate(doorways):
        print(f"{'up  ' if place in up else '    '}{caller} calls {called}")
    print(f"{len(doorways)} doorways, {len(up)} climbs")


if __name__ == "__main__":
    main()
