"""What Hugging Face's image processors do where their file does not say, by what transformers 5.23 lists for each."""

from typing import Any

import numpy as np
import pytest

from swiftformer_tf.checkpoints import image_processors
from swiftformer_tf.errors import ConfigError

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "size", "crop_mode", "resized", "interpolation", "mean"),
    [
        ("ViTImageProcessor", 224, "center", None, "bilinear", HALF),
        ("ViTImageProcessorFast", 224, "center", None, "bilinear", HALF),
        ("DeiTImageProcessor", 224, "height_width", 256, "bicubic", HALF),
        ("CLIPImageProcessor", 224, "shortest_edge", 224, "bicubic", (0.48145466, 0.4578275, 0.40821073)),
        ("BitImageProcessor", 224, "shortest_edge", 224, "bicubic", (0.48145466, 0.4578275, 0.40821073)),
        ("ConvNextImageProcessor", 384, "center", None, "bicubic", HALF),
        ("MobileNetV2ImageProcessor", 224, "shortest_edge", 256, "bilinear", HALF),
        ("PvtImageProcessor", 224, "center", None, "bicubic", (0.485, 0.456, 0.406)),
    ],
)
def test_what_a_file_leaves_out_is_its_classs(
    name: str, size: int, crop_mode: str, resized: int | None, interpolation: str, mean: tuple[float, ...]
) -> None:
    transform = image_processors.read({"image_processor_type": name, "size": None})
    assert (transform.size, transform.crop_mode) == ((size, size), crop_mode)
    assert (transform.interpolation, transform.mean) == (interpolation, mean)
    assert transform.crop is None if resized is None else transform.resized == (resized, resized)


def test_without_a_class_it_is_vits_as_for_transformers() -> None:
    assert image_processors.read({}) == image_processors.read({"image_processor_type": "ViTImageProcessor"})


@pytest.mark.parametrize(
    ("name", "crop_mode"),
    [
        ("DeiTFeatureExtractor", "height_width"),
        ("ViTImageProcessor", "height_width"),
        ("CLIPFeatureExtractor", "shortest_edge"),
        ("MobileNetV2ImageProcessorFast", "shortest_edge"),
    ],
)
def test_a_size_of_one_number_is_what_its_class_takes_it_for(name: str, crop_mode: str) -> None:
    field = "feature_extractor_type" if name.endswith("Extractor") else "image_processor_type"
    transform = image_processors.read({field: name, "size": 256, "do_center_crop": True, "crop_size": 224})
    assert (transform.crop_mode, transform.resized) == (crop_mode, (256, 256))


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ({}, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)),
        ({"image_mean": 0.5, "image_std": 0.25}, 0.5, 0.25),
        ({"do_normalize": False}, 0.0, 1.0),
        ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [63.75] * 3}, 0.5, 0.25),
        ({"rescale_factor": 1 / 127.5, "image_mean": [1.0, 0.8, 0.6], "image_std": 0.5}, (0.5, 0.4, 0.3), 0.25),
        ({"do_rescale": False, "do_normalize": False}, 0.0, 1 / 255),
    ],
)
def test_pixels_are_scaled_and_normalized_as_transformers_does_it(values: dict[str, Any], mean: Any, std: Any) -> None:
    """As transformers 5.24 has it: `(pixels * rescale_factor - image_mean) / image_std`, each step if it is on."""
    given = {"size": 8, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.25], **values}
    transform = image_processors.read(given)
    assert (transform.mean, transform.std) == (
        pytest.approx(np.broadcast_to(mean, 3)),
        pytest.approx(np.broadcast_to(std, 3)),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.float32)
    expected = pixels * (given.get("rescale_factor", 1 / 255) if given.get("do_rescale", True) else 1)
    if given.get("do_normalize", True):
        expected = (expected - given["image_mean"]) / given["image_std"]
    np.testing.assert_allclose(transform.normalize(pixels), expected, rtol=1e-5, atol=1e-5)


def test_a_size_of_two_numbers_is_height_and_width() -> None:
    assert image_processors.read({"size": [12, 18]}).size == (12, 18)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"do_resize": False}, "do_resize=False: leaves images of any size; set it to true and give the size"),
        ({"rescale_factor": 0}, "rescale_factor=0: expected a positive number, such as 1/255"),
        ({"rescale_factor": "a"}, "rescale_factor='a': expected a positive number"),
        ({"image_mean": "a", "rescale_factor": 1}, r"transform\.mean='a': expected a list of numbers"),
        ({"image_std": ["a"], "rescale_factor": 1}, r"transform\.std=\('a',\): expected a list of numbers"),
        (
            {"do_flip_channel_order": True},
            r"do_flip_channel_order=True: not supported; reverse the input",
        ),
        ({"rescale_offset": True}, "rescale_offset=True: not supported; set it to false, rescale_factor"),
        ({"include_top": True}, "include_top=True: not supported; set it to false, and image_mean"),
        ({"do_pad": True}, "do_pad=True: not supported; set it to false, or pad the photographs yourself"),
        (
            {"image_processor_type": "LevitImageProcessor"},
            "image_processor_type='LevitImageProcessor': not supported; expected one of "
            "ViTImageProcessor, DeiTImageProcessor, .*PvtImageProcessor: name, in preprocessor_config.json, the one",
        ),
        ({"feature_extractor_type": ["x"]}, r"feature_extractor_type=\['x'\]: not supported"),
        ({"do_center_crop": True}, "crop_size: missing; do_center_crop needs one, such as 224"),
        (
            {"image_processor_type": "CLIPImageProcessor", "size": 256, "do_center_crop": False},
            "size=256: a shortest_edge without a crop leaves images of any shape; give height and width, or add a "
            "crop_size",
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "do_center_crop": True},
            "do_center_crop: ConvNextImageProcessor takes a shortest_edge and crop_pct, without a second crop",
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"height": 224, "width": 224}},
            "size={'height': 224, 'width': 224}: ConvNextImageProcessor takes a shortest_edge",
        ),
    ],
)
def test_what_no_transform_does_is_refused_with_a_cure(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        image_processors.read(values)
    assert image_processors.read({name: False for name in values if name in image_processors.SWITCHES})
