"""`swiftformer-tf benchmark`"""

from pathlib import Path

import click

from swiftformer_tf.cli.console import ModelFile, print_json, print_table, progress_bars, short_names
from swiftformer_tf.errors import number_of
from swiftformer_tf.recipes import cautions


@click.command()
@click.argument("models", type=ModelFile(), metavar="MODEL.tflite...", nargs=-1, required=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Number of CPU threads.")
@click.option("--repeats", type=click.IntRange(min=1), default=30, show_default=True, help="Runs of each file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def benchmark(models: tuple[Path, ...], threads: int, repeats: int, as_json: bool) -> None:
    """Compare the speed of TFLite files on this machine.

    The files, which any tool may have made, take turns. Shows medians and quartiles after a warm-up, XNNPACK
    partitions, memory, and the time by kind of operation on one thread.

    \b
    swiftformer-tf benchmark models/xs_float16.tflite models/xs_mixed_int8.tflite
    """
    from swiftformer_tf.litert.benchmarking import benchmark_files, recognized_recipes
    from swiftformer_tf.litert.profiling import matrix_share

    with progress_bars(*cautions(recognized_recipes(models))) as progress:
        measured = benchmark_files(models, num_threads=threads, repeats=repeats, progress=progress)
    if as_json:
        print_json([each.to_dict() for each in measured])
        return
    first = measured[0].timing.median
    common, names = short_names(models)
    files = f"; files {common}*.tflite" if common else ""
    print_table(
        [
            {
                "file": name,
                "MB": f"{each.size / 1e6:.2f}",
                "ms": milliseconds(each.timing.median),
                "quartiles": " to ".join(map(milliseconds, each.timing.quartiles)),
                "ratio": f"{each.timing.median / first:.2f}",
                "partitions": str(each.partitions),
                "peak MB": "-" if each.peak_memory is None else f"{each.peak_memory / 1e6:.1f}",
                "matrices": "-" if each.ops is None else f"{matrix_share(each.ops):.0%}",
            }
            for name, each in zip(names, measured, strict=True)
        ],
        title=f"{number_of(repeats, 'run')} on {number_of(threads, 'thread')}; medians, ratio to the first, "
        f"matrices' share{files}",
    )
    for each in measured:
        if each.ops:
            rows = [
                {
                    "operation": op.name,
                    "count": str(op.count),
                    "ms": f"{op.milliseconds:.3f}",
                    "by": "XNNPACK" if op.xnnpack else "builtin kernel",
                }
                for op in each.ops
            ]
            print_table(rows, title=f"{each.path.name}: time by operation, one thread")


def milliseconds(value: float) -> str:
    """Formats a time with few characters, however long it is."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
