"""TFLite Metadata: every file has it, it is true, and damage to it is told."""

import dataclasses
import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.random_models import tiny_config

from swiftformer_tf import (
    RECIPES,
    LiteModel,
    LiteRunner,
    ModelError,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.info import describe
from swiftformer_tf.litert import metadata
from swiftformer_tf.litert.metadata_schema import decode, encode
from swiftformer_tf.tasks.task import Output
from swiftformer_tf.verification import check_file

Lite = Callable[..., LiteModel]


def tensors(lite: LiteModel) -> tuple[dict[str, Any], dict[str, Any]]:
    told = metadata.read(lite.content)
    assert told is not None
    (subgraph,) = told["subgraph_metadata"]
    (given,), (answered,) = subgraph["input_tensor_metadata"], subgraph["output_tensor_metadata"]
    return given, answered


def normalization(lite: LiteModel) -> dict[str, list[float]]:
    (unit,) = tensors(lite)[0]["process_units"]
    return unit["options"]["NormalizationOptions"]


def without_zip(lite: LiteModel) -> bytes:
    with zipfile.ZipFile(io.BytesIO(lite.content)) as archive:
        return lite.content[: archive.infolist()[0].header_offset]


def check(lite: LiteModel, name: str) -> tuple[str, str]:
    (found,) = [each for each in check_file(lite)[0] if each.name == name]
    return found.status, found.measured


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_file_says_what_it_is(recipe: str, lite: Lite) -> None:
    told = metadata.read(lite(recipe).content)
    assert told == lite(recipe).metadata
    assert told["name"] == f"SwiftFormer {recipe}"
    assert "10 labels" in told["description"]
    assert "64 x 64 pixels" in told["description"]
    assert told["min_parser_version"] == "1.0.0"
    assert check(lite(recipe), "metadata") == ("passed", "true")
    assert check(lite(recipe), "labels")[0] == "passed"


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("classification", "Image classifier with 1 label, "),
        ("semantic-segmentation", "Image segmenter with 1 class, "),
    ],
)
def test_one_label_is_told_in_the_singular(task: str, told: str) -> None:
    config = SwiftFormerConfig.from_variant("tiny", id2label={0: "rust"})
    outputs = (Output("logits", (1, 8, 8, 1), task),)
    made = metadata.model_metadata(
        config=config, recipe=RECIPES["float32"], include_preprocessing=False, outputs=outputs, license=None
    )
    assert made["description"].startswith(told)


def test_pixels_normalized_outside_are_told_by_channel(lite: Lite, pixels: np.ndarray) -> None:
    told, transform = normalization(lite("float32")), lite("float32").config.transform
    by_metadata = (pixels[0] - np.array(told["mean"])) / np.array(told["std"])
    np.testing.assert_allclose(by_metadata, transform.normalize(pixels[0]), atol=1e-5)
    assert tensors(lite("float32"))[1]["name"] == "logits"
    assert "stats" not in tensors(lite("float32"))[1]


def test_normalization_inside_is_told_as_none(lite: Lite) -> None:
    inside = lite("float32", include_preprocessing=True, classifier_activation="softmax")
    assert normalization(inside) == {"mean": [0.0], "std": [1.0]}
    given, answered = tensors(inside)
    assert given["description"] == "RGB pixels from 0 to 255, normalized inside the model; channels last."
    assert given["content"]["content_properties"]["ImageProperties"]["color_space"] == 1
    assert answered["name"] == "probabilities"
    assert answered["stats"] == {"max": [1.0], "min": [0.0]}
    assert answered["associated_files"][0]["name"] == "labels.txt"


def test_a_uint8_input_takes_the_bytes_of_a_picture(
    model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    """Also where no calibration picture has a black or a white pixel."""
    recipe = RECIPES["int8"].replace(inference_input_type="uint8")
    dull = np.clip(pixels, 30, 200)
    exported = export(fuse(model, include_preprocessing=True), recipe, calibration=dull)
    runner = LiteRunner(exported)
    assert runner.input_quantization == (1.0, 0)
    assert check(exported, "raw_pixels") == ("passed", "(1.0, 0)")
    assert "as uint8 by the tensor's scale" in tensors(exported)[0]["description"]
    runner(dull[:1].astype(np.float32))
    stored = runner.interpreter.get_tensor(runner.interpreter.get_input_details()[0]["index"])
    np.testing.assert_array_equal(stored, dull[:1])


def test_another_scale_of_raw_pixels_is_found_out(lite: Lite) -> None:
    uint8 = dataclasses.replace(
        lite("float32", include_preprocessing=True),
        recipe=RECIPES["int8"].replace(inference_input_type="uint8"),
    )
    assert check(uint8, "raw_pixels") == ("failed", "(0.0, 0)")


def test_the_license_is_told(model: SwiftFormerForImageClassification, lite: Lite) -> None:
    licensed = export(fuse(model), RECIPES["float32"], license="Apache-2.0")
    told = metadata.read(licensed.content)
    assert told is not None
    assert (told["license"], licensed.license) == ("Apache-2.0", "Apache-2.0")
    assert lite("float32").metadata["license"].startswith("not stated")


def test_two_exports_are_the_same_bytes(
    model: SwiftFormerForImageClassification, pixels: np.ndarray, lite: Lite
) -> None:
    graph = fuse(model)
    calibration = calibrate(graph, pixels)
    for recipe in ("float32", "int8"):
        assert export(graph, RECIPES[recipe], calibration=calibration).content == lite(recipe).content


@pytest.mark.parametrize("recipe", RECIPES)
def test_matrices_are_aligned_as_the_schema_says(recipe: str, lite: Lite) -> None:
    """The converter's own file is not, and then runtimes copy each matrix."""
    from ai_edge_litert.schema_py_generated import Model

    model = Model.GetRootAs(lite(recipe).content, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [each._tab.Vector(each._tab.Offset(4)) for each in buffers if each.DataLength()]
    assert len(starts) > 40
    assert [start % 16 for start in starts] == [0] * len(starts)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_oldest_runtime_is_one_that_answers_rightly(recipe: str, lite: Lite) -> None:
    """`make clients` runs files of the real model in these, and in older ones.

    The last matrix of this small one is too small for dynamic_int8, which leaves it float.
    """
    newer = {"dynamic_int4": "2.17.0", "mixed_int8": "2.17.0", "int8": "2.15.0", "int16x8": "2.20.0"}
    least = newer.get(recipe, "2.9.0")
    assert metadata.min_runtime_version(lite(recipe).content) == least


def test_a_newer_runtime_that_the_converter_asks_for_is_kept(lite: Lite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metadata.FIRST_RUNTIMES, ("GELU", "FLOAT32"), "2.8.4")
    content = without_zip(lite("float32"))
    assert metadata.min_runtime_version(metadata.attach(content, lite("float32").metadata)) == "2.9.0"
    monkeypatch.setitem(metadata.FIRST_RUNTIMES, ("GELU", "FLOAT32"), "2.10.1")
    assert metadata.min_runtime_version(metadata.attach(content, lite("float32").metadata)) == "2.10.1"


def test_info_shows_it(lite: Lite) -> None:
    facts = describe(lite("int8"))
    assert facts["min_runtime_version"] == "2.15.0"
    told = facts["metadata"]
    assert told["name"] == "SwiftFormer int8"
    assert told["input_name"] == "image"
    assert told["mean"] == pytest.approx([123.675, 116.28, 103.53])
    assert (told["output_name"], told["label_file"]) == ("logits", "labels.txt")


def test_metadata_of_another_model_fails(lite: Lite) -> None:
    """The right configuration over the metadata of a file that normalizes inside."""
    inside = without_zip(lite("float32", include_preprocessing=True))
    lying = dataclasses.replace(lite("float32"), content=inside)
    assert check(lying, "metadata") == ("failed", "wrong: subgraph_metadata")
    assert check(lying, "labels") == ("failed", "none")


def test_other_labels_fail(lite: Lite) -> None:
    archive_bytes = io.BytesIO(without_zip(lite("float32")))
    with zipfile.ZipFile(archive_bytes, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    other = dataclasses.replace(lite("float32"), content=archive_bytes.getvalue())
    assert check(other, "labels") == ("failed", "2, first 'cat'")


def test_packing_again_replaces_it(lite: Lite) -> None:
    again = LiteModel.pack(
        without_zip(lite("float32")),
        config=tiny_config(),
        recipe=RECIPES["float16"],
        outputs=lite("float32").outputs,
    )
    told = metadata.read(again.content)
    assert told is not None
    assert told["name"] == "SwiftFormer-TINY float16"


def test_a_file_without_metadata_is_told(lite: Lite) -> None:
    bare = without_zip(lite("float32")).replace(b"TFLITE_METADATA", b"NO_LITEMETADATA")
    stripped = dataclasses.replace(lite("float32"), content=bare)
    assert metadata.read(bare) is None
    assert check(stripped, "metadata")[1] == "none"
    assert describe(stripped)["metadata"] is None


@pytest.mark.parametrize("value", [{"name": "ä 猫"}, {}, {"subgraph_metadata": [{}, {"name": "x"}]}])
def test_whatever_is_written_is_read(value: dict[str, Any]) -> None:
    assert decode(encode(value)) == value


def test_fields_of_others_are_passed_over() -> None:
    """Content of a kind that we do not write: a file from the wild."""
    content = bytearray(
        encode(
            {
                "subgraph_metadata": [
                    {"input_tensor_metadata": [{"content": {"content_properties": {"ImageProperties": {}}}}]}
                ]
            }
        )
    )
    kinds = [position for position in range(len(content)) if content[position] == 2]
    for position in kinds:  # one of them is the union's kind; bounding boxes are 3
        other = bytearray(content)
        other[position] = 3
        try:
            told = decode(bytes(other))
        except ModelError:
            continue
        if told == {"subgraph_metadata": [{"input_tensor_metadata": [{"content": {}}]}]}:
            return
    pytest.fail("the union was not found")


def test_damaged_metadata_is_told(lite: Lite) -> None:
    content, rng = encode(lite("int8").metadata), np.random.default_rng(0)
    with pytest.raises(ModelError, match=r"^the TFLite Metadata is damaged: no M001 at its byte 4"):
        decode(b"")
    told = []
    for _ in range(400):
        damaged = bytearray(content)
        damaged[int(rng.integers(8, len(content)))] = int(rng.integers(256))
        try:
            decode(bytes(damaged[: int(rng.integers(8, len(content) + 200))]))
        except ModelError as error:
            told.append(str(error))
    assert len(told) > 20
    assert all(each.startswith("the TFLite Metadata is damaged") for each in told)
