"""Weights into Keras models and out again."""

import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.architectures import architectures
from support.segments import segmenter
from support.weight_files import SMALL, random_checkpoint, random_tensors

from swiftformer_tf import variables
from swiftformer_tf.checkpoints import KEY_LAYOUTS, Checkpoint
from swiftformer_tf.config import VARIANTS, SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError, ModelError
from swiftformer_tf.fusion import fuse
from swiftformer_tf.model import SwiftFormerForImageClassification, SwiftFormerModel
from swiftformer_tf.porting import port, to_checkpoint
from swiftformer_tf.segmentation import SwiftFormerForSemanticSegmentation
from swiftformer_tf.variables import canonical_name

TINY = SwiftFormerConfig.from_variant("tiny", id2label={0: "cat", 1: "dog"})


def assert_equal(one: Checkpoint, other: Checkpoint) -> None:
    assert one.config == other.config
    assert one.tensors.keys() == other.tensors.keys()
    for key, tensor in one.tensors.items():
        assert np.array_equal(tensor, other.tensors[key]), key


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_goes_in_and_comes_out_bit_by_bit(variant: str) -> None:
    checkpoint = random_checkpoint(SwiftFormerConfig.from_variant(variant))
    ported = port(checkpoint)
    assert_equal(to_checkpoint(ported.model), checkpoint)
    # Every variable has a source of its own, and every tensor a variable.
    assert set(ported.sources) == {variable.path for variable in ported.model.weights}
    assert sorted(ported.sources.values()) == sorted(checkpoint.tensors)


@settings(max_examples=8)
@given(config=architectures(max_stages=3, max_depth=2, widths=(2, 3, 4)), data=st.data())
def test_any_architecture_is_ported_written_and_ported_again(config: SwiftFormerConfig, data: st.DataObject) -> None:
    # Where a layout's word is about all layer scales, none in the attention alone comes back as ones there.
    fitting = [
        name
        for name, row in KEY_LAYOUTS.items()
        if row.token_weights in (None, config.token_weights) and (config.use_layer_scale or not row.all_layer_scales)
    ]
    key_layout, checkpoint = data.draw(st.sampled_from(fitting)), random_checkpoint(config)
    written = to_checkpoint(port(checkpoint).model, key_layout=key_layout)
    assert_equal(written, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "one.safetensors"), Path(folder, "other.safetensors")
        written.save(one)
        opened = Checkpoint.open(one)
        assert_equal(opened, checkpoint)
        to_checkpoint(port(opened).model, key_layout=opened.key_layout).save(other)
        assert one.read_bytes() == other.read_bytes()


@settings(max_examples=40)
@given(
    config=architectures(max_stages=4, max_depth=3, widths=(2, 3, 4)),
    suffix=st.sampled_from((".pth", ".safetensors")),
)
def test_what_the_original_key_layout_holds_comes_back_whole(config: SwiftFormerConfig, suffix: str) -> None:
    """It has two heads always, and a place for the configuration in both formats."""
    checkpoint = random_checkpoint(config)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x").with_suffix(suffix)
        checkpoint.save(path, key_layout="original")
        assert_equal(Checkpoint.open(path), checkpoint)


def test_from_file_to_file_through_keras(tmp_path: Path) -> None:
    for key_layout, word in (("original", "l2"), ("original", "uniform"), ("hf", "uniform"), ("timm", "l2")):
        checkpoint = random_checkpoint(SMALL.replace(token_weights=word), key_layout=key_layout)
        checkpoint.save(tmp_path / "in.safetensors")
        opened = Checkpoint.open(tmp_path / "in.safetensors")
        to_checkpoint(port(opened).model, key_layout=opened.key_layout).save(tmp_path / "out.safetensors")
        assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "in.safetensors").read_bytes()


def test_a_dead_w_g_survives() -> None:
    checkpoint = random_checkpoint(SMALL.replace(token_weights="uniform"))
    model = port(checkpoint).model
    assert not any("w_g" in variable.path for variable in model.trainable_variables)
    key = "stages.0.blocks.1.attn.w_g"
    assert np.array_equal(to_checkpoint(model).tensors[key], checkpoint.tensors[key])


# Keras 3.15 hands NumPy 2 a variable whose __array__ knows no copy argument.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_a_saved_keras_model_gives_the_same_checkpoint(tmp_path: Path) -> None:
    checkpoint = random_checkpoint()
    port(checkpoint).model.save(tmp_path / "model.keras")
    assert_equal(to_checkpoint(keras.models.load_model(tmp_path / "model.keras")), checkpoint)


def test_without_a_final_norm_it_is_a_backbone() -> None:
    config = SMALL.replace(id2label={})
    tensors = random_tensors(config, final_norm=False)
    checkpoint = Checkpoint(tensors=tensors, config=config, key_layout="hf")
    model = port(checkpoint).model
    assert isinstance(model, SwiftFormerModel)
    assert_equal(to_checkpoint(model, key_layout="hf"), checkpoint)


def test_without_labels_it_ends_with_pooled_features() -> None:
    model = port(random_checkpoint(SMALL.replace(id2label={}))).model
    assert isinstance(model, SwiftFormerForImageClassification)
    assert model.output_shape == (None, 6)


def test_a_backbone_that_shares_a_classifiers_layers_gives_no_labels() -> None:
    classifier = port(random_checkpoint()).model
    checkpoint = to_checkpoint(SwiftFormerModel(SMALL, share_layers_with=classifier))
    assert checkpoint.config.num_labels == 0
    assert not checkpoint.has_final_norm


def test_mixed_precision_keeps_float32_variables() -> None:
    checkpoint = random_checkpoint()
    model = port(checkpoint, dtype="mixed_bfloat16").model
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert_equal(to_checkpoint(model), checkpoint)


def test_a_segmenter_takes_the_precision_too() -> None:
    checkpoint = to_checkpoint(segmenter())
    model = port(checkpoint, dtype="mixed_bfloat16").model
    assert isinstance(model, SwiftFormerForSemanticSegmentation)
    assert model.get_layer("stem").dtype_policy.name == "mixed_bfloat16"
    assert_equal(to_checkpoint(model), checkpoint)


def test_a_configuration_that_is_given_comes_before_the_models_own() -> None:
    named = SMALL.replace(id2label={0: "left", 1: "right"})
    assert to_checkpoint(port(random_checkpoint()).model, config=named).config.labels == ("left", "right")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("stem/0/kernel", "stem.0.weight"),
        ("stem/1/moving_variance", "stem.1.running_var"),
        ("stages-3-downsample/norm/beta", "stages.3.downsample.norm.bias"),
        ("stages-0-blocks-2/attn/to_query/kernel", "stages.0.blocks.2.attn.to_query.weight"),
        ("stages-0-blocks-0/layer_scale/scale", "stages.0.blocks.0.layer_scale.gamma"),
        ("stages-0-blocks-2/linear/norm1/gamma", "stages.0.blocks.2.linear.norm1.weight"),
        ("head_dist/bias", "head_dist.bias"),
    ],
)
def test_names_of_variables(path: str, key: str) -> None:
    assert canonical_name(path) == key


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(CheckpointError, match="stem/0/momentum: not the name of a checkpoint's tensor"):
        canonical_name("stem/0/momentum")


def test_kernels_are_turned_the_right_way() -> None:
    tensors = random_tensors(SMALL)
    model = port(Checkpoint(tensors=tensors, config=SMALL)).model
    values = {variable.path: variable.numpy() for variable in model.weights}
    assert values["stem/0/kernel"][2, 0, 1, 1] == tensors["stem.0.weight"][1, 1, 2, 0]
    assert (
        values["stages-0-blocks-0/dwconv/kernel"][2, 0, 3, 0] == tensors["stages.0.blocks.0.dwconv.weight"][3, 0, 2, 0]
    )
    assert values["head/kernel"][4, 1] == tensors["head.weight"][1, 4]
    assert values["stages-0-blocks-0/layer_scale/scale"][3] == tensors["stages.0.blocks.0.layer_scale.gamma"][3, 0, 0]


def test_a_model_that_differs_from_its_config_is_refused_with_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint has checked itself; this guards against a model and a list of tensors that drift apart."""
    checkpoint = random_checkpoint()
    real = variables.canonical_name
    monkeypatch.setattr(variables, "canonical_name", lambda path: real(path).replace("head.bias", "tail.bias"))
    with pytest.raises(CheckpointError, match=r"missing \(1\): tail.bias; unexpected \(1\): head.bias"):
        port(checkpoint)
    monkeypatch.setattr(variables, "canonical_name", lambda path: "one")
    with pytest.raises(CheckpointError, match="stem/0/kernel and stem/0/bias would both be one"):
        port(checkpoint)
    monkeypatch.setattr(variables, "canonical_name", real)
    monkeypatch.setattr(variables, "DENSE", (0, 1))
    with pytest.raises(CheckpointError, match=r"mis-shaped \(2\): head.weight is \(2, 6\), expected \(6, 2\)"):
        port(checkpoint)


def test_other_models_have_no_checkpoint() -> None:
    model = port(random_checkpoint(TINY.replace(image_size=32))).model
    with pytest.raises(
        ModelError, match="a DeployModel, expected a SwiftFormerForImageClassification or SwiftFormerModel"
    ):
        to_checkpoint(fuse(model))


def test_a_model_that_diverged_is_not_written() -> None:
    model = port(random_checkpoint()).model
    model.get_layer("head").bias.assign([np.nan, 0])
    with pytest.raises(CheckpointError, match=r"not finite in float32 \(1\): head.bias"):
        to_checkpoint(model)
