"""The examples, run small: what they train learns, and what they export is what they trained."""

import re
from pathlib import Path

import numpy as np
import pytest
import segmentation

pytestmark = pytest.mark.usefixtures("traced")


def test_segmentation_learns_and_its_files_agree_with_keras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--size", "64", "--count", "96", "--epochs", "6", "--recipe", "float32", "--recipe", "float16"]
    segmentation.main([str(tmp_path), *small])  # trained so little, it may answer one class alone, which is refused
    said = capsys.readouterr().out
    before, after = map(float, re.findall(r"mIoU \w+ training: +([\d.]+)", said))
    assert after > before + 0.1
    ratios = {name: float(ratio) for name, ratio in re.findall(r"(\w+)\.tflite: ([\d.]+) dB against Keras", said)}
    assert ratios["segmenter_float32"] > 92
    assert ratios["segmenter_float16"] > 40


def test_a_pixels_class_is_the_form_around_it() -> None:
    pixels, masks = segmentation.draw(20, 64, seed=0)
    assert pixels.shape == (20, 64, 64, 3)
    assert pixels.dtype == np.uint8
    assert set(np.unique(masks)) == set(range(len(segmentation.CLASSES)))
    # Of any color: by color alone the classes are alike.
    means = [pixels[masks == index].mean() for index in range(len(segmentation.CLASSES))]
    assert max(means) - min(means) < 60
