"""The page about verified files: what it shows, and what it must never do."""

import dataclasses
import json
import re
import runpy
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.random_models import TWO_STAGES, pictures, tiny_config
from support.segments import SMALL, segmenter, write_pairs

from swiftformer_tf import (
    RECIPES,
    ConfigError,
    LiteModel,
    SwiftFormerError,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    VerificationReport,
    export,
    fuse,
)
from swiftformer_tf.images.colors import class_colors
from swiftformer_tf.images.folders import list_images
from swiftformer_tf.images.masks import VOID, MaskFolder
from swiftformer_tf.report import check_page, html_report, save_page
from swiftformer_tf.report.plots import error_per_class
from swiftformer_tf.verification import Outputs, VerificationCheck, verify

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

Results = list[tuple[LiteModel, VerificationReport]]
SECTIONS = ("files", "checks", "cost", "outputs", "classes", "photographs", "operations", "limits", "made")


class Page(HTMLParser):
    """Tags, what they load, and the cells of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.ids: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True
        elif tag in ("small", "br") and self._in_cell:
            self.tables[-1][-1][-1] += "|"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.opened if name == tag]


@pytest.fixture(scope="module")
def results(lite: Callable[..., LiteModel], model: SwiftFormerForImageClassification, pixels: np.ndarray) -> Results:
    """Two measured files; the others of `RECIPES` are these with other words, as the page reads nothing else."""
    measured = {name: (lite(name), verify(lite(name), reference=model, images=pixels)) for name in ("float32", "int8")}
    rows = []
    for name, recipe in RECIPES.items():
        exported, report = measured[name if name in measured else "int8"]
        figures = {**report.measured, "recipe": name, "file": f"tiny_{name}.tflite"}
        rows.append((dataclasses.replace(exported, recipe=recipe), dataclasses.replace(report, measured=figures)))
    return rows


@pytest.fixture(scope="module")
def text(results: Results, pixels: np.ndarray) -> str:
    return html_report(results, images=pixels, about_images="Made for the tests.", command="swiftformer-tf demo")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def with_labels(results: Results, labels: dict[int, str]) -> Results:
    return [
        (dataclasses.replace(lite, config=lite.config.replace(id2label=labels)), report) for lite, report in results
    ]


def test_it_loads_nothing_from_anywhere(text: str, page: Page) -> None:
    assert "http" not in text.replace("http-equiv", "")
    assert "@import" not in text
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.opened}
    loads = [a[name] for tag, a in page.opened for name in ("src", "href", "srcset", "xlink:href") if name in a]
    assert loads
    assert all(re.match(r"data:(image/jpeg;base64,|,$)|#\w+$", each or "") for each in loads)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    (policy,) = [a["content"] for a in page.attributes("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_it_has_each_section_and_a_verdict_before_them(text: str, page: Page) -> None:
    headed = [a["aria-labelledby"] for a in page.attributes("section")]
    assert tuple(headed) == SECTIONS
    assert text.index('class="verdict') < text.index("<section")
    assert len(set(page.ids)) == len(page.ids)
    assert set(SECTIONS) <= set(page.ids)


def test_figures_are_those_of_the_json(results: Results, page: Page) -> None:
    header, *rows = page.tables[0]
    assert header == ["Recipe", "Verdict", "Size, MB", "Latency, ms", "SNR, dB", "Agreement", "Partitions"]
    assert [row[0].partition("|")[0] for row in rows] == list(RECIPES)
    for (lite, report), row in zip(results, rows, strict=True):
        told = json.loads(json.dumps(report.to_dict()))
        shown = [cell.partition("|")[0].strip() for cell in row[1:]]
        assert shown == [
            "✓ passed" if told["passed"] else "✗ failed",
            f"{told['bytes'] / 1e6:.2f}",
            f"{told['latency_ms']:.1f}",
            f"{told['snr_db']:.1f}",
            f"{told['agreement']:.1%}",
            str(told["partitions"]),
        ]
        assert f"≥ {lite.recipe.min_snr:g}" in row[4]
    inspection = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in page.tables[-1][1:]}
    for index, (_, report) in enumerate(results):
        ops = {name: column[index] for name, column in inspection.items() if column[index] != "-"}
        assert ops == {name.lower(): str(count) for name, count in report.measured["ops"].items()}


def test_the_page_says_that_a_refused_check_is_a_failure(text: str) -> None:
    assert "? refused because the images cannot decide it, which counts as a failure" in text


def test_every_check_of_every_file_is_shown(results: Results, page: Page) -> None:
    marks = {row[0].rpartition("|")[2].strip(): row[1:] for row in page.tables[1][1:]}
    assert set(marks) == {check.name for _, report in results for check in report.checks}
    for index, (_, report) in enumerate(results):
        told = {check.name: check.status for check in report.checks}
        assert all(told.get(name, "not asked") in row[index] for name, row in marks.items())


def test_it_says_how_it_was_made(results: Results, text: str) -> None:
    assert "swiftformer-tf demo" in text
    for lite, report in results:
        assert lite.sha256 in text
        assert report.measured["file"] in text
        assert all(version in text for version in report.measured["versions"].values())


def test_pictures_and_plots_have_words(page: Page, pixels: np.ndarray) -> None:
    images = page.attributes("img")
    assert images
    assert all(re.fullmatch(rf"image \d+ of {len(pixels)}", image["alt"] or "") for image in images)
    plots = page.attributes("svg")
    assert len(plots) == 2 + len(RECIPES) + 1
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_wide_tables_scroll_in_a_box_that_the_keyboard_reaches(text: str, page: Page) -> None:
    boxes = [a for a in page.attributes("div") if a.get("class") == "scroll"]
    assert len(boxes) == sum(a.get("class", "").startswith("matrix") for a in page.attributes("table")) == 2  # type: ignore[union-attr]
    assert all(box["tabindex"] == "0" and box["aria-labelledby"] in page.ids for box in boxes)
    assert ".scroll { overflow-x: auto;" in text


def test_photographs_show_what_each_model_answered(results: Results, page: Page) -> None:
    labels = results[0][0].labels
    cards = page.tables[2:-1]
    assert len(cards) == len(page.attributes("img"))
    for card in cards:
        keras, *files = card[1:]
        assert keras[0] == "Keras"
        assert [row[0] for row in files] == list(RECIPES)
        assert all(row[1].startswith("≠ ") == (row[1].removeprefix("≠ ") != keras[1]) for row in files)
        assert {row[1].removeprefix("≠ ") for row in (keras, *files)} <= set(labels)


def test_the_same_results_make_the_same_bytes(results: Results, pixels: np.ndarray, text: str) -> None:
    again = html_report(results, images=pixels, about_images="Made for the tests.", command="swiftformer-tf demo")
    assert again == text
    assert len(text) < 500_000


def test_a_page_is_saved_whole_or_not_at_all(results: Results, tmp_path: Path) -> None:
    save_page(tmp_path / "report.html", results[:1], command="by hand")
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written == html_report(results[:1], command="by hand")
    with pytest.raises(SwiftFormerError, match="a page needs at least one file and its report"):
        save_page(tmp_path / "report.html", [])
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == written
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_where_no_page_can_be_is_known_before_the_work(tmp_path: Path) -> None:
    check_page(tmp_path / "report.html")
    check_page(tmp_path / "made" / "report.html", made=tmp_path / "made")
    with pytest.raises(ConfigError, match=r"report\.html: no such folder: .*other"):
        check_page(tmp_path / "other" / "report.html", made=tmp_path / "made")


@pytest.mark.parametrize(
    ("status", "verdict", "mark", "headline"),
    [
        ("refused", "refused", "?", "The file could not be judged on these photographs"),
        ("passed", "not compared", "-", "The file passed the checks of the file itself, but not compared with Keras"),
    ],
)
def test_a_question_without_an_answer_is_no_pass(
    results: Results, status: Any, verdict: str, mark: str, headline: str
) -> None:
    lite, report = results[0]
    outputs = None if verdict == "not compared" else report.outputs
    check = VerificationCheck("agreement", status, "1 distinct answer", "at least 97.0%")
    text = html_report([(lite, dataclasses.replace(report, checks=(check,), outputs=outputs))])
    top = text[text.index("<h1>") : text.index("<section")]
    assert f"<strong>{mark} {headline}</strong>" in top
    assert f"as TFLite: {verdict}</title>" in text
    assert Page(text).tables[0][1][1] == f"{mark} {verdict}"
    assert ("expected at least 97.0%; give photographs of more classes" in top) is (status == "refused")


def test_a_file_that_failed_is_told_first(results: Results) -> None:
    lite, report = results[1]
    bad = VerificationCheck("snr", "failed", "3.0 dB", "at least 20 dB")
    failed = dataclasses.replace(report, checks=(bad, *report.checks[1:]))
    for rows, verdict in (([results[0], (lite, failed)], "1 of 2 files failed"), ([(lite, failed)], "The file failed")):
        text = html_report(rows)
        top = text[text.index("<h1>") : text.index("<section")]
        assert f"✗ {verdict}" in top
        assert "passed every check" not in text
        assert f"<b>{lite.recipe.name}</b>: snr failed: 3.0 dB; expected at least 20 dB" in top
        assert "as TFLite: failed</title>" in text
        marked = [a["data-name"] for a in Page(text).attributes("td") if a.get("data-name") and a["class"] == "failed"]
        shown = {"snr": "SNR, dB", "agreement": "Agreement", "partitions": "Partitions"}
        failing = [{check.name for check in each.checks if check.status == "failed"} for _, each in rows]
        assert marked == [column for names in failing for name, column in shown.items() if name in names]
        assert "SNR, dB" in marked


def test_labels_and_names_are_escaped_and_never_a_formula(results: Results, tmp_path: Path) -> None:
    hostile = ["<script>alert(1)</script>", "$\\frac$ & co", '"><img src=x>', "犬", "dog"]
    count = results[0][0].config.num_labels
    labels = {index: hostile[index] if index < len(hostile) else f"label {index}" for index in range(count)}
    rows = [
        (lite, dataclasses.replace(report, measured={**report.measured, "file": "<b>&.tflite"}))
        for lite, report in with_labels(results[:2], labels)
    ]
    shape = rows[0][0].config.transform.size
    pictures = np.zeros((len(rows[0][1].outputs.expected), *shape, 3), np.uint8)  # type: ignore[union-attr]
    names = ["<i>picture</i>"] * len(pictures)
    text = html_report(rows, images=pictures, names=names, about_images="<u>", command="a <b> 'c'")
    page = Page(text)
    assert not {"script", "i", "u"} & {tag for tag, _ in page.opened}
    assert len(page.attributes("img")) == len(
        [t for t in page.tables if t[0] == ["Model", "Best label", "Probability"]]
    )
    assert all((image["src"] or "").startswith("data:") for image in page.attributes("img"))
    assert "&lt;b&gt;&amp;.tflite" in text
    assert "$\\frac$ &amp; co" in text
    assert "犬" in text


def test_of_many_classes_the_worst_are_shown(results: Results) -> None:
    lite, report = results[0]
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(30, 100))
    actual = expected + 1e-3 * rng.normal(size=expected.shape)
    actual[:, 77] += 1
    labels = {index: f"class number {index}" for index in range(100)}
    (row,) = with_labels([(lite, dataclasses.replace(report, outputs=Outputs(expected, actual)))], labels)
    text = html_report([row])
    assert "The 20 of 100 with the largest error." in text
    assert "class number 77<" in text
    assert 'class="card"' not in text  # no images, no photographs


def test_a_file_that_was_not_compared_is_not_said_to_be(results: Results) -> None:
    lite, report = results[0]
    figures = {k: v for k, v in report.measured.items() if k not in ("images", "snr_db", "agreement", "distinct")}
    text = html_report(
        [(lite, VerificationReport(report.checks[2:], {**figures, "partitions": None, "latency_ms": None}))]
    )
    assert "Checked against the recipe only." in text
    assert "were not run or not compared with Keras" in text
    assert [cell.partition("|")[0].strip() for cell in Page(text).tables[0][1][3:]] == ["-"] * 4


@pytest.mark.parametrize("error", [2.5, 1.0, 1e-12, float("nan")])
def test_the_axis_of_errors_has_numbers(error: float) -> None:
    outputs = Outputs(np.zeros((2, 3)), np.full((2, 3), error))
    drawn = error_per_class(["int8"], [outputs], ["a", "b", "c"], [0, 1, 2], [4], unit="logit")
    assert len(re.findall(r"<!-- \$\\mathdefault\{10\^", drawn)) >= 2


def test_outputs_that_are_not_finite_still_make_a_page(results: Results) -> None:
    lite, report = results[0]
    assert report.outputs is not None
    actual = report.outputs.actual.copy()
    actual[0] = np.nan
    text = html_report([(lite, dataclasses.replace(report, outputs=Outputs(report.outputs.expected, actual)))])
    assert "Error of each class" in text


def test_a_mask_is_no_probability_and_features_are_no_logits() -> None:
    few = pictures(8, 64, 64)
    pooled = SwiftFormerForImageClassification(tiny_config(id2label={}, **TWO_STAGES))
    lite = export(fuse(pooled), RECIPES["float32"])
    text = html_report([(lite, verify(lite, reference=pooled, images=few))], images=few)
    assert re.search(r", gives features \(\d+\)\.", text)
    assert "One dot is one feature of one image" in text
    maps = SwiftFormerForSemanticSegmentation(tiny_config(**TWO_STAGES), head=SMALL)
    lite = export(fuse(maps, classifier_activation="argmax"), RECIPES["float32"])
    text = html_report([(lite, verify(lite, reference=maps, images=few))], images=few)
    assert ", gives a mask." in text
    assert "probabilit" not in text


def test_segmenters_stand_beside_the_truth_the_worst_first(tmp_path: Path) -> None:
    images = list_images(write_pairs(tmp_path, count=3))
    model = segmenter()
    lite = export(fuse(model, classifier_activation="argmax"), RECIPES["float32"])
    report = verify(lite, reference=model, images=images)
    outputs = report.outputs
    assert outputs is not None
    truth = [np.where(mask == VOID, 0, mask) for _, mask in MaskFolder.open(tmp_path / "images")]
    right = np.stack(truth).astype(np.uint8)
    wrong = right.copy()
    wrong[1] = 1 - wrong[1]  # of the second photograph not a pixel as Keras
    results = [(lite, dataclasses.replace(report, outputs=Outputs(right, wrong)))]
    page = Page(text := html_report(results, images=images))
    assert "Photograph, truth, Keras and files side by side, the worst first: 3 of 3" in text
    assert [image["alt"] for image in page.attributes("img")] == ["1.png", "0.png", "2.png"]
    assert [int(image["width"] or 0) for image in page.attributes("img")] == [4 * 64] * 3
    worst, best = ([cells[1:] for cells in table[1:]] for table in page.tables[2:4])
    assert worst == [
        ["picture 2", ""],
        ["picture 3, 100.0% right", ""],
        ["≠ picture 4, 0.0% right; pixels as Keras", "0.00%"],
    ]
    assert best[2] == ["picture 4, 100.0% right; pixels as Keras", "100.00%"]
    assert re.findall(r"--color: (rgb[^\"]+)\"></span>(\w+)", text) == [
        (f"rgb{color}", label) for color, label in zip(class_colors(2), ("sky", "ground"), strict=True)
    ]
    Image.fromarray(np.zeros((40, 64), np.uint16)).save(tmp_path / "masks" / "train" / "0.png")
    text = html_report(results, images=images)
    assert "0.png: a mask of 16 bits; expected at most 8 per channel" in text
    for mask in (tmp_path / "masks" / "train").iterdir():
        mask.unlink()
    page = Page(text := html_report(results, images=images))
    assert "rgb(" in text
    assert "Photograph, Keras and files side by side" in text
    assert [int(image["width"] or 0) for image in page.attributes("img")] == [3 * 64] * 3


def test_photographs_of_a_folder_have_the_names_of_their_files(results: Results, folder: Path) -> None:
    for images in (folder, str(folder), list_images(folder)):
        names = [image["alt"] for image in Page(html_report(results[:1], images=images)).attributes("img")]
        assert names
        assert all((folder / (name or "")).is_file() for name in names)


def test_without_results_there_is_no_page() -> None:
    with pytest.raises(SwiftFormerError, match="a page needs at least one file and its report"):
        html_report([])


def test_the_picture_of_the_readme_is_what_its_script_draws() -> None:
    pictures = Path(__file__).parents[1] / "docs" / "pictures"
    drawn = runpy.run_path(str(pictures / "overview.py"))["overview"]()
    assert (pictures / "overview.svg").read_text(encoding="utf-8") == drawn, "run python docs/pictures/overview.py"
    assert all(f">{name}</text>" in drawn for name in RECIPES)
