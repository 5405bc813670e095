"""Opening and saving weight files that are as they should be."""

import json
from pathlib import Path
from typing import Any, get_args

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from support.weight_files import GOLDEN, SMALL, random_checkpoint, random_tensors

from swiftformer_tf.checkpoints import KEY_LAYOUTS, Checkpoint, KeyLayoutName, torch_zip
from swiftformer_tf.checkpoints.key_layouts import from_canonical
from swiftformer_tf.config import SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError
from swiftformer_tf.images.transform import TRANSFORMS

ATTENTION_TYPES = {"original": "l2", "hf": "uniform", "timm": "l2", "timm_wrapper": "l2"}


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        np.array_equal(tensor, other.tensors[key]) for key, tensor in one.tensors.items()
    )


def of_layout(key_layout: KeyLayoutName, **fields: Any) -> Checkpoint:
    return random_checkpoint(SMALL.replace(token_weights=ATTENTION_TYPES[key_layout], **fields), key_layout=key_layout)


def bare(path: Path, key_layout: KeyLayoutName, config: SwiftFormerConfig = SMALL, **options: Any) -> Path:
    """Weights alone, with nothing that says more than they do."""
    tensors = random_tensors(config, **options)
    names = from_canonical(tensors, key_layout)
    safetensors.numpy.save_file({names[key]: tensor for key, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("key_layout", get_args(KeyLayoutName))
def test_attention_type_and_transform_follow_the_key_layout(key_layout: KeyLayoutName, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(bare(tmp_path / "weights.safetensors", key_layout))
    assert checkpoint.key_layout == key_layout
    assert checkpoint.token_weights == checkpoint.config.token_weights == ATTENTION_TYPES[key_layout]
    assert checkpoint.token_weights_assumed == (key_layout == "original")
    assert checkpoint.config.transform == KEY_LAYOUTS[key_layout].transform
    assert checkpoint.source == str(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("key_layout", get_args(KeyLayoutName))
@pytest.mark.parametrize("word", ["l2", "uniform"])
def test_the_callers_word_on_the_attention_type_stands(key_layout: KeyLayoutName, word: Any, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(bare(tmp_path / "weights.safetensors", key_layout), token_weights=word)
    assert checkpoint.token_weights == word
    assert not checkpoint.token_weights_assumed


@pytest.mark.parametrize("key_layout", get_args(KeyLayoutName))
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL.replace(num_channels=1, mlp_ratio=2.5),
        SMALL.replace(embed_dims=(4, 4), downsamples=(False, True)),
        SMALL.replace(down_patch_size=2),
        SMALL.replace(use_layer_scale=False),
        SMALL.replace(id2label={}),
        SMALL.replace(depths=(1, 1, 2, 1, 1), embed_dims=(4, 4, 6, 6, 8), downsamples=(True, False, True, False, True)),
    ],
    ids=["plain", "gray", "shifted", "even_kernel", "no_layer_scale", "headless", "five_stages"],
)
def test_the_architecture_is_read_from_the_tensors(
    key_layout: KeyLayoutName, config: SwiftFormerConfig, tmp_path: Path
) -> None:
    found = Checkpoint.open(bare(tmp_path / "weights.safetensors", key_layout, config)).config
    fields = ("num_channels", "depths", "embed_dims", "mlp_ratio", "down_patch_size", "use_layer_scale", "num_labels")
    assert [getattr(found, name) for name in fields] == [getattr(config, name) for name in fields]
    assert found.downsampled == config.downsampled


def test_one_head_is_no_distillation(tmp_path: Path) -> None:
    path = bare(tmp_path / "weights.safetensors", "original", SMALL.replace(distillation=False))
    assert Checkpoint.open(path).config.distillation is False


def test_hugging_faces_backbone_without_a_head(tmp_path: Path) -> None:
    path = bare(tmp_path / "weights.safetensors", "hf", SMALL.replace(id2label={}), final_norm=False)
    checkpoint = Checkpoint.open(path)
    assert not checkpoint.has_final_norm
    assert checkpoint.config.num_labels == 0


def test_timm_without_any_layer_scale_gets_ones(tmp_path: Path) -> None:
    config = SMALL.replace(use_layer_scale=False)
    tensors = {key: x for key, x in random_tensors(config).items() if "layer_scale" not in key}
    safetensors.numpy.save_file(tensors, tmp_path / "weights.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "weights.safetensors")
    scales = {key: x for key, x in checkpoint.tensors.items() if "layer_scale" in key}
    assert len(scales) == 3
    assert all((scale == 1).all() and scale.shape[1:] == (1, 1) for scale in scales.values())
    # Written again, it is timm's file again; with other values, timm needs all layer scales, and ones say nothing.
    checkpoint.save(tmp_path / "again.safetensors")
    assert not any("layer_scale" in key for key in safetensors.numpy.load_file(tmp_path / "again.safetensors"))
    random_checkpoint(config).save(tmp_path / "scaled.safetensors")
    scaled = safetensors.numpy.load_file(tmp_path / "scaled.safetensors")
    assert (scaled["stages.1.blocks.0.layer_scale_2.gamma"] == 1).all()
    assert not (scaled["stages.0.blocks.0.layer_scale.gamma"] == 1).all()


@pytest.mark.parametrize("part", ["model", "state_dict", "model_ema", "net", "model_state_dict", None])
def test_containers(part: str | None, tmp_path: Path) -> None:
    tensors = random_tensors(SMALL)
    torch_zip.write(tmp_path / "weights.pth", tensors, part, None)
    checkpoint = Checkpoint.open(tmp_path / "weights.pth")
    assert checkpoint.source == f"{tmp_path / 'weights.pth'}" + (f", {part!r}" if part else "")
    assert np.array_equal(checkpoint.tensors["head.bias"], tensors["head.bias"])


def test_a_real_training_file_gives_its_model_and_not_its_average() -> None:
    checkpoint = Checkpoint.open(GOLDEN / "training.pth")
    assert checkpoint.source.endswith("training.pth, 'model'")
    assert checkpoint.key_layout == "original"
    # The averaged weights in this file are half of the model's.
    other = Checkpoint.open(GOLDEN / "strided.pth")
    assert equal(checkpoint, other)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_every_float_becomes_float32(dtype: Any, suffix: str, tmp_path: Path) -> None:
    tensors = {key: tensor.astype(dtype) for key, tensor in random_tensors(SMALL).items()}
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch_zip.write(path, tensors, None, None)
    else:
        safetensors.numpy.save_file(tensors, path)
    checkpoint = Checkpoint.open(path)
    for key, tensor in tensors.items():
        assert checkpoint.tensors[key].dtype == np.float32
        assert np.array_equal(checkpoint.tensors[key], tensor.astype(np.float32))


CARRIED = {
    "id2label": {0: "Katze", 1: "Hund, groß"},
    "transform": TRANSFORMS["timm"].replace(size=(64, 96), crop=0.9),
    "image_size": (64, 96),
    "batch_norm_eps": 1e-3,
    "hidden_act": "relu",
    "drop_path_rate": 0.1,
    "downsamples": (True, False),
}


@pytest.mark.parametrize(
    ("key_layout", "name"),
    [("original", "a.pth"), ("original", "a.safetensors"), ("hf", "a.safetensors"), ("timm", "a.safetensors")],
)
def test_what_save_writes_carries_the_whole_configuration(key_layout: KeyLayoutName, name: str, tmp_path: Path) -> None:
    checkpoint = of_layout(key_layout, **CARRIED)
    checkpoint.save(tmp_path / name)
    again = Checkpoint.open(tmp_path / name)
    assert again.config == checkpoint.config
    assert equal(again, checkpoint)
    assert not again.token_weights_assumed


@pytest.mark.parametrize("key_layout", ["hf", "timm"])
@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin"])
def test_bare_state_dicts_carry_weights_only(key_layout: KeyLayoutName, name: str, tmp_path: Path) -> None:
    checkpoint = of_layout(key_layout)
    checkpoint.save(tmp_path / name)
    again = Checkpoint.open(tmp_path / name)
    assert equal(again, checkpoint)
    assert again.token_weights == checkpoint.token_weights
    assert again.config.transform == TRANSFORMS[key_layout]


def test_an_original_file_of_the_first_release_says_so_when_saved(tmp_path: Path) -> None:
    checkpoint = random_checkpoint(SMALL.replace(token_weights="uniform"), key_layout="original")
    checkpoint.save(tmp_path / "a.pth")
    assert Checkpoint.open(tmp_path / "a.pth").token_weights == "uniform"


@pytest.mark.parametrize(
    ("key_layout", "suffix", "doubled"),
    [("timm", "safetensors", True), ("hf", "safetensors", True), ("original", "pth", False)],
)
def test_one_head_is_doubled_where_a_key_layout_has_two(
    key_layout: KeyLayoutName, suffix: str, doubled: bool, tmp_path: Path
) -> None:
    checkpoint = of_layout(key_layout, distillation=False)
    path = tmp_path / f"a.{suffix}"
    checkpoint.save(path)
    heads = {"timm": "head_dist", "hf": "dist_head", "original": "dist_head"}
    tensors = torch_zip.read(path).tensors if suffix == "pth" else safetensors.numpy.load_file(path)
    assert (f"{heads[key_layout]}.bias" in tensors) == doubled
    if doubled:
        assert np.array_equal(tensors[f"{heads[key_layout]}.weight"], tensors["head.weight"])
    again = Checkpoint.open(path)
    assert again.config == checkpoint.config
    assert equal(again, checkpoint)


def test_counters_are_written_as_zero(tmp_path: Path) -> None:
    for name in ("a.pth", "a.safetensors"):
        random_checkpoint().save(tmp_path / name)
    for tensors in (
        torch_zip.read(tmp_path / "a.pth").tensors,
        safetensors.numpy.load_file(tmp_path / "a.safetensors"),
    ):
        counters = {key: tensor for key, tensor in tensors.items() if key.endswith(".num_batches_tracked")}
        assert len(counters) == sum(key.endswith(".running_var") for key in tensors) == 9
        assert all(counter.shape == () and counter.dtype == np.int64 and counter == 0 for counter in counters.values())


def test_the_same_weights_make_the_same_file(tmp_path: Path) -> None:
    for suffix in ("pth", "safetensors"):
        paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for path in paths:
            random_checkpoint().save(path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_half_precision_files(tmp_path: Path) -> None:
    checkpoint = random_checkpoint()
    checkpoint.save(tmp_path / "full.safetensors")
    checkpoint.save(tmp_path / "half.safetensors", dtype="float16")
    assert (tmp_path / "half.safetensors").stat().st_size < (tmp_path / "full.safetensors").stat().st_size
    again = Checkpoint.open(tmp_path / "half.safetensors")
    assert np.array_equal(again.tensors["head.bias"], checkpoint.tensors["head.bias"].astype(np.float16))


def test_safetensors_metadata_is_what_transformers_asks_for(tmp_path: Path) -> None:
    random_checkpoint().save(tmp_path / "a.safetensors")
    with safetensors.safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert file.metadata()["format"] == "pt"


def test_labels_of_a_hugging_face_folder() -> None:
    config = Checkpoint.open(GOLDEN / "hf" / "model.safetensors").config
    assert config.labels == ("tench", "goldfish", "shark", "hammerhead", "ray")
    assert config.downsamples == (False, True, True, True)
    assert config.transform == TRANSFORMS["hf"]


def test_a_config_json_of_other_weights_is_passed_over(tmp_path: Path) -> None:
    path = bare(tmp_path / "model.safetensors", "hf")
    (tmp_path / "config.json").write_text(SwiftFormerConfig.from_variant("xs", batch_norm_eps=0.5).to_json())
    assert Checkpoint.open(path).config.batch_norm_eps == 1e-5
    mine = SMALL.replace(batch_norm_eps=0.5, id2label={0: "a", 1: "b", 2: "c"}, token_weights="uniform")
    (tmp_path / "config.json").write_text(mine.to_json())
    config = Checkpoint.open(path).config
    assert config.batch_norm_eps == 0.5
    # Three names for two logits are nobody's.
    assert config.labels == ("LABEL_0", "LABEL_1")


def test_a_config_json_without_our_fields_is_hugging_faces(tmp_path: Path) -> None:
    path = bare(tmp_path / "model.safetensors", "hf")
    values = {"model_type": "swiftformer", "depths": [2, 1], "embed_dims": [4, 6], "downsamples": [True, True]}
    (tmp_path / "config.json").write_text(
        json.dumps({**values, "id2label": {"0": "x", "1": "y"}, "torch_dtype": "float32"})
    )
    config = Checkpoint.open(path).config
    assert (config.labels, config.token_weights) == (("x", "y"), "uniform")


@pytest.mark.parametrize("content", ['{"architecture": "swiftformer_xs"}', '{"model_type": "vit"}', "[]"])
def test_a_config_json_of_another_kind_is_passed_over(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    assert Checkpoint.open(bare(tmp_path / "model.safetensors", "hf")).config.labels == ("LABEL_0", "LABEL_1")


def test_timm_and_original_files_take_nothing_from_a_config_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(SMALL.replace(batch_norm_eps=0.5).to_json())
    for key_layout in ("original", "timm"):
        assert Checkpoint.open(bare(tmp_path / f"{key_layout}.safetensors", key_layout)).config.batch_norm_eps == 1e-5


@pytest.mark.parametrize(("key_layout", "word"), [("hf", "l2"), ("timm", "uniform")])
def test_a_layout_whose_code_computes_something_else_is_refused(
    key_layout: KeyLayoutName, word: Any, tmp_path: Path
) -> None:
    checkpoint = random_checkpoint(SMALL.replace(token_weights=word))
    with pytest.raises(
        CheckpointError, match=f"layout {key_layout}: its code computes .* but these weights are for {word} and"
    ):
        checkpoint.save(tmp_path / "a.safetensors", key_layout=key_layout)
    assert list(tmp_path.iterdir()) == []


def test_tensors_cannot_be_swapped_afterwards() -> None:
    checkpoint = random_checkpoint()
    with pytest.raises(TypeError, match="does not support item assignment"):
        checkpoint.tensors["head.bias"] = np.zeros(2)  # type: ignore[index]
