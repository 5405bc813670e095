"""Which tensors of an integer file lose: the figures against those taken by hand, a planted fault, and the command."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import run
from support.random_models import seeded_model, tiny_config

from swiftformer_tf import (
    RECIPES,
    ImageError,
    LiteModel,
    LiteRunner,
    ModelError,
    SwiftFormerError,
    SwiftFormerForImageClassification,
    debug_quantization,
    export,
    fuse,
)
from swiftformer_tf.debugging import comparing
from swiftformer_tf.debugging.debugger import QuantizationReport, TensorReport
from swiftformer_tf.quantization import Graph
from swiftformer_tf.verification import signal_to_noise

Lite = Callable[..., LiteModel]
Model = SwiftFormerForImageClassification

# A convolution whose output no other convolution takes: a scale could not change there without the next one's bias.
FAULTY = "stages-1-blocks-0-attn-to_key/conv_2d"

# How the operations of each recipe compute; a cast back to float at the end changes nothing and is not shown.
SCHEMES = {
    "dynamic_int8": {"hybrid", "float32"},
    "dynamic_int4": {"hybrid", "float32"},
    "mixed_int8": {"int8", "hybrid", "float32"},
    "int8": {"int8"},
    "static_int8": {"int8"},
    "int16x8": {"int16", "int16x8"},
}


@pytest.fixture(scope="module")
def images(pixels: np.ndarray, model: Model) -> np.ndarray:
    return model.config.transform.normalize(pixels[:8])


@pytest.fixture(scope="module")
def reports(lite: Lite, model: Model, images: np.ndarray) -> dict[str, QuantizationReport]:
    return {name: debug_quantization(lite(name), reference=model, images=images) for name in SCHEMES}


def with_fault(lite: LiteModel) -> LiteModel:
    """A copy in which the integers of one tensor reach a tenth of what they should."""
    from ai_edge_litert.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(lite.content))
    faulty = [
        tensor
        for tensor in content.subgraphs[0].tensors
        if FAULTY.encode() in tensor.name and content.buffers[tensor.buffer].data is None and tensor.type == 9
    ]
    assert len(faulty) == 1
    faulty[0].quantization.scale = [float(faulty[0].quantization.scale[0]) / 10]
    packed = bytes(flatbuffer_utils.convert_object_to_bytearray(content))
    return LiteModel.pack(packed, config=lite.config, recipe=lite.recipe, outputs=lite.outputs)


def test_every_recipe_with_integers_is_debugged_here() -> None:
    assert set(SCHEMES) == {name for name, recipe in RECIPES.items() if recipe.has_integer_weights}


@pytest.mark.parametrize("recipe", SCHEMES)
def test_every_tensor_of_the_float_graph_is_there(
    recipe: str, reports: dict[str, QuantizationReport], lite: Lite
) -> None:
    report, floats = reports[recipe], Graph(lite("float32").content)
    assert (report.recipe, report.images) == (recipe, 8)
    assert [each.position for each in report.tensors] == list(range(len(report.tensors)))
    wanted = {floats.label(op.outputs[0]) for op in floats.operations}
    missing = wanted - {each.name for each in report.tensors}
    # In int8, maxima before RSQRT that change no integer are left out of the file.
    assert {name.rpartition("/")[2] for name in missing} <= ({"maximum"} if recipe == "static_int8" else set())
    assert {each.precision for each in report.tensors} == SCHEMES[recipe]
    for each in report.tensors:
        assert math.isfinite(each.signal)
        assert math.isfinite(each.noise)
        assert math.isfinite(each.own_noise)
        assert each.signal > 0
        assert (each.scale is None) == (each.range_used is None) == (each.precision in ("float32", "hybrid"))
        if each.op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") and each.precision != "float32":
            assert each.weight_scales is not None
            assert 0 < each.weight_scales[0] <= each.weight_scales[1]
        else:
            assert each.weight_scales is None


@pytest.mark.parametrize("recipe", SCHEMES)
def test_the_last_ratio_is_that_of_the_answers(
    recipe: str, reports: dict[str, QuantizationReport], lite: Lite, images: np.ndarray
) -> None:
    expected, actual = (
        np.stack([LiteRunner(lite(name))(image[None]) for image in images]).astype(np.float64)
        for name in ("float32", recipe)
    )
    assert reports[recipe].tensors[-1].snr == pytest.approx(signal_to_noise(expected, actual), abs=1e-3)


@pytest.mark.parametrize("recipe", ["int8"])  # mixed_int8 rounds no pixels
def test_the_first_tensor_loses_what_rounding_the_image_loses(
    recipe: str, reports: dict[str, QuantizationReport], images: np.ndarray
) -> None:
    first = reports[recipe].tensors[0]
    assert (first.op, first.precision) == ("QUANTIZE", "int8")
    assert first.scale is not None
    assert first.zero_point is not None
    integers = np.clip(np.rint(images / np.float32(first.scale)) + first.zero_point, -128, 127)
    rounded = (integers - first.zero_point) * first.scale
    centered = images - images.mean(axis=(0, 1, 2))
    ratio = 10 * np.log10(np.sum(centered**2) / np.sum((rounded - images) ** 2))
    assert first.snr == pytest.approx(ratio, abs=1e-2)
    assert first.own_snr == pytest.approx(ratio, abs=1e-2)
    assert first.range_seen == pytest.approx((images.min(), images.max()))
    assert first.range_used == pytest.approx(
        (first.scale * (-128 - first.zero_point), first.scale * (127 - first.zero_point))
    )
    low, high = first.range_used[0] - first.scale / 2, first.range_used[1] + first.scale / 2  # type: ignore[index]
    assert first.saturated == pytest.approx(np.mean((images < low) | (images > high)))


def test_what_a_gelu_makes_nothing_of_is_not_missed(
    reports: dict[str, QuantizationReport],
    lite: Lite,
    model: Model,
    images: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(comparing, "LEAST_OF_GELU", -np.inf)
    missed = debug_quantization(lite("int8"), reference=model, images=images)
    losses = [
        (whole.own_snr or 0) - (each.own_snr or 0)
        for whole, each in zip(reports["int8"].tensors, missed.tensors, strict=True)
    ]
    assert max(losses) > 3
    assert min(losses) > -0.1
    assert {each.op for each, loss in zip(missed.tensors, losses, strict=True) if loss > 0.1} == {"CONV_2D"}


def test_what_stays_float_loses_nothing_by_itself(reports: dict[str, QuantizationReport]) -> None:
    for each in reports["dynamic_int8"].tensors:
        if each.precision == "float32":
            assert each.own_snr is None or each.own_snr > 100, each.name
        else:
            assert each.own_snr is not None
            assert 25 < each.own_snr < 80, each.name
    # Errors of matrices before them are in these as they run.
    assert min(each.snr or 0 for each in reports["dynamic_int8"].tensors if each.op == "ADD") < 60


def test_more_bits_lose_less(reports: dict[str, QuantizationReport]) -> None:
    by_name = {
        recipe: {each.name: each.own_noise for each in reports[recipe].tensors if each.op == "ADD"}
        for recipe in ("int8", "int16x8")
    }
    assert set(by_name["int8"]) == set(by_name["int16x8"])
    assert all(by_name["int16x8"][name] < by_name["int8"][name] / 20 for name in by_name["int8"])


@pytest.mark.parametrize("recipe", ["mixed_int8", "int8"])
def test_a_planted_fault_ranks_first(
    recipe: str, reports: dict[str, QuantizationReport], lite: Lite, model: Model, images: np.ndarray
) -> None:
    sound = next(each for each in reports[recipe].tensors if FAULTY in each.name and each.precision == "int8")
    assert reports[recipe].worst_first[0] != sound
    report = debug_quantization(with_fault(lite(recipe)), reference=model, images=images)
    worst = report.worst_first[0]
    assert (worst.name, worst.position) == (sound.name, sound.position)
    assert worst.scale == pytest.approx(sound.scale / 10 if sound.scale else None)
    assert worst.own_snr is not None
    assert sound.own_snr is not None
    assert worst.own_snr < sound.own_snr - 20
    assert sound.saturated < 0.01
    assert worst.saturated > 0.3
    # Those that the fault is handed to run worse, and are not blamed.
    behind = {each.name: each for each in reports[recipe].tensors[worst.position + 1 :] if each.op == "MUL"}
    handed_on = [each for each in report.tensors if each.name in behind and each.op == "MUL"]
    assert (handed_on[0].snr or 0) < (behind[handed_on[0].name].snr or 0) - 10
    for each in handed_on[1:]:
        assert (each.own_snr or math.inf) >= (behind[each.name].own_snr or math.inf) - 3, each.short_name


def test_bytes_in_and_probabilities_out(model: Model, pixels: np.ndarray) -> None:
    graph = fuse(model, include_preprocessing=True, classifier_activation="softmax")
    inference_types: Any = {"inference_input_type": "uint8", "inference_output_type": "uint8"}
    exported = export(graph, RECIPES["int8"].replace(**inference_types), calibration=pixels)
    report = debug_quantization(exported, reference=model, images=pixels[:4])
    first, last = report.tensors[0], report.tensors[-1]
    assert (first.scale, first.zero_point, first.own_noise) == (1.0, -128, 0.0)  # a byte's own integers
    assert (last.op, last.precision, last.scale) == ("QUANTIZE", "uint8", 1 / 256)


# Refused.


@pytest.mark.parametrize("recipe", ["float32", "float16"])
def test_a_file_of_floats_is_refused(recipe: str, lite: Lite, model: Model, images: np.ndarray) -> None:
    with pytest.raises(
        ModelError, match=f"recipe {recipe} has {recipe} weights: expected a file with int8 or int4 weights"
    ):
        debug_quantization(lite(recipe), reference=model, images=images)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"depths": (3, 2, 2, 1)},
            r"\d+ of the \d+ tensors of the reference's float graph are not in the file, the ",
        ),
        ({"id2label": {0: "cat", 1: "dog"}}, "the reference has 2 labels and the file 10"),
    ],
)
def test_another_model_is_refused(fields: dict[str, Any], message: str, lite: Lite, images: np.ndarray) -> None:
    other = seeded_model(tiny_config(**fields), images)
    cause = "expected the model that the file was made from, and a file that this version exported"
    with pytest.raises(ModelError, match=f"{message}.*{cause}"):
        debug_quantization(lite("int8"), reference=other, images=images)


def test_images_of_another_size_are_refused(lite: Lite, model: Model) -> None:
    with pytest.raises(ImageError, match=r"an image of shape \(32, 32, 3\): expected \(64, 64, 3\)"):
        debug_quantization(lite("int8"), reference=model, images=np.zeros((1, 32, 32, 3), np.uint8))


def test_a_plot_without_matplotlib_says_what_to_install(
    reports: dict[str, QuantizationReport], lite: Lite, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def images() -> Iterator[np.ndarray]:
        pytest.fail("an image was read before it was known")
        yield

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = r'^a plot needs matplotlib: run pip install "\.\[report\]" in your clone of swiftformer_tf$'
    with pytest.raises(SwiftFormerError, match=said):
        reports["int8"].save_plot(tmp_path / "x.png")
    with pytest.raises(SwiftFormerError, match=said):
        debug_quantization(lite("int8"), reference=model, images=images(), plot=tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


# The command.


@pytest.fixture
def file(lite: Lite, tmp_path: Path) -> Path:
    path = tmp_path / "tiny_int8.tflite"
    lite("int8").save(path)
    return path


def test_the_command_prints_the_worst_and_draws(file: Path, saved: Path, folder: Path) -> None:
    plot = file.with_name("snr.png")
    shown = run(
        "debug-quantization",
        file,
        "--reference",
        saved,
        "--images",
        folder,
        "--count",
        "6",
        "--top",
        "4",
        "--plot",
        plot,
    )
    assert shown.exit_code == 0, shown.output
    title = f"{file}: 4 of 83 tensors, worst first, on 6 images"
    assert "".join(title.split()) in "".join(shown.stdout.split())  # a long path is folded, within a word too
    ratios = [float(row.split()[2]) for row in shown.stdout.splitlines() if row.endswith("%")]
    assert len(ratios) == 4
    assert ratios == sorted(ratios)
    assert f"wrote {plot}" in shown.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_command_as_json(lite: Lite, saved: Path, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "faulty.tflite"
    with_fault(lite("mixed_int8")).save(path)
    shown = run("debug-quantization", path, "--reference", saved, "--images", folder, "--count", "3", "--json")
    assert shown.exit_code == 0, shown.output

    def no_constants(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    document = json.loads(shown.stdout, parse_constant=no_constants)
    assert (document["file"], document["recipe"], document["images"]) == (str(path), "mixed_int8", 3)
    fields = {field.name for field in dataclasses.fields(TensorReport)} - {"precision"}
    assert all(set(row) == {*fields, "scheme", "snr_db", "own_snr_db"} for row in document["tensors"])
    known = [row["own_snr_db"] for row in document["tensors"] if row["own_snr_db"] is not None]
    assert known == sorted(known)
    assert FAULTY in document["tensors"][0]["name"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reference", "{saved}", "--images", "{folder}", "--count", "0"), "0 is not in the range x>=1"),
        (("--reference", "{saved}"), "Missing option '--images'"),
        (("--reference", "{saved}", "--images", "{saved}"), "no such folder"),
        (
            ("--reference", "{saved}", "--images", "{folder}", "--plot", "{folder}/no/snr.png"),
            "/no/snr.png: no such folder: ",
        ),
    ],
)
def test_misuse_of_the_command(arguments: tuple[str, ...], message: str, file: Path, saved: Path, folder: Path) -> None:
    shown = run("debug-quantization", file, *(each.format(saved=saved, folder=folder) for each in arguments))
    assert shown.exit_code == 2
    assert message in shown.stderr


def test_the_command_refuses_floats_and_draws_nothing(lite: Lite, saved: Path, folder: Path, tmp_path: Path) -> None:
    lite("float16").save(tmp_path / "x.tflite")
    plot = tmp_path / "snr.png"
    shown = run("debug-quantization", tmp_path / "x.tflite", "--reference", saved, "--images", folder, "--plot", plot)
    assert shown.exit_code == 2
    assert shown.stderr == "Error: recipe float16 has float16 weights: expected a file with int8 or int4 weights\n"
    assert not plot.exists()
