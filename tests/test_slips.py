"""What is likely to be given wrongly, in the words of other libraries or to the wrong step, gets an answer."""

from typing import Any

import numpy as np
import pytest
from support.random_models import tiny_config

from swiftformer_tf import (
    RECIPES,
    Checkpoint,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    SwiftFormerModel,
    calibrate,
    export,
    fuse,
    port,
    verify,
)
from swiftformer_tf.errors import CheckpointError, ConfigError, ExportError, ModelError, SwiftFormerError

PIXELS = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype("float32")


def test_arguments_of_hugging_faces_models(model: SwiftFormerForImageClassification) -> None:
    assert np.array_equal(model(pixel_values=PIXELS), model(PIXELS))
    assert np.array_equal(model(PIXELS, output_hidden_states=False, labels=None, return_dict=None), model(PIXELS))
    for argument, way in (
        ({"labels": [0]}, r"the loss is Keras's: model.compile\(loss=...\) and model.fit\(pixels, labels\)"),
        (
            {"output_hidden_states": True},
            r"SwiftFormerModel\(model.config, outputs='hidden_states', share_layers_with=mo",
        ),
        ({"return_dict": True}, "its outputs are tensors"),
        ({"foo": 1}, "foo=: no such argument of a Keras SwiftFormer; expected pixels, and training="),
    ):
        with pytest.raises(ModelError, match=way):
            model(PIXELS, **argument)


def test_out_indices_as_pythons_own() -> None:
    config = SwiftFormerConfig.from_variant("tiny")
    model = SwiftFormerModel(config, out_indices=(-1, 0))
    assert [each.shape[-1] for each in model(PIXELS)] == [20, 8]
    one = SwiftFormerModel(config, out_indices=-2, share_layers_with=model)
    assert one(PIXELS).shape == (4, 4, 4, 16)
    for wrong in (4, -5, (0, 7), (), (True,)):
        with pytest.raises(ConfigError, match="expected stages from 0 to 3, or from -4 to -1 from the end"):
            SwiftFormerModel(config, out_indices=wrong)


def test_likely_slips_get_an_answer(model: SwiftFormerForImageClassification) -> None:
    backbone: Any = SwiftFormerModel  # what a user may slip in is of other types
    classifier: Any = SwiftFormerForImageClassification
    segmenter: Any = SwiftFormerForSemanticSegmentation
    pretrained: Any = SwiftFormerForImageClassification.from_pretrained
    made: Any = SwiftFormerConfig
    for slip, answer in (
        (lambda: backbone("xs"), r"config='xs': expected .*; SwiftFormerConfig.from_variant\('xs'\) makes one"),
        (lambda: classifier({}), r"^config={}: expected a SwiftFormerConfig$"),
        (lambda: made(id2label=["a", "b"]), r"dict\(enumerate\(names\)\) makes them from a list"),
        (lambda: SwiftFormerConfig.from_variant("xs", num_labels=2), "^num_labels: set by id2label; give id2label="),
        (lambda: made(num_labels=2, id2label={0: "a"}), "^num_labels: set by id2label; give id2label="),
        (lambda: model.config.replace(num_labels=2), "^num_labels: set by id2label; give id2label="),
        (lambda: segmenter("xs"), r"config='xs': expected .*; SwiftFormerConfig.from_variant\('xs'\) makes one"),
        (
            lambda: segmenter(tiny_config(), head="all_mlp"),
            r"^head='all_mlp': .* such as SEGMENTATION_HEADS\['all_mlp'\]$",
        ),
        (
            lambda: pretrained("swiftformer_xs_imagenette", id2label=["a", "b"]),
            r"^id2label=\['a', 'b'\]: .*makes them from a list",
        ),
    ):
        with pytest.raises(ConfigError, match=answer):
            slip()
    assert Checkpoint.open("swiftformer_xs_imagenette").config.num_labels == 10
    for near in ("swiftformer_xs_imagenete", "xs"):
        with pytest.raises(CheckpointError, match=r"no such file or folder; .* \(swiftformer_xs_imagenette\), or"):
            Checkpoint.open(near)


def test_what_is_given_to_the_wrong_step_is_told_where_it_belongs(model: SwiftFormerForImageClassification) -> None:
    wrong: Any = model  # what a user may slip in is of other types
    deploy: Any = fuse(wrong)
    lite = export(deploy, RECIPES["float32"])
    name: Any = "int8"
    typo: Any = ["itn8"]
    file: Any = "a.pth"
    slips: list[tuple[Any, type[SwiftFormerError], str]] = [
        (lambda: export(deploy, name), ConfigError, r"^recipe='int8': expected a Recipe, such as RECIPES\['int8'\]$"),
        (lambda: calibrate(deploy, PIXELS, recipes=typo), ConfigError, r"'itn8': expected .* RECIPES\['int8'\]"),
        (lambda: export(wrong, RECIPES["float32"]), ExportError, r"expected a deploy graph: fuse\(model\) makes one"),
        (lambda: calibrate(wrong, PIXELS), ExportError, r"^calibrate: a SwiftFormerForImageClassification, expected"),
        (lambda: export(file, RECIPES["float32"]), ExportError, "^export: the file 'a.pth', expected a deploy"),
        (lambda: fuse(deploy), ModelError, "swiftformer_deploy is a deploy graph already; give it to export"),
        (lambda: port(file), CheckpointError, r"a str, expected a Checkpoint; Checkpoint.open\(path\) reads one"),
        (lambda: verify(file, reference=wrong, images=PIXELS), ModelError, r"LiteModel.open\(path\) reads a file"),
        (lambda: verify(lite, reference=file, images=PIXELS), ModelError, r"from_pretrained\(path\) opens one"),
    ]
    for slip, kind, answer in slips:
        with pytest.raises(kind, match=answer):
            slip()
