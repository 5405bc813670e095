"""The key rules: recognition, both directions, and nothing accepted that does not come back."""

import csv
import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.architectures import architectures
from support.weight_files import GOLDEN

from swiftformer_tf.checkpoints import KeyLayoutName
from swiftformer_tf.checkpoints.key_layouts import (
    KEY_LAYOUTS,
    from_canonical,
    prefix_of,
    recognize,
    strip,
    to_canonical,
    unwrapped,
)
from swiftformer_tf.checkpoints.tensor_specs import expected_shapes, infer_config
from swiftformer_tf.config import VARIANTS, SwiftFormerConfig
from swiftformer_tf.errors import CheckpointError

NAMES = get_args(KeyLayoutName)

XS = SwiftFormerConfig.from_variant("xs")
SHIFTED = SwiftFormerConfig(depths=(1, 2, 1), embed_dims=(6, 6, 8), downsamples=(False, True, True))

# With the counter of each BatchNorm; reference implementations' state dicts have this many keys.
KEY_COUNTS = {"tiny": 196, "xs": 316, "s": 376, "l1": 388, "l3": 436}


def test_every_key_layout_is_tested() -> None:
    assert set(KEY_LAYOUTS) == set(NAMES) == {"original", "hf", "timm", "timm_wrapper"}


def test_all_names_of_xs_are_the_references_own() -> None:
    with (GOLDEN / "keys_xs.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == KEY_COUNTS["xs"]
    rows = [row for row in rows if not row["timm"].endswith("num_batches_tracked")]
    assert {row["timm"]: row["shape"] for row in rows} == {k: str(v) for k, v in expected_shapes(XS).items()}
    for key_layout in ("original", "hf", "timm"):
        assert from_canonical([row["timm"] for row in rows], key_layout) == {
            row["timm"]: row[key_layout] for row in rows
        }
        assert to_canonical([row[key_layout] for row in rows], key_layout) == {
            row[key_layout]: row["timm"] for row in rows
        }


@pytest.mark.parametrize("variant", VARIANTS)
def test_number_of_keys(variant: str) -> None:
    keys = expected_shapes(SwiftFormerConfig.from_variant(variant))
    assert len(keys) + sum(key.endswith("running_var") for key in keys) == KEY_COUNTS[variant]


@settings(max_examples=150)
@given(config=architectures(max_stages=5, max_depth=12, widths=(2, 3, 8, 64)), key_layout=st.sampled_from(NAMES))
def test_layouts_are_bijections_that_tell_the_architecture(
    config: SwiftFormerConfig, key_layout: KeyLayoutName
) -> None:
    shapes = expected_shapes(config)
    names = from_canonical(shapes, key_layout)
    assert len(set(names.values())) == len(shapes)
    prefix = KEY_LAYOUTS[key_layout].prefix
    assert recognize([name.removeprefix(prefix) for name in names.values()], prefix) == key_layout
    assert to_canonical(names.values(), key_layout) == {name: key for key, name in names.items()}
    inferred = infer_config(shapes, SwiftFormerConfig())
    assert expected_shapes(inferred) == shapes
    assert inferred.downsampled == config.downsampled
    assert inferred.labels == config.labels


@pytest.mark.parametrize("key_layout", ["original", "hf"])
def test_network_is_counted_by_what_it_holds(key_layout: KeyLayoutName) -> None:
    names = from_canonical(expected_shapes(SHIFTED), key_layout)
    network = {key: name[name.index("network.") :] for key, name in names.items() if "network." in name}
    blocks = "blocks." if key_layout == "hf" else ""
    assert network["stages.0.blocks.0.attn.w_g"] == f"network.0.{blocks}0.attn.w_g"
    assert network["stages.1.blocks.1.attn.w_g"] == f"network.1.{blocks}1.attn.w_g"
    assert network["stages.2.downsample.proj.weight"] == "network.2.proj.weight"
    assert network["stages.2.blocks.0.attn.w_g"] == f"network.3.{blocks}0.attn.w_g"


def test_more_than_ten_modules_are_told_apart() -> None:
    deep = SwiftFormerConfig(depths=(1,) * 7, embed_dims=(2, 4) * 3 + (2,), downsamples=(True,) * 7)
    names = from_canonical(expected_shapes(deep), "original")
    assert names["stages.6.blocks.0.attn.w_g"] == "network.12.0.attn.w_g"
    assert names["stages.1.downsample.proj.bias"] == "network.1.proj.bias"


def test_hugging_faces_bare_backbone_has_no_prefix() -> None:
    keys = expected_shapes(SHIFTED.replace(id2label={}), final_norm=False)
    bare = [name.removeprefix("swiftformer.") for name in from_canonical(keys, "hf").values()]
    assert recognize(bare) == "hf"
    assert list(to_canonical(bare, "hf").values()) == list(keys)


def test_counters_are_dropped() -> None:
    keys = ["stem.0.weight", "stem.1.num_batches_tracked"]
    assert strip(dict.fromkeys(keys, "") | dict(zip(keys, keys, strict=True))) == {keys[0]: "stem.0.weight"}


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module"])
def test_wrappers_are_taken_out_wherever_they_stand(wrapper: str) -> None:
    assert unwrapped(f"{wrapper}.stages.0.{wrapper}.{wrapper}.blocks.0.norm.bias") == "stages.0.blocks.0.norm.bias"


@pytest.mark.parametrize("key_layout", get_args(KeyLayoutName))
@pytest.mark.parametrize("prefix", ["", "model.", "module.", "a.b.c.", "network.", "encoder.", "swiftformer.backbone."])
def test_what_stands_before_a_key_layouts_own_names_is_told(key_layout: KeyLayoutName, prefix: str) -> None:
    names = from_canonical(expected_shapes(XS), key_layout).values()
    found = {prefix_of(prefix + name) for name in names} - {None}
    assert found == {prefix + KEY_LAYOUTS[key_layout].prefix}


def test_two_keys_for_one_tensor_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"stem.0.weight and stem_0.weight map to the same tensor"):
        strip({"stem.0.weight": "stem.0.weight", "stem_0.weight": "stem_0.weight"})
    both = ["encoder.network.0.blocks.0.norm.bias", "swiftformer.encoder.network.0.blocks.0.norm.bias"]
    with pytest.raises(CheckpointError, match="map to the same tensor"):
        to_canonical(both, "hf")


@pytest.mark.parametrize(
    ("key_layout", "key"),
    [
        ("original", "network.0.0.attn.proj.weight"),  # Hugging Face's and timm's spelling
        ("original", "stages.0.blocks.0.dwconv.weight"),
        ("hf", "swiftformer.encoder.network.0.blocks.0.dwconv.weight"),
        ("hf", "head_dist.weight"),
    ],
)
def test_names_of_another_key_layout_are_unexpected(key_layout: KeyLayoutName, key: str) -> None:
    beside = {"original": "network.0.0.norm.bias", "hf": "swiftformer.encoder.network.0.blocks.0.norm.bias"}[key_layout]
    with pytest.raises(CheckpointError, match=rf"unexpected in the {key_layout} key layout \(1\): {re.escape(key)}"):
        to_canonical([key, beside], key_layout)


@pytest.mark.parametrize(
    ("key_layout", "key"),
    [
        ("original", "network.0.0.depth_wise_conv.weight"),
        ("original", "network.x.0.norm.weight"),
        ("hf", "swiftformer.encoder.network.0.0.norm.weight"),
        ("timm", "stages.0.0.norm.weight"),
    ],
)
def test_strange_names_do_not_become_canonical(key_layout: KeyLayoutName, key: str) -> None:
    assert to_canonical([key], key_layout)[key] not in expected_shapes(XS)


def test_two_downsamplings_in_a_row_do_not_become_one() -> None:
    names = to_canonical(["network.0.proj.bias", "network.1.proj.bias", "network.2.0.norm.bias"], "original")
    assert len(set(names.values())) == 3


def test_a_gap_in_network_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"missing: network.1, although network continues to 2"):
        to_canonical(["network.0.0.norm.bias", "network.2.0.norm.bias"], "original")


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_detection_backbones_are_refused_by_name(prefix: str) -> None:
    keys = [f"{prefix}{name}" for name in from_canonical(expected_shapes(XS), "original").values()]
    with pytest.raises(CheckpointError, match="backbone for detection or segmentation: it has norm0, norm2 after"):
        recognize([*keys, f"{prefix}norm0.weight", f"{prefix}norm2.weight"])


@pytest.mark.parametrize(
    "keys",
    [
        ["conv1.weight", "layer1.0.conv1.weight", "fc.bias"],  # ResNet
        ["stem.0.weight", "stages.0.blocks.0.conv_dw.weight", "head.fc.weight"],  # ConvNeXt of timm
        ["patch_embed.0.weight", "network.0.0.token_mixer.weight", "norm.bias"],  # EfficientFormer, PoolFormer
        [],
    ],
)
def test_another_architecture_is_refused(keys: list[str]) -> None:
    with pytest.raises(CheckpointError, match=r"not a SwiftFormer: expected keys that end in attn.w_g"):
        recognize(keys)
