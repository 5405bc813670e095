"""The tables and the plot of `tflite/README.md`, from what `tflite/benchmark.py` measured."""

import datetime
import importlib.metadata
import os
import platform
import re
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from core_peak import SIZES

from swiftformer_tf.litert.benchmarking import Timing
from swiftformer_tf.litert.profiling import matrix_share

__all__ = ["write"]

# A peer of integers counts as right if its best class is that of its own float model at least as often.
RIGHT = 0.95

# By Linux's name, what a processor multiplies integers with: XNNPACK chooses its kernels by them, and times of integer
# files differ by up to 1.8.
CPU_INFO = Path("/proc/cpuinfo")
INTEGER_INSTRUCTIONS = {"avx512_vnni": "VNNI", "amx_int8": "AMX", "asimddp": "dot products", "i8mm": "I8MM"}

# Not swift: other architectures, and our own twins.
PEER_PREFIXES = ("HF", "timm", "our Keras", "our float32 file")
FIRST_ANSWERS_COMPARED = ("xs: ours float32", "xs: HF, litert-torch")

Entries = dict[str, dict[str, Any]]


class Goal(NamedTuple):
    """A ratio and the most that it should be."""

    name: str
    target: float
    measured: float | None
    note: str = ""

    @property
    def row(self) -> str:
        if self.measured is None:
            return f"| {self.name} | ≤ {self.target:g} | - | not measured{self.note and f': {self.note}'} |"
        verdict = "met" if self.measured <= self.target else "**not met**"
        return f"| {self.name} | ≤ {self.target:g} | {self.measured:.2f} | {verdict}{self.note and f'; {self.note}'} |"


def write(
    folder: Path, entries: list[dict[str, Any]], timings: dict[int, dict[str, Timing]], facts: dict[str, Any]
) -> None:
    """Writes `README.md` between its markers and `benchmark.svg` beside it.

    Args:
        folder: Where both are.
        entries: What took part, see `benchmark.build`.
        timings: By threads and by the entries' keys.
        facts: Times of commands, the core's speed and how the run was made.
    """
    table = {entry["key"]: entry for entry in entries}
    plot(folder / "benchmark.svg", table, timings[1])
    put(folder / "README.md", "benchmark", section(table, timings, facts))


def put(readme: Path, name: str, section: str) -> None:
    """Writes a section between its markers; a page without them gets them at its end."""
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->\n"
    text = readme.read_text() if readme.exists() else "# TFLite: files and evidence\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}{end}"
    before, _, rest = text.partition(begin)
    readme.write_text(f"{before}{begin}{section}{end}{rest.partition(end)[2]}")


def versions() -> str:
    """Machine and packages on which the figures depend."""
    names = ("ai-edge-litert", "tensorflow", "keras")
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    flags = set(CPU_INFO.read_text().split()) if CPU_INFO.exists() else set()
    fast = " and ".join(name for flag, name in INTEGER_INSTRUCTIONS.items() if flag in flags)
    return f"{platform.machine()}{fast and f' with {fast}'}, {os.cpu_count()} cores, {packages}"


def section(table: Entries, timings: dict[int, dict[str, Timing]], facts: dict[str, Any]) -> str:
    runs = len(next(iter(timings[1].values())).runs)
    lines = [
        "## Speed",
        "",
        f"`make benchmark PHOTOGRAPHS=FOLDER`, {datetime.date.today()}: {versions()}. "
        f"One run with the files in random order, medians of {runs}; trust the ratios rather than the "
        f"milliseconds. {'Run under real-time priority on a busy machine. ' if facts['real_time'] else ''}Accuracy is "
        f"on {facts['photographs']:.0f} photographs of Imagenette's validation split. Measuring took "
        f"{facts['minutes']:.0f} minutes after everything was built.",
        "",
        "![accuracy against latency](benchmark.svg)",
        "",
        "### Goals, one thread",
        "",
        "| ratio | goal | measured | |",
        "|---|---|---|---|",
        *(goal.row for goal in goals(table, timings[1], facts)),
        "",
        "### SwiftFormer-XS at 224",
        "",
        "All files use the trained weights of this package; agreement is with the float model of the same source. "
        "Hugging Face's code computes `uniform` but the weights are `l2`, so its top-1 says nothing about its own "
        "weights. A dash means random weights, not measured, or nothing to compare with.",
        "",
        *rows(table, timings, "xs"),
        "",
        "### Twins without attention",
        "",
        "The same deploy graph without the attention's arithmetic and with ReLU instead of GELU: the least that these "
        "convolutions take.",
        "",
        *rows(table, timings, "twin"),
        "",
        "### Other sizes and architectures",
        "",
        "Random weights, except XS at 448. MobileNetV3-Large and EfficientFormer-L1 are for comparison.",
        "",
        *(
            line
            for model in ("xs448", "s", "l1", "l3", "other")
            for line in rows(table, timings, model, head=model == "xs448")
        ),
        "",
        *first_answers(table),
        "### Where the time goes",
        "",
        "Operations that take at least 2 % of the time on one thread. *In matrices* is the share of fully connected "
        "layers and of convolutions that are not depthwise; only the rest can still be optimized. *Of the peak* is the "
        "time that these matrices would take at the speed that LiteRT reached at best with the same types, as a share "
        "of the time that they took.",
        "",
        "| recipe | in matrices | of the peak | |",
        "|---|---|---|---|",
        *(operations(each, facts["core_flops"]) for each in table.values() if each.get("ops")),
        "",
        *peaks(facts["core_flops"]),
    ]
    if failed := [each for each in table.values() if each["error"]]:
        lines += ["", "### Peers that could not be built or run", "", "| peer | why |", "|---|---|"]
        lines += [f"| {each['key']} | {reason(each)} |" for each in failed]
    return "\n".join(map(wrapped, lines)) + "\n\n"


def wrapped(line: str) -> str:
    """A paragraph at the width of the other pages; what is no paragraph stays."""
    return line if line.startswith(("|", "#", "!")) else textwrap.fill(line, 120, break_on_hyphens=False)


def first_answers(table: Entries) -> list[str]:
    """How long a fresh process takes until a file has answered once, the quickest first."""
    measured = sorted((each for each in table.values() if "cold_ms" in each), key=lambda each: each["cold_ms"])
    lines = [
        "### First answer",
        "",
        "In a fresh process on one thread: the time to load a file, the time until it has also run once, and the "
        "memory that both add; then the same with XNNPACK's weight cache, which an earlier run wrote. Medians of 5 "
        "processes, and of 40 for the two files of the goal; files take turns. PyTorch models without a file have "
        "no row.",
        "",
        "| file | load, ms | answer, ms | peak MB | cached: load, ms | answer, ms | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in measured:
        cells = [
            figure(each.get(f"{start}_{what}"), lambda value, unit=unit: f"{value / unit:.1f}")
            for start in ("cold", "cached")
            for what, unit in (("load_ms", 1), ("ms", 1), ("peak", 1e6))
        ]
        lines.append(f"| {each['key']} | {' | '.join(cells)} |")
    return [*lines, ""] if measured else []


def reason(entry: dict[str, Any]) -> str:
    """Why there is no figure, without the folders of this machine."""
    return re.sub(r"(?<!\w)/\S*/", "", str(entry["error"]).replace("|", ","))[:220]


def goals(table: Entries, timings: dict[str, Timing], facts: dict[str, Any]) -> list[Goal]:
    def ms(key: str | None) -> float | None:
        return timings[key].median if key in timings else None

    def ratio(key: str | None, other: str | None) -> float | None:
        upper, lower = ms(key), ms(other)
        return None if upper is None or lower is None else upper / lower

    def fastest(keys: list[str]) -> str | None:
        return min((key for key in keys if key in timings), key=lambda key: timings[key].median, default=None)

    def peers(model: str, kinds: tuple[str, ...]) -> list[str]:
        return [
            key
            for key, each in table.items()
            if each["model"] == model and each["kind"] in kinds and each["name"].startswith(PEER_PREFIXES)
        ]

    ours, mixed, int8, int4 = (f"xs: ours {name}" for name in ("float32", "mixed_int8", "int8", "dynamic_int4"))
    best = fastest(peers("xs", ("float32",)))
    right = fastest([k for k in peers("xs", ("int8", "dynamic int8")) if (table[k].get("agreement") or 0) >= RIGHT])
    memory = [table.get(key, {}).get("peak_memory", 0.0) for key in (ours, "xs: HF, litert-torch")]
    result = [
        Goal("float32 / best float32 peer", 0.99, ratio(ours, best), str(best).removeprefix("xs: ")),
        Goal("dynamic_int8 / float32", 0.55, ratio("xs: ours dynamic_int8", ours)),
        Goal("dynamic_int4 / dynamic_int8", 1.1, ratio(int4, "xs: ours dynamic_int8")),
        Goal("MB of dynamic_int4", 2.02, table[int4]["bytes"] / 1e6 if "bytes" in table.get(int4, {}) else None),
        Goal("XNNPACK partitions of dynamic_int4", 1, table.get(int4, {}).get("partitions")),
        Goal("mixed_int8 / float32", 0.36, ratio(mixed, ours)),
        Goal("XNNPACK partitions of mixed_int8", 1, table.get(mixed, {}).get("partitions")),
        Goal("int8 / float32", 0.40, ratio(int8, ours)),
        Goal("XNNPACK partitions of int8", 18, table.get(int8, {}).get("partitions")),
        Goal("mixed_int8 / best int8 peer that is right", 0.65, ratio(mixed, right), str(right).removeprefix("xs: ")),
        Goal("float32 / its twin without attention", 1.08, ratio(ours, "twin: twin float32")),
        Goal("mixed_int8 / its twin without attention", 1.20, ratio(mixed, "twin: twin mixed_int8")),
    ]
    for model in ("s", "l1", "l3"):
        name, our, theirs = model.upper(), f"{model}: ours", f"{model}: HF, litert-torch"
        result += [
            Goal(f"{name} float32 / HF's {name} by litert-torch", 0.99, ratio(f"{our} float32", theirs)),
            Goal(f"{name} mixed_int8 / float32", 0.36, ratio(f"{our} mixed_int8", f"{our} float32")),
            Goal(f"{name} dynamic_int4 / dynamic_int8", 1.1, ratio(f"{our} dynamic_int4", f"{our} dynamic_int8")),
        ]
    result += [
        Goal(f"{recipe} at 448 / at 224", 4.4, ratio(f"xs448: ours {recipe}", f"xs: ours {recipe}"))
        for recipe in ("float32", "mixed_int8")
    ]
    first = [table.get(key, {}).get("cold_ms", 0.0) for key in FIRST_ANSWERS_COMPARED]
    result.append(Goal("first answer, float32 / HF by litert-torch", 0.9, first[0] / first[1] if all(first) else None))
    result += [
        Goal("peak memory, float32 / HF by litert-torch", 0.9, memory[0] / memory[1] if all(memory) else None),
        Goal("`export --recipe int8`, XS at 224, 200 images, seconds", 60, facts["export_int8_s"], "verified too"),
        Goal("import swiftformer_tf / import keras", 1.1, facts["import_swiftformer_tf_s"] / facts["import_keras_s"]),
    ]
    return result


def rows(table: Entries, timings: dict[int, dict[str, Timing]], model: str, *, head: bool = True) -> list[str]:
    """A table of one model's files, the fastest first."""
    one = timings[1]
    keys = sorted(
        (key for key in table if table[key]["model"] == model and key in one), key=lambda key: one[key].median
    )
    named = model in ("xs", "twin")
    threads = [count for count in timings if count > 1]
    columns = ["file", "ms, 1 thread", "quartiles", *(f"ms, {count} threads" for count in threads), "partitions"]
    columns += ["MB", "peak MB", "top-1", "agreement"] if named else []
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"] if head else []
    for key in keys:
        each, timing = table[key], one[key]
        low, high = timing.quartiles
        cells = [each["name"] if model in ("xs", "twin", "other") else f"{model.upper()}: {each['name']}"]
        cells += [f"{timing.median:.2f}", f"{low:.2f} to {high:.2f}"]
        cells += [f"{timings[count][key].median:.2f}" if key in timings[count] else "-" for count in threads]
        cells.append(str(each.get("partitions", "-")))
        if named:
            cells += [
                figure(each.get("bytes"), lambda value: f"{value / 1e6:.2f}"),
                figure(each.get("peak_memory"), lambda value: f"{value / 1e6:.1f}"),
                figure(each.get("top1"), lambda value: f"{value:.1%}"),
                figure(each.get("agreement"), lambda value: f"{value:.1%}"),
            ]
        if each["name"].startswith("ours"):
            cells[0] = f"**{cells[0]}**"
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def figure(value: float | None, form: Any) -> str:
    return "-" if value is None else form(value)


def operations(entry: dict[str, Any], core_flops: dict[str, float]) -> str:
    total = sum(op.milliseconds for op in entry["ops"])
    shown = [
        f"{op.name.replace('|', '/')} {op.milliseconds / total:.0%}{'' if op.xnnpack else ' (builtin kernel)'}"
        for op in entry["ops"]
        if op.milliseconds >= 0.02 * total
    ]
    share = matrix_share(entry["ops"])
    # Each matrix at the peak of its own types: a file can have several.
    least = sum(2e3 * count / core_flops[arithmetic] for arithmetic, count in entry["multiply_adds"].items())
    return f"| {entry['recipe']} | {share:.0%} | {least / (share * total):.0%} | {', '.join(shown)} |"


def peaks(core_flops: dict[str, float]) -> list[str]:
    """The speeds to which `operations` relates the matrices."""
    sizes = ", ".join(f"{side}·{side} x {inputs} x {outputs}" for side, inputs, outputs in SIZES)
    return [
        "The peak is measured in the same run by `tflite/core_peak.py`, which exports files of a single 1x1 "
        f"convolution with every recipe (positions x inputs x outputs: {sizes}) and profiles them on one thread as the "
        "files above; the fastest profile counts. It is what LiteRT's kernels reach on this processor, not the "
        "processor's theoretical peak. In GFLOPS, 10⁹ operations a second; a multiply-add is two operations.",
        "",
        "| input x weights | GFLOPS |",
        "|---|---|",
        *(f"| {arithmetic} | {flops / 1e9:.1f} |" for arithmetic, flops in core_flops.items()),
    ]


# Where the numbers of the dots stand, in points: those of close neighbors not on each other.
OFFSETS = (14, -22, 30, -38, 46, -54)


def plot(path: Path, table: Entries, timings: dict[str, Timing]) -> None:
    """Accuracy against latency; the area of a dot is the size of the file, its number stands in the list beside."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(11, 5), layout="constrained")
    axes, names = drawing.subplots(1, 2, width_ratios=(2, 1))
    axes.spines[["top", "right"]].set_visible(False)
    names.axis("off")
    shown = [(key, each) for key, each in table.items() if key in timings and "top1" in each and "bytes" in each]
    # Hugging Face's attention type is not that of the weights: its accuracy here says nothing about it.
    shown = [(key, each) for key, each in shown if not each["name"].startswith("HF")]
    shown.sort(key=lambda item: timings[item[0]].median)
    best = max((each["top1"] for _, each in shown), default=1.0)
    floor = 100 * (best - 0.05)
    for number, (key, each) in enumerate(shown):
        ours = each["name"].startswith("ours")
        color = "#0b7a75" if ours else "#8795a3"
        height = 100 * each["top1"]
        milliseconds = timings[key].median
        # What answers wrongly would squeeze all others into one line: it stands on the floor, its figure in the list.
        position = (milliseconds, max(height, floor))
        mark = "o" if height >= floor else "v"
        axes.scatter(*position, s=30 * each["bytes"] / 1e6, color=color, alpha=0.6, marker=mark, linewidths=0)
        axes.annotate(
            str(number + 1),
            position,
            xytext=(0, OFFSETS[number % len(OFFSETS)] if height >= floor else 14),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#3b4a59",
            arrowprops={"arrowstyle": "-", "color": "#c5ced6", "linewidth": 0.6},
        )
        line = f"{number + 1}  {each['name']}: {milliseconds:.1f} ms, {height:.1f}%"
        at = (0, 1 - (number + 1) / (len(shown) + 1))
        names.text(*at, line, fontsize=7.5, color=color if ours else "#3b4a59", transform=names.transAxes)
    axes.set_xscale("log")
    ticks = [5, 7, 10, 15, 20, 30, 50, 100, 200]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.margins(x=0.1)
    axes.set_ylim(floor - 0.5, 100 * best + 2)
    axes.set_xlabel("milliseconds per image, one thread (log scale)")
    axes.set_ylabel("top-1, % of the photographs (a triangle: below the axis)")
    axes.set_title(
        "SwiftFormer-XS at 224: ours in green; the area of a dot is the size of the file", fontsize=10, loc="left"
    )
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "swiftformer_tf"}):
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
