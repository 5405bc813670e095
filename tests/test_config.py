"""The configuration: defaults, files, refusals, and the parameter counts of each variant."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swiftformer_tf import TRANSFORMS, VARIANTS, ConfigError, SwiftFormerConfig, SwiftFormerForImageClassification
from swiftformer_tf.config import ACTIVATIONS
from swiftformer_tf.images.class_names import numbered_labels
from swiftformer_tf.images.colors import class_colors
from swiftformer_tf.layers.activations import FUNCTIONS

# transformers 5.23's `SwiftFormerConfig()`.
HF_DEFAULTS = {
    "image_size": 224,
    "num_channels": 3,
    "depths": (3, 3, 6, 4),
    "embed_dims": (48, 56, 112, 220),
    "mlp_ratio": 4,
    "downsamples": (True, True, True, True),
    "hidden_act": "gelu",
    "down_patch_size": 3,
    "down_stride": 2,
    "down_pad": 1,
    "drop_path_rate": 0.0,
    "drop_mlp_rate": 0.0,
    "drop_conv_encoder_rate": 0.0,
    "use_layer_scale": True,
    "layer_scale_init_value": 1e-5,
    "batch_norm_eps": 1e-5,
}

# Two heads of 1000, BatchNorm statistics not counted: the figures of the paper's table and of timm.
PARAMETERS = {"tiny": 64_800, "xs": 3_475_360, "s": 6_092_128, "l1": 12_057_920, "l3": 28_494_736}

HUGE = 10**400  # an int that no float can hold

IMPOSSIBLE: dict[str, list[Any]] = {
    "image_size": [0, -1, 2.5, "224", True, None, 2**14 + 1, (224,), (224, 0), (224, 224, 3), (224.0, 224)],
    "num_channels": [0, "3", 3.0, True, None],
    "depths": [(), (0, 1, 1, 1), (254, 1, 1, 1), "3364", None, (3.5, 1, 1, 1), (True, 1, 1, 1)],
    "embed_dims": [(48,), (48, 56, 112, 2**14 + 1), (1, 56, 112, 220), ("48", 56, 112, 220), (0, 1, 1, 1), None, 48],
    "mlp_ratio": [0, -1, 75, "4", float("nan"), float("inf"), 1e-9, True, None, HUGE],
    "downsamples": [(True,), (1, 1, 1, 1), True, None],
    "hidden_act": ["xielu", None, ["gelu"], ""],
    "down_patch_size": [0, "3", 3.0, None],
    "down_stride": [0, -2, "2", None],
    "down_pad": [-1, 3, 1.0, None],
    "drop_path_rate": [-0.1, 1, float("nan"), "0", True, None],
    "drop_mlp_rate": [-0.1, 1, float("nan"), "0", True, None],
    "drop_conv_encoder_rate": [-0.1, 1, float("nan"), "0", True, None],
    "use_layer_scale": [1, None, "true"],
    "layer_scale_init_value": [float("nan"), float("inf"), "1e-5", None, HUGE],
    "batch_norm_eps": [0, -1e-5, float("inf"), "1e-5", None, HUGE],
    "token_weights": ["L2", None, 2, "softmax"],
    "distillation": [1, None, "yes"],
    "id2label": [
        *({1: "a"}, {0: "a", 2: "b"}, {-1: "a"}, {0.5: "a"}, {float("inf"): "a"}, {"x": "a"}, {"0": "a", 0: "b"}),
        *(["a"], None, {0: "two\nlines"}, {0: "a\x1b[2J"}, {0: "two\u2028lines"}, {0: "\ud800"}),
    ],
    "label_colors": [
        *([(0, 0, 0)], [(0, 0, 0)] * 3, [(0, 0)] * 2, [(0, 0, 256)] * 2, [(0, 0, -1)] * 2, [(0, 0, 1.0)] * 2),
        *([(0, 0, True)] * 2, ["#000000"] * 2, [None] * 2, {0: (0, 0, 0)}, None, "red"),
    ],
    "problem_type": ["multi_label", "", 1, ["regression"]],
    "transform": [None, {}, "hf"],
}


def test_defaults_are_those_of_hugging_face() -> None:
    config = SwiftFormerConfig()
    assert {name: getattr(config, name) for name in HF_DEFAULTS} == HF_DEFAULTS
    assert config.num_labels == 2
    assert config.token_weights == "l2"


def test_every_field_has_impossible_values() -> None:
    assert set(IMPOSSIBLE) == {field.name for field in dataclasses.fields(SwiftFormerConfig)}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in IMPOSSIBLE for value in IMPOSSIBLE[field]])
def test_an_impossible_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)^{field}=.*expected"):
        SwiftFormerConfig(**{field: value})


def test_a_configuration_is_immutable_and_compares_by_value() -> None:
    config = SwiftFormerConfig(depths=[3, 3, 6, 4])  # type: ignore[arg-type]
    assert config == SwiftFormerConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.image_size = 128  # type: ignore[misc]


@pytest.mark.parametrize(
    "config",
    [
        SwiftFormerConfig(),
        SwiftFormerConfig.from_variant("tiny", image_size=(96, 160), token_weights="uniform", distillation=False),
        SwiftFormerConfig(id2label={}, transform=TRANSFORMS["hf"], num_channels=1, mlp_ratio=2.5),
        SwiftFormerConfig(id2label={0: "schnäppchen", 1: "猫"}, downsamples=(False, True, True, False)),
        SwiftFormerConfig(id2label={0: "road", 1: "sky"}, label_colors=((128, 64, 128), (128, 128, 128))),
        SwiftFormerConfig(id2label={0: "no\xa0break", 1: "क्\u200dष"}, depths=(253, 1, 1, 1), image_size=2**14),
    ],
)
def test_json_round_trip(config: SwiftFormerConfig, tmp_path: Path) -> None:
    assert SwiftFormerConfig.from_dict(config.to_dict()) == config
    assert SwiftFormerConfig.from_json(config.to_json()) == config
    path = tmp_path / "config.json"
    path.write_text(config.to_json(), encoding="utf-8")
    assert SwiftFormerConfig.open(path) == config
    assert json.loads(config.to_json()) == config.to_dict()


def test_json_holds_every_field_and_string_keys() -> None:
    values = SwiftFormerConfig(label_colors=((0, 128, 255), (255, 0, 0))).to_dict()
    assert set(values) == {"model_type", *(field.name for field in dataclasses.fields(SwiftFormerConfig))}
    assert values["label_colors"] == [[0, 128, 255], [255, 0, 0]]
    assert "label_colors" not in SwiftFormerConfig().to_dict()
    assert values["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}
    assert values["depths"] == [3, 3, 6, 4]


def test_colors_belong_to_their_labels() -> None:
    colors = ((128, 64, 128), (1, 2, 3))
    config = SwiftFormerConfig(id2label={0: "road", 1: "sky"}, label_colors=colors)
    assert config.colors == colors
    assert config.replace(id2label={0: "street", 1: "sky"}).colors == colors
    more = config.replace(id2label=dict(enumerate("abc")))
    assert more.label_colors == ()
    assert more.colors == class_colors(3)
    assert config.replace(id2label={0: "road"}, label_colors=colors[:1]).colors == colors[:1]


def hugging_face_json(**fields: Any) -> dict[str, Any]:
    """A `config.json` as `save_pretrained` writes one."""
    return {
        "architectures": ["SwiftFormerForImageClassification"],
        "depths": [3, 3, 9, 6],
        "down_pad": 1,
        "down_patch_size": 3,
        "down_stride": 2,
        "downsamples": [True, True, True, True],
        "drop_path_rate": 0.0,
        "dtype": "float32",
        "embed_dims": [48, 64, 168, 224],
        "hidden_act": "gelu",
        "image_size": 224,
        "mlp_ratio": 4,
        "model_type": "swiftformer",
        "transformers_version": "5.23.0",
        **fields,
    }


def test_reads_hugging_faces_file() -> None:
    labels = {str(index): f"name {index}" for index in reversed(range(12))}  # as JSON sorts strings: 0, 1, 10, 11, 2
    config = SwiftFormerConfig.from_dict(
        hugging_face_json(id2label=labels, label2id={"name 0": 0}, use_layer_scale=True)
    )
    assert config.variant == "s"
    assert list(config.id2label) == list(range(12))
    assert config.labels[10] == "name 10"
    assert config.token_weights == "uniform"
    assert config.transform == TRANSFORMS["hf"]


@pytest.mark.parametrize("more", [{}, {"id2label": None}])
def test_hugging_faces_null_is_what_is_left_out(more: dict[str, Any]) -> None:
    values = {"model_type": "swiftformer", **more}
    assert SwiftFormerConfig.from_dict(values).labels == ("LABEL_0", "LABEL_1")
    assert SwiftFormerConfig.from_dict({**values, "num_labels": 3, "label2id": None}).num_labels == 3
    named = SwiftFormerConfig.from_dict({**values, "label2id": {"dog": 1, "cat": 0}})
    assert named.labels == ("cat", "dog")
    for wrong, message in (({"a": 0, "b": 0}, "each index once"), ({"a": [0]}, "indices by class"), ([1], "indices")):
        with pytest.raises(ConfigError, match=f"label2id=.*: expected {message}"):
            SwiftFormerConfig.from_dict({**values, "label2id": wrong})


def test_hugging_faces_file_with_one_number_an_axis() -> None:
    values = {"model_type": "swiftformer", "down_patch_size": [3, 3], "down_stride": [2, 2]}
    config = SwiftFormerConfig.from_dict(values)
    assert (config.down_patch_size, config.down_stride) == (3, 2)
    with pytest.raises(ConfigError, match=r"down_patch_size=\[3, 5\]: expected a positive int"):
        SwiftFormerConfig.from_dict({**values, "down_patch_size": [3, 5]})


def test_hugging_faces_file_with_a_number_of_labels_only() -> None:
    assert SwiftFormerConfig.from_dict(hugging_face_json(num_labels=5)).labels == tuple(f"LABEL_{i}" for i in range(5))
    assert SwiftFormerConfig.from_dict(hugging_face_json()).num_labels == 2


@pytest.mark.parametrize("count", [-1, 2.0, "5", True, None, 10**9])
def test_an_impossible_number_of_labels_is_refused(count: Any) -> None:
    with pytest.raises(ConfigError, match=r"^num_labels=.*expected an int from 0 to 1,000,000"):
        SwiftFormerConfig.from_dict(hugging_face_json(num_labels=count))


def test_our_file_keeps_its_own_attention_type_and_transform() -> None:
    config = SwiftFormerConfig(token_weights="l2", transform=TRANSFORMS["timm"])
    assert SwiftFormerConfig.from_json(config.to_json()).transform == TRANSFORMS["timm"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "vit"}', "model_type='vit': expected 'swiftformer'"),
        ('{"architecture": "swiftformer_xs", "num_classes": 1000, "pretrained_cfg": {}}', "model_type: missing"),
        ("{}", "model_type: missing"),
        ("[1]", "a configuration is a JSON object, not list"),
        ("3", "a configuration is a JSON object, not int"),
        ("", "the configuration is not JSON"),
        ('{"model_type": "swiftformer"', "the configuration is not JSON"),
        ("[" * 100_000, "the configuration is not JSON"),
        ('{"model_type": "swiftformer", "depths": null}', "depths=None: expected a list"),
        ('{"model_type": "swiftformer", "mlp_ratio": NaN}', "mlp_ratio=nan: expected"),
        ('{"model_type": "swiftformer", "mlp_ratio": 1e300}', "mlp_ratio=1e+300: expected"),
        ('{"model_type": "swiftformer", "down_stride": [[2], [2]]}', "down_stride=[2]: expected a positive int"),
        ('{"model_type": "swiftformer", "down_stride": []}', "down_stride=[]: expected a positive int"),
        ('{"model_type": "swiftformer", "transform": {"\\u001b[2J": 1}}', "transform.\\x1b[2J: no such"),
        ('{"model_type": "swiftformer", "token_weights": "l2", "transform": {"blur": 1}}', "transform.blur: no such"),
    ],
)
def test_a_file_of_something_else_is_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {message}")):
        SwiftFormerConfig.open(path)


def test_a_message_is_never_longer_than_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "swiftformer", "depths": [' + "7," * 10_000 + "0]}")
    with pytest.raises(ConfigError, match=r"depths=\(7, 7, ") as caught:
        SwiftFormerConfig.open(path)
    assert len(str(caught.value)) < 1600 + len(str(path))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not JSON"):
        SwiftFormerConfig.open(path)


def test_from_variant_overrides_and_refuses() -> None:
    config = SwiftFormerConfig.from_variant("l1", image_size=288, num_channels=1)
    assert (config.variant, config.num_labels, config.input_size) == ("l1", 1000, (288, 288))
    with pytest.raises(ConfigError, match=r"variant='xxs': expected one of tiny, xs, s, l1, l3"):
        SwiftFormerConfig.from_variant("xxs")
    with pytest.raises(ConfigError, match=r"^drop_path: no such field; the fields are batch_norm_eps, depths"):
        SwiftFormerConfig.from_variant("xs", drop_path=0.1)
    with pytest.raises(ConfigError, match=r"^depth: no such field"):
        config.replace(depth=3)


def test_the_transform_follows_the_image_size() -> None:
    config = SwiftFormerConfig(image_size=(96, 160))
    assert config.transform.size == (96, 160)
    assert config.replace(image_size=64).transform.size == (64, 64)
    assert TRANSFORMS["original"].size == (224, 224)


def test_drop_path_rates_rise_linearly_over_all_blocks() -> None:
    rates = SwiftFormerConfig(drop_path_rate=0.15).drop_path_rates
    assert [len(stage) for stage in rates] == [3, 3, 6, 4]
    np.testing.assert_allclose(np.concatenate(rates), np.linspace(0, 0.15, 16), rtol=1e-12)
    assert SwiftFormerConfig(depths=(1,), embed_dims=(8,), downsamples=(True,), drop_path_rate=0.5).drop_path_rates == (
        (0.0,),
    )


@pytest.mark.parametrize(
    ("downsamples", "widths", "expected"),
    [
        ((True, True, True, True), (48, 56, 112, 220), (False, True, True, True)),
        ((False, False, False, False), (48, 48, 112, 112), (False, False, True, False)),
        ((True, False, True, False), (8, 8, 8, 8), (False, True, False, True)),
    ],
)
def test_where_downsampling_stands(downsamples: Any, widths: Any, expected: Any) -> None:
    assert SwiftFormerConfig(downsamples=downsamples, embed_dims=widths).downsampled == expected


def test_every_activation_has_its_function() -> None:
    assert set(ACTIVATIONS) == set(FUNCTIONS)
    # Hugging Face's "gelu" is the exact one.
    assert float(FUNCTIONS["gelu"](np.float64(1.0))) == pytest.approx(0.8413447460685429, abs=1e-6)


def test_numbered_labels() -> None:
    assert numbered_labels(0) == {}
    assert numbered_labels(2) == {0: "LABEL_0", 1: "LABEL_1"}


def count_parameters(config: SwiftFormerConfig) -> int:
    """By hand, from the table of layers in the paper and its code."""
    first, total = config.embed_dims[0], 0
    half = first // 2
    total += 27 * half + half + 2 * half + 9 * half * first + first + 2 * first
    for stage, (depth, width) in enumerate(zip(config.depths, config.embed_dims, strict=True)):
        if stage:
            total += 9 * config.embed_dims[stage - 1] * width + width + 2 * width
        conv = lambda hidden, width=width: 10 * width + 2 * width + 2 * width * hidden + hidden + width + width  # noqa: E731
        hidden = 4 * width
        attention = width + 4 * (width * width + width)
        mlp = 2 * width + 2 * width * hidden + hidden + width
        total += (depth - 1) * conv(hidden) + conv(width) + attention + mlp + 2 * width
    return total + 2 * width + 2 * 1000 * (width + 1)


def test_every_variant_has_its_parameter_count() -> None:
    assert set(PARAMETERS) == set(VARIANTS)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameter_counts(variant: str, variant_model: Callable[[str], SwiftFormerForImageClassification]) -> None:
    assert count_parameters(SwiftFormerConfig.from_variant(variant)) == PARAMETERS[variant]
    trainable = variant_model(variant).trainable_variables
    assert sum(int(np.prod(variable.shape)) for variable in trainable) == PARAMETERS[variant]
