"""docs/reference/json.md names the keys that the commands print."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swiftformer_tf.debugging import QuantizationReport, TensorReport
from swiftformer_tf.info import describe_file
from swiftformer_tf.litert.benchmarking import FileTiming, Timing
from swiftformer_tf.litert.profiling import OpKind
from swiftformer_tf.tasks.features import Retrieval
from swiftformer_tf.tasks.label_accuracy import LabelAccuracy
from swiftformer_tf.tasks.scores import LabelScores, NumberErrors
from swiftformer_tf.tasks.semantic_segmentation import PixelConfusion

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "json.md"

ONE, SQUARE = np.ones((1, 1)), np.ones((1, 1), np.int64)
TENSOR = TensorReport(7, "x", "stem", "ADD", "int8", 0.02, 0, None, 1.0, 0.1, 0.01, (-2.6, 2.5), (-2.5, 2.4), 0.0)
OP = OpKind("CONV_2D", 2, 1.0, True)


def undocumented(value: Any, section: str) -> set[str]:
    """Keys at any depth that the section does not name."""
    (text,) = re.findall(rf"^## [^\n]*`{section}`.*?(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    known = set(re.findall(r"`(\w+)`", text))

    def keys(each: Any) -> set[str]:
        if isinstance(each, list):
            return {key for item in each for key in keys(item)}
        if not isinstance(each, dict):
            return set()
        return {key for name, item in each.items() for key in {name} | keys(item)}

    return keys(value) - known


@pytest.mark.parametrize(
    "scores",
    [
        LabelAccuracy(SQUARE, np.ones(1, np.int64), SQUARE, ("a",), "by hand"),
        LabelScores(ONE, ONE, ("a",), "by hand"),
        NumberErrors(ONE, ONE, ("a",), "by hand"),
        Retrieval(np.array([0, 0, 1]), np.array([1, 0, 0]), ("a", "b")),
        PixelConfusion.empty(("a",)).add(np.zeros(2, np.uint8), np.zeros(2, np.uint8)),
    ],
    ids=lambda scores: type(scores).__name__,
)
def test_the_scores(scores: LabelAccuracy | LabelScores | NumberErrors | Retrieval | PixelConfusion) -> None:
    assert undocumented(scores.to_dict(), "evaluate") == set()


def test_times_tensors_and_files() -> None:
    timing = FileTiming(Path("x.tflite"), 1, 1, Timing((1.0,)), 1, None, [OP])
    assert undocumented([timing.to_dict()], "benchmark") == set()
    assert undocumented(QuantizationReport("int8", 1, (TENSOR,)).to_dict(), "debug-quantization") == set()
    told = dict.fromkeys(describe_file("swiftformer_xs_imagenette"))
    assert undocumented(told, "info") == set()


def test_a_key_that_the_page_does_not_name_is_noticed() -> None:
    assert undocumented([{"file": "x", "ops": [{"joules": 1}]}], "benchmark") == {"joules"}
