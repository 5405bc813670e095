"""docs/npu.md: its tables have the operations of our files and the figures of others' pages; its examples compile."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from support.random_models import TWO_STAGES, pictures, tiny_config

from swiftformer_tf import (
    RECIPES,
    LiteModel,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    export,
    fuse,
)
from swiftformer_tf.deployment.chips import CHIPS
from swiftformer_tf.litert.inspection import inspect_model
from swiftformer_tf.segmentation_heads import SegmentationHead

DOCS = Path(__file__).parents[1] / "docs"
BENCHMARK = (DOCS.parent / "tflite" / "README.md").read_text("utf-8")
CHIPS_OF_ARM = ("U55", "U65", "U85")
PAGE = (DOCS / "npu.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, without its own two lines."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n##")[0]
    table = section[section.index("\n|") :].lstrip("\n").partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def estimates(text: str, recipe: str) -> dict[str, str]:
    """What vela made of a recipe's file for each chip, by a table of `make clients`."""
    table = text.partition("<!-- ethosu -->\n")[2].partition("\n\n")[0]
    head, _, *lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    return {line[0].split("-")[1].upper(): line[head.index(recipe)] for line in lines}


def test_the_table_has_every_operation_of_our_integer_files(lite: Callable[..., LiteModel]) -> None:
    """A tiny model has the layers of all variants."""
    counts = {recipe: set(inspect_model(lite(recipe)).counts) for recipe in ("static_int8", "int8")}
    both = counts["static_int8"] & counts["int8"]
    wanted = {
        **dict.fromkeys(both, "both"),
        **{name: f"`{recipe}`" for recipe, names in counts.items() for name in names - both},
    }
    assert {name: where for name, where, *_ in rows("Support by operation")} == wanted


def test_the_second_table_has_what_options_and_segmenters_add(
    lite: Callable[..., LiteModel], model: SwiftFormerForImageClassification
) -> None:
    """Each operation beside the first that adds it; the segmenter's sides are no multiples of 8."""
    config = model.config.replace(problem_type="multi_label_classification")
    several = SwiftFormerForImageClassification(config)
    size = (36, 50)
    streets = tiny_config(image_size=size, id2label={0: "road", 1: "sky"}, **TWO_STAGES)
    segmenter = SwiftFormerForSemanticSegmentation(streets, head=SegmentationHead(fpn_dim=16, head_dim=16))

    def exported(model: keras.Model, **options: Any) -> LiteModel:
        deploy = fuse(model, **options)
        return export(deploy, RECIPES["static_int8"], calibration=pictures(2, *deploy.config.input_size))

    files = {
        "`--include-preprocessing`": exported(model, include_preprocessing=True),
        "`--probabilities`": exported(model, classifier_activation="softmax"),
        "`--probabilities` for several labels": exported(several, classifier_activation="sigmoid"),
        "a segmenter": exported(segmenter),
        "a segmenter's `--probabilities`": exported(segmenter, classifier_activation="softmax"),
        "`--mask`": exported(segmenter, classifier_activation="argmax"),
    }
    known, wanted = set(inspect_model(lite("static_int8")).counts), dict[str, str]()
    for added_by, file in files.items():
        names = set(inspect_model(file).counts) - known
        wanted |= dict.fromkeys(names, added_by)
        known |= names
    table = rows("Options and segmenters")
    assert {name: added_by.partition(",")[0] for name, added_by, *_ in table} == wanted
    head = [line for line in PAGE.splitlines() if line.startswith("| operation | ")]
    assert len({line.partition(" | Ethos-U | ")[2] for line in head}) == 1  # the same vendors in both tables
    for name, _, ethos_u, *others in table:
        assert len(others) == head[0].count("|") - 4, name
        assert {*others} <= {"yes", "listed", "not excluded", "no"}, name
        assert ethos_u.startswith(("yes", "no")), name


def of_segmenters() -> str:
    """The paragraph on what vela made of segmenters, in one line."""
    (paragraph,) = [each for each in PAGE.split("\n\n") if each.startswith("Of the NPUs' compilers, ")]
    return " ".join(paragraph.split())


def test_the_text_on_segmenters_has_the_figures_of_their_tables() -> None:
    cells = {}
    for name in ("clients.md", "clients_probabilities.md"):
        for chip, cell in estimates((DOCS / "results" / "camvid" / name).read_text("utf-8"), "static_int8").items():
            cells[name, chip] = cell
    assert all(cells["clients.md", chip].startswith("whole, ") for chip in CHIPS_OF_ARM)
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


def test_the_estimates_are_those_that_the_command_beside_them_made() -> None:
    """Others have a date, and the page says that the command does not reproduce them."""
    table = {name: cells for name, *cells in rows("Ethos-U, by vela's estimate")}
    made = {name: estimates(BENCHMARK, name.strip("`")) for name in ("`int8`", "`static_int8`")}
    converter, ratio = "the TFLite converter's int8 of our fused graph", "ratio of `static_int8` to the converter's"
    assert table.keys() == {*made, converter, ratio}
    for name, cells in made.items():
        rates = [re.findall(r"whole, (\d+)/s", cells[chip])[0] for chip in CHIPS_OF_ARM]
        assert table[name] == [*rates, "nothing", "1"]
    converters = [re.findall(r"converter (\d+)/s", made["`int8`"][chip])[0] for chip in CHIPS_OF_ARM]
    assert table[converter][:3] == converters
    ours = table["`static_int8`"]
    assert table[ratio][1:3] == [f"{int(ours[each]) / int(converters[each]):.2f}" for each in (1, 2)]
    gain = [int(mine) / int(other) for mine, other in zip(ours[:3], table["`int8`"][:3], strict=True)]
    assert f"makes {min(gain):.1f} to {max(gain):.1f} times as many inferences per second" in " ".join(PAGE.split())
    (earlier,) = [each for each in PAGE.split("\n\n") if each.startswith("| file of ")]
    (before,) = [each for each in PAGE.split("\n\n") if each.startswith("Two files of an earlier trial, ")]
    assert earlier.split(" | ")[0].removeprefix("| file of ") in before
    assert "the command above does not reproduce them" in " ".join(before.split())


def test_times_on_a_cpu_are_those_of_the_benchmark() -> None:
    section = BENCHMARK.partition("### SwiftFormer-XS at 224\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| \*\*ours (\w+)\*\* \| ([\d.]+) \|[^|]*\|[^|]*\| (\d+) \|", section, re.MULTILINE)
    (npu, parts), (cpu, fewer) = ({name: cells for name, *cells in rows}[name] for name in ("static_int8", "int8"))
    text = " ".join(PAGE.split())
    assert f"takes {float(npu) / float(cpu):.1f} times as long on a CPU ([XS at 224 px]" in text
    assert f"it splits `static_int8` into {parts} partitions and `int8` into {fewer}." in text


def test_every_operation_of_the_npu_recipe_is_in_each_list() -> None:
    for name, where, ethos_u, *others in rows("Support by operation"):
        if where != "`int8`":
            assert {*others} <= {"yes", "listed", "not excluded"}, name
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


def test_what_qualcomms_compiler_saw_is_not_called_todays() -> None:
    """What has changed since the trial is what the recipes do now."""
    assert RECIPES["mixed_int8"].float_pixels
    assert RECIPES["int8"].lower_mean
    (told,) = [each for each in PAGE.split("\n\n") if each.startswith("The figures for Qualcomm come from files of ")]
    told = " ".join(told.split())
    assert "**These are not the graphs that the recipes make today**" in told
    assert "`mixed_int8` leaves the convolution that reads the image in float" in told
    assert "`int8` computes means over channels as 1x1 convolutions" in told
    assert "compiler accepted an earlier `mixed_int8` in one piece" in " ".join(PAGE.split())


def test_the_example_for_ethos_u_exports_what_it_compiles() -> None:
    """Without integers at both ends, two casts would stay on the CPU."""
    (block,) = [each for each in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "\nvela " in each]
    (folder, recipe) = re.findall(r"export swiftformer_xs\.pth -o (\w+) --recipe (\w+) ", block)[0]
    assert "--input-type int8 --output-type int8\n" in block
    assert f"\nvela {folder}/swiftformer_xs_{recipe}.tflite " in block
