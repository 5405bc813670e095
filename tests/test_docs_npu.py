"""docs/npu.md: its table has the operations of our files, and its example compiles the file that it recommends."""

import re
from collections.abc import Callable
from pathlib import Path

from swiftformer_tf import LiteModel
from swiftformer_tf.deployment.chips import CHIPS
from swiftformer_tf.litert.inspection import inspect_model

PAGE = (Path(__file__).parents[1] / "docs" / "npu.md").read_text("utf-8")


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
