"""docs/npu.md: its table has the operations of our files, and its example compiles the file that it recommends."""

import re
from collections.abc import Callable
from pathlib import Path

from support import segmenters

from swiftformer_tf import LiteModel
from swiftformer_tf.deployment.chips import CHIPS
from swiftformer_tf.litert.inspection import inspect_model

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "npu.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its own two lines."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_table_has_every_operation_of_our_integer_files(lite: Callable[..., LiteModel]) -> None:
    """The `tiny` variant has the layers of all others."""
    counts = {recipe: set(inspect_model(lite(recipe)).counts) for recipe in ("static_int8", "int8")}
    both = counts["static_int8"] & counts["int8"]
    wanted = {
        **dict.fromkeys(both, "both"),
        **{name: f"`{recipe}`" for recipe, names in counts.items() for name in names - both},
    }
    assert {name: where for name, where, *_ in rows("Support by operation")} == wanted


def of_segmenters() -> str:
    """The paragraph on what segmenters add, in one line."""
    (paragraph,) = [each for each in PAGE.split("\n\n") if each.startswith("A segmenter adds ")]
    return " ".join(paragraph.split())


def test_the_text_has_every_operation_that_segmenters_add(lite: Callable[..., LiteModel]) -> None:
    """Of an image whose sides are no multiples of 32."""
    made: set[str] = set()
    for activation in (None, "softmax", "argmax"):
        made |= set(inspect_model(segmenters.lite("static_int8", activation)).counts)
    sentence = of_segmenters().partition(". ")[0]
    assert {*re.findall(r"[A-Z][A-Z0-9_]{3,}", sentence)} == made - set(inspect_model(lite("static_int8")).counts)


def test_the_text_on_segmenters_has_the_figures_of_their_tables() -> None:
    cells = {}
    for name in ("clients.md", "clients_probabilities.md"):
        table = (DOCS / "results" / "camvid" / name).read_text("utf-8").partition("<!-- ethosu -->")[2]
        head, _, *lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[1:6]]
        for chip, cell in ((line[0], line[head.index("static_int8")]) for line in lines):
            cells[name, chip.split("-")[1].upper()] = cell
    assert all(cells["clients.md", chip].startswith("whole, ") for chip in ("U55", "U65", "U85"))
    assert all(cells["clients_probabilities.md", chip].startswith("2 parts, 1 on CPU, ") for chip in ("U55", "U65"))
    assert cells["clients_probabilities.md", "U85"].startswith("whole, ")

    def rates(chip: str) -> tuple[str, str]:
        ours, converters = re.findall(r"(\d+)/s", cells["clients_probabilities.md", chip])
        return ours, converters

    ours, converters = rates("U65")
    ratio = f"{int(ours) / int(converters):.2f}"
    assert f"{ours} inferences per second against the {converters} of the converter's file, or {ratio} times" in (
        of_segmenters()
    )
    assert "one piece, with {} against {} (".format(*rates("U85")) in of_segmenters()


def test_every_operation_of_the_npu_recipe_is_in_each_list() -> None:
    for name, where, ethos_u, *others in rows("Support by operation"):
        if where != "`int8`":
            assert {*others} <= {"yes", "listed", "not excluded", "builder"}, name
            assert ethos_u == "yes" or name in ("QUANTIZE", "DEQUANTIZE"), name  # left out with integers at both ends


def test_the_example_for_qualcomm_compiles_what_its_row_recommends() -> None:
    (row,) = [cells for cells in rows("By vendor") if cells[0].startswith("Qualcomm")]
    (file, chip) = re.findall(r'"swiftformer_xs_(\w+)\.tflite",\n.*\n.*SocModel\.(\w+)\)', PAGE)[0]
    assert row[2].startswith(f"`{file}`")
    assert chip in row[0]
    assert "Qualcomm's NPUs" in CHIPS[file]


def test_the_rows_of_the_others_recommend_what_the_advice_does() -> None:
    others = [cells[2] for cells in rows("By vendor") if not cells[0].startswith("Qualcomm") and cells[2] != "none"]
    assert len(others) >= 5
    for recipe in others:
        assert CHIPS[recipe.split("`")[1]] == "other NPUs"
