"""Segmenters as files: folders of `save_pretrained`, and mmsegmentation's layout."""

import dataclasses
import functools
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from support.random_models import TWO_STAGES, random_images, randomized, tiny_config
from support.weight_files import GOLDEN

from swiftformer_tf import (
    RECIPES,
    Checkpoint,
    CheckpointError,
    LiteRunner,
    SwiftFormerForSemanticSegmentation,
    evaluate,
    export,
    fuse,
    port,
    to_checkpoint,
)
from swiftformer_tf.checkpoints import torch_zip
from swiftformer_tf.info import describe
from swiftformer_tf.loading import open_any, open_model
from swiftformer_tf.predicting import predict_photographs
from swiftformer_tf.segmentation_heads import SEGMENTATION_HEADS, SegmentationHead

LABELS = {0: "road", 1: "sky", 2: "tree"}
HEADS = {
    "semantic_fpn": SegmentationHead(fpn_dim=12, head_dim=8),
    "all_mlp": SegmentationHead(name="all_mlp", head_dim=8),
    "normed": SegmentationHead(fpn_dim=12, head_dim=8, feature_norms=True),
}
IMAGES = random_images(1, 50, 70, 3)


@functools.cache
def segmenter(name: str = "semantic_fpn", **fields: Any) -> SwiftFormerForSemanticSegmentation:
    """A random one, which tests share: they do not change it."""
    config = tiny_config(id2label=LABELS, image_size=(50, 70), **fields)
    config = config.replace(transform=config.transform.replace(crop=None, interpolation="bilinear"))
    return randomized(SwiftFormerForSemanticSegmentation(config, head=HEADS[name]))


def opened(path: Path) -> SwiftFormerForSemanticSegmentation:
    """Without a warning: nothing is new."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return SwiftFormerForSemanticSegmentation.from_pretrained(path)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_a_folder_comes_back_whole(name: str, token_weights: Any, tmp_path: Path) -> None:
    model = segmenter(name, token_weights=token_weights, **TWO_STAGES)
    model.save_pretrained(tmp_path / "folder")
    back = opened(tmp_path / "folder")
    assert back.config == model.config
    assert back.head == model.head
    np.testing.assert_array_equal(back.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    assert isinstance(open_model(tmp_path / "folder"), SwiftFormerForSemanticSegmentation)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_names_are_mmsegmentations(suffix: str, tmp_path: Path) -> None:
    model = segmenter()
    path = tmp_path / f"segmenter{suffix}"
    to_checkpoint(model).save(path)
    checkpoint = Checkpoint.open(path)
    assert checkpoint.segmenter_labels == LABELS
    assert checkpoint.notes == ()
    ported = port(checkpoint)
    np.testing.assert_array_equal(ported.model.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    if suffix == ".safetensors":
        keys = safetensors.numpy.load_file(path)
        assert keys["neck.lateral_convs.0.conv.weight"].shape == (12, 8, 1, 1)
        assert keys["neck.fpn_convs.3.conv.bias"].shape == (12,)
        assert keys["decode_head.scale_heads.3.4.conv.weight"].shape == (8, 8, 3, 3)
        assert keys["decode_head.scale_heads.1.0.bn.running_var"].shape == (8,)
        assert keys["decode_head.conv_seg.weight"].shape == (3, 8, 1, 1)
        assert {"backbone.patch_embed.0.weight", "backbone.network.0.1.attn.w_g"} <= set(keys)
        assert all(key.startswith(("backbone.", "neck.", "decode_head.")) for key in keys)


def test_the_light_heads_tensors_are_laid_out_as_pytorchs() -> None:
    """Taken as PyTorch computes with them, they give the model's logits."""
    model = segmenter("all_mlp")
    tensors = to_checkpoint(model).segmenter
    mixing = tensors["decode_head.fuse.conv.weight"]
    assert mixing.shape == (8, 32, 1, 1)
    names = [f"layers.{index}.conv.{leaf}" for index in range(4) for leaf in ("weight", "bias")]
    norm = {leaf: f"fuse.bn.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")}
    names += ["fuse.conv.weight", *norm.values(), "conv_seg.weight", "conv_seg.bias"]
    assert set(tensors) == {f"decode_head.{name}" for name in names}

    whole = keras.Model(model.input, [model.get_layer("decode_head-concat").output, model.output])
    hidden, logits = (np.asarray(each, np.float64) for each in whole(IMAGES, training=False))
    scale, offset, mean, variance = (tensors[f"decode_head.{name}"] for name in norm.values())
    hidden = hidden @ mixing[:, :, 0, 0].T
    hidden = np.maximum((hidden - mean) / np.sqrt(variance + model.config.batch_norm_eps) * scale + offset, 0)
    expected = hidden @ tensors["decode_head.conv_seg.weight"][:, :, 0, 0].T + tensors["decode_head.conv_seg.bias"]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_training_file_of_mmsegmentation(tmp_path: Path) -> None:
    """A bare state dict under `state_dict`, and no configuration: classes have numbers."""
    path = tmp_path / "iter_40000.pth"
    known = segmenter(**TWO_STAGES)
    to_checkpoint(known).save(tmp_path / "x.safetensors")
    torch_zip.write(path, safetensors.numpy.load_file(tmp_path / "x.safetensors"), "state_dict", None)
    model = opened(path)
    assert model.config.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert model.config.transform.crop is None
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), known.predict(IMAGES, verbose=0))
    named = SwiftFormerForSemanticSegmentation.from_pretrained(path, id2label=LABELS)
    assert named.config.labels == ("road", "sky", "tree")


def test_a_checkpoint_is_told_asked_and_measured_as_its_model(tmp_path: Path) -> None:
    """Its backbone's configuration has no labels: it was taken for a model of features."""
    rng = np.random.default_rng(0)
    for kind, values in {"images": rng.integers(0, 256, (50, 70, 3)), "masks": rng.integers(0, 3, (50, 70))}.items():
        (tmp_path / kind).mkdir()
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / kind / "1.png")
    (tmp_path / "classes.csv").write_text("\n".join(LABELS.values()))
    model, folder = segmenter(**TWO_STAGES), tmp_path / "folder"
    model.save_pretrained(folder)
    told, known = describe(open_any(folder)), describe(model)
    assert {told["num_labels"], known["num_labels"]} == {3}
    assert {name: told[name] for name in ("labels", "parameters")} == {
        name: known[name] for name in ("labels", "parameters")
    }
    assert predict_photographs(folder, [tmp_path / "images"]) == predict_photographs(model, [tmp_path / "images"])
    assert evaluate(folder, tmp_path / "images").to_dict() == evaluate(model, tmp_path / "images").to_dict()


def test_other_classes_make_the_classifier_new(tmp_path: Path) -> None:
    segmenter(**TWO_STAGES).save_pretrained(tmp_path)
    said = r"new in the head, with random weights that are to be trained \(2\): decode_head-conv_seg/kernel, .*/bias$"
    with pytest.warns(UserWarning, match=said):
        model = SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path, num_labels=7)
    assert model.config.num_labels == 7
    assert model.head == HEADS["semantic_fpn"]


def changed(tmp_path: Path, change: Any, name: str = "semantic_fpn", **fields: Any) -> Path:
    to_checkpoint(segmenter(name, **fields)).save(tmp_path / "x.safetensors")
    tensors = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    change(tensors)
    safetensors.numpy.save_file(tensors, tmp_path / "y.safetensors")
    return tmp_path / "y.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("decode_head.conv_seg.weight"), "missing: decode_head.conv_seg.weight, which tells"),
        (lambda t: t.update({"decode_head.more.weight": np.ones(3, np.float32)}), "decode_head.more.weight"),
        (lambda t: t.update({"neck.fpn_convs.0.conv.bias": np.full(12, np.nan, np.float32)}), "not finite .*fpn_convs"),
        (lambda t: t.pop("backbone.network.0.0.dwconv.weight"), "network.0.0.dwconv.weight"),
        (
            lambda t: [t.pop(key) for key in [*t] if key.startswith("neck.")],
            "none of this package's heads, semantic_fpn, all_mlp",
        ),
        (
            lambda t: t.update({"decode_head.conv_seg.weight": np.ones(3, np.float32)}),
            r"decode_head.conv_seg.weight: shape \(3,\), expected the four axes of a 2-D convolution's kernel",
        ),
        (
            lambda t: t.update({"decode_head.conv_seg.weight": np.ones((), np.float32)}),
            r"decode_head.conv_seg.weight: shape \(\), expected the four axes of a 2-D convolution's kernel",
        ),
    ],
)
def test_what_is_no_such_segmenter_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        SwiftFormerForSemanticSegmentation.from_pretrained(changed(tmp_path, change, **TWO_STAGES))


def test_a_missing_tensor_of_the_head_is_new_or_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda t: t.pop("neck.fpn_convs.0.conv.bias"), **TWO_STAGES)
    with pytest.warns(UserWarning, match=r"new in the head, .* \(1\): neck-fpn_convs-0-conv/bias$"):
        SwiftFormerForSemanticSegmentation.from_pretrained(path)
    with pytest.raises(CheckpointError, match=r"neck\.fpn_convs\.0\.conv\.bias"):
        port(Checkpoint.open(path))


def test_a_classifiers_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="layout='hf': a layout for classifiers; leave it out to write a segmenter in mmseg"
    ):
        segmenter(**TWO_STAGES).save_pretrained(tmp_path / "folder", layout="hf")
    assert not (tmp_path / "folder").exists()


def test_the_papers_head_has_its_widths(tmp_path: Path) -> None:
    model = randomized(SwiftFormerForSemanticSegmentation(tiny_config(id2label=LABELS, **TWO_STAGES)))
    model.save_pretrained(tmp_path)
    assert opened(tmp_path).head == SEGMENTATION_HEADS["semantic_fpn"]


def test_mmsegmentations_own_modules_compute_the_same() -> None:
    """`convert/mmseg_port.py` wrote the file and the logits with mmsegmentation's FPN and FPNHead."""
    path, expected = (
        GOLDEN / "mmseg" / "iter_40000.pth",
        safetensors.numpy.load_file(GOLDEN / "mmseg/expected.safetensors"),
    )
    theirs = expected["logits"]
    ours = np.asarray(opened(path)(expected["images"], training=False))
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    # What must be far off, or the comparison could not tell.
    other = port(Checkpoint.open(path, token_weights="uniform")).model(expected["images"], training=False)
    assert np.abs(np.asarray(other) - theirs).max() > 0.1 * np.abs(theirs).max()


NORMS = {
    f"backbone.norm{number}.{leaf}": (width,)
    for number, width in zip((0, 2), TWO_STAGES["embed_dims"], strict=True)
    for leaf in ("weight", "bias", "running_mean", "running_var")
}


@pytest.mark.parametrize(
    ("key_layout", "token_weights", "stem"),
    [
        ("original", "l2", "backbone.patch_embed.0.weight"),
        ("timm", "l2", "backbone.stem.0.weight"),
        ("hf", "uniform", "backbone.swiftformer.patch_embed.patch_embedding.0.weight"),
    ],
)
def test_norms_between_backbone_and_neck_have_the_original_repositorys_names(
    key_layout: Any, token_weights: Any, stem: str, tmp_path: Path
) -> None:
    """Its `fork_feat=True` puts them there, beside the names of its stages."""
    model = segmenter("normed", token_weights=token_weights, **TWO_STAGES)
    to_checkpoint(model).save(tmp_path / "x.safetensors", key_layout=key_layout)
    tensors = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    found = {key: each.shape for key, each in tensors.items() if key.startswith("backbone.norm")}
    counters = {f"backbone.norm{number}.num_batches_tracked": () for number in (0, 2)}
    assert found == NORMS | counters
    assert stem in tensors
    checkpoint = Checkpoint.open(tmp_path / "x.safetensors")
    assert checkpoint.notes == ()
    back = port(checkpoint).model
    np.testing.assert_array_equal(back.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    checkpoint.save(tmp_path / "y.safetensors", key_layout=key_layout)
    again = safetensors.numpy.load_file(tmp_path / "y.safetensors")
    assert set(again) == set(tensors)
    for key, tensor in again.items():
        np.testing.assert_array_equal(tensor, tensors[key])


def test_norms_of_half_of_the_stages_are_refused_by_name(tmp_path: Path) -> None:
    half = "backbone.norm2."
    path = changed(tmp_path, lambda t: [t.pop(key) for key in [*t] if key.startswith(half)], "normed", **TWO_STAGES)
    with pytest.raises(CheckpointError, match=r"missing \(4\): backbone\.norm2\.weight, .*norm2\.running_var"):
        SwiftFormerForSemanticSegmentation.from_pretrained(path)
    path = changed(
        tmp_path, lambda t: t.update({"backbone.norm1.weight": np.ones(8, np.float32)}), "normed", **TWO_STAGES
    )
    with pytest.raises(CheckpointError, match=r"unexpected \(1\): backbone\.norm1\.weight"):
        Checkpoint.open(path)


def test_a_bare_backbone_with_norms_is_refused(tmp_path: Path) -> None:

    def leave_the_backbone(tensors: dict[str, Any]) -> None:
        for key in [key for key in tensors if not key.startswith("backbone.")]:
            del tensors[key]

    path = changed(tmp_path, leave_the_backbone, "normed", **TWO_STAGES)
    with pytest.raises(CheckpointError, match=r"norm0, norm2 after its stages, and neither .*whole segm"):
        Checkpoint.open(path)


def test_norms_of_a_new_head_are_new(tmp_path: Path) -> None:
    segmenter(**TWO_STAGES).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"new in the head, .* \(8\): ") as said:
        SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path, head=HEADS["normed"])
    names = str(said[0].message).rpartition(": ")[2].split(", ")
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    assert sorted(names) == sorted(f"backbone-norm{number}/{leaf}" for number in (0, 2) for leaf in leaves)


@pytest.mark.parametrize("name", ["folder", "model.keras"])
def test_of_a_head_behind_norms_nothing_fits_one_without(name: str, tmp_path: Path) -> None:
    """Its first matrices would multiply other values."""
    model = segmenter("normed", **TWO_STAGES)
    (model.save if name.endswith(".keras") else model.save_pretrained)(tmp_path / name)
    with pytest.warns(UserWarning, match=r"new in the head, .* \(20\): ") as said:
        SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / name, head=HEADS["semantic_fpn"])
    assert "neck-lateral_convs-0-conv/kernel, " in str(said[0].message)


def test_mmsegmentations_logits_come_back_through_norms(tmp_path: Path) -> None:
    """Norms, and laterals that undo them, in the file that `convert/mmseg_port.py` wrote: its logits stay."""
    expected = safetensors.numpy.load_file(GOLDEN / "mmseg/expected.safetensors")
    to_checkpoint(opened(GOLDEN / "mmseg" / "iter_40000.pth")).save(tmp_path / "x.safetensors")
    tensors, rng = safetensors.numpy.load_file(tmp_path / "x.safetensors"), np.random.default_rng(0)
    for stage, width in enumerate((4, 6, 8, 10)):
        norm = {leaf: rng.uniform(0.5, 1.5, width) for leaf in ("weight", "bias", "running_mean", "running_var")}
        tensors |= {f"backbone.norm{2 * stage}.{leaf}": each.astype(np.float32) for leaf, each in norm.items()}
        # PyTorch's epsilon.
        scale = norm["weight"] / np.sqrt(norm["running_var"] + 1e-5)
        lateral = f"neck.lateral_convs.{stage}.conv"
        kernel = tensors[f"{lateral}.weight"][:, :, 0, 0] / scale
        tensors[f"{lateral}.weight"] = kernel[:, :, None, None].astype(np.float32)
        shift = norm["bias"] - norm["running_mean"] * scale
        tensors[f"{lateral}.bias"] = (tensors[f"{lateral}.bias"] - kernel @ shift).astype(np.float32)
    safetensors.numpy.save_file(tensors, tmp_path / "y.safetensors")
    ours, theirs = np.asarray(opened(tmp_path / "y.safetensors")(expected["images"])), expected["logits"]
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize("name", ["semantic_fpn", "all_mlp"])
def test_norms_fold_into_the_matrices_after_them(name: str, tmp_path: Path) -> None:
    """The deploy graph computes the same without them, and so does a file; `.keras` keeps them."""
    plain = segmenter(name, **TWO_STAGES)
    head = dataclasses.replace(plain.head, feature_norms=True)
    model = randomized(SwiftFormerForSemanticSegmentation(plain.config, head=head))
    norms = [layer.name for layer in model.layers if layer.name.startswith("backbone-norm")]
    assert sorted(norms) == ["backbone-norm0", "backbone-norm2"]
    deploy = fuse(model)
    assert [type(layer) for layer in deploy.layers] == [type(layer) for layer in fuse(plain).layers]
    expected = np.asarray(model(IMAGES, training=False))
    np.testing.assert_allclose(deploy(IMAGES), expected, atol=1e-5 * float(np.abs(expected).max()))
    file = LiteRunner(export(deploy, RECIPES["float32"]))
    np.testing.assert_allclose(file(IMAGES), expected[0], atol=1e-4 * float(np.abs(expected).max()))
    model.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras")
    assert back.head == model.head
    np.testing.assert_array_equal(back(IMAGES, training=False), expected)
