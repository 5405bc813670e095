"""Photographs prepared as timm and transformers prepare them, by pixels that those made (`make golden`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
import safetensors
from PIL import Image

from swiftformer_tf import SwiftFormerConfig, Transform
from swiftformer_tf.checkpoints.config_formats import from_hf, from_timm, to_timm
from swiftformer_tf.checkpoints.image_processors import to_values

GOLDEN = Path(__file__).with_name("golden") / "transforms.safetensors"

with safetensors.safe_open(GOLDEN, "numpy") as file:
    TENSORS = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    CONFIGS: dict[str, dict[str, Any]] = json.loads(file.metadata()["configs"])
PHOTOGRAPHS = [name.removeprefix("photograph ") for name in TENSORS if name.startswith("photograph ")]


def read(values: dict[str, Any]) -> SwiftFormerConfig:
    if "architecture" in values:
        return from_timm(values)
    return from_hf({"model_type": "swiftformer", "num_labels": 3}, values)


def assert_same(transform: Transform, name: str, atol: int = 1) -> None:
    for shown in PHOTOGRAPHS:
        image = Image.fromarray(TENSORS[f"photograph {shown}"])
        expected = TENSORS[f"{name}; {shown}"].astype(int)
        np.testing.assert_allclose(transform.crop_image(image).astype(int), expected, atol=atol, err_msg=shown)


@pytest.mark.parametrize("name", CONFIGS)
def test_pixels_are_those_of_the_library(name: str) -> None:
    transform = read(CONFIGS[name]).transform
    assert (transform.mean, transform.std) == ((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    # To the bit where it is the implementation that the library opens by itself; that of timm is Pillow, which rounds
    # otherwise since version 13, with which the golden pixels were made.
    of_older_pillow = "timm" in name and int(PIL.__version__.partition(".")[0]) < 13
    assert_same(transform, name, atol=int("Pil" in name or of_older_pillow))


@pytest.mark.parametrize("name", CONFIGS)
def test_written_and_read_again_it_is_the_same(name: str) -> None:
    config = read(CONFIGS[name])
    if "architecture" in CONFIGS[name]:
        again = from_timm(to_timm(config, layer_scales=False))
    else:
        values = to_values(config.transform)
        again = from_hf({"model_type": "swiftformer", "num_labels": 3}, values)
    assert_same(again.transform, name)


def test_every_crop_mode_has_a_golden() -> None:
    modes = {read(values).transform.crop_mode for values in CONFIGS.values()}
    assert modes == {"center", "squash", "shortest_edge", "height_width"}


@pytest.mark.parametrize("name", [name for name in CONFIGS if "timm" in name or "Pil" not in name])
def test_the_other_backend_rounds_otherwise(name: str) -> None:
    transform = read(CONFIGS[name]).transform
    other = transform.replace(backend="pil" if transform.backend == "torchvision" else "torchvision")
    assert_same(other, name, atol=1)
    with pytest.raises(AssertionError):
        assert_same(other, name, atol=0)


@pytest.mark.parametrize("field", ["crop", "crop_mode", "interpolation"])
def test_another_transform_gives_other_pixels(field: str) -> None:
    """The tolerance tells each field from its neighbor."""
    name = "CLIP, crop (CLIPImageProcessor)"
    other = {"crop": 0.9, "crop_mode": "center", "interpolation": "bilinear"}[field]
    with pytest.raises(AssertionError):
        assert_same(read(CONFIGS[name]).transform.replace(**{field: other}), name)
