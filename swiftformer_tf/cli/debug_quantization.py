"""`swiftformer-tf debug-quantization`"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swiftformer_tf.cli.console import (
    EXISTING,
    EXISTING_FILE,
    ModelFile,
    note,
    print_json,
    print_table,
    progress_bar,
    token_weights_option,
    weights_option,
)
from swiftformer_tf.errors import number_of

if TYPE_CHECKING:
    from swiftformer_tf.debugging.debugger import TensorReport


@click.command()
@click.argument("model", type=EXISTING_FILE, metavar="MODEL.tflite")
@click.option("--reference", type=ModelFile(), required=True, help="The model or checkpoint that it came from.")
@click.option("--images", type=EXISTING, required=True, help="Folder of photographs.")
@click.option("--count", type=click.IntRange(min=1), default=32, show_default=True, help="How many of them to use.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Rows of the table.")
@token_weights_option
@weights_option
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the ratios along the network as a PNG.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all tensors as a JSON document.")
def debug_quantization(
    model: Path,
    reference: Path,
    images: Path,
    count: int,
    top: int,
    token_weights: Any,
    weights: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Find where an integer TFLite model loses accuracy.

    Runs it beside the float32 export of the same model and ranks tensors by signal-to-noise ratio in dB, worst first:
    `own dB` is with correct inputs, so that only the tensor's own operation counts; `as run dB` includes the
    errors of all operations before it.

    \b
    swiftformer-tf debug-quantization models/xs_int8.tflite \\
        --reference xs.keras --images photos/val --plot snr.png
    """
    from swiftformer_tf.debugging.debugger import debug_quantization as compare_tensors

    report = compare_tensors(
        model,
        reference=reference,
        images=images,
        count=count,
        plot=plot,
        token_weights=token_weights,
        weights=weights,
        progress=progress_bar,
    )
    if as_json:
        print_json({"file": str(model), **report.to_dict()})
    else:
        shown = report.worst_first[:top]
        counted = f"{len(shown)} of {number_of(len(report.tensors), 'tensor')}"
        title = f"{model}: {counted}, worst first, on {number_of(report.images, 'image')}"
        print_table([_row(each) for each in shown], title=title)
    if plot:
        note(f"wrote {plot}")


def _row(each: "TensorReport") -> dict[str, str]:
    return {
        "tensor": each.short_name,
        "op": each.op,
        "own dB": _ratio(each.own_snr),
        "as run dB": _ratio(each.snr),
        "range seen": _range(each.range_seen),
        "saturated": f"{each.saturated:.2%}",
    }


def _ratio(value: float | None) -> str:
    return "-" if value is None else "exact" if math.isinf(value) else f"{value:.1f}"


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3g} to {ends[1]:.3g}"
