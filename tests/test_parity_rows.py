"""What `make parity` lets pass: each threshold is seen to fail on made-up measurements, without PyTorch."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from comparing import CONTROL, THRESHOLD, error
from rows import BackendCase, Cell, FileCase, FolderCase, FormCase, Logits, backend_rows, folder_row

from swiftformer_tf.config import TokenWeights

ABOVE, BELOW = np.nextafter(THRESHOLD, 1), np.nextafter(CONTROL, 0)

GOOD: dict[str, Any] = {
    "cell": Cell("xs", "timm", "l2", *(THRESHOLD,) * 4, wrong=CONTROL, back=0.0),
    "file": FileCase("training.pth", "an optimizer", THRESHOLD),
    "backend": BackendCase("jax 0.10", "l2", *(THRESHOLD,) * 3, wrong=CONTROL),
    "folder": FolderCase("timm", "save_pretrained", THRESHOLD, wrong=CONTROL, back=0.0, labels=True),
    "form": FormCase("swa.pt", "torch", "all", THRESHOLD),
}
# What is not good enough of each field that is judged.
BAD: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("logits", "odd_size", "hidden_states", "blocks", "tensorflow"), (ABOVE, np.inf)),
    "wrong": (BELOW,),
    "back": (1e-12, np.inf),
    "labels": (False,),
}
SPOILT = [
    (name, field.name, value)
    for name, row in GOOD.items()
    for field in dataclasses.fields(row)
    for value in BAD.get(field.name, ())
]


@pytest.mark.parametrize("name", GOOD)
def test_a_row_at_its_thresholds_passes(name: str) -> None:
    assert GOOD[name].passed


@pytest.mark.parametrize(("name", "field", "value"), SPOILT)
def test_a_row_fails_by_any_one_of_its_figures(name: str, field: str, value: Any) -> None:
    assert not dataclasses.replace(GOOD[name], **{field: value}).passed


def test_every_figure_of_a_row_is_judged() -> None:
    figures = {field.name for row in GOOD.values() for field in dataclasses.fields(row) if field.type is not str}
    assert figures == set(BAD)


def test_the_error_is_the_largest_difference_over_the_largest_value() -> None:
    logits = np.array([[1.0, -4.0], [2.0, 0.0]])
    assert error(logits, logits) == 0
    assert error(logits * [[1, 1], [1.5, 1]], logits) == 0.25
    # What is no number or of another shape is as wrong as can be.
    assert error(np.full((2, 2), np.nan), logits) == np.inf
    assert error(logits, np.full((2, 2), np.nan)) == np.inf
    assert error(logits[:1], logits) == np.inf


def logits(*, seed: int) -> Logits:
    """At two sizes, by attention type."""
    rng = np.random.default_rng(seed)
    kinds: tuple[TokenWeights, ...] = ("l2", "uniform")
    return {kind: [rng.normal(size=(2, 10)) for _ in range(2)] for kind in kinds}


def moved(values: Logits, kind: TokenWeights, size: int) -> Logits:
    """The same but for one output under one attention type at one size."""
    copy = {name: [array.copy() for array in arrays] for name, arrays in values.items()}
    copy[kind][size][1, 3] += 1e-3
    return copy


def test_a_backend_that_computes_what_the_reference_does_passes() -> None:
    expected = logits(seed=0)
    rows = list(backend_rows("jax 0.10", expected, expected, expected))
    assert [(row.backend, row.token_weights, row.passed) for row in rows] == [
        ("jax 0.10", "l2", True),
        ("jax 0.10", "uniform", True),
    ]


@pytest.mark.parametrize("kind", ["l2", "uniform"])
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("spoilt", ["ours", "tensorflow"])
def test_a_backend_fails_where_it_differs(kind: TokenWeights, size: int, spoilt: str) -> None:
    expected = logits(seed=0)
    other = moved(expected, kind, size)
    ours, on_tensorflow = (other, expected) if spoilt == "ours" else (expected, other)
    failed = [row for row in backend_rows("jax", ours, on_tensorflow, expected) if not row.passed]
    assert [row.token_weights for row in failed] == [kind]
    (row,) = failed
    bad = {name for name in ("logits", "odd_size", "tensorflow") if getattr(row, name) > THRESHOLD}
    assert bad == {"tensorflow"} | ({("logits", "odd_size")[size]} if spoilt == "ours" else set())


def test_a_backend_fails_where_the_two_attention_types_are_one() -> None:
    expected = logits(seed=0)
    expected["uniform"] = expected["l2"]
    rows = list(backend_rows("torch", expected, expected, expected))
    assert [(row.wrong, row.passed) for row in rows] == [(0, False), (0, False)]


def test_a_folder_fails_by_its_logits_its_control_its_way_back_and_its_labels() -> None:
    right, wrong = logits(seed=0)["l2"]
    off = moved({"l2": [right]}, "l2", 0)["l2"][0]
    good: dict[str, Any] = {"ours": right, "wrong": wrong, "theirs": right, "expected": right, "labels": True}
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"ours": off}, False),
        ({"wrong": right}, False),
        ({"expected": off}, False),
        ({"labels": False}, False),
    ]
    for spoilt, passed in cases:
        assert folder_row("timm", "port --to", **{**good, **spoilt}).passed is passed, spoilt
