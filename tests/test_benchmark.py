"""What `make benchmark` concludes from its measurements, and the twin that it compares with."""

import importlib
import math
import os
import platform
import sys
from pathlib import Path
from typing import Any

import benchmark
import benchmark_ours
import benchmark_report
import cold_start
import core_peak
import numpy as np
import pytest

from swiftformer_tf import RECIPES, DeployModel, LiteModel, export
from swiftformer_tf.litert.benchmarking import Timing
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.litert.profiling import OpKind
from swiftformer_tf.quantization import Graph

# At the peak, 2 ms and 0.4 ms of the 3 ms that matrices take below.
MACS: dict[str, Any] = {"multiply_adds": {"float32 x float32": 100_000_000, "float32 x int8": 200_000_000}}
FACTS = {
    **{"export_int8_s": 70.0, "import_keras_s": 2.0, "import_swiftformer_tf_s": 2.1},
    **{"photographs": 300, "minutes": 5, "real_time": True},
    "core_flops": {"float32 x float32": 1e11, "float32 x int8": 1e12},
}


def entry(name: str, kind: str, model: str = "xs", **facts: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "model": model, "key": f"{model}: {name}", "error": None, **facts}


@pytest.fixture
def measured() -> tuple[list[dict[str, Any]], dict[int, dict[str, Timing]]]:
    """Entries and their times: ours 9 ms and 3 ms, a right integer peer of 8 ms, and a wrong one of 2 ms."""
    ops = [OpKind("Fully Connected (NC, F32) GEMM", 2, 3.0, True), OpKind("GELU", 1, 1.0, False)]
    entries = [
        entry("ours float32", "float32", top1=0.9, bytes=12e6, peak_memory=30e6, ops=ops, recipe="float32", **MACS),
        entry("ours mixed_int8", "mixed_int8", top1=0.9, bytes=4e6, partitions=2),
        entry("ours int8", "int8", partitions=19),
        entry("ours dynamic_int4", "dynamic_int4", bytes=2.03e6, partitions=1),
        entry("HF, litert-torch", "float32", peak_memory=40e6, top1=0.1, bytes=12e6),
        entry("timm, ONNX Runtime quantize_static", "int8", agreement=0.97),
        entry("timm, broken int8", "int8", agreement=0.4),
        entry("timm, that cannot be built", "int8") | {"error": "ValueError: /some/where/a.tflite | b/c/d"},
        entry("MobileNetV3-Large, timm, litert-torch", "float32", "other"),
        *(entry(f"ours {name}", name, model) for model in ("s", "l1") for name in ("dynamic_int8", "dynamic_int4")),
    ]
    ms = (9.0, 3.0, None, None, 10.0, 8.0, 2.0, None, 1.0, 4.0, 5.0, 20.0, 21.0)
    times = dict(zip([each["key"] for each in entries], ms, strict=True))
    return entries, {n: {key: Timing((ms, ms, ms)) for key, ms in times.items() if ms} for n in (1, 2)}


def test_goals_are_met_or_not_or_not_measured(measured: Any) -> None:
    entries, timings = measured
    goals = {g.name: g for g in benchmark_report.goals({e["key"]: e for e in entries}, timings[1], FACTS)}
    # The fastest peer is of the same architecture, and the fastest integer peer one that answers right.
    assert goals["float32 / best float32 peer"].measured == 0.9
    right = goals["mixed_int8 / best int8 peer that is right"]
    assert (right.measured, right.note) == (3 / 8, "timm, ONNX Runtime quantize_static")
    assert goals["peak memory, float32 / HF by litert-torch"].measured == 0.75
    assert right.row.endswith("| 0.38 | met; timm, ONNX Runtime quantize_static |")
    export_time = goals["`export --recipe int8`, XS at 224, 200 images, seconds"]
    assert "| 70.00 | **not met**" in export_time.row
    assert goals["XNNPACK partitions of mixed_int8"].row.endswith("| 2.00 | **not met** |")
    assert goals["XNNPACK partitions of int8"].row == "| XNNPACK partitions of int8 | ≤ 18 | 19.00 | **not met** |"
    assert goals["MB of dynamic_int4"].row == "| MB of dynamic_int4 | ≤ 2.02 | 2.03 | **not met** |"
    assert goals["XNNPACK partitions of dynamic_int4"].row.endswith("| 1.00 | met |")
    assert goals["int8 / float32"].row == "| int8 / float32 | ≤ 0.4 | - | not measured |"
    assert goals["import swiftformer_tf / import keras"].row.endswith("| 1.05 | met |")
    # For each variant that has both files, by its own times.
    assert goals["dynamic_int4 / dynamic_int8"].row.endswith("| - | not measured |")
    assert goals["S dynamic_int4 / dynamic_int8"].row.endswith("| ≤ 1.1 | 1.25 | **not met** |")
    assert goals["L1 dynamic_int4 / dynamic_int8"].row.endswith("| ≤ 1.1 | 1.05 | met |")
    assert goals["L3 dynamic_int4 / dynamic_int8"].row.endswith("| - | not measured |")


def test_the_readme_keeps_what_others_wrote(measured: Any, tmp_path: Path) -> None:
    entries, timings = measured
    (tmp_path / "README.md").write_text("# Ours\n\nbefore\n")
    for _ in range(2):  # again, over its own output
        benchmark_report.write(tmp_path, entries, timings, FACTS)
        text = (tmp_path / "README.md").read_text()
        assert text.startswith("# Ours\n\nbefore\n\n<!-- benchmark:begin -->\n")
        assert text.count("### Goals, one thread") == 1
    assert "| **ours float32** | 9.00 | 9.00 to 9.00 | 9.00 | - | 12.00 | 30.0 | 90.0% | - |" in text
    assert "| xs: timm, that cannot be built | ValueError: a.tflite , b/c/d |" in text
    assert "| float32 | 75% | 80% | Fully Connected (NC, F32) GEMM 75%, GELU 25% (builtin kernel) |" in text
    words = " ".join(text.split())
    assert "the fastest profile counts. It is what LiteRT's kernels reach on this processor" in words
    assert "(positions x inputs x outputs: 32·32 x 256 x 256, 16·16 x 1024 x 256," in words
    assert "| float32 x float32 | 100.0 | | float32 x int8 | 1000.0 |" in words
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))
    svg = (tmp_path / "benchmark.svg").read_text()
    assert "mixed_int8" in svg
    assert "litert-torch" not in svg  # Hugging Face's attention type is not that of the weights


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("flags : fpu avx512_vnni amx_int8 amx_tile", " with VNNI and AMX, "),
        ("flags : avx512_vnni2", ", "),
        ("Features : fp asimd asimddp", " with dot products, "),
        (None, ", "),
    ],
)
def test_a_page_names_what_multiplies_integers(
    flags: str | None, named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(benchmark_report, "CPU_INFO", tmp_path / "cpuinfo")
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    assert benchmark_report.versions().startswith(f"{platform.machine()}{named}{os.cpu_count()} cores, ai-edge-litert ")


def test_the_twin_keeps_the_convolutions_and_drops_the_attention(deploy: DeployModel) -> None:
    twin = benchmark_ours.convolution_twin(deploy)
    image = np.zeros((1, 64, 64, 3), np.float32)
    before = np.asarray(deploy(image))
    ours, theirs = (inspect_model(export(each, RECIPES["float32"])).counts for each in (deploy, twin))
    scoring = len(deploy.config.depths)  # the matrix of one output that weighs tokens
    assert theirs["CONV_2D"] == ours["CONV_2D"] - scoring
    assert theirs["DEPTHWISE_CONV_2D"] == ours["DEPTHWISE_CONV_2D"]
    assert set(theirs) <= {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD", "MEAN", "RESHAPE", "FULLY_CONNECTED"}
    np.testing.assert_array_equal(np.asarray(deploy(image)), before)


def test_what_we_export_is_built_again_when_what_makes_it_changes() -> None:
    package = benchmark.ROOT / "swiftformer_tf"
    found = {path.relative_to(package).as_posix() for path in benchmark.sources()}
    assert {
        "layers/blocks.py",
        "model.py",
        "fusion/deploy_model.py",
        "recipes/table.py",
        "exporting.py",
        "quantization/rewriting.py",
    } <= found
    assert not {"cli/main.py", "verification/verifying.py", "evaluation.py"} & found


def test_a_peer_that_fails_leaves_the_others_running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = """
import sys
for line in sys.stdin:
    name = line.rstrip().split("\\t")[1]
    if name == "end":
        break
    print({"fast": "done\\t2.5", "broken": "error\\tValueError: no"}[name], flush=True)
"""
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "benchmark_torch.py").write_text(script)
    monkeypatch.setattr(benchmark, "ROOT", tmp_path)
    monkeypatch.setattr(benchmark, "TORCH", Path(sys.executable))
    server = benchmark.Server(tmp_path, threads=1)
    with pytest.raises(RuntimeError, match=r"^ValueError: no$"):
        server.ask("run", "broken")
    assert server.runner("fast")() == 2.5
    with pytest.raises(RuntimeError, match=r"^run end: the process of PyTorch ended$"):
        server.ask("run", "end")
    server.close()


@pytest.mark.parametrize("shape", [(1, 2, 2, 3), (1, 3, 2, 2), (1, 4, 4, 3)])
def test_every_peer_sees_the_same_photograph(shape: tuple[int, ...]) -> None:
    image = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    seen = {}

    class Interpreter:
        def get_input_details(self) -> list[dict[str, Any]]:
            return [{"index": 0, "shape": np.array(shape), "dtype": np.float32}]

        def set_tensor(self, index: int, value: np.ndarray) -> None:
            seen[index] = value

    benchmark.show(Interpreter(), image)
    assert seen[0].shape == shape
    last = seen[0][0, -1, -1] if shape[-1] == 3 else seen[0][0, :, -1, -1]
    np.testing.assert_array_equal(last, image[-1, -1])


def test_a_peer_of_integers_sees_it_quantized() -> None:
    seen = {}

    class Interpreter:
        def get_input_details(self) -> list[dict[str, Any]]:
            shape = np.array((1, 1, 4, 3))
            return [{"index": 0, "shape": shape, "dtype": np.int8, "quantization": (0.02, -3)}]

        def set_tensor(self, index: int, value: np.ndarray) -> None:
            seen[index] = value

    image = np.zeros((1, 4, 3), np.float32)
    image[0, :, 0] = -9, -1, 1, 9
    benchmark.show(Interpreter(), image.repeat(4, axis=0))
    assert seen[0].dtype == np.int8
    np.testing.assert_array_equal(seen[0][0, 0, :, 0], [-128, -53, 47, 127])
    assert (seen[0][..., 1:] == -3).all()


def test_first_answers_are_those_of_fresh_processes(lite: Any, tmp_path: Path) -> None:
    lite("float32").save(tmp_path / "tiny.tflite")
    path = str(tmp_path / "tiny.tflite")
    found = benchmark.first_answers([path], repeats=1)[path]
    assert set(found) == {f"{start}_{what}" for start in ("cold", "cached") for what in ("load_ms", "ms", "peak")}
    # A tiny model: its weights are 0.1 MB, and LiteRT itself some.
    assert 0 < found["cold_load_ms"] < found["cold_ms"] < 60_000
    assert 1e5 < found["cold_peak"] < 1e9
    with pytest.raises(RuntimeError, match=r"^cold_start\.py: .+"):
        benchmark.first_answers([str(tmp_path / "none.tflite")], repeats=1)


def test_files_take_turns_in_first_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is measured again before each of the others was: what else the machine does affects them alike."""
    asked: list[tuple[str, bool]] = []

    def answer(path: str, cache: str) -> dict[str, float]:
        asked.append((path, bool(cache)))
        return {"load_ms": 1.0, "ms": float(len(asked)), "peak": 3.0}

    monkeypatch.setattr(benchmark, "first_answer", answer)
    found = benchmark.first_answers(["a.tflite", "b.onnx"], repeats=3)
    assert asked[0] == ("a.tflite", True)  # writes the cache
    rounds = [asked[start : start + 3] for start in (1, 4, 7)]
    assert all(sorted(each) == [("a.tflite", False), ("a.tflite", True), ("b.onnx", False)] for each in rounds)
    assert len(asked) == 10
    when = [place for place, case in enumerate(asked, 1) if case == ("b.onnx", False)]
    assert found["b.onnx"] == {"cold_load_ms": 1.0, "cold_ms": when[1], "cold_peak": 3.0}
    assert set(found["a.tflite"]) > {"cold_ms", "cached_ms"}


def test_first_answers_of_onnx_files_are_onnx_runtimes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in notes what it is asked: one thread, and one image of zeros."""
    (tmp_path / "onnxruntime.py").write_text("""
from types import SimpleNamespace as Some

asked = []
SessionOptions = Some

class InferenceSession:
    def __init__(self, path, options, providers):
        asked.extend((path, options.intra_op_num_threads, providers))

    def get_inputs(self):
        return [Some(name="image", shape=[1, 3, 8, 8])]

    def run(self, outputs, feed):
        asked.extend((name, value.shape, value.dtype.name, value.any()) for name, value in feed.items())
""")
    monkeypatch.syspath_prepend(tmp_path)
    found = cold_start.first_answer("model.onnx")
    asked = importlib.import_module("onnxruntime").asked
    assert asked == ["model.onnx", 1, ["CPUExecutionProvider"], ("image", (1, 3, 8, 8), "float32", False)]
    assert found["ms"] > 0
    assert found["peak"] >= 0


def test_the_peak_is_that_of_the_fastest_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every arithmetic that a recipe uses, from files of one matrix each."""
    milliseconds = iter([2.0, 1.0, 4.0])
    seen = []

    def profile(path: Path) -> list[OpKind]:
        (matrix,) = (op.matrix for op in inspect_model(LiteModel.open(path)).ops if op.matrix)
        seen.append((matrix.places, matrix.shape))
        return [
            OpKind("Fully Connected (NC, F32) GEMM", 1, next(milliseconds), True),
            OpKind("Convert (NC)", 1, 9.0, True),
        ]

    monkeypatch.setattr(core_peak, "profile_ops", profile)
    found = core_peak.core_peak([RECIPES["float32"]], sizes=[(4, 32, 48)], profiles=3)
    assert found == {"float32 x float32": 2 * 16 * 32 * 48 / 1e-3}
    assert seen == [(16, (48, 1, 1, 32))] * 3


def test_every_recipe_has_a_peak_for_each_of_its_matrices(lite: Any) -> None:
    """Measured for real, on any processor."""
    found = core_peak.core_peak(sizes=[(8, 64, 64)], profiles=1)
    for recipe in RECIPES:
        assert set(core_peak.multiply_adds(lite(recipe))) <= set(found), recipe
    assert all(0 < flops < math.inf for flops in found.values())


def test_multiplications_are_those_of_the_matrices_that_the_profile_calls_so(lite: Any) -> None:
    """Each number that they make is a sum of as many as a row of the matrix has."""
    graph = Graph(lite("float32").content)
    matrices = [op for op in graph.operations if op.name in ("CONV_2D", "FULLY_CONNECTED")]
    made = [np.prod(graph.shape(op.outputs[0])) * np.prod(graph.shape(op.inputs[1])[1:]) for op in matrices]
    assert core_peak.multiply_adds(lite("float32")) == {"float32 x float32": sum(made)}
    assert sum(made) > 1e5
    # A float16 file computes in float32; the small matrix behind the image stays in float32 beside int8.
    assert core_peak.multiply_adds(lite("float16")) == {"float32 x float32": sum(made)}
    dynamic = core_peak.multiply_adds(lite("dynamic_int8"))
    assert set(dynamic) == {"float32 x float32", "float32 x int8"}
    assert sum(dynamic.values()) == sum(made)
    assert set(core_peak.multiply_adds(lite("static_int8"))) == {"int8 x int8"}


def test_first_answers_have_a_table_and_a_goal(measured: Any) -> None:
    entries, timings = measured
    cold = {"cold_load_ms": 10.0, "cold_peak": 3e7, "cached_load_ms": 5.0, "cached_ms": 20.0, "cached_peak": 2e7}
    table = {each["key"]: each for each in entries}
    assert benchmark_report.first_answers(table) == []
    onnx: dict[str, Any] = {"key": "xs: timm, onnx", "cold_load_ms": 9.0, "cold_ms": 50.0, "cold_peak": 4e7}
    table[onnx["key"]] = table["xs: HF, litert-torch"] | onnx
    table["xs: ours float32"] |= {"cold_ms": 30.0, **cold}
    table["xs: HF, litert-torch"] |= {"cold_ms": 40.0, **cold}
    assert benchmark_report.first_answers(table)[6:] == [
        "| xs: ours float32 | 10.0 | 30.0 | 30.0 | 5.0 | 20.0 | 20.0 |",
        "| xs: HF, litert-torch | 10.0 | 40.0 | 30.0 | 5.0 | 20.0 | 20.0 |",
        "| xs: timm, onnx | 9.0 | 50.0 | 40.0 | - | - | - |",
        "",
    ]
    goals = {goal.name: goal for goal in benchmark_report.goals(table, timings[1], FACTS)}
    assert goals["first answer, float32 / HF by litert-torch"].measured == 0.75
