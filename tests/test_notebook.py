"""What values show of themselves in a notebook."""

from collections.abc import Callable
from functools import partial
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from swiftformer_tf import (
    SEGMENTATION_HEADS,
    LiteModel,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    SwiftFormerModel,
    fuse,
)
from swiftformer_tf.info import describe
from swiftformer_tf.notebook import MAX_POINTS, html_table, scatter_svg
from swiftformer_tf.verification import Outputs, VerificationCheck, VerificationReport


def cells(html: str) -> list[list[str]]:
    """The text of a table, by rows."""
    table = ElementTree.fromstring(f"<div>{html}</div>").find("table")
    assert table is not None
    return [[cell.text or "" for cell in row] for row in table.iter("tr")]


def test_a_table_has_its_words_as_they_are() -> None:
    html = html_table([{"check": "<snr> & more", "measured": 3}], "a < b")
    assert cells(html) == [["check", "measured"], ["<snr> & more", "3"]]
    assert "<caption>a &lt; b</caption>" in html
    assert cells(html_table([], "nothing")) == []


def test_a_point_on_the_line_is_where_both_are_equal() -> None:
    picture = ElementTree.fromstring(scatter_svg(np.array([0.0, 1.0]), np.array([0.0, 0.5]), "Keras", "file"))
    (first, second) = [(float(each.get("cx", "")), float(each.get("cy", ""))) for each in picture.iter("circle")]
    side = float(picture.get("width", ""))
    assert first[0] + first[1] == pytest.approx(side)
    assert second[0] + second[1] > side  # below the line: the file's is the smaller one
    assert [text.text for text in picture.iter("text")] == ["Keras", "file"]


def test_of_many_points_some_are_drawn_and_none_that_is_no_number() -> None:
    many = np.arange(10 * MAX_POINTS + 1.0)
    assert 0.9 * MAX_POINTS < scatter_svg(many, many, "x", "y").count("<circle") <= MAX_POINTS
    odd = np.array([1.0, np.nan, np.inf])
    assert scatter_svg(odd, np.ones(3), "x", "y").count("<circle") == 1
    assert "nan" not in scatter_svg(odd[1:], odd[1:], "x", "y")


def test_a_report_shows_each_check_and_the_answers() -> None:
    check = VerificationCheck("snr", "failed", measured="12.3 dB", expected="at least 20 dB")
    answers = Outputs(np.eye(3), np.eye(3) * 0.9)
    html = VerificationReport((check,), {"recipe": "int8"}, answers)._repr_html_()
    assert cells(html)[1] == ["snr", "failed", "12.3 dB", "at least 20 dB"]
    assert "<caption>int8: failed</caption>" in html
    assert html.count("<circle") == 9
    assert "<svg" not in VerificationReport((check,), {})._repr_html_()


def test_a_file_shows_what_it_is(lite: Callable[..., LiteModel]) -> None:
    file = lite("float32", include_preprocessing=True)
    shown = dict(cells(file._repr_html_())[1:])
    assert shown == {
        "recipe": "float32",
        "size": f"{len(file.content) / 1e6:.2f} MB",
        "takes": "64 x 64 x 3, float32, pixels from 0 to 255",
        "gives": "logits",
        "labels": ", ".join(file.labels[:10]),
    }


@pytest.mark.parametrize(
    ("make", "gives"),
    [
        (SwiftFormerForImageClassification, "classification"),
        (SwiftFormerModel, "features"),
        (
            partial(SwiftFormerForSemanticSegmentation, head=SEGMENTATION_HEADS["all_mlp"]),
            "semantic-segmentation",
        ),
    ],
)
def test_a_keras_model_shows_what_it_is(make: Callable[[SwiftFormerConfig], Any], gives: str) -> None:
    config = SwiftFormerConfig.from_variant(
        "tiny", image_size=(64, 96), token_weights="uniform", id2label={0: "<b>cat</b>", 1: "dog & co"}
    )
    model = make(config)
    html = model._repr_html_()
    assert "<b>" not in html
    assert f"<caption>{type(model).__name__}</caption>" in html
    assert dict(cells(html)[1:]) == {
        "variant": "tiny",
        "image size": "64 x 96 x 3",
        "parameters": f"{describe(model)['parameters']:,}",
        "gives": gives,
        "labels": "<b>cat</b>, dog & co",
        "problem type": "not specified",
        "token weights": "uniform",
        "dtype": "float32",
    }


@pytest.mark.parametrize(
    ("include_preprocessing", "takes"), [(False, "normalized"), (True, "pixels from 0 to 255")], ids=str
)
def test_a_fused_model_shows_what_it_is(include_preprocessing: bool, takes: str) -> None:
    config = SwiftFormerConfig.from_variant("tiny", id2label={0: "<b>cat</b>", 1: "dog & co"})
    deploy = fuse(
        SwiftFormerForImageClassification(config), image_size=(64, 96), include_preprocessing=include_preprocessing
    )
    html = deploy._repr_html_()
    assert "<b>" not in html
    assert "<caption>DeployModel</caption>" in html
    assert dict(cells(html)[1:]) == {
        "takes": f"64 x 96 x 3, float32, {takes}",
        "gives": "logits",
        "labels": "<b>cat</b>, dog & co",
        "parameters": f"{describe(deploy)['parameters']:,}",
    }


def test_a_keras_model_of_no_variant_shows_its_depths() -> None:
    config = SwiftFormerConfig(depths=(1, 1, 1, 1), embed_dims=(8, 8, 8, 8), id2label={}, image_size=64)
    shown = dict(cells(SwiftFormerForImageClassification(config)._repr_html_())[1:])
    assert shown["variant"] == "depths (1, 1, 1, 1), widths (8, 8, 8, 8)"
    assert (shown["labels"], shown["gives"]) == ("", "features")
