"""What `make benchmark` concludes from its measurements, and the twin that it compares with."""

import sys
from pathlib import Path
from typing import Any

import benchmark
import benchmark_ours
import benchmark_report
import numpy as np
import pytest

from swiftformer_tf import RECIPES, DeployModel, export
from swiftformer_tf.litert.benchmarking import Timing
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.litert.profiling import OpKind

FACTS = {
    **{"export_int8_s": 70.0, "import_keras_s": 2.0, "import_swiftformer_tf_s": 2.1},
    **{"photographs": 300, "minutes": 5, "real_time": True},
}


def entry(name: str, kind: str, model: str = "xs", **facts: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "model": model, "key": f"{model}: {name}", "error": None, **facts}


@pytest.fixture
def measured() -> tuple[list[dict[str, Any]], dict[int, dict[str, Timing]]]:
    """Entries and their times: ours 9 ms and 3 ms, a right integer peer of 8 ms, and a wrong one of 2 ms."""
    ops = [OpKind("Fully Connected (NC, F32) GEMM", 2, 3.0, True), OpKind("GELU", 1, 1.0, False)]
    entries = [
        entry("ours float32", "float32", top1=0.9, bytes=12e6, peak_memory=30e6, ops=ops, recipe="float32"),
        entry("ours mixed_int8", "mixed_int8", top1=0.9, bytes=4e6, partitions=2),
        entry("HF, litert-torch", "float32", peak_memory=40e6, top1=0.1, bytes=12e6),
        entry("timm, ONNX Runtime quantize_static", "int8", agreement=0.97),
        entry("timm, broken int8", "int8", agreement=0.4),
        entry("timm, that cannot be built", "int8") | {"error": "ValueError: /some/where/a.tflite | b/c/d"},
        entry("MobileNetV3-Large, timm, litert-torch", "float32", "other"),
    ]
    times = dict(zip([each["key"] for each in entries], (9.0, 3.0, 10.0, 8.0, 2.0, None, 1.0), strict=True))
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
    assert goals["int8 / float32"].row.endswith("| - | not measured |")
    assert goals["import swiftformer_tf / import keras"].row.endswith("| 1.05 | met |")


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
    assert "| float32 | 75% | Fully Connected (NC, F32) GEMM 75%, GELU 25% (builtin kernel) |" in text
    svg = (tmp_path / "benchmark.svg").read_text()
    assert "mixed_int8" in svg
    assert "litert-torch" not in svg  # Hugging Face's arithmetic is not that of the weights


def test_the_twin_keeps_the_convolutions_and_drops_the_arithmetic(deploy: DeployModel) -> None:
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
    found = {str(path.relative_to(package)) for path in benchmark.sources()}
    assert {"layers.py", "model.py", "fusion.py", "recipes.py", "exporting.py", "quantization/rewriting.py"} <= found
    assert not {"cli/main.py", "verification.py", "evaluation.py"} & found


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
