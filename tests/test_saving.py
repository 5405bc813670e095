"""Folders in Hugging Face's and timm's layout: written, read, and refused where they say something else."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from support.random_models import TWO_STAGES, tiny_config
from support.weight_files import GOLDEN, SMALL, random_checkpoint, refused

from swiftformer_tf import (
    TRANSFORMS,
    CheckpointError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
)
from swiftformer_tf.checkpoints import Checkpoint, config_formats, image_processors, key_layouts
from swiftformer_tf.checkpoints.folders import WEIGHTS
from swiftformer_tf.checkpoints.saving import save_folder

Model = SwiftFormerForImageClassification

LAYOUTS: dict[Any, Any] = {"hf": "uniform", "timm": "l2"}
# What neither library's default is.
UNUSUAL = SMALL.replace(image_size=(40, 56), transform=TRANSFORMS["hf"], num_channels=3, mlp_ratio=2)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def net(tmp_path: Path, layout: Any) -> Path:
    """A folder of the layout with two labels, whose weights say nothing of themselves, as the libraries' do not."""
    checkpoint = random_checkpoint(UNUSUAL.replace(token_weights=LAYOUTS[layout]))
    save_folder(checkpoint, tmp_path / "net", layout=layout)
    bare(tmp_path / "net" / "model.safetensors")
    return tmp_path / "net"


def bare(path: Path) -> None:
    """Takes our record out of a file."""
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, {"format": "pt"})


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**read_json(path), **values}))


def test_the_configuration_is_read_from_the_librarys_own_words(net: Path, layout: str) -> None:
    opened = Checkpoint.open(net)
    # The roundings are those of the library that reads it.
    transform = UNUSUAL.transform.replace(backend="torchvision" if layout == "hf" else "pil")
    assert opened.config == UNUSUAL.replace(token_weights=LAYOUTS[layout], transform=transform)
    assert Checkpoint.open(net / "model.safetensors").config == opened.config
    assert read_json(net / "config.json")["id2label"] == {"0": "cat", "1": "dog"}


def test_the_default_layout_is_the_librarys_that_computes_the_same(tmp_path: Path) -> None:
    for layout, word in LAYOUTS.items():
        save_folder(random_checkpoint(SMALL.replace(token_weights=word)), tmp_path / word)
        assert Checkpoint.open(tmp_path / word).key_layout == layout


def test_a_layout_whose_library_computes_something_else_is_refused(layout: Any, tmp_path: Path) -> None:
    other = {"hf": "l2", "timm": "uniform"}[layout]
    with pytest.raises(CheckpointError, match=f"layout {layout}: its code computes .* token weights, but"):
        save_folder(random_checkpoint(SMALL.replace(token_weights=other)), tmp_path / "net", layout=layout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_come_back_exactly(layout: str, name: str, tmp_path: Path) -> None:
    for size in (224, 192, 384, 300):
        config = SMALL.replace(image_size=size, transform=TRANSFORMS[name])
        if layout == "timm":
            again = config_formats.from_timm(
                config_formats.to_timm(tiny_config(**vars_of(config)), layer_scales=True)
            ).transform
            assert again == config.transform.replace(backend="pil")
        else:
            plain = {key: value for key, value in config_formats.to_hf(config).items() if key != "transform"}
            again = config_formats.from_hf(plain, image_processors.to_values(config.transform)).transform
            # The edge that is resized to is whole pixels, and the same.
            picture = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
            # And the roundings are those of what opens the file, at most one step of 255 from Pillow's.
            transforms = [config.transform.replace(backend="torchvision"), again]
            if again.crop is not None:  # Hugging Face's processors round an odd crop down
                assert (again.resized, again.crop_mode) == (config.transform.resized, "shortest_edge")
                transforms[0] = transforms[0].replace(crop_mode="shortest_edge")
            mine, theirs = (t.crop_image(Image.fromarray(picture)) for t in transforms)
            np.testing.assert_array_equal(mine, theirs)


def vars_of(config: Any) -> dict[str, Any]:
    return {"image_size": config.image_size, "transform": config.transform}


def test_a_models_own_words_of_timm_are_understood() -> None:
    """As a folder of timm's hub has them; names are ImageNet's where nothing else is said."""
    hub = {
        "architecture": "swiftformer_xs",
        "num_classes": 1000,
        "num_features": 220,
        "pretrained_cfg": {
            "tag": "dist_in1k",
            "input_size": [3, 224, 224],
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "crop_pct": 0.95,
            "crop_mode": "center",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "num_classes": 1000,
            "pool_size": None,
            "first_conv": "stem.0",
        },
    }
    config = config_formats.from_timm(hub)
    assert (config.token_weights, config.variant, config.labels[999]) == ("l2", "xs", "toilet tissue")
    assert config.transform == TRANSFORMS["timm"]
    flat = {**hub["pretrained_cfg"], "architecture": "swiftformer_xs"}  # type: ignore[dict-item]
    assert config_formats.from_timm(flat) == config
    named = {**hub, "num_classes": 2, "label_names": ["n1", "n2"], "label_descriptions": {"n1": "cat", "n2": "dog"}}
    assert config_formats.from_timm(named).labels == ("cat", "dog")


def test_the_processor_of_hugging_faces_own_folders_is_understood(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "hf", tmp_path / "hf")
    processor: dict[str, Any] = {"image_processor_type": "ViTImageProcessor", "size": {"height": 192, "width": 256}}
    path = tmp_path / "hf" / "preprocessor_config.json"
    path.write_text(json.dumps({**processor, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    opened = Checkpoint.open(tmp_path / "hf")
    assert opened.config.input_size == (192, 256)
    assert opened.config.transform.interpolation == "bicubic"
    assert (opened.config.transform.mean, opened.config.transform.std) == ((0.5,) * 3, (0.25,) * 3)
    path.write_text(json.dumps({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}))
    assert Checkpoint.open(tmp_path / "hf").config.transform.crop == 0.875
    path.write_text(json.dumps({"size": 160}))  # a feature extractor's of 2022
    assert Checkpoint.open(tmp_path / "hf").config.image_size == 160


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resample": 0}, r"resample=0: expected 2 \(bilinear\) or 3 \(bicubic\)"),
        ({"resample": [2]}, r"resample=\[2\]: expected 2"),
        ({"do_resize": False}, "do_resize=False: leaves images of any size; set it to true"),
        ({"rescale_factor": "x"}, "rescale_factor='x': expected a positive number"),
        (
            {"size": {"shortest_edge": 224}},
            "a shortest_edge without a crop leaves images of any shape; give height and width, or add a crop_size",
        ),
        ({"size": "big"}, r"size=\('big', 'big'\): expected 2 positive ints"),
        ({"size": 256, "do_center_crop": True, "crop_size": {"height": 224, "width": 288}}, "expected a crop within"),
        ({"size": 200, "do_center_crop": True, "crop_size": 224}, "expected a crop within"),
        (
            {"size": {"height": 256, "width": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 192}},
            "with the same share of both sides",
        ),
        ({"image_mean": "3"}, "transform.mean='3': expected a list of numbers"),
    ],
)
def test_a_processor_that_does_something_else_is_refused(values: dict, message: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "hf", tmp_path / "hf")
    (tmp_path / "hf" / "preprocessor_config.json").write_text(json.dumps(values))
    refused(tmp_path / "hf", f"config.json beside it: .*{message}")


@pytest.mark.parametrize("content", ["[]", "{", '"x"'])
def test_a_damaged_processor_is_refused(content: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "hf", tmp_path / "hf")
    (tmp_path / "hf" / "preprocessor_config.json").write_text(content)
    refused(tmp_path / "hf", "preprocessor_config.json beside it")


@pytest.mark.parametrize(
    ("values", "crop", "mean"),
    [
        ({"input_size": [3, 64, 64]}, 0.875, (0.485, 0.456, 0.406)),
        ({"crop_pct": None, "crop_mode": None, "interpolation": None, "mean": None}, 0.875, (0.485, 0.456, 0.406)),
        ({"crop_pct": 0.9, "mean": 0.5, "std": 0.25}, 0.9, (0.5, 0.5, 0.5)),
    ],
)
def test_what_a_file_of_timm_leaves_out_is_what_timm_takes(
    values: dict[str, Any], crop: float, mean: tuple[float, ...]
) -> None:
    """As timm 1.0's `resolve_data_config` says of such a folder: not the 0.95 of its own SwiftFormers."""
    transform = config_formats.from_timm({"architecture": "swiftformer_xs", "pretrained_cfg": values}).transform
    assert (transform.crop, transform.crop_mode, transform.interpolation) == (crop, "center", "bicubic")
    assert transform.mean == mean


def test_names_of_hugging_face_in_a_file_of_timm_are_read() -> None:
    values = {"architecture": "swiftformer_xs", "num_classes": 2, "id2label": {"1": "dog", "0": "cat"}}
    assert config_formats.from_timm(values).labels == ("cat", "dog")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_names": ["a"], "label_descriptions": ["b"]}, r"label_descriptions=\['b'\]: expected a description by"),
        (
            {"architecture": "swiftformer_xxl", "model_args": {}},
            "architecture='swiftformer_xxl': expected one of swift",
        ),
        ({"model_args": {"layers": 3, "embed_dims": [4]}}, "depths=3: expected a list"),
        ({"model_args": [1]}, r"model_args=\[1\]: expected a JSON object"),
        ({"label_names": 7}, "label_names=7: expected a list of names"),
        ({"label_names": {"a": "b"}}, "id2label=.*expected whole numbers as keys"),
        ({"num_classes": -1, "label_names": None, "id2label": None}, "num_labels=-1: expected an int"),
        ({"pretrained_cfg": {"input_size": [3, 224]}}, r"input_size=\[3, 224\]: expected 3 positive ints"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, "crop_mode='border': expected one of center, squash"),
        ({"pretrained_cfg": {"interpolation": "nearest"}}, "transform.interpolation='nearest': expected one of"),
    ],
)
def test_a_configuration_of_timm_that_is_not_computed_here_is_refused(
    values: dict, message: str, tmp_path: Path
) -> None:
    save_folder(random_checkpoint(), tmp_path / "net", layout="timm")
    bare(tmp_path / "net" / "model.safetensors")
    edit(tmp_path / "net" / "config.json", **values)
    refused(tmp_path / "net", f"config.json beside it: .*{message}")
    edit(tmp_path / "net" / "config.json", architecture="resnet18")  # another model's is none of ours
    assert Checkpoint.open(tmp_path / "net").config.labels == ("LABEL_0", "LABEL_1")


def test_what_a_layout_cannot_say_is_refused_and_nothing_left(tmp_path: Path) -> None:
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ("timm", {"hidden_act": "relu"}, "hidden_act='relu': timm's SwiftFormer supports only 'gelu'"),
        ("timm", {"batch_norm_eps": 1e-3}, "batch_norm_eps=0.001: timm's SwiftFormer supports only 1e-05"),
        (
            "hf",
            {"image_size": (64, 32), "token_weights": "uniform"},
            r"\(64, 32\): with crop_mode='center'",
        ),
        ("keras", {}, "layout='keras': expected one of hf, timm"),
    ]
    for layout, fields, message in cases:
        with pytest.raises(CheckpointError, match=message):
            save_folder(random_checkpoint(SMALL.replace(**fields)), tmp_path / "net", layout=layout)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    cases = (
        (tmp_path / "no" / "net", "no such folder", tmp_path / "no"),
        (tmp_path / "file", "a file; expected a folder", tmp_path / "file"),
    )
    for folder, said, named in cases:
        with pytest.raises(OSError, match=re.escape(f"{said}: '{named}'")):
            save_folder(random_checkpoint(), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_backbone_is_written_without_labels(tmp_path: Path) -> None:
    backbone = SwiftFormerModel(tiny_config(token_weights="uniform", **TWO_STAGES))
    backbone.save_pretrained(tmp_path / "net")
    config = read_json(tmp_path / "net" / "config.json")
    assert (config["architectures"], config["id2label"]) == (["SwiftFormerModel"], {})
    assert not Checkpoint.open(tmp_path / "net").has_final_norm


def test_one_head_is_written_as_two_equal_ones(net: Path, layout: Any, tmp_path: Path) -> None:
    one = random_checkpoint(SMALL.replace(token_weights=LAYOUTS[layout], distillation=False))
    save_folder(one, net, layout=layout)
    written = safetensors.numpy.load_file(net / "model.safetensors")
    second = "head_dist" if layout == "timm" else "dist_head"
    for leaf in ("weight", "bias"):
        np.testing.assert_array_equal(written[f"head.{leaf}"], written[f"{second}.{leaf}"])
    counters = [value for key, value in written.items() if key.endswith(key_layouts.COUNTER)]
    assert counters
    assert all(value == 0 for value in counters)
    assert Checkpoint.open(net).config == one.config


# Several files, and none.


def sharded(folder: Path, count: int = 3, name: str = "model.safetensors") -> dict[str, str]:
    """Splits the weights of a folder as the libraries split large ones."""
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {key: f"model-{1 + index % count:05}-of-{count:05}.safetensors" for index, key in enumerate(tensors)}
    for file in set(places.values()):
        safetensors.numpy.save_file({key: tensors[key] for key in tensors if places[key] == file}, folder / file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / f"{name}.index.json").write_text(json.dumps(index))
    return places


def test_sharded_weights_are_one_checkpoint(net: Path) -> None:
    whole = Checkpoint.open(net)
    sharded(net)
    for path in (net, net / "model.safetensors.index.json"):
        opened = Checkpoint.open(path)
        assert opened.config == whole.config
        assert all(np.array_equal(tensor, opened.tensors[key]) for key, tensor in whole.tensors.items())


def test_shards_that_do_not_fit_their_index_are_refused(net: Path) -> None:
    places = sharded(net)
    index, first = net / "model.safetensors.index.json", net / "model-00001-of-00003.safetensors"
    key = next(key for key, file in places.items() if file == first.name)
    cases = {
        "names '../secret', which is not a weight file in the same folder": {**places, key: "../secret"},
        "names '/etc/passwd', which is not a weight file": {**places, key: "/etc/passwd"},
        "names 'model.safetensors.index.json', which is not a weight file": {**places, key: index.name},
        "gone.safetensors is missing, although": {**places, key: "gone.safetensors"},
        r"holds tensors that model.safetensors.index.json does not list \(1\)": {
            k: v for k, v in places.items() if k != key
        },
        r"lists tensors that no file holds \(1\): extra": {**places, "extra": first.name},
    }
    for message, changed in cases.items():
        index.write_text(json.dumps({"weight_map": changed}))
        refused(net, message)
    for content in ("[]", "{}", '{"weight_map": {"a": 1}}'):
        index.write_text(content)
        refused(net, "model.safetensors.index.json has no weight_map")
    index.write_text("{")
    refused(net, "is not JSON")
    index.write_text(json.dumps({"weight_map": places}))
    first.write_bytes(first.read_bytes()[:100])
    refused(net, f"{first.name}: damaged or cut short")


def test_the_first_of_the_names_is_taken(net: Path) -> None:
    (net / "pytorch_model.bin").write_bytes(b"not looked at")
    Checkpoint.open(net)
    assert WEIGHTS[0] == "model.safetensors"
    Checkpoint.open(net).save(net / "again.bin")
    (net / "model.safetensors").unlink()
    (net / "again.bin").replace(net / "pytorch_model.bin")
    assert Checkpoint.open(net).config == Checkpoint.open(net / "pytorch_model.bin").config
    (net / "pytorch_model.bin").unlink()
    refused(net, "a folder without weights; expected one of model.safetensors")
