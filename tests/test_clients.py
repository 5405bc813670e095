"""Are wrong answers of clients found? Made-up answers to a made-up kit; `make clients` has the real ones."""

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tables
from judging import KNOWN, SPEEDS, TOLERANCES, Result, Verdict, judge, row
from kit import Kit
from run import CLIENTS, Client, ask
from segmenters import PAGES

from swiftformer_tf import RECIPES

ROOT = Path(__file__).parents[1]

RECIPE_NAMES = list(RECIPES)


@pytest.fixture
def kit() -> Kit:
    """Five photographs, four labels; LiteRT on this machine errs by a hundredth of a logit."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 4)).astype(np.float32) + 6 * np.eye(5, 4, dtype=np.float32)
    desktop = {name: logits + (1e-6 if "float" in name else 0.01) * rng.choice([-1, 1], (5, 4)) for name in RECIPES}
    entries = {name: {"recipe": each.to_dict(), "min_runtime_version": "2.9.0"} for name, each in RECIPES.items()}
    about = {"recipes": entries}
    answers = {(name, "logits"): each.astype(np.float32) for name, each in desktop.items()}
    answers |= {(name, "int8"): each.astype(np.float32) for name, each in desktop.items()}
    answers |= {(name, "scores"): probabilities(each) for name, each in desktop.items()}
    return Kit(Path(), about, logits, answers)


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def answer(kit: Kit, recipe: str, *, count: int = 5, **fields: Any) -> dict[str, Any]:
    """What a client prints that answers as LiteRT on this machine does."""
    return {"variant": "v", "recipe": recipe, "outputs": kit.desktop[recipe, "logits"][:count].tolist(), **fields}


def test_ci_runs_the_compilers_on_every_push_and_the_rest_each_week() -> None:
    (weekly,) = re.findall(r"^CI_CLIENTS \?= (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert re.search(r"^on:\n  push:\n    branches: \[main\]\n  pull_request:\n", text, re.MULTILINE)
    (pushed,) = re.findall(r'run: make \S+ CI_CLIENTS="(.*)" clients-ci$', text, re.MULTILINE)
    assert pushed.split() == ["openvino", "ethosu"]
    assert {*pushed.split()} < {*weekly.split()} <= {*CLIENTS}


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_the_answers_of_this_machine_are_right(kit: Kit, recipe: str) -> None:
    for key in TOLERANCES:
        if (key, recipe) in KNOWN:
            continue
        client, _, variant = key.partition(" ")
        verdict = judge(client, answer(kit, recipe, count=3, variant=variant), kit)
        assert (verdict.status, verdict.reason, verdict.bad) == ("right", "", False)
        assert (verdict.photographs, verdict.difference, verdict.agreeing) == (3, 0.0, 3)


@pytest.mark.parametrize("key", TOLERANCES)
@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_every_tolerance_can_fail(kit: Kit, key: str, recipe: str) -> None:
    """One label of one photograph, just beyond it."""
    if (key, recipe) in KNOWN:
        return
    tolerance = TOLERANCES[key][recipe]
    client, _, variant = key.partition(" ")
    said = answer(kit, recipe, variant=variant)
    said["outputs"][2][1] += tolerance * 1.01 + 1e-6
    verdict = judge(client, said, kit)
    assert verdict.bad
    assert f"from LiteRT on this machine, {tolerance:.2g} allowed" in verdict.reason


def test_a_client_that_shares_the_desktops_error_is_still_held_against_keras(kit: Kit) -> None:
    kit.desktop["int8", "logits"][:] += np.random.default_rng(1).normal(size=(5, 4)) * 2
    verdict = judge("arm64", answer(kit, "int8"), kit)
    assert verdict.status == "wrong"
    assert verdict.difference == 0
    assert "dB against Keras, 20 needed" in verdict.reason


def test_labels_in_another_order_are_wrong(kit: Kit) -> None:
    said = answer(kit, "float32")
    said["outputs"] = [each[::-1] for each in said["outputs"]]
    assert "the best label is neither Keras's nor LiteRT's on 5 of 5 photographs" in judge("arm64", said, kit).reason


def test_one_label_of_many_photographs_counts(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hair's breadth between two labels, and a client on the wrong side of it."""
    kit.logits[3, :2] = kit.desktop["int8", "logits"][3, :2] = 9.00, 9.01
    monkeypatch.setitem(TOLERANCES["arm64"], "int8", 0.1)
    said = answer(kit, "int8")
    assert judge("arm64", said, kit).status == "right"
    said["outputs"][3][0] += 0.02
    assert judge("arm64", said, kit).reason == ("the best label is neither Keras's nor LiteRT's on 1 of 5 photographs")
    kit.desktop["int8", "logits"][3, 0] += 0.02  # the file's own mistake, on every machine: `verify` counts those
    verdict = judge("arm64", said, kit)
    assert (verdict.status, verdict.agreeing) == ("right", 4)


def mistaken(kit: Kit, recipe: str, photographs: int) -> None:
    """Keras's best two labels are a hair's breadth apart, and LiteRT on this machine is on the other side of it."""
    kit.logits[:, :2] = 9.00, 9.01
    for kind in ("logits", "int8"):
        kit.desktop[recipe, kind][:, :2] = 9.00, 9.01
        kit.desktop[recipe, kind][:photographs, 0] = 9.02


@pytest.mark.parametrize(("recipe", "allowed"), [("static_int8", 1), ("int16x8", 0), ("float16", 0), ("float32", 0)])
def test_a_file_with_wrong_labels_is_wrong_whatever_its_decibels(kit: Kit, recipe: str, allowed: int) -> None:
    """A client answers as LiteRT on this machine does, and a compiled file is judged by that alone."""
    kit.about["recipes"][recipe]["recipe"]["min_snr"] = 0
    for photographs in range(4):
        mistaken(kit, recipe, photographs)
        for client, said in (("arm64", answer(kit, recipe)), ("ethosu", compiled() | {"recipe": recipe})):
            verdict = judge(client, said, kit)
            assert verdict.agreeing == 5 - photographs
            assert (verdict.status == "right") is (photographs <= allowed)
            assert (
                f"has Keras's label on {5 - photographs} of 5 photographs, " in verdict.reason or verdict.reason == ""
            )


def test_labels_are_of_all_photographs_of_the_kit(kit: Kit) -> None:
    """A slow client that sees two of them is not wrong for what the file has on these."""
    mistaken(kit, "static_int8", 1)
    assert judge("arm64", answer(kit, "static_int8", count=2), kit).status == "right"
    mistaken(kit, "static_int8", 2)
    reason = "LiteRT on this machine has Keras's label on 3 of 5 photographs, 69.34% needed"
    assert judge("arm64", answer(kit, "static_int8", count=2), kit).reason == reason


def test_two_photographs_are_held_against_the_spread_of_all(kit: Kit) -> None:
    """Two of a kind have next to none of their own."""
    kit.logits[1] = kit.logits[0] + 0.01
    kit.desktop["int8", "logits"][:2] = kit.logits[:2] + 0.05
    verdict = judge("arm64", answer(kit, "int8", count=2), kit)
    assert verdict.status == "right"
    assert verdict.snr_db == pytest.approx(10 * np.log10(kit.logits.var(axis=0).mean() / 0.05**2), rel=1e-4)


def test_scores_are_compared_as_scores(kit: Kit) -> None:
    said = answer(kit, "float32", file="scores") | {"outputs": kit.desktop["float32", "scores"].tolist()}
    assert judge("mediapipe", said, kit).status == "right"
    assert judge("mediapipe", answer(kit, "float32", file="scores"), kit).status == "wrong"  # logits under that name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_wrong(kit: Kit, value: float) -> None:
    said = answer(kit, "int8")
    said["outputs"][0][0] = value
    verdict = judge("arm64", said, kit)
    assert verdict.status == "wrong"
    assert "-inf dB against Keras, 20 needed" in verdict.reason


@pytest.mark.parametrize("outputs", [[], [[0.0] * 4], [[0.0] * 3] * 5, [0.0] * 4])
def test_too_little_is_not_compared(kit: Kit, outputs: list[Any]) -> None:
    verdict = judge("arm64", {"variant": "v", "recipe": "int8", "outputs": outputs}, kit)
    assert verdict.status == "wrong"
    assert "expected (at least 2, 4)" in verdict.reason


def test_a_recipe_without_a_tolerance_is_not_passed(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TOLERANCES["arm64"], "int8")
    assert (
        "no tolerance for int8: add one to TOLERANCES in judging.py" in judge("arm64", answer(kit, "int8"), kit).reason
    )


def test_a_runtime_may_fail_only_where_the_file_asks_for_a_newer_one(kit: Kit) -> None:
    """Numbers, not text: 2.10 is newer than the file's 2.9.0, and 2.9 is the same."""
    wrong = answer(kit, "int8") | {"outputs": (10 * kit.logits[::-1]).tolist()}
    for said in (answer(kit, "int8") | {"refused": "unknown operation"}, answer(kit, "int8") | {"failed": "x"}, wrong):
        assert judge("arm64", said, kit).bad
        for version, bad in (
            ("2.8", False),
            ("2.8.4", False),
            ("2.9.0", True),
            ("2.9", True),
            ("2.10", True),
            ("2.17", True),
        ):
            verdict = judge("runtimes", said | {"runtime_version": version}, kit)
            assert (verdict.bad, verdict.too_old) == (bad, not bad)
    assert judge("runtimes", answer(kit, "int8") | {"runtime_version": "2.8"}, kit).status == "right"


def test_every_recipe_has_a_tolerance_or_a_note_at_every_client() -> None:
    assert {key.partition(" ")[0] for key in (*TOLERANCES, *SPEEDS)} == set(CLIENTS)
    for key, tolerances in TOLERANCES.items():
        noted = {name for each, name in KNOWN if each == key}
        assert set(RECIPES) == {*tolerances, *noted}, key


def test_recorded_differences_are_allowed() -> None:
    text, found = tables.README.read_text("utf-8"), set()
    for client in {key.partition(" ")[0] for key in TOLERANCES}:
        lines = text.partition(f"<!-- {client} -->\n")[2].partition(f"<!-- /{client} -->")[0].splitlines()
        _, *recipes = (cell.strip() for cell in lines[0].strip("|").split("|"))
        for line in lines[2:]:
            variant, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            for recipe, cell in zip(recipes, cells, strict=False):
                if told := re.match(r"(\d+e-\d+|equal), \d+ dB", cell):
                    key = row(client, variant)
                    found.add(key)
                    difference = 0.0 if told[1] == "equal" else float(told[1])
                    assert difference <= TOLERANCES[key][recipe], (key, recipe)
    assert found == set(TOLERANCES)


@pytest.mark.parametrize(
    ("client", "variant", "bad"), [("browser", "webgpu", False), ("browser", "wasm", True), ("gpu", "WebGPU", False)]
)
def test_what_is_known_of_one_variant_counts_against_the_others(client: str, variant: str, bad: bool) -> None:
    verdict = Verdict(client, variant, "int16x8", "refused", "why")
    assert verdict.bad is bad
    why = "refused: why" if bad else "the WebGPU accelerator takes no int16 tensors"
    assert f"\n* {variant}, int16x8: {why}\n" in tables.table(Result(client, verdicts=(verdict,)), ["int16x8"])


def test_what_is_known_excuses_no_wrong_answer(kit: Kit) -> None:
    """A client that begins to take a file must take it rightly."""
    wrong = answer(kit, "int16x8", variant="WebGPU") | {"outputs": (-kit.logits).tolist()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TOLERANCES["gpu"], "int16x8", 1.0)
        assert judge("gpu", wrong, kit).bad
    assert Verdict("gpu", "WebGPU", "int16x8", "failed", "crashed").bad


def compiled(**fields: Any) -> dict[str, Any]:
    """What a compiler's client prints of a file that is whole on the NPU and just fast enough."""
    facts = {
        "on_cpu": {},
        "subgraphs": 1,
        "inferences_per_second": 105.0,
        "converter": {"inferences_per_second": 100.0},
    }
    return {"variant": "ethos-u65-512", "recipe": "int8", "file": "int8", "compiled": facts | fields}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"on_cpu": {"MEAN": 8, "GELU": 2}}, "2 GELU, 8 MEAN on the CPU"),
        ({"subgraphs": 9}, "9 subgraphs on the NPU, one expected"),
        ({"subgraphs": 0}, "0 subgraphs on the NPU, one expected"),
        ({"inferences_per_second": 104.9}, "105 inferences a second, 1.05 times the converter's 100 needed"),
        ({"inferences_per_second": float("nan")}, "nan inferences a second, 1.05 times the converter's 100 needed"),
        (
            {"on_cpu": {"QUANTIZE": 1}, "subgraphs": 2, "inferences_per_second": 1.0},
            "1 QUANTIZE on the CPU; 2 subgraphs on the NPU, one expected; "
            "1 inferences a second, 1.05 times the converter's 100 needed",
        ),
    ],
)
def test_a_file_is_whole_on_an_npu_and_fast_or_not(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], reason: str
) -> None:
    monkeypatch.delitem(KNOWN, ("ethosu", "int8"))
    verdict = judge("ethosu", compiled(**fields), kit)
    assert (verdict.status, verdict.reason) == ("in parts" if reason else "right", reason)
    assert verdict.bad is bool(reason)


def test_each_npu_has_a_speed_of_its_own(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KNOWN, ("ethosu", "int8"))
    for variant, least in SPEEDS["ethosu"].items():
        for speed, status in ((100 * least, "right"), (100 * least - 0.1, "in parts")):
            said = compiled(inferences_per_second=speed) | {"variant": variant}
            assert judge("ethosu", said, kit).status == status


def test_a_compiled_file_must_be_right_itself(kit: Kit) -> None:
    """By LiteRT here: whole, fast and wrong is wrong, whatever is known of the recipe."""
    kit.desktop["int8", "int8"][:] += np.random.default_rng(1).normal(size=(5, 4)) * 2
    verdict = judge("ethosu", compiled(), kit)
    assert (verdict.status, verdict.bad) == ("wrong", True)
    assert "dB against Keras, 20 needed" in verdict.reason
    table = tables.table(Result("ethosu", verdicts=(verdict,)), ["int8"])
    assert re.search(
        r"^\| ethos-u65-512 \| \*\*wrong\*\*: whole, 105/s \(converter 100/s\), -?\d+ dB \(\d/5\) ", table, re.M
    )


@pytest.mark.parametrize("page", [ROOT / "tflite" / "README.md", *PAGES.values()], ids=lambda page: page.stem)
def test_the_pages_say_that_decibels_are_of_the_file_before_the_compiler(page: Path) -> None:
    """What it makes of a file runs nowhere but on the chip."""
    text = page.read_text("utf-8")
    about = text.partition("<!-- ethosu -->")[0].rpartition("Ethos-U by vela\n")[2]
    assert "of the file before vela, as run by LiteRT" in " ".join(about.split())
    assert "compiled file" not in about


@pytest.fixture
def vela_client(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The client of vela itself, with stand-ins for what it imports from there."""
    for name in ("ethosu", "ethosu.vela", "ethosu.vela.tflite"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name in ("BuiltinOperator", "Model"):
        module = ModuleType(f"ethosu.vela.tflite.{name}")
        setattr(module, name, type(name, (), {}))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return importlib.import_module("ethosu_client")


@pytest.mark.posix
def test_a_compiler_that_crashes_is_not_quoted_with_its_last_warning(
    vela_client: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As vela does on int4 weights."""
    monkeypatch.setattr(vela_client, "VELA", tmp_path / "vela")
    for ending, told in (("kill -FPE $$", "vela crashed with SIGFPE"), ("echo Error: no >&2; exit 1", "Error: no")):
        (tmp_path / "vela").write_text(f"#!/bin/sh\necho Warning: no memory mode >&2\n{ending}\n")
        (tmp_path / "vela").chmod(0o755)
        assert vela_client.compile_file(tmp_path / "x.tflite", "ethos-u55-256", tmp_path) == {"refused": told}


def test_the_page_tells_what_is_known() -> None:
    text = " ".join(tables.README.read_text("utf-8").split())
    assert [case for case, why in KNOWN.items() if f", {case[1]}: {why}" not in text] == []


def test_without_the_converters_speed_nothing_compares(
    vela_client: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A made-up vela refuses one file."""

    def compile_file(path: Path, *_: Any) -> dict[str, Any]:
        its = {key: value for key, value in compiled()["compiled"].items() if key != "converter"}
        return {"refused": "no such file"} if path.name == refused else {"compiled": its}

    monkeypatch.setattr(vela_client, "compile_file", compile_file)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0")
    monkeypatch.setattr(sys, "argv", ["ethosu_client.py", str(tmp_path)])
    files = {"int8": {"files": {"int8": "a"}}, "float32": {"files": {"logits": "b"}}}
    (tmp_path / "kit.json").write_text(json.dumps({"converter": "c", "recipes": files}))
    found = {}
    for refused in "bc":
        vela_client.main()
        found[refused] = json.loads(capsys.readouterr().out)["runs"][:2]
    assert found["b"][0]["compiled"]["converter"] == {"on_cpu": {}, "subgraphs": 1, "inferences_per_second": 105.0}
    assert found["b"][1]["refused"] == "no such file"
    assert found["c"][0]["failed"] == "nothing to compare with, since vela refused the converter's file: no such file"
    assert found["c"][0] | {"recipe": "float32", "file": "logits"} == found["c"][1]


def test_what_a_compiler_leaves_is_in_the_table(kit: Kit) -> None:
    verdict = judge("ethosu", compiled(on_cpu={"MEAN": 8}, subgraphs=9), kit)
    assert not verdict.bad  # it is known of int8
    table = tables.table(Result("ethosu", verdicts=(verdict,)), ["int8"])
    assert re.search(r"^\| ethos-u65-512 \| 9 parts, 8 on CPU, 105/s \(converter 100/s\), \d+ dB \(5/5\) ", table, re.M)
    assert "* ethos-u65-512, int8: made for CPUs' tables" in table


@pytest.mark.parametrize(
    ("ending", "runs"),
    [
        ("print('{\"runs\": [7]}')", [7]),
        (
            "print('{\"runs\": [7]}'); sys.exit('broken')",
            [{"variant": "", "recipe": name, "failed": "the client died: exit status 1"} for name in RECIPES],
        ),
    ],
)
def test_what_a_client_says_before_its_last_line_is_shown(
    kit: Kit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: str,
    runs: list[Any],
) -> None:
    script = tmp_path / "made_up_client.py"
    script.write_text(f"import sys\nprint('half of it')\n{ending}\n")
    monkeypatch.setattr("run.HERE", tmp_path)
    client = Client("made_up", "Made up", lambda folder: Path(sys.executable))
    assert ask(client, Path(sys.executable), kit, tmp_path, quick=True)["runs"] == runs
    out, err = capsys.readouterr()
    assert out == "  half of it\n"
    assert err == ("broken\n" if "broken" in ending else "")
