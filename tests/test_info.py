"""What a file is, as plain facts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from support.random_models import TWO_STAGES, random_classifier, tiny_config

from swiftformer_tf import (
    RECIPES,
    LiteModel,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    SwiftFormerModel,
    export,
    fuse,
    to_checkpoint,
)
from swiftformer_tf.info import describe, describe_file


@pytest.fixture
def facts(model: SwiftFormerForImageClassification, lite: Callable[..., LiteModel]) -> dict[str, dict[str, Any]]:
    kinds: dict[str, Any] = {"keras": model, "checkpoint": to_checkpoint(model), "tflite": lite("int8")}
    return {kind: json.loads(json.dumps(describe(opened))) for kind, opened in kinds.items()}


def test_what_all_kinds_have(facts: dict[str, dict[str, Any]], model: SwiftFormerForImageClassification) -> None:
    for kind, own in facts.items():
        assert own["kind"] == kind
        assert (own["variant"], own["token_weights"], own["heads"], own["num_labels"]) == ("non-standard", "l2", 2, 10)
        assert (own["image_size"], own["labels"]) == ([64, 64], list(model.config.labels))
        assert own["config"] == json.loads(model.config.to_json())
        assert own["transform"]["crop"] == 0.875


def test_what_only_one_kind_has(facts: dict[str, dict[str, Any]], lite: Callable[..., LiteModel]) -> None:
    assert facts["keras"]["dtype"] == "float32"
    assert facts["checkpoint"]["scheme"] == "timm"
    assert facts["checkpoint"]["token_weights_assumed"] is False
    tflite = facts["tflite"]
    assert (tflite["recipe"], tflite["input"], tflite["output"]) == ("int8", "float32, normalized", "float32, logits")
    assert tflite["signature"] == {"serving_default": "image to logits"}
    assert tflite["sha256"] == lite("int8").sha256
    assert tflite["bytes"] == len(lite("int8").content)


def test_the_inference_types_are_told_as_they_are(lite: Callable[..., LiteModel]) -> None:
    own = describe(lite("float32", include_preprocessing=True))
    assert own["input"] == "float32, pixels 0 to 255"
    assert describe(lite("float32", classifier_activation="softmax"))["output"] == "float32, probabilities"


def test_a_mask_is_no_probability_and_features_are_no_logits() -> None:
    segmenter = SwiftFormerForSemanticSegmentation(tiny_config(image_size=32, **TWO_STAGES))
    mask = export(fuse(segmenter, classifier_activation="argmax"), RECIPES["float32"])
    assert describe(mask)["output"] == "uint8, mask"
    pooled = SwiftFormerForImageClassification(tiny_config(image_size=32, id2label={}, **TWO_STAGES))
    assert describe(export(fuse(pooled), RECIPES["float32"]))["output"] == "float32, features"


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_parameters_are_counted_as_pytorch_does(token_weights: str) -> None:
    model = random_classifier(token_weights=token_weights)
    expected = 64_800 - 2 * 990 * 21  # `tiny` with ten labels
    assert describe(model)["parameters"] == describe(to_checkpoint(model))["parameters"] == expected
    model.trainable = False
    assert describe(model)["parameters"] == expected


def test_heads_and_names() -> None:
    assert describe(SwiftFormerForImageClassification(tiny_config(id2label={}, **TWO_STAGES)))["heads"] == 0
    own = describe(SwiftFormerForImageClassification(tiny_config(distillation=False, depths=(1, 1, 1, 1))))
    assert (own["heads"], own["variant"]) == (1, "non-standard")


def test_a_segmenter_has_one_head_and_a_backbone_none_though_its_configuration_is_a_classifier_s_of_two() -> None:
    config = tiny_config(image_size=32, **TWO_STAGES)
    assert config.distillation
    segmenter = SwiftFormerForSemanticSegmentation(config)
    checkpoint, lite = to_checkpoint(segmenter), export(fuse(segmenter), RECIPES["float32"])
    assert [describe(each)["heads"] for each in (segmenter, checkpoint, lite)] == [1, 1, 1]
    backbone = SwiftFormerModel(config)
    assert [describe(each)["heads"] for each in (backbone, export(fuse(backbone), RECIPES["float32"]))] == [0, 0]


def test_a_custom_head_is_none_of_ours_and_its_outputs_are_features() -> None:
    """As `fuse` has it, though the configuration is that of the classifier whose backbone is below."""
    backbone = SwiftFormerModel(tiny_config(**TWO_STAGES))
    image = keras.Input(backbone.input.shape[1:])
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(backbone(image))))
    assert describe(model)["heads"] == describe(export(fuse(model), RECIPES["float32"]))["heads"] == 0


def test_a_file_or_folder_is_told_with_its_bytes(tmp_path: Path) -> None:
    checkpoint = to_checkpoint(random_classifier())
    checkpoint.save(tmp_path / "tiny.safetensors")
    facts = describe_file(tmp_path / "tiny.safetensors")
    assert (facts["kind"], facts["variant"]) == ("checkpoint", "tiny")
    assert facts["bytes"] == (tmp_path / "tiny.safetensors").stat().st_size
    (tmp_path / "README.md").write_text("of 12 bytes.")
    (tmp_path / "tiny.safetensors").rename(tmp_path / "model.safetensors")
    assert describe_file(tmp_path)["bytes"] == facts["bytes"] + 12
