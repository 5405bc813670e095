"""Makes `tests/golden/transforms.safetensors`: photographs, and what the libraries' own transforms make of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import references
import safetensors.numpy
import torch
import transformers
from PIL import Image
from timm.data import create_transform, resolve_data_config

# Wide, tall, square, smaller than what is wanted, and of odd and even sides: each rounds in another way.
SIZES = ((61, 47), (40, 91), (33, 33), (14, 13), (250, 75))

MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]

# `pretrained_cfg` of timm's `config.json`.
TIMM: dict[str, dict[str, Any]] = {
    f"timm, {mode} {share}, {height} x {width}, {interpolation}": {
        "input_size": [3, height, width],
        "crop_mode": mode,
        "crop_pct": share,
        "interpolation": interpolation,
    }
    for mode, share, height, width, interpolation in (
        ("center", 0.95, 16, 16, "bicubic"),
        ("center", 0.875, 17, 17, "bilinear"),
        ("center", 0.95, 12, 18, "bicubic"),
        ("center", 0.875, 19, 11, "bicubic"),
        ("center", 1.0, 12, 18, "bilinear"),
        ("squash", 1.0, 12, 18, "bicubic"),
        ("squash", 0.8, 16, 16, "bicubic"),
        ("squash", 0.9, 11, 19, "bilinear"),
    )
}

CROP = {"do_center_crop": True}
# `preprocessor_config.json` of transformers' image processors.
HF: dict[str, dict[str, Any]] = {
    "ViT": {"size": {"height": 16, "width": 16}, "resample": 2},
    "ViT, 12 x 18": {"size": {"height": 12, "width": 18}, "resample": 3},
    "ViT, crop": {
        **CROP,
        "size": {"height": 19, "width": 19},
        "crop_size": {"height": 16, "width": 16},
        "resample": 3,
    },
    "CLIP": {**CROP, "size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "resample": 3},
    "CLIP, crop": {**CROP, "size": {"shortest_edge": 19}, "crop_size": {"height": 16, "width": 16}, "resample": 3},
    "CLIP, 18 x 11": {**CROP, "size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 11}, "resample": 2},
    "ConvNext": {"size": {"shortest_edge": 16}, "crop_pct": 0.875, "resample": 3},
    # One number is both sides for some, and the shorter edge for the others.
    **{name: {**CROP, "size": 19, "crop_size": 16, "resample": 3} for name in ("DeiT", "Bit", "MobileNetV2")},
    "Pvt": {"size": 16, "resample": 3},
}
PROCESSORS = ("ImageProcessor", "ImageProcessorPil")


def photographs() -> dict[str, np.ndarray]:
    """Noise on a slope, which shows a shift of one pixel and every rounding."""
    rng = np.random.default_rng(0)
    pictures = {}
    for width, height in SIZES:
        slope = np.linspace(0, 120, width)[None, :, None] + np.linspace(0, 80, height)[:, None, None]
        noise = rng.uniform(0, 55, (height, width, 3))
        pictures[f"{width} x {height}"] = (slope + noise).astype(np.uint8)
    return pictures


def of_timm(values: dict[str, Any], image: Image.Image) -> np.ndarray:
    """What timm's evaluation transform gives a model, normalized."""
    transform = create_transform(**resolve_data_config(pretrained_cfg=values), is_training=False)
    return transform(image).numpy()


def of_hf(name: str, values: dict[str, Any], image: Image.Image) -> np.ndarray:
    """What an image processor of transformers gives a model, normalized."""
    processor = getattr(transformers, name)(**values)
    return processor(image, return_tensors="np")["pixel_values"][0]


def as_pixels(normalized: np.ndarray) -> np.ndarray:
    """Channels last, uint8, which is what every one of these transforms had before it normalized."""
    pixels = (normalized.transpose(1, 2, 0) * np.asarray(STD, np.float32) + np.asarray(MEAN, np.float32)) * 255
    assert np.abs(pixels - np.rint(pixels)).max() < 0.01
    return np.ascontiguousarray(np.rint(pixels), np.uint8)


def write(path: Path) -> None:
    """Replaces the file."""
    tensors, configs = {}, {}
    for shown, pixels in photographs().items():
        image = Image.fromarray(pixels)
        tensors[f"photograph {shown}"] = pixels
        for name, row in TIMM.items():
            values = {**row, "mean": MEAN, "std": STD}
            configs[name] = {"architecture": "swiftformer_xs", "num_classes": 3, "pretrained_cfg": values}
            tensors[f"{name}; {shown}"] = as_pixels(of_timm(values, image))
        for name, row in HF.items():
            for kind in PROCESSORS:
                processor = name.split(",")[0] + kind
                values = {**row, "image_mean": MEAN, "image_std": STD, "image_processor_type": processor}
                configs[f"{name} ({processor})"] = values
                tensors[f"{name} ({processor}); {shown}"] = as_pixels(of_hf(processor, values, image))
    versions = json.dumps(references.VERSIONS)
    path.write_bytes(safetensors.numpy.save(tensors, {"versions": versions, "configs": json.dumps(configs)}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(Path(__file__).parents[1] / "tests" / "golden" / "transforms.safetensors")
