"""The examples, run small: what they train learns, and what they export is what they trained."""

import re
from pathlib import Path

import numpy as np
import pytest
import segmentation


def test_segmentation_learns_and_its_file_agrees_with_keras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "segmentation.tflite")
    assert segmentation.main([file, "--size", "64", "--count", "96", "--epochs", "6"]) == 0
    before, after = map(float, re.findall(r"mIoU \w+ training: +([\d.]+)", capsys.readouterr().out))
    assert after > before + 0.1
    # The comparison tells other logits from this file's.
    inputs = segmentation.draw(2, 64, seed=3)[0].astype(np.float32) / 255
    others = np.random.default_rng(0).normal(size=(2, 64, 64, len(segmentation.CLASSES)))
    assert segmentation.difference(file, inputs, others) > 1000 * segmentation.THRESHOLD


def test_a_pixels_class_is_the_form_around_it() -> None:
    pixels, masks = segmentation.draw(20, 64, seed=0)
    assert pixels.shape == (20, 64, 64, 3)
    assert pixels.dtype == np.uint8
    assert set(np.unique(masks)) == set(range(len(segmentation.CLASSES)))
    # Of any color: by color alone the classes are alike.
    means = [pixels[masks == index].mean() for index in range(len(segmentation.CLASSES))]
    assert max(means) - min(means) < 60
