"""Are the constants of quantization the best on training photographs? Writes `constants.md` here.

    python docs/results/constants.py imagenette/train

Takes hours on one core. One constant at a time has another value, for sets of calibration photographs that share none,
and files are compared with float32 on other training photographs. Each row is kept in `constants.csv` as soon as it is
measured and is not measured again: to measure anew, remove it there.
"""

import dataclasses
import functools
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from candidates import CONSTANTS, DERIVED, DRAWS, SIZES, Constant, varied
from measuring import FEWER_PHOTOGRAPHS, NAME, append_row, float_answers, measure_file, prepared, read_rows

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.images.folders import balanced_sample, list_images
from swiftformer_tf.native_logs import native_stderr_silenced

PAGE = Path(__file__).with_suffix(".md")
ROWS = Path(__file__).with_suffix(".csv")
SCORED = 300
# Another sample than those of the other pages.
SEED = 20
# A value stays unless another one gains more in the mean, and something with each size of calibration sets.
MARGIN = 0.2


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Photographs to score, and calibration sets by their size and draw; none is in two of them."""

    scored: list[Path]
    sets: dict[tuple[int, int], list[Path]]


def drawn_photographs(folder: Path) -> Photographs:
    """Draws them at random, of each class alike: a balanced sample takes the classes in turn, as do its pieces."""
    left = iter(balanced_sample(list_images(folder), SCORED + len(DRAWS) * sum(SIZES), seed=SEED))
    pieces = {key: [next(left) for _ in range(key[0])] for key in ((size, draw) for draw in DRAWS for size in SIZES)}
    return Photographs(list(left), pieces)


# A row is found by the constant, its value, the recipe, the size of the calibration set and its draw.
Key = tuple[str, str, str, int, int]


INTRODUCTION = (
    "# Are the constants of quantization the best on training photographs?",
    "",
    "```sh",
    "python docs/results/constants.py imagenette/train",
    "```",
    "",
    "exports the weights that ship, at 192 px, while one constant at a time has another value, compares each file",
    "with float32, and keeps each row in `constants.csv`. Files are calibrated with up to",
    f"{len(DRAWS)} sets each of {', '.join(map(str, SIZES[:-1]))} and {SIZES[-1]} training photographs, and compared",
    f"on {SCORED} other training photographs ({FEWER_PHOTOGRAPHS['int16x8']} of them for int16x8). No photograph is in",
    "two of these sets, and each set has the same number from each class.",
    "",
    "The score is the SNR of the logits, centered by the reference's mean. The weights were fitted to these",
    "photographs, so points of top-1 would say nothing; [robustness.md](robustness.md) has the points lost on",
    f"validation photographs. One of {SCORED} photographs is {1 / SCORED:.2%} of the agreement with float32.",
    "",
    f"The rule: a value stays unless another one gains more than {MARGIN} dB in the mean over all sets, and gains",
    "something in the mean over the sets of each size. Where some sizes were not measured, the rule says nothing: a",
    "single set moves by tenths of a dB from one value to the next. `dynamic_int8` is calibrated here, though it need",
    "not be. `static_int8` differs from int8 in few operations, and has its values.",
    "",
    "Two constants lost by it and were changed: `rewriting.SEARCHED`, for int8, and dynamic_int4's `equalize`. Most",
    "others were measured with one set of each size. Undecided is above all `ranges.VALUES_PER_IMAGE`, where 4096",
    "gained 1.0 dB in int8 on the only set that it was measured on.",
    "",
    "A value that others are compared with is bold, and today's unless the constant was changed after the first rows.",
    "While other constants were varied, that one had the bold value.",
    "",
)


def row_key(constant: Constant, candidate: str, recipe: str, size: int, draw: int) -> Key:
    """Files that all are compared with are the same for all constants, and have neither a constant nor a value."""
    named = ("", "") if candidate == constant.reference(recipe) else (constant.name, candidate)
    return (*named, recipe, size, draw)


def measured_rows() -> dict[Key, dict[str, str]]:
    """The rows of the CSV file."""
    return {
        (row["constant"], row["value"], row["recipe"], int(row["calibration"]), int(row["draw"])): row
        for row in read_rows(ROWS)
    }


def _measure_missing(folder: Path) -> Iterator[dict[str, str]]:
    """Measures what `ROWS` lacks, one row after the other."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    deploy, photographs = sf.fuse(model), drawn_photographs(folder)
    inputs = prepared(photographs.scored, model.config)
    expected = float_answers(deploy, inputs)
    calibrated = functools.cache(lambda size, draw: sf.calibrate(deploy, photographs.sets[size, draw]))
    for constant, size, draw in _turns():
        for candidate in constant.candidates:
            keys = {recipe: row_key(constant, candidate, recipe, size, draw) for recipe in constant.recipes}
            missing = {recipe: key for recipe, key in keys.items() if key not in measured_rows()}
            if not missing:
                continue
            with varied(constant, candidate):
                calibrate = calibrated.__wrapped__ if constant.calibrates else calibrated
                calibration = calibrate(size, draw)
                for recipe, (name, value, *_) in missing.items():
                    count = FEWER_PHOTOGRAPHS.get(recipe, len(inputs))
                    lite = sf.export(deploy, constant.recipe(recipe, candidate), calibration=calibration)
                    found = measure_file(lite, inputs[:count], expected[:count])
                    row = {
                        "constant": name,
                        "value": value,
                        "recipe": recipe,
                        "calibration": str(size),
                        "draw": str(draw),
                        "images": str(count),
                        "snr_db": f"{found.snr:.2f}",
                        "agreement": f"{found.agreement:.4f}",
                    }
                    append_row(ROWS, row)
                    yield row


def _turns() -> Iterator[tuple[Constant, int, int]]:
    """The constants with each of their calibration sets, the first draw of all sizes before the second."""
    for draw in DRAWS:
        for constant in CONSTANTS:
            if draw in constant.draws:
                yield from ((constant, size, draw) for size in constant.sizes)


@dataclasses.dataclass(frozen=True)
class Compared:
    """A candidate on the sets on which all candidates of its constant were measured.

    Args:
        name: The candidate.
        snr: In dB, by size and draw of the set.
        agreement: In the mean.
        more: SNR above that of the value that it is compared with, by size and draw of the set.
    """

    name: str
    snr: dict[tuple[int, int], float]
    agreement: float
    more: dict[tuple[int, int], float]

    @property
    def gain(self) -> float:
        """In the mean over all sets."""
        return float(np.mean(list(self.more.values())))

    @property
    def gains(self) -> dict[int, float]:
        """In the mean over the draws, by size."""
        return {
            wanted: float(np.mean([more for (size, _), more in self.more.items() if size == wanted]))
            for wanted in dict.fromkeys(size for size, _ in self.more)
        }

    @property
    def is_better(self) -> bool:
        """Whether the rule prefers it."""
        return self.gain > MARGIN and min(self.gains.values()) > 0


def compared(constant: Constant, recipe: str, rows: Mapping[Key, Mapping[str, str]]) -> list[Compared]:
    """The candidates of a constant in one recipe; none before there is a set on which all were measured."""
    sets = [(size, draw) for size in constant.sizes for draw in constant.draws]
    found = {
        candidate: {
            each: row for each in sets if (row := rows.get(row_key(constant, candidate, recipe, *each))) is not None
        }
        for candidate in constant.candidates
    }
    whole = [each for each in sets if all(each in by_set for by_set in found.values())]
    snr = {name: {each: float(by_set[each]["snr_db"]) for each in whole} for name, by_set in found.items()}
    reference = snr[constant.reference(recipe)]
    return [
        Compared(
            name,
            snr[name],
            float(np.mean([float(by_set[each]["agreement"]) for each in whole])),
            {each: snr[name][each] - reference[each] for each in whole},
        )
        for name, by_set in found.items()
        if whole
    ]


def verdict(constant: Constant, recipe: str, candidates: list[Compared]) -> str:
    """What the rule says, for the table of all constants."""
    if constant.cost_of:
        return f"chosen for {constant.cost_of}"
    sizes = tuple(candidates[0].gains)
    if sizes != SIZES:
        most = max(candidates, key=lambda each: each.gain)
        gains = f"{most.name} gains {most.gain:.1f} dB" if round(most.gain, 1) > 0 else "none gains anything"
        return f"sets of {' and '.join(map(str, sizes))} only: {gains}"
    if constant.reference(recipe) != constant.today(recipe):
        (today,) = [each for each in candidates if each.name == constant.today(recipe)]
        return f"changed since, by {today.gain:+.2f} dB"
    better = [each for each in candidates if each.is_better]
    if not better:
        return "stays"
    best = max(better, key=lambda each: each.gain)
    return f"**{best.name} is better by {best.gain:.1f} dB**"


def page(rows: Mapping[Key, Mapping[str, str]]) -> str:
    """The page, of the rows that were measured."""
    found = {}
    unvaried = []
    for constant in CONSTANTS:
        of_recipes = {recipe: compared(constant, recipe, rows) for recipe in constant.recipes}
        found.update({(constant, recipe): candidates for recipe, candidates in of_recipes.items() if candidates})
        if missing := [recipe for recipe, candidates in of_recipes.items() if not candidates]:
            unvaried.append(f"`{constant.name}` ({', '.join(missing)})")
    lines = [*INTRODUCTION, "| constant | recipe | today | sets | by the rule |", "|---|---|---|---|---|"]
    for (constant, recipe), candidates in found.items():
        sizes = [size for size, _ in candidates[0].snr]
        sets = ", ".join(f"{sizes.count(size)} of {size}" for size in dict.fromkeys(sizes))
        row = (f"`{constant.name}`", recipe, constant.today(recipe), sets, verdict(constant, recipe, candidates))
        lines.append(f"| {' | '.join(row)} |")
    # There is no constant for the passes.
    unvaried.append("the two passes of `best_range` over the ends of a range")
    lines += [
        "",
        *textwrap.wrap(f"Not varied: {'; '.join(unvaried)}.", 118, break_on_hyphens=False),
        "",
        "These follow from something else, or change no result:",
        "",
        "| constant | why |",
        "|---|---|",
        *(f"| `{names.replace(', ', '`, `')}` | {why} |" for names, why in DERIVED.items()),
    ]
    for (constant, recipe), candidates in found.items():
        lines += ["", f"## {constant.name}, {recipe}", "", *_table(constant, recipe, candidates)]
    return "\n".join(lines) + "\n"


def _table(constant: Constant, recipe: str, candidates: list[Compared]) -> list[str]:
    sizes = list(candidates[0].gains)
    lines = [
        f"| value | SNR dB, mean (range) | {' | '.join(f'gain with {size}' for size in sizes)} | mean | agreement |",
        f"|---|---|{'---|' * len(sizes)}---|---|",
    ]
    for each in candidates:
        is_reference, snr = each.name == constant.reference(recipe), list(each.snr.values())
        mark = ", today's" if each.name == constant.today(recipe) else ""
        cells = (
            (f"**{each.name}**" if is_reference else each.name) + mark,
            f"{np.mean(snr):.1f}" + (f" ({min(snr):.1f} to {max(snr):.1f})" if len(snr) > 1 else ""),
            *("" if is_reference else f"{gain:+.2f}" for gain in (*each.gains.values(), each.gain)),
            f"{each.agreement:.2%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Measure what is missing, on photographs of FOLDER."""
    for row in _measure_missing(folder):
        click.echo(" ".join(row.values()))
        _write_page()
    _write_page()


def _write_page() -> None:
    with replacing(PAGE) as beside:
        beside.write_text(page(measured_rows()), "utf-8")


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
