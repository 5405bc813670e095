"""Which matrices of an int4 file are worth eight bits: writes `int4.md` and `int4.csv` here.

    python docs/results/int4.py imagenette/train imagenette/val

Chooses on training photographs that calibration did not see, and reports on validation photographs. Each matrix alone
is rounded to four bits in the float graph; what that adds to the logits, for the bytes that four bits save, says in
which order they get eight. `Recipe.int8_layers` of `dynamic_int4` is the head of that list.
"""

import csv
from pathlib import Path
from typing import Any

import click
import numpy as np
from measuring import NAME, Measured, chosen_photographs, measure_file, prepared, reference_logits

import swiftformer_tf as sf
from swiftformer_tf.files import replacing
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.quantization import Graph, equalize
from swiftformer_tf.quantization.choices import stored_weights
from swiftformer_tf.quantization.graph import Operation
from swiftformer_tf.quantization.rounding import rounded_filter
from swiftformer_tf.recipes import MIN_QUANTIZED_ELEMENTS

PAGE = Path(__file__).with_suffix(".md")
ROWS = Path(__file__).with_suffix(".csv")
CALIBRATION, CHOOSING, REPORTED = 200, 100, 300
# How many matrices have eight bits, in the points of the curve.
POINTS = (0, 4, 8, 13, 16, 20, 30)
RECIPE = sf.RECIPES["dynamic_int4"].replace(int8_layers=())


@click.command()
@click.argument("calibration", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--points/--no-points", default=True, help="Export the files of the curve, or only order the matrices.")
def main(calibration: Path, folder: Path, points: bool) -> None:
    """Order the matrices on photographs of CALIBRATION, and measure files on those of FOLDER."""
    model = sf.SwiftFormerForImageClassification.from_pretrained(NAME)
    chosen = chosen_photographs(calibration, CALIBRATION)
    others = [each for each in chosen_photographs(calibration, 2 * CALIBRATION) if each not in set(chosen)]
    deploy = sf.fuse(model)
    calibrated = sf.calibrate(deploy, chosen)
    if not ROWS.exists():
        _write(_ordered(calibrated, prepared(others[:: max(len(others) // CHOOSING, 1)][:CHOOSING], model.config)))
    layers = [row["layer"] for row in _rows()]
    if points:
        inputs = prepared(chosen_photographs(folder, REPORTED), model.config)
        expected = reference_logits(model, inputs)
        found = {}
        for count in POINTS:
            recipe = RECIPE.replace(int8_layers=tuple(layers[:count]))
            found[count] = measure_file(sf.export(deploy, recipe, calibration=calibrated), inputs, expected)
            click.echo(_line(count, found[count]))
        with replacing(PAGE) as beside:
            beside.write_text(_page(found), "utf-8")


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
        rows.append(
            {"layer": layer, "weights": size, "snr_db": f"{10 * np.log10(signal / noise):.1f}", "noise": f"{noise:.3e}"}
        )
        click.echo(rows[-1])
    return sorted(rows, key=lambda row: -float(row["noise"]) / row["weights"])


def _rounded(graph: Graph, index: int, op: Operation, moments: dict[int, np.ndarray]) -> Graph:
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


def _write(rows: list[dict[str, Any]]) -> None:
    with replacing(ROWS) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("layer", "weights", "snr_db", "noise"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows() -> list[dict[str, str]]:
    with ROWS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _line(count: int, found: Measured) -> str:
    figures = f"{found.bytes / 1e6:.3f} | {found.snr:.1f} | {found.agreement:.2%} | {found.partitions}"
    return f"| {count} | {figures} |"


def _page(found: dict[int, Measured]) -> str:
    rows = _rows()
    kept = [row for row in rows if not sf.RECIPES["dynamic_int4"].stores_in_int4(row["layer"], inputs=2)]
    lines = [
        "# dynamic_int4: which matrices are worth eight bits",
        "",
        "Made by `python docs/results/int4.py imagenette/train imagenette/val`. XS at 192 px, calibrated with",
        f"{CALIBRATION} training photographs. The order is chosen on {CHOOSING} other training photographs,",
        "`int4.csv`: each matrix alone is rounded to four bits in the float graph, and sorted by what that adds to the",
        f"logits for the bytes that four bits save. The files below are measured on {REPORTED} validation photographs.",
        "",
        f"The recipe keeps {len(kept)} of {len(rows)} matrices in int8.",
        "",
        "| matrices in int8 | MB | SNR dB | agreement | partitions |",
        "|---|---|---|---|---|",
        *(_line(count, each) for count, each in found.items()),
        "",
        "The matrices that come first, with the SNR of the logits where they alone have four bits:",
        "",
        "| matrix | weights | SNR dB alone |",
        "|---|---|---|",
        *(f"| `{row['layer']}` | {row['weights']} | {row['snr_db']} |" for row in rows[:24]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
