"""Each check of `verify` passes where it should, and a test makes it fail."""

import ast
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checks import failing, lenient, statuses
from support.random_models import TWO_STAGES, pictures, random_classifier, seeded_model, tiny_config, uncentered
from support.small_graphs import linear, packed
from support.tracing import steps_traced

from swiftformer_tf import (
    RECIPES,
    ImageError,
    LiteModel,
    SwiftFormerForImageClassification,
    VerificationError,
    VerificationReport,
    export,
    fuse,
    verify,
)
from swiftformer_tf.images.folders import list_images
from swiftformer_tf.litert.runner import open_interpreter
from swiftformer_tf.report.page import QUESTIONS
from swiftformer_tf.verification import VerificationCheck, reference_answers
from swiftformer_tf.verification.comparison import ReferenceAnswers

PACKAGE = Path(__file__).parents[1] / "swiftformer_tf"

Lite = Callable[..., LiteModel]
Model = SwiftFormerForImageClassification


@pytest.fixture(scope="module")
def answers(model: Model, pixels: np.ndarray) -> ReferenceAnswers:
    """What `model` says of `pixels`, for tests of one file after the other."""
    return reference_answers(model, pixels, model.config.transform)


@pytest.fixture(scope="module")
def few_answers(model: Model, pixels: np.ndarray) -> ReferenceAnswers:
    return reference_answers(model, pixels[:16], model.config.transform)


# What passes.


@pytest.mark.parametrize("recipe", ["float32", "float16"])
def test_a_good_file_passes(recipe: str, lite: Lite, model: Model, pixels: np.ndarray) -> None:
    with steps_traced(True):
        report = verify(lite(recipe), reference=model, images=pixels)
    assert report.passed
    assert report.raise_for_failure() is report
    names = ["finite", "snr", "agreement", "no_flex", "static_shapes", "unique_names", "unused_parts", "quantization"]
    names += ["versions", "inference_types", "weights", "partitions"]
    names += ["metadata", "labels"]
    assert statuses(report) == dict.fromkeys(names, "passed")


@pytest.mark.parametrize("recipe", ["dynamic_int8", "dynamic_int4", "mixed_int8", "int8", "static_int8", "int16x8"])
def test_a_quantized_file_passes_within_its_thresholds(
    recipe: str, lite: Lite, answers: ReferenceAnswers, pixels: np.ndarray
) -> None:
    report = verify(dataclasses.replace(lite(recipe), recipe=lenient(recipe)), reference=answers, images=pixels)
    assert failing(report.checks) == {}
    assert ("integer" in statuses(report)) is (not recipe.startswith("dynamic"))


@pytest.mark.parametrize("options", [{"include_preprocessing": True}, {"classifier_activation": "softmax"}])
def test_the_reference_is_asked_the_same_question(
    options: dict[str, Any], lite: Lite, model: Model, pixels: np.ndarray
) -> None:
    assert verify(lite("float32", **options), reference=model, images=pixels).passed


def test_the_report_says_what_was_measured(lite: Lite, model: Model, pixels: np.ndarray) -> None:
    seen: list[int] = []
    exported = lite("float32")
    report = verify(exported, reference=model, images=pixels, num_threads=2, progress=seen.append)
    assert seen == [16, 32, 48]
    figures = report.measured
    assert (figures["images"], figures["partitions"], figures["num_threads"]) == (48, 1, 2)
    assert figures["bytes"] == len(exported.content)
    assert figures["sha256"] == exported.sha256
    assert figures["snr_db"] > 100
    assert figures["agreement"] == 1
    assert figures["distinct"] >= 5
    assert figures["latency_ms"] > 0
    assert sum(figures["ops"].values()) > 50
    assert "outputs" not in figures  # one has no figures of its own
    assert set(figures["versions"]) == {"ai-edge-litert", "keras", "tensorflow"}
    document = json.loads(json.dumps(report.to_dict()))
    assert document["passed"] is True
    assert document["checks"][0] == {
        "name": "finite",
        "status": "passed",
        "measured": "0 of 48 outputs are not",
        "expected": "all outputs finite",
    }
    assert {"recipe", "token_weights", "image_size", *figures} <= set(document)


def test_a_report_is_told_and_compared_without_its_arrays(
    lite: Lite, few_answers: ReferenceAnswers, pixels: np.ndarray
) -> None:
    report = verify(lite("float32"), reference=few_answers, images=pixels[:16])
    assert report.measured["num_threads"] == 1
    assert report.outputs is not None
    other = dataclasses.replace(report, outputs=dataclasses.replace(report.outputs, actual=-report.outputs.actual))
    assert other == report
    assert "outputs" not in repr(VerificationReport((), {}, report.outputs))


def test_the_reference_is_asked_once_for_several_files(
    lite: Lite, model: Model, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = [lite("float32"), lite("float16", include_preprocessing=True)]
    apart = [verify(each, reference=model, images=pixels) for each in exported]
    seen: list[int] = []
    answers = reference_answers(model, pixels, model.config.transform, progress=seen.append)
    assert (seen, len(answers), answers.names) == ([16, 32, 48], 48, ("logits",))
    monkeypatch.setattr(Model, "predict_on_batch", None)
    for one, each in zip(apart, exported, strict=True):
        together = verify(each, reference=answers, images=iter(pixels))
        assert together.checks == one.checks
        assert together.measured["snr_db"] == one.measured["snr_db"]


@pytest.mark.parametrize("read", [False, True])
def test_a_verification_opens_one_interpreter(
    read: bool, lite: Lite, model: Model, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        opened.append(1)
        return open_interpreter(*arguments, **options)

    monkeypatch.setattr("swiftformer_tf.litert.runner.open_interpreter", counted)
    exported = lite("float32")
    if read:
        exported.save(tmp_path / "tiny.tflite")
        exported = LiteModel.open(tmp_path / "tiny.tflite")
    assert verify(exported, reference=model, images=pixels[:16]).passed
    assert len(opened) == 1


# Each check, failing.


def test_finite_fails_on_nan(
    lite: Lite, answers: ReferenceAnswers, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from swiftformer_tf.litert.runner import LiteRunner

    true_outputs, calls = LiteRunner.outputs, [0]

    def broken(self: LiteRunner) -> dict[str, np.ndarray]:
        calls[0] += 1
        logits = true_outputs(self)["logits"].copy()
        logits[3] = np.nan if calls[0] == 2 else np.inf if calls[0] == 5 else logits[3]
        return {"logits": logits}

    monkeypatch.setattr(LiteRunner, "outputs", broken)
    # The latency of `check_file` is the first run.
    report = verify(lite("float32"), reference=answers, images=pixels)
    assert failing(report.checks)["finite"] == "2 of 48 outputs are not"
    assert failing(report.checks)["snr"] == "not finite"
    assert not report.passed
    assert report.to_dict()["snr_db"] is None


def test_snr_and_agreement_fail_on_other_weights(lite: Lite, model: Model, pixels: np.ndarray) -> None:
    other = SwiftFormerForImageClassification(model.config)
    other.set_weights(model.get_weights())
    kernel = other.get_layer("stages-1-blocks-0").linear.fc2.kernel
    kernel.assign(-np.asarray(kernel))
    report = verify(lite("float32"), reference=other, images=pixels)
    assert set(failing(report.checks)) == {"snr", "agreement"}
    assert report.measured["snr_db"] < 30
    assert not report.passed


@pytest.mark.parametrize("recipe", RECIPES)
def test_snr_fails_just_below_its_threshold(
    recipe: str, lite: Lite, few_answers: ReferenceAnswers, pixels: np.ndarray
) -> None:
    exported = dataclasses.replace(lite(recipe), recipe=lenient(recipe))
    measured = verify(exported, reference=few_answers, images=pixels[:16]).measured["snr_db"]
    for least, passes in ((measured - 0.01, "passed"), (measured + 0.01, "failed")):
        judged = dataclasses.replace(exported, recipe=exported.recipe.replace(min_snr=least))
        assert statuses(verify(judged, reference=few_answers, images=pixels[:16]))["snr"] == passes


def test_the_wrong_attention_type_fails(pixels: np.ndarray) -> None:
    model = random_classifier(**TWO_STAGES)
    wrong = SwiftFormerForImageClassification(model.config.replace(token_weights="uniform"))
    mine = {variable.path: variable for variable in model.weights}
    for variable in wrong.weights:
        variable.assign(mine[variable.path])
    report = verify(export(fuse(wrong), RECIPES["float32"]), reference=model, images=pixels[:16])
    assert statuses(report)["snr"] == "failed"


def test_a_file_that_answers_the_mean_fails(model: Model, pixels: np.ndarray) -> None:
    reference = SwiftFormerForImageClassification(model.config)
    reference.set_weights(model.get_weights())
    for name in ("head", "head_dist"):
        head = reference.get_layer(name)
        kernel, bias = head.get_weights()
        head.set_weights([kernel / 100, bias + np.linspace(-5, 5, 10)])
    logits = np.asarray(reference(model.config.transform.normalize(pixels)), np.float64)
    mean = logits.mean(axis=0).astype(np.float32)
    constant = packed(lambda image: linear(image) * 0 + mean, (1, 64, 64, 3))
    report = verify(constant, reference=reference, images=pixels)
    assert uncentered(logits, np.tile(mean, (48, 1))) > 50
    assert statuses(report)["snr"] == "failed"
    assert report.measured["snr_db"] == pytest.approx(0, abs=0.1)
    assert not report.passed


def test_agreement_is_refused_where_the_reference_hardly_varies(lite: Lite, model: Model, pixels: np.ndarray) -> None:
    report = verify(lite("float32"), reference=model, images=pixels[:3])
    check = {each.name: each for each in report.checks}["agreement"]
    assert check.status == "refused"
    assert check.measured.endswith("distinct answers on 3 images, 5 are needed")
    assert report.measured["agreement"] is None
    assert not report.passed  # refused is never passed, whatever the other checks say
    assert set(failing(report.checks)) == {"agreement"}
    with pytest.raises(VerificationError, match=r"^agreement refused: the reference gives \d distinct answers"):
        report.raise_for_failure()


def test_features_agree_where_they_find_their_images_again() -> None:
    model = random_classifier(id2label={}, image_size=32, **TWO_STAGES)
    exported = export(fuse(model), RECIPES["float32"])
    report = verify(exported, reference=model, images=pictures(8, 32, 32))
    assert report.measured["agreement"] == 1
    assert report.measured["cosine"] == pytest.approx(1)
    assert report.passed
    assert [check.name for check in report.checks][:4] == ["finite", "snr", "cosine", "agreement"]
    few = verify(exported, reference=model, images=pictures(4, 32, 32))
    assert statuses(few)["agreement"] == "refused"


# The test that makes each check fail.
FAILURES = {
    "finite": "test_verification.test_finite_fails_on_nan",
    "snr": "test_verification.test_snr_fails_just_below_its_threshold",
    "largest_error": "test_comparison.test_largest_error_fails_just_above_its_threshold",
    "cosine": "test_comparison.test_cosine_fails_just_below_its_threshold",
    "agreement": "test_comparison.test_a_share_of_few_images_is_rounded_up_to_a_whole_one",
    "no_flex": "test_file_checks.test_no_flex_fails_on_a_tensorflow_kernel",
    "static_shapes": "test_file_checks.test_static_shapes_fails_on_a_dynamic_batch",
    "unique_names": "test_litert_strictness.test_unique_names_fails_on_a_name_twice",
    "unused_parts": "test_litert_strictness.test_unused_parts_fails_on_each_of_them",
    "quantization": "test_litert_strictness.test_quantization_fails_on_what_strict_readers_refuse",
    "versions": "test_litert_strictness.test_versions_fails_on_one_that_other_types_shapes_or_options_need",
    "inference_types": "test_file_checks.test_inference_types_fails_on_another_type",
    "integer": "test_file_checks.test_integer_fails_on_a_float_model_that_claims_a_recipe",
    "weights": "test_file_checks.test_weights_fails_on_another_type",
    "int4_inputs": "test_file_checks.test_int4_inputs_fails_on_an_odd_number",
    "int4_packing": "test_file_checks.test_int4_packing_fails_on_rows_that_are_filled_up",
    "partitions": "test_file_checks.test_partitions_fails_on_a_graph_in_pieces",
    "metadata": "test_litert_metadata.test_metadata_of_another_model_fails",
    "labels": "test_litert_metadata.test_other_labels_fail",
    "raw_pixels": "test_litert_metadata.test_another_scale_of_raw_pixels_is_found_out",
}


def names_of_checks(source: str) -> set[str]:
    """The names of all checks that a module can make, whatever task, recipe or input they are for."""
    parts = (part for part in ast.parse(source).body if getattr(part, "name", "") != "check")
    calls = (node for part in parts for node in ast.walk(part) if isinstance(node, ast.Call))
    firsts = [call.args[0] for call in calls if ast.unparse(call.func) in ("check", "VerificationCheck")]
    return {ast.literal_eval(each.values[0] if isinstance(each, ast.JoinedStr) else each) for each in firsts}


def test_every_check_has_its_failure() -> None:
    """Whoever adds a check adds the test that makes it fail, and the question that the report's page asks."""
    names = {name for path in PACKAGE.rglob("*.py") for name in names_of_checks(path.read_text())}
    assert names == set(FAILURES)
    assert names == set(QUESTIONS)
    for name, place in FAILURES.items():
        file, _, function = place.partition(".")
        tree = ast.parse(Path(__file__).with_name(f"{file}.py").read_text())
        (test,) = (each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == function)
        told = {each.value for each in ast.walk(test) if isinstance(each, ast.Constant)}
        assert name in told, place


@pytest.mark.parametrize(
    "line",
    ['check("new", True, "", "")', 'yield check(f"new{suffix}", True, "", "")', 'VerificationCheck("new", *words)'],
)
def test_a_new_check_is_noticed(line: str) -> None:
    assert names_of_checks(f"def late():\n    if task == 'other':\n        {line}") == {"new"}


# Misuse, and the figures themselves.


def test_a_failure_is_told_in_full() -> None:
    checks = (
        VerificationCheck("a", "passed", "1", "2"),
        VerificationCheck("b", "failed", "3 dB", "at least 4 dB"),
        VerificationCheck("c", "refused", "x", "y"),
    )
    report = VerificationReport(checks, {})
    assert not report.passed
    with pytest.raises(VerificationError, match=r"^b failed: 3 dB, expected at least 4 dB; c refused: x, expected y$"):
        report.raise_for_failure()


def test_the_least_of_outputs_of_which_none_was_measured_is_none() -> None:
    outputs = {"a": {"snr_db": None, "agreement": 0.9}, "b": {"snr_db": None, "agreement": 0.8}}
    report = VerificationReport((), {"snr_db": 7.0, "outputs": outputs})
    assert (report.least("snr_db"), report.least("agreement"), report.least("largest_error")) == (None, 0.8, None)
    assert VerificationReport((), {"snr_db": 7.0}).least("snr_db") == 7


def test_another_number_of_labels_is_misuse(lite: Lite) -> None:
    other = SwiftFormerForImageClassification(tiny_config(id2label={0: "a", 1: "b"}, **TWO_STAGES))
    with pytest.raises(
        VerificationError,
        match=r"output logits has the shape \(2,\) and the file's \(10,\): expected the model that",
    ):
        verify(lite("float32"), reference=other, images=pictures(1, 64, 64))


def test_a_reference_of_two_heads_is_misuse(lite: Lite, model: Model) -> None:
    student = SwiftFormerForImageClassification(model.config, outputs="heads", share_layers_with=model)
    with pytest.raises(VerificationError, match=r"has 2 outputs \(head, head_dist\) and the file 1 "):
        verify(lite("float32"), reference=student, images=pictures(1, 64, 64))


def test_answers_to_other_images_are_misuse(lite: Lite, model: Model, pixels: np.ndarray) -> None:
    answers = reference_answers(model, pixels[:3], model.config.transform)
    with pytest.raises(VerificationError, match=r"answered to 3 images and the file to 2: expected the same images$"):
        verify(lite("float32"), reference=answers, images=pixels[:2])
    said = (
        r"^images 16 to 17 are not those that the reference answered to: expected the same images in the same order; "
        r"give a list or an array, not a generator or a shuffled dataset$"
    )
    answers = reference_answers(model, pixels[:18], model.config.transform)
    with pytest.raises(VerificationError, match=said):
        verify(lite("float32"), reference=answers, images=np.concatenate([pixels[:16], pixels[17:15:-1]]))
    assert verify(lite("float32"), reference=answers, images=list(pixels[:18])).passed


def test_answers_of_another_model_are_misuse(lite: Lite, pixels: np.ndarray) -> None:
    other = SwiftFormerForImageClassification(tiny_config(id2label={0: "a", 1: "b"}, **TWO_STAGES))
    answers = reference_answers(other, pixels[:2], other.config.transform)
    with pytest.raises(VerificationError, match=r"output logits has the shape \(2,\) and the file's \(10,\): expected"):
        verify(lite("float32"), reference=answers, images=pixels[:2])


@pytest.mark.parametrize("images", [np.zeros((0, 64, 64, 3), np.uint8), pictures(1, 32, 32), "no such folder"])
def test_images_that_do_not_fit_are_misuse(images: Any, lite: Lite, model: Model) -> None:
    with pytest.raises(ImageError):
        verify(lite("float32"), reference=model, images=images)


def test_on_real_photographs(real_photographs: Path) -> None:
    config, paths = tiny_config(**TWO_STAGES), list_images(real_photographs)
    model = seeded_model(config, np.stack([config.transform(path) for path in paths]))
    deploy = fuse(model)
    for recipe in ("float32", "float16"):
        report = verify(export(deploy, RECIPES[recipe]), reference=model, images=real_photographs)
        assert failing(report.checks) == {}
        assert report.measured["images"] == 40
