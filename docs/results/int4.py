"""Which matrices of an int4 file are worth eight bits: writes `int4.md`, `int4.svg` and CSV files here.

    python docs/results/int4.py imagenette/train imagenette/val

Chooses on training photographs that calibration did not see, and reports on validation photographs. Each matrix alone
is rounded to four bits in the float graph; what that adds to the logits, for the bytes that four bits save, says in
which order they get eight. `Recipe.int8_layers` of `dynamic_int4` is the head of that list. Each row is kept as soon as
it is measured and is not measured again: to measure anew, remove it in its CSV file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from measuring import NAME, append_row, chosen_photographs, measure_file, prepared, read_rows, reference_logits

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, equalize
from swiftformer_tf.quantization.choices import stored_weights
from swiftformer_tf.quantization.graph import Operation
from swiftformer_tf.quantization.rounding import rounded_filter
from swiftformer_tf.recipes import MIN_QUANTIZED_ELEMENTS
from swiftformer_tf.verification.comparison import decibels

PAGE = Path(__file__).with_suffix(".md")
ROWS = Path(__file__).with_suffix(".csv")
CURVE = Path(__file__).with_name("int4_curve.csv")
PICTURE = Path(__file__).with_suffix(".svg")
CALIBRATION, CHOOSING, REPORTED = 200, 100, 300
# How many matrices have eight bits, in the points of the curve.
POINTS = (0, 4, 8, 13, 16, 20, 30)
RECIPE = sf.RECIPES["dynamic_int4"].replace(int8_layers=())


@click.command()
@click.argument("calibration", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(calibration: Path, folder: Path) -> None:
    """Order the matrices on photographs of CALIBRATION, and measure files on those of FOLDER."""
    chosen = chosen_photographs(calibration, CALIBRATION)
    measured = {row["matrices"] for row in read_rows(CURVE)}
    missing = [count for count in POINTS if str(count) not in measured]
    if missing or not ROWS.exists():
        _measure_curve(missing, chosen, calibration, folder)
    _write_page()


def _measure_curve(missing: list[int], chosen: list[Path], calibration: Path, folder: Path) -> None:
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    others = [each for each in chosen_photographs(calibration, 2 * CALIBRATION) if each not in set(chosen)]
    deploy = sf.fuse(model)
    calibrated = sf.calibrate(deploy, chosen)
    if not ROWS.exists():
        choosing = others[:: max(len(others) // CHOOSING, 1)][:CHOOSING]
        for row in _ordered(calibrated, prepared(choosing, model.config)):
            append_row(ROWS, row)
    layers = [row["layer"] for row in read_rows(ROWS)]
    inputs = prepared(chosen_photographs(folder, REPORTED), model.config)
    expected = reference_logits(model, inputs)
    for count in missing:
        recipe = RECIPE.replace(int8_layers=tuple(layers[:count]))
        found = measure_file(sf.export(deploy, recipe, calibration=calibrated), inputs, expected)
        figures = {"snr_db": f"{found.snr:.1f}", "agreement": f"{found.agreement:.4f}", "partitions": found.partitions}
        append_row(CURVE, {"matrices": count, "mb": f"{found.bytes / 1e6:.3f}", **figures})
        _write_page()


def _ordered(calibrated: sf.Calibration, images: np.ndarray) -> list[dict[str, Any]]:
    """Each matrix with the noise that four bits of it add, the worst for its bytes first."""
    assert RECIPE.equalize is not None
    graph, statistics = equalize(Graph(calibrated.content), calibrated.statistics, RECIPE.equalize)
    whole = _answers(graph, images)
    signal = float(np.square(whole - whole.mean(axis=0)).mean())
    rows = []
    for index, op in enumerate(graph.operations):
        size = int(np.prod(graph.shape(op.inputs[1]))) if op.name in ("CONV_2D", "FULLY_CONNECTED") else 0
        if size < MIN_QUANTIZED_ELEMENTS or stored_weights(graph, op, RECIPE) != "int4":
            continue
        noise = float(np.square(_answers(_rounded(graph, index, op, statistics.moments), images) - whole).mean())
        layer = graph.label(op.inputs[1]).rpartition("/")[0]
        ratio = decibels(signal, noise)
        assert ratio is not None  # the photographs differ, and outputs are finite
        rows.append({"layer": layer, "weights": size, "snr_db": f"{ratio:.1f}", "noise": f"{noise:.3e}"})
        click.echo(rows[-1])
    return sorted(rows, key=lambda row: -float(row["noise"]) / row["weights"])


def _rounded(graph: Graph, index: int, op: Operation, moments: Mapping[int, np.ndarray]) -> Graph:
    kernel = graph.constant(op.inputs[1])
    bias = graph.constant(op.inputs[2])
    assert kernel is not None
    assert bias is not None
    integers, quantization, shift = rounded_filter(op, kernel, moments[op.outputs[0]], bits=4)
    scale = quantization.scale.reshape(-1, *[1] * (kernel.ndim - 1))
    changed = graph.copy()
    changed.replace_weights(index, [(integers * scale).astype(np.float32), (bias + shift).astype(np.float32)])
    return changed


def _answers(graph: Graph, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph.watched(graph.outputs), num_threads=2)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(made["index"]).reshape(-1))
    return np.stack(answers).astype(np.float64)


def _draw(rows: list[dict[str, str]]) -> None:
    """SNR against size."""
    sizes, snr = ([float(row[name]) for row in rows] for name in ("mb", "snr_db"))
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(sizes, snr, "o-", color="#1f6feb")
    for row, size, each in zip(rows, sizes, snr, strict=True):
        chosen = int(row["matrices"]) == len(sf.RECIPES["dynamic_int4"].int8_layers)
        label = f"{row['matrices']} in int8{': dynamic_int4' if chosen else ''}"
        axes.annotate(label, (size, each), xytext=(6, -10), textcoords="offset points", fontsize=8)
    axes.set(xlabel="file, MB", ylabel="SNR of the logits, dB", title="XS: matrices in int8, the others in int4")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3)
    with replacing(PICTURE) as beside, matplotlib.rc_context({"svg.hashsalt": "int4"}):
        figure.savefig(beside, format="svg", metadata={"Date": None})


def _write_page() -> None:
    rows = read_rows(ROWS)
    curve = sorted(read_rows(CURVE), key=lambda row: int(row["matrices"]))
    _draw(curve)
    kept = [row for row in rows if not sf.RECIPES["dynamic_int4"].stores_in_int4(row["layer"], inputs=2)]
    lines = [
        "# dynamic_int4: which matrices are worth eight bits",
        "",
        "Made by `python docs/results/int4.py imagenette/train imagenette/val`. XS at 192 px, calibrated with",
        f"{CALIBRATION} training photographs. The order was chosen on {CHOOSING} other training photographs",
        "(`int4.csv`): each matrix alone is rounded to four bits in the float graph, and the matrices are sorted by",
        "the noise that this adds to the logits, relative to the bytes that it saves. The files below were measured on",
        f"{REPORTED} validation photographs.",
        "",
        f"The recipe keeps {len(kept)} of {len(rows)} matrices in int8: of the files below, the most within the",
        "goal of 2.02 MB. Order and files were measured before the recipe equalized channels; today's file is in",
        "[quantization.md](quantization.md).",
        "",
        "![SNR against the size of the file](int4.svg)",
        "",
        "| matrices in int8 | MB | SNR dB | agreement | partitions |",
        "|---|---|---|---|---|",
        *(
            f"| {row['matrices']} | {row['mb']} | {row['snr_db']} | {float(row['agreement']):.2%} "
            f"| {row['partitions']} |"
            for row in curve
        ),
        "",
        "Sizes and times of XS, S, L1 and L3 on a processor with AMX, beside those of `dynamic_int8`, are in",
        "[variants.md](variants.md). There, the layers with the same names as XS's stay in int8. The ratios of the",
        "times, which meet the goal of 1.1 without AMX and miss it with AMX, are in",
        "[tflite/README.md](../../tflite/README.md#four-bits).",
        "",
        "The first matrices in this order, with the SNR of the logits when each alone is stored in four bits:",
        "",
        "| matrix | weights | SNR dB alone |",
        "|---|---|---|",
        *(f"| `{row['layer']}` | {row['weights']} | {row['snr_db']} |" for row in rows[:24]),
    ]
    with replacing(PAGE) as beside:
        beside.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
