"""Are wrong masks of clients found? Made-up answers to a made-up kit; `segmenters.py` there has the real ones."""

import base64
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import browser_client
import mediapipe_tasks
import numpy as np
import pytest
import tables
from browser_client import shown
from judging import SPEEDS
from kit import Kit
from PIL import Image
from run import CLIENTS, Result
from segmenters import KNOWN_MASKS, NAMES, PAGES, judge_masks, own_runs
from support.random_models import pictures
from support.segments import segmenter
from tables import section

from swiftformer_tf import RECIPES, export, fuse

SHAPE = (2, 10, 20, 3)


@pytest.fixture
def kit() -> Kit:
    """Two photographs of 200 pixels, three classes; LiteRT on this machine errs by a thousandth of a logit."""
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=SHAPE) + 4 * np.eye(3)[rng.integers(0, 3, SHAPE[:3])]).astype(np.float32)
    noise = {name: (1e-6 if "float" in name else 0.001) * rng.choice([-1, 1], SHAPE) for name in RECIPES}
    about = {"recipes": {n: {"recipe": r.to_dict(), "min_runtime_version": "2.9.0"} for n, r in RECIPES.items()}}
    return Kit(Path(), about, logits, {(n, "logits"): (logits + each).astype(np.float32) for n, each in noise.items()})


@pytest.mark.parametrize(
    ("file", "row", "right"),
    [
        ("segment_int8.tflite", {"pixels": 1.0, "largest error": 2e-5}, True),
        ("segment_int8.tflite", {"pixels": 0.9999, "largest error": 0.0}, False),
        ("segment_int8.tflite", {"pixels": 1.0, "largest error": 3e-5}, False),
        ("segment_int8.tflite", {"refused": "it does not open"}, False),
        ("segment_int16x8.tflite", {"pixels": 0.9998, "largest error": 9.5e-4}, True),
        ("segment_int16x8.tflite", {"pixels": 0.9995, "largest error": 9.5e-4}, False),
        ("segment_int16x8.tflite", {"pixels": 1.0, "largest error": 2e-3}, False),
        ("embed_float32.tflite", {"largest error": 1e-5}, True),
        ("embed_float32.tflite", {"largest error": 1e-4}, False),
        ("segment_mask_float32.tflite", {"pixels": 0.0}, True),
    ],
)
def test_mediapipe_answers_as_litert_or_is_wrong(file: str, row: dict[str, Any], right: bool) -> None:
    assert mediapipe_tasks.is_right(file, row) == right


def answer(kit: Kit, recipe: str, outputs: np.ndarray | None = None) -> dict[str, Any]:
    made = kit.desktop[recipe, "logits"] if outputs is None else outputs
    return {"variant": "v", "recipe": recipe, "outputs": made.tolist()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_masks_of_this_machine_are_right(kit: Kit, recipe: str) -> None:
    verdict = judge_masks("openvino", answer(kit, recipe), kit)
    assert (verdict.status, verdict.reason, verdict.bad) == ("right", "", False)
    assert (verdict.photographs, verdict.agreeing, verdict.difference) == (400, 400, 0.0)


def turned(logits: np.ndarray, pixels: slice, places: list[int]) -> np.ndarray:
    """Logits that change their places in some pixels, and so these pixels' classes."""
    made = logits.copy()
    made.reshape(-1, 3)[pixels] = made.reshape(-1, 3)[pixels][:, places]
    return made


@pytest.mark.parametrize("recipe", RECIPES)
def test_pixels_of_a_class_that_nobody_has_count(kit: Kit, recipe: str) -> None:
    may_differ = 1 - RECIPES[recipe].min_pixel_agreement
    allowed = may_differ + 2 * math.sqrt(may_differ / 400)
    beyond = int(allowed * 400 + 1e-6) + 1
    made = turned(kit.desktop[recipe, "logits"], slice(0, beyond), [1, 2, 0])
    verdict = judge_masks("openvino", answer(kit, recipe, made), kit)
    assert verdict.bad
    assert verdict.agreeing == 400 - beyond
    assert f"{beyond / 400:.2%} are of neither Keras's class nor LiteRT's, {allowed:.2%} allowed" in verdict.reason


@pytest.mark.parametrize(("others", "is_enough"), [(17, True), (18, False)])
def test_as_many_pixels_must_be_keras_s_as_are_of_litert(kit: Kit, others: int, is_enough: bool) -> None:
    """Ten of 400 differ on this machine, where int8 may have four: 11.2 with a decibel of room, and 6.3 by chance."""
    logits = kit.desktop["int8", "logits"]
    kit.desktop["int8", "logits"] = turned(logits, slice(0, 10), [1, 2, 0])
    made = turned(logits, slice(0, others), [1, 2, 0])
    verdict = judge_masks("openvino", answer(kit, "int8", made), kit)
    assert verdict.agreeing == 400 - others
    assert ("% of the pixels are of Keras's class, 95.61% needed" not in verdict.reason) is is_enough


@pytest.mark.parametrize(("differ", "is_wrong"), [(28, False), (29, True)])
def test_a_file_with_wrong_classes_is_wrong_whoever_runs_it(kit: Kit, differ: int, is_wrong: bool) -> None:
    """Five times what int8 may differ is 20 of 400 pixels, and 8.9 by chance."""
    kit.desktop["static_int8", "logits"] = turned(kit.desktop["static_int8", "logits"], slice(0, differ), [1, 2, 0])
    compiled = {"on_cpu": {}, "subgraphs": 1, "inferences_per_second": 1.0, "converter": {"inferences_per_second": 0.9}}
    npu = {"variant": "ethos-u65-512", "recipe": "static_int8", "compiled": compiled}
    for client, said in (("openvino", answer(kit, "static_int8")), ("ethosu", npu)):
        reason = judge_masks(client, said, kit).reason
        expected = f"LiteRT on this machine has Keras's label on {400 - differ} of 400 pixels, 92.76% needed"
        assert (expected in reason) is is_wrong


def test_a_file_far_from_keras_is_wrong_whoever_runs_it(kit: Kit) -> None:
    """As far as a client that answers the same."""
    kit.desktop["int8", "logits"] *= 3
    assert "LiteRT on this machine has -" in judge_masks("openvino", answer(kit, "int8"), kit).reason


def test_this_machine_has_a_row_beside_what_a_client_computed(kit: Kit) -> None:
    runs = [answer(kit, "int8"), {"variant": "v", "recipe": "float32", "refused": "no"}]
    (own,) = own_runs(runs, kit)
    assert (own["variant"], own["recipe"], len(own["outputs"])) == ("*LiteRT here*", "int8", 2)
    assert not judge_masks("openvino", own, kit).bad


def test_logits_far_from_keras_are_wrong_though_the_classes_are_right(kit: Kit) -> None:
    verdict = judge_masks("openvino", answer(kit, "int8", 3 * kit.desktop["int8", "logits"]), kit)
    assert verdict.bad
    assert "dB against Keras, 20.0 needed" in verdict.reason
    assert "%" not in verdict.reason


def test_what_is_not_finite_or_of_another_shape_is_wrong(kit: Kit) -> None:
    made = kit.desktop["float32", "logits"].copy()
    made[0, 0, 0] = np.nan
    assert judge_masks("openvino", answer(kit, "float32", made), kit).bad
    verdict = judge_masks("openvino", answer(kit, "float32", made[:, :5]), kit)
    assert verdict.reason == "outputs of shape (2, 5, 20, 3): expected (at least 2, 10, 20, 3)"
    assert judge_masks("openvino", answer(kit, "float32", made[:1]), kit).bad


def test_a_refusal_counts_unless_it_is_known(kit: Kit) -> None:
    refused = {"variant": "v", "recipe": "float32", "refused": "no"}
    assert judge_masks("openvino", refused, kit).bad
    assert not judge_masks("ethosu", refused, kit).bad


def many_pixels() -> Kit:
    """20,000 pixels, which leave little to chance. All three logits of one are close, so that a class says little of
    the noise."""
    rng = np.random.default_rng(0)
    shape = (2, 100, 100, 3)
    logits = 3 * rng.normal(size=(*shape[:3], 1)) + 0.1 * np.eye(3)[rng.integers(0, 3, shape[:3])]
    about = {"recipes": {n: {"recipe": r.to_dict(), "min_runtime_version": "2.9.0"} for n, r in RECIPES.items()}}
    made = logits.astype(np.float32)
    return Kit(Path(), about, made, {(name, "logits"): made for name in RECIPES})


def known_answer(kit: Kit, row: tuple[Any, str, str, str], worse: float = -0.0005) -> dict[str, Any]:
    """As short of what is needed as `KNOWN_MASKS` says, or worse by a share of the pixels or of the speed."""
    activation, client, variant, recipe = row
    known = KNOWN_MASKS[row]
    kit.about["activation"] = activation
    said = {"variant": variant, "recipe": recipe}
    if client == "ethosu":
        speed = 100 * (min(known.speed, SPEEDS[client][variant]) - worse)
        facts = {"on_cpu": {"RESIZE_BILINEAR": 1}, "subgraphs": 2, "inferences_per_second": speed}
        return said | {"compiled": facts | {"converter": {"inferences_per_second": 100.0}}}
    # LiteRT here errs too: in some of the same pixels, or in many others.
    here = slice(0, 80) if known.least_same < 1 else slice(-1000, None)
    kit.desktop[recipe, "logits"] = turned(kit.logits, here, [1, 2, 0])
    share = (1 - known.least_same if known.least_same < 1 else known.most_stray) + worse
    return said | {"outputs": turned(kit.logits, slice(0, round(share * 20_000)), [1, 2, 0])}


@pytest.mark.parametrize("row", KNOWN_MASKS, ids=lambda row: " ".join(map(str, row)))
def test_what_is_known_is_excused_where_it_is_known_and_not_worse(row: Any) -> None:
    kit, client = many_pixels(), row[1]
    verdict = judge_masks(client, known_answer(kit, row), kit)
    assert (verdict.status != "right", verdict.bad, verdict.excuse) == (True, False, KNOWN_MASKS[row].why)
    worse = judge_masks(client, known_answer(kit, row, 0.0005), kit)
    assert (worse.status, worse.bad, worse.excuse) == (verdict.status, True, "")
    said = known_answer(kit, row)
    kit.about["activation"] = "sigmoid"
    assert judge_masks(client, said, kit).bad


@pytest.mark.parametrize(
    ("on_cpu", "subgraphs"), [({"RESIZE_BILINEAR": 2}, 2), ({"RESIZE_BILINEAR": 1, "GELU": 1}, 2), ({}, 3), ({}, 0)]
)
def test_more_on_the_cpu_and_more_parts_than_known_count(on_cpu: dict[str, int], subgraphs: int) -> None:
    kit = many_pixels()
    said = known_answer(kit, ("softmax", "ethosu", "ethos-u55-256", "static_int8"))
    said["compiled"] |= {"on_cpu": on_cpu, "subgraphs": subgraphs}
    verdict = judge_masks("ethosu", said, kit)
    assert (verdict.status, verdict.bad) == ("in parts", True)


def test_the_table_says_what_is_known() -> None:
    kit, row = many_pixels(), (None, "gpu", "WebGPU", "static_int8")

    def written(worse: float) -> str:
        verdict = judge_masks("gpu", known_answer(kit, row, worse), kit)
        return tables.table(Result("gpu", verdicts=(verdict,)), ["static_int8"])

    known, new = written(-0.0005), written(0.0005)
    assert re.search(r"^\| WebGPU \| known: \de-\d\d, \d+ dB \(", known, re.MULTILINE)
    assert f"\n* WebGPU, static_int8: known: {KNOWN_MASKS[row].why} (1.45% are of neither" in known
    assert "| WebGPU | **wrong**: " in new
    assert "\n* WebGPU, static_int8: wrong: 1.55% are of neither" in new


@pytest.mark.parametrize("row", KNOWN_MASKS, ids=lambda row: " ".join(map(str, row)))
def test_the_page_says_what_is_known(row: Any) -> None:
    activation, _, variant, recipe = row
    text = PAGES[activation].read_text("utf-8")
    assert f"\n* {variant}, {recipe}: known: {KNOWN_MASKS[row].why} (" in text


def test_nothing_on_a_page_counts_against_the_model() -> None:
    for page in PAGES.values():
        text = page.read_text("utf-8")
        assert "**wrong**" not in text
        assert not re.search(r"^\* \S.*: (wrong|in parts|refused|failed): ", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES.values())
def test_every_client_has_a_place_on_each_page(page: Path) -> None:
    for name in NAMES:
        assert name in CLIENTS
        assert "new" in section(page.read_text(), name, "new")


def test_what_the_page_must_show_of_a_segmenter_is_what_predict_draws(tmp_path: Path) -> None:
    """The photographs of a kit are of the file's size, and its page shows the commonest class and the overlay."""
    exported = export(fuse(segmenter()), RECIPES["float32"])
    (tmp_path / "photographs").mkdir()
    for index, pixels in enumerate(pictures(3, 40, 64)):
        Image.fromarray(pixels).save(tmp_path / "photographs" / f"{index:02}.png")
    first, _ = shown(exported, tmp_path, tmp_path / "shown")
    shares = np.bincount(np.asarray(Image.open(tmp_path / "shown" / "00_mask.png")).ravel(), minlength=2) / 2560
    assert (first["label"], first["score"]) == (exported.labels[int(shares.argmax())], shares.max())
    assert first["file"] == str(tmp_path / "photographs" / "00.png")
    overlay = np.asarray(Image.open(tmp_path / "shown" / "00_overlay.png"))
    drawn = np.frombuffer(base64.b64decode(first["overlay"]), np.uint8).reshape(40, 64, 4)
    np.testing.assert_array_equal(drawn[..., :3], overlay)
    assert first["least"] == 0.9999


COMPARING = """
{functions}
const [found, expected, least] = JSON.parse(process.argv[1]);
const page = {{ evaluate: async () => found }};
await sameOverlay(page, {{ overlay: Buffer.from(expected).toString("base64"), least }}).then(
  () => console.log("same"),
  (error) => console.log(error.message),
);
"""


@pytest.mark.parametrize(
    ("wrong", "off", "least", "said"),
    [
        (0, 0, 1.0, "same"),
        (5, 2, 1.0, "same"),  # as browsers blend
        (1, 3, 0.9, "same"),
        (2, 3, 0.9, "80.00 % of the overlay's pixels are as predict draws them, 90 % needed"),
        (None, 0, 0.9, "an overlay of 9 pixels, 10 expected"),
    ],
)
def test_an_overlay_of_other_pixels_fails_in_the_browser(wrong: int | None, off: int, least: float, said: str) -> None:
    """The comparison of `browser_client.mjs`, cut out of it: the rest needs a browser."""
    if not (node := shutil.which("node")):
        pytest.skip("no Node.js")
    script = Path(browser_client.__file__).with_suffix(".mjs").read_text()
    functions = [
        re.search(rf"^(async )?function {name}\(.*?^}}", script, re.M | re.S) for name in ("must", "sameOverlay")
    ]
    expected = np.full((10, 4), 100, np.uint8)
    found = expected.copy() if wrong is not None else expected[1:]
    found[:wrong, 1] += off
    given = json.dumps([found.ravel().tolist(), expected.ravel().tolist(), least])
    program = COMPARING.format(functions="\n".join(each[0] for each in functions if each))
    command = [node, "--input-type=module", "--eval", program, given]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == said
