"""Draws `house.svg`, the rooms of the package with what imports what, and walks them.

    python docs/pictures/house.py                       # draws the picture
    python docs/pictures/house.py --walk checkpoint     # prints a walk, and counts its climbs
    python docs/pictures/house.py --walk photograph
    python docs/pictures/house.py --walk task           # where tasks are named

The rooms and their order are import-linter's contract in pyproject.toml, and the arrows are its own reading of the
sources (grimp). A walk runs real code and notes each doorway, a call from a room into one below it, when it is first
taken. A climb is a doorway into a room above the one that was entered before.

On the way of a checkpoint the doorways count that it goes through itself: calls that are given it, or what it has
become (weights, layers and models, a flatbuffer, a file), or that return it. The others ask for words: a configuration,
a recipe, an error. Both are counted.

    python docs/pictures/house.py --walk checkpoint --house OLD    # another checkout

A checkout without a contract has its rooms by what they import: each one row above the highest that it needs.
"""

import argparse
import ast
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "swiftformer_tf"
ROOT = Path(__file__).parents[2]

# What the checkpoint's walk starts from.
WEIGHTS = "swiftformer_xs_imagenette"

WIDTH, ROW, BOX, LEFT = 1000, 64, 34, 16


def rows(house: Path = ROOT) -> list[list[str]]:
    """Rooms from the roof to the ground; those of a row do not know each other."""
    tools = tomllib.loads((house / "pyproject.toml").read_text())["tool"]
    if "importlinter" not in tools:
        return _rows_by_imports()
    contract = tools["importlinter"]["contracts"][0]
    return [[room.strip() for room in line.split("|")] for line in contract["layers"]]


def _rows_by_imports() -> list[list[str]]:
    import grimp

    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    rooms = sorted(graph.find_children(PACKAGE))
    below = {
        room: {
            other
            for other in rooms
            if other != room and graph.direct_import_exists(importer=room, imported=other, as_packages=True)
        }
        for room in rooms
    }
    reached = below
    for _ in rooms:
        reached = {room: below[room].union(*(reached[each] for each in below[room])) for room in rooms}

    @functools.cache
    def height(room: str) -> int:
        circle = {room} | {each for each in reached[room] if room in reached[each]}  # one row for all of it
        return 1 + max((height(each) for member in circle for each in below[member] - circle), default=-1)

    names = {room: room.rpartition(".")[2] for room in rooms}
    return [[names[room] for room in rooms if height(room) == row] for row in range(max(map(height, rooms)), -1, -1)]


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


@dataclasses.dataclass
class Call:
    """A call from a room into one below it.

    Args:
        caller: The room that calls.
        module: What is called.
        has_value: Whether what walks, or what it has become, goes in or comes out.
    """

    caller: str
    module: str
    has_value: bool


@contextmanager
def walked(house: Path = ROOT) -> Iterator[list[Call]]:
    """Calls in their order."""
    level = levels(house)
    calls: list[Call] = []

    def notice(called: str, arguments: Any) -> Call | None:
        caller, room = _caller().partition(".")[0], called.partition(".")[0]
        # A room above is only called where it handed down a function, such as a progress bar's; and Keras's import asks
        # `registration`, whoever imports.
        if not (caller in level and room in level and level[caller] < level[room]) or room == "registration":
            return None
        calls.append(Call(caller, called, is_value(arguments)))
        return calls[-1]

    wrappers: dict[int, Any] = {}
    for module in _modules():
        for name, value in list(vars(module).items()):
            if inspect.isfunction(value) and value.__module__.startswith(f"{PACKAGE}."):
                setattr(module, name, wrappers.setdefault(id(value), _noticing(value, notice)))
            elif inspect.isclass(value) and value.__module__ == module.__name__:
                _notice_methods(value, notice)
    yield calls


def is_value(thing: Any, depth: int = 4) -> bool:
    """Whether this is a checkpoint, or what becomes of one on its way, or holds it."""
    import keras
    import numpy as np

    if isinstance(thing, (str, Path)):
        return Path(thing).stem == WEIGHTS
    if isinstance(thing, (keras.Layer, keras.KerasTensor, keras.Variable, np.ndarray)):
        return True
    if isinstance(thing, (bytes, bytearray)):
        return len(thing) > 1000
    if isinstance(thing, dict):
        return any(is_value(each, depth) for each in thing.values())
    if isinstance(thing, (list, tuple)):
        return any(is_value(each, depth) for each in thing)
    if depth and type(thing).__module__.startswith(PACKAGE):
        return is_value(getattr(thing, "__dict__", {}), depth - 1)
    return False


def doorways(calls: list[Call]) -> list[tuple[str, str]]:
    """From which room into which module, each when it is first taken."""
    return list(dict.fromkeys((call.caller, call.module) for call in calls))


def _modules() -> list[ModuleType]:
    """All of the package but the training, which neither walk enters."""
    package = importlib.import_module(PACKAGE)
    found = pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")
    names = [each.name for each in found if ".training" not in each.name and not each.name.endswith("peak_memory")]
    return [importlib.import_module(name) for name in names]


def _notice_methods(owner: type, notice: Callable[[str, Any], Call | None]) -> None:
    for name, method in list(vars(owner).items()):
        inner = method.__func__ if isinstance(method, (classmethod, staticmethod)) else method
        if not inspect.isfunction(inner) or inner.__module__ != owner.__module__ or name.startswith("__"):
            continue
        wrapper = _noticing(inner, notice)
        setattr(owner, name, wrapper if inner is method else type(method)(wrapper))


def _noticing(function: Callable[..., Any], notice: Callable[[str, Any], Call | None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def noticed(*arguments: Any, **named: Any) -> Any:
        call = notice(function.__module__.removeprefix(f"{PACKAGE}."), (arguments, named))
        result = function(*arguments, **named)
        if call and not call.has_value:
            call.has_value = is_value(result)
        return result

    return noticed


def _caller() -> str:
    """The nearest module of the package among the callers, whatever library is between."""
    frame = sys._getframe(2).f_back
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(f"{PACKAGE}."):
            return name.removeprefix(f"{PACKAGE}.")
        frame = frame.f_back
    return ""


def levels(house: Path = ROOT) -> dict[str, int]:
    """The row of each room, from 0 at the roof."""
    return {room: index for index, row in enumerate(rows(house)) for room in row}


def climbs(taken: list[tuple[str, str]], level: dict[str, int]) -> list[int]:
    """Places among doorways at which a room is entered that lies above the one that was entered before."""
    entered = [level[module.partition(".")[0]] for _, module in taken]
    return [place for place, (before, row) in enumerate(pairwise(entered), 1) if row < before]


def _checkpoint(folder: Path) -> None:
    from swiftformer_tf.cli import cli

    options = ["--recipe", "float32", "-o", str(folder)]
    cli(["export", WEIGHTS, *options], standalone_mode=False)


def _photograph(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    import swiftformer_tf as sf

    config = sf.SwiftFormerConfig.from_variant("tiny", image_size=64)
    deploy = sf.fuse(sf.SwiftFormerForImageClassification(config))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)).save(folder / "a.png")
    sf.calibrate(deploy, [folder / "a.png"])


WALKS: dict[str, Callable[[Path], None]] = {"checkpoint": _checkpoint, "photograph": _photograph}


def rooms_of_tasks() -> dict[str, list[str]]:
    """Modules outside of `tasks` that name a task, by task: where a new one may want a row."""
    from swiftformer_tf.tasks import TASKS

    found: dict[str, list[str]] = {name: [] for name in TASKS}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        module = path.relative_to(ROOT / PACKAGE).with_suffix("").as_posix()
        # Docstrings are strings too, but none is a name alone.
        strings = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        for name, modules in found.items():
            if name in strings and not module.startswith("tasks/"):
                modules.append(module)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walk", choices=[*WALKS, "task"])
    parser.add_argument("--house", type=Path, default=ROOT, help="another checkout")
    options = parser.parse_args()
    walk = options.walk
    if walk is None:
        Path(__file__).with_suffix(".svg").write_text(picture())
    elif walk == "task":
        for name, modules in rooms_of_tasks().items():
            print(f"{name}: {', '.join(modules)}")
    else:
        _walk(WALKS[walk], options.house, own=walk == "checkpoint")


def _walk(walk: Callable[[Path], None], house: Path, *, own: bool) -> None:
    """Prints doorways and climbs: those of all calls and, for a checkpoint, those that it goes through itself."""
    sys.path.insert(0, str(house.resolve()))
    with tempfile.TemporaryDirectory() as folder, walked(house) as calls:
        walk(Path(folder))
    level = levels(house)
    every = doorways(calls)
    taken = doorways([call for call in calls if call.has_value]) if own else every
    up = climbs(taken, level)
    for place, (caller, called) in enumerate(taken):
        print(f"{'up  ' if place in up else '    '}{caller} calls {called}")
    print(f"{len(taken)} doorways, {len(up)} climbs")
    if own:
        print(f"with the calls that ask for words: {len(every)} doorways, {len(climbs(every, level))} climbs")


if __name__ == "__main__":
    main()
