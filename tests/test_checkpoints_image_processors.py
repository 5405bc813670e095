"""What Hugging Face's image processors do where their file does not say, by what transformers 5.23 lists for each."""

from typing import Any

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
    ("values", "message"),
    [
        (
            {"do_flip_channel_order": True},
            r"do_flip_channel_order=True: no transform here does that; reverse the input",
        ),
        ({"rescale_offset": True}, "rescale_offset=True: no transform here does that; set it to false, rescale_factor"),
        ({"include_top": True}, "include_top=True: no transform here does that; set it to false, and image_mean"),
        ({"do_pad": True}, "do_pad=True: no transform here does that; set it to false, or pad the photographs before"),
        (
            {"image_processor_type": "LevitImageProcessor"},
            "image_processor_type='LevitImageProcessor': makes other pixels than any transform here; expected one of "
            "ViTImageProcessor, DeiTImageProcessor, .*PvtImageProcessor: write preprocessor_config.json with the one",
        ),
        ({"feature_extractor_type": ["x"]}, r"feature_extractor_type=\['x'\]: makes other pixels"),
        ({"do_center_crop": True}, "crop_size: missing; do_center_crop wants one, such as 224"),
        (
            {"image_processor_type": "CLIPImageProcessor", "size": 256, "do_center_crop": False},
            "size=256: a shortest_edge without a crop gives pictures of any shape",
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "do_center_crop": True},
            "do_center_crop: ConvNextImageProcessor takes a shortest_edge and crop_pct here, and no second crop",
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
