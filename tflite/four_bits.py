"""Our int4 file beside what litert-quantizer makes of our own float32 file; writes a table of `tflite/README.md`.

    python tflite/four_bits.py imagenette/val

litert-quantizer is in the environment of the peers from PyTorch, which `make benchmark` sets up. Our own row is that of
`docs/results/int4.py`, on the same photographs. How fast the files are is for `benchmark.py` to say.
"""

import argparse
import csv
import datetime
import math
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmark import ROOT, TORCH, WEIGHTS, say, tflite_answers
from benchmark_report import put, versions, wrapped

from swiftformer_tf import RECIPES, SwiftFormerForImageClassification, export, fuse
from swiftformer_tf.images.folders import balanced_sample, list_images
from swiftformer_tf.images.inputs import image_inputs
from swiftformer_tf.litert.ops import count_partitions
from swiftformer_tf.litert.profiling import open_for_timing
from swiftformer_tf.native_logs import native_stderr_silenced
from swiftformer_tf.verification import signal_to_noise

# As many as `docs/results/int4.py` takes.
VALIDATION = 300
OURS, CURVE = "dynamic_int4", ROOT / "docs" / "results" / "int4_curve.csv"
# litert-quantizer's recipes, and what they store.
PEERS = {"dynamic_wi4c_afp32": "one scale per channel", "dynamic_wi4b32_afp32": "one scale per 32 inputs"}


class Row(NamedTuple):
    """A file, and its answers beside those of the float32 file; the SNR of equal answers is infinite."""

    name: str
    megabytes: float
    snr: float
    agreement: float
    partitions: int

    def __str__(self) -> str:
        snr = "equal" if math.isinf(self.snr) else f"{self.snr:.1f}"
        return f"| {self.name} | {self.megabytes:.2f} | {snr} | {self.agreement:.1%} | {self.partitions} |"


def ours() -> Row:
    """The row of the recipe's own number of matrices in int8.

    Raises:
        LookupError: `docs/results/int4.py` has not measured it.
    """
    count = str(len(RECIPES[OURS].int8_layers))
    with CURVE.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["matrices"] == count:
                megabytes, snr, agreement = (float(row[name]) for name in ("mb", "snr_db", "agreement"))
                return Row(f"**ours {OURS}**", megabytes, snr, agreement, int(row["partitions"]))
    raise LookupError(f"{CURVE.name}: no row with {count} matrices in int8; docs/results/int4.py measures it")


def build(folder: Path) -> dict[str, Path]:
    """Our float32 file and those of the peer in a folder, by what the table calls them.

    Raises:
        RuntimeError: litert-quantizer failed, or is not installed.
    """
    files = {"float32": folder / "float32.tflite"}
    model = SwiftFormerForImageClassification.from_pretrained(WEIGHTS)
    export(fuse(model), RECIPES["float32"]).save(files["float32"])
    for recipe, stores in PEERS.items():
        path = folder / f"{recipe}.tflite"
        quantize(files["float32"], path, recipe)
        files[f"litert-quantizer, {stores} (`{recipe}`)"] = path
    return files


def quantize(source: Path, path: Path, recipe: str) -> None:
    """Has litert-quantizer quantize a file in its own environment."""
    if not TORCH.exists():
        raise RuntimeError(f"no environment {TORCH.parent.parent.name}, which has litert-quantizer: run make benchmark")
    command = [TORCH, ROOT / "tflite" / "benchmark_quantizer.py", source, path, recipe]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"litert-quantizer {recipe}: {' '.join(done.stderr.strip().splitlines()[-1:])}")


def measured(files: dict[str, Path], images: np.ndarray) -> Iterator[Row]:
    """Compares the files on images (N, height, width, 3) with the first of them."""
    expected: np.ndarray | None = None
    for name, path in files.items():
        partitions = count_partitions(open_for_timing(path, num_threads=1))
        actual = tflite_answers(path, images).astype(np.float64)
        expected = actual if expected is None else expected
        same = float(np.mean(expected.argmax(axis=1) == actual.argmax(axis=1)))
        snr = signal_to_noise(expected, actual) or 0.0
        yield Row(name, path.stat().st_size / 1e6, snr, same, partitions)


def section(rows: list[Row], size: int) -> str:
    """The table, with what it is of."""
    intro = (
        f"`python tflite/four_bits.py imagenette/val`, {datetime.date.today()}: {versions()}. XS at {size} px beside "
        f"Google's quantizer on our own float32 file, on {VALIDATION} validation photographs. SNR and agreement are "
        "relative to float32. Ours is calibrated, and measured on the same photographs by "
        "[another script](../docs/results/int4.md), before it equalized channels; theirs needs no calibration."
    )
    table = ["| file | MB | SNR dB | agreement | XNNPACK partitions |", "|---|---|---|---|---|", *map(str, rows)]
    return "\n".join([wrapped(intro), "", *table]) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder of validation photographs, with one folder a class")
    folder = parser.parse_args().photographs
    config = SwiftFormerForImageClassification.from_pretrained(WEIGHTS).config
    paths = balanced_sample(list_images(folder), VALIDATION)
    images = np.concatenate(list(image_inputs(paths, config.transform, raw=False)))
    with tempfile.TemporaryDirectory() as made:
        plain, *peers = measured(build(Path(made)), images)
    rows = [plain, ours(), *peers]
    for row in rows:
        say(str(row))
    put(ROOT / "tflite" / "README.md", "four-bits", section(rows, config.input_size[0]))


if __name__ == "__main__":
    with native_stderr_silenced():
        main()
