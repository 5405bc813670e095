"""What `tflite/four_bits.py` measures of our int4 file and of those of litert-quantizer."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import benchmark_quantizer
import benchmark_report
import four_bits
import numpy as np
import pytest

README = Path(four_bits.__file__).with_name("README.md")


def test_files_are_compared_with_the_first(lite: Any, tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.tflite" for name in ("float32", "unchanged", "dynamic_int4")}
    for name, path in files.items():
        lite("float32" if name == "unchanged" else name).save(path)
    images = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32)
    plain, unchanged, ours = four_bits.measured(files, images)
    megabytes = [f"{path.stat().st_size / 1e6:.2f}" for path in files.values()]
    assert str(plain) == f"| float32 | {megabytes[0]} | equal | 100.0% | 1 |"
    assert str(unchanged) == f"| unchanged | {megabytes[1]} | equal | 100.0% | 1 |"
    assert re.fullmatch(rf"\| dynamic_int4 \| {megabytes[2]} \| \d+\.\d \| \d+\.\d% \| 1 \|", str(ours))


def test_why_there_is_no_file_of_the_peer_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(four_bits, "TORCH", tmp_path / ".venv-benchmark-torch" / "bin" / "python")
    told = "^no environment .venv-benchmark-torch, which has litert-quantizer: run make benchmark$"
    with pytest.raises(RuntimeError, match=told):
        four_bits.quantize(tmp_path / "a.tflite", tmp_path / "b.tflite", "dynamic_wi4c_afp32")
    monkeypatch.setattr(four_bits, "TORCH", Path(sys.executable))
    with pytest.raises(RuntimeError, match=r"^litert-quantizer dynamic_wi4c_afp32: ModuleNotFoundError: No module"):
        four_bits.quantize(tmp_path / "a.tflite", tmp_path / "b.tflite", "dynamic_wi4c_afp32")


def test_the_peer_quantizes_by_its_recipe_and_is_calibrated_if_it_asks(
    lite: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in notes what it is asked."""

    class Quantizer:
        def __init__(self, source: str) -> None:
            self.said: list[Any] = [source]

        def load_quantization_recipe(self, recipe: str) -> None:
            self.said.append(recipe)
            self.need_calibration = recipe == "eight"

        def calibrate(self, images: dict[str, list[dict[str, np.ndarray]]]) -> str:
            ((signature, given),) = images.items()
            return f"{signature} {len(given)} {[value.shape for value in given[0].values()]}"

        def quantize(self, result: str | None) -> Self:
            self.said.append(result)
            return self

        def export_model(self, path: str, *, overwrite: bool) -> None:
            Path(path).write_text(f"{self.said} {overwrite}")

    stand_in = ModuleType("litert_quantizer")
    stand_in.__dict__.update(
        quantizer=SimpleNamespace(Quantizer=Quantizer),
        recipe=SimpleNamespace(four=lambda: "four", eight=lambda: "eight"),
    )
    monkeypatch.setitem(sys.modules, "litert_quantizer", stand_in)
    source, path = tmp_path / "a.tflite", tmp_path / "b.tflite"
    lite("float32").save(source)
    benchmark_quantizer.quantized(source, path, "four", np.empty(0))
    assert path.read_text() == f"{[str(source), 'four', None]} True"
    benchmark_quantizer.quantized(source, path, "eight", np.zeros((2, 64, 64, 3), np.float32))
    assert path.read_text() == f"{[str(source), 'eight', 'serving_default 2 [(1, 64, 64, 3)]']} True"


def test_the_readme_has_a_row_for_each_file() -> None:
    text = README.read_text("utf-8").partition("<!-- four-bits:begin -->\n")[2].partition("<!-- four-bits:end -->")[0]
    rows = re.findall(r"^\| (.+?) \| [\d.]+ \|", text, re.MULTILINE)
    peers = [f"litert-quantizer, {stores} (`{recipe}`)" for recipe, stores in four_bits.PEERS.items()]
    assert rows == ["float32", f"**ours {four_bits.OURS}**", *peers]
    made = four_bits.section([], 192).splitlines()
    assert made[-3:-1] == ["| file | MB | SNR dB | agreement | XNNPACK partitions |", "|---|---|---|---|---|"]
    assert all(line in text for line in made[-3:-1])
    assert text.startswith("`python tflite/four_bits.py imagenette/val`, ")
    assert f"\n{four_bits.ours()}\n" in text


def test_our_row_is_that_of_the_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(four_bits, "CURVE", tmp_path / "curve.csv")
    count = len(four_bits.RECIPES[four_bits.OURS].int8_layers)
    head = f"matrices,mb,snr_db,agreement,partitions\n0,1.9,33.4,0.9967,1\n{count + 1},2.1,40.0,1.0000,1\n"
    (tmp_path / "curve.csv").write_text(f"{head}{count},1.999,38.9,0.9967,2\n")
    assert str(four_bits.ours()) == "| **ours dynamic_int4** | 2.00 | 38.9 | 99.7% | 2 |"
    (tmp_path / "curve.csv").write_text(head)
    told = f"^curve.csv: no row with {count} matrices in int8; docs/results/int4.py measures it$"
    with pytest.raises(LookupError, match=told):
        four_bits.ours()


def test_four_bits_take_what_the_tables_say() -> None:
    """On the processor without AMX of the one page, and on that with AMX of the other."""
    page = README.read_text("utf-8")
    pattern = r"^\| \*\*(?:(\w+): )?ours (dynamic_int[48])\*\* \| ([\d.]+) \|"
    speeds = page.partition("## Four bits")[0]
    times = {(model or "XS", recipe): float(ms) for model, recipe, ms in re.findall(pattern, speeds, re.MULTILINE)}
    speed = [times[each, "dynamic_int4"] / times[each, "dynamic_int8"] for each in ("XS", "S", "L1", "L3")]
    table = (README.parents[1] / "docs" / "results" / "variants.md").read_text("utf-8")
    eight, four = (
        [float(ms) for ms in re.findall(r", ([\d.]+), \d+ \|", line)]
        for line in re.findall(r"^\| `dynamic_int[84]` .*$", table, re.MULTILINE)
    )
    variants = [upper / lower for upper, lower in zip(four, eight, strict=True)]
    said = " ".join(page.partition("## Four bits")[2].partition("\n## ")[0].split())
    for ratios in (speed, variants):
        xs, s, l1, l3 = (f"{each:.2f}" for each in ratios)
        assert f"{xs} of dynamic_int8's time in XS, {s} in S, {l1} in L1 and {l3} in L3" in said
    speeds_of_types = dict(re.findall(r"^\| float32 x (int[48]) \| ([\d.]+) \|$", page, re.MULTILINE))
    of_eight, of_four = (round(float(speeds_of_types[each])) for each in ("int8", "int4"))
    assert f"matrices of int8 at up to {of_eight} GFLOPS and those of int4 at up to {of_four} " in said
    for name, ratio in zip(("", "S ", "L1 ", "L3 "), speed, strict=True):
        goal = benchmark_report.Goal(f"{name}dynamic_int4 / dynamic_int8", 1.1, ratio)
        assert f"\n{goal.row}\n" in page
