"""The examples, run small: what they train learns, and what they export is what they trained."""

import re
from pathlib import Path

import labels_and_embedding
import numpy as np
import pytest
import segmentation

pytestmark = pytest.mark.usefixtures("traced")


def test_segmentation_learns_and_its_files_agree_with_keras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    least = {"float32": 92, "float16": 50, "mixed_int8": 26, "int8": 20}
    status = segmentation.main([str(tmp_path), *(word for name in least for word in ("--recipe", name))])
    said = capsys.readouterr().out
    learned = [float(each) for each in re.findall(r"epoch \d+: loss [\d.]+, mIoU ([\d.]+)", said)]
    assert len(learned) == 4
    assert learned[-1] > max(0.7, learned[0] + 0.2)
    (best,) = re.findall(r"trained: mIoU ([\d.]+)%", said)
    assert float(best) == pytest.approx(100 * max(learned), abs=0.06)
    found = re.findall(r"model_(\w+)\.tflite: ([\d.]+) dB against Keras; (\w+)", said)
    assert {name: verdict for name, _, verdict in found} == dict.fromkeys(least, "passed")
    assert all(float(ratio) > least[name] for name, ratio, _ in found)
    assert status == 0
    for kind in ("mask", "overlay"):
        assert len(list((tmp_path / "masks").glob(f"*_{kind}.png"))) == 64


def test_labels_and_embedding_agree_with_keras_in_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    least = {"float32": 92, "dynamic_int8": 26}
    words = [word for name in least for word in ("--recipe", name)]
    assert labels_and_embedding.main([str(tmp_path), "--count", "8", *words]) == 0
    said = capsys.readouterr().out
    found = re.findall(r"embedding_(\w+)\.tflite: embedding ([\d.]+) dB, labels ([\d.]+) dB; passed", said)
    assert [name for name, *_ in found] == list(least)
    assert all(min(map(float, ratios)) > least[name] for name, *ratios in found)


def test_a_pixels_class_is_the_texture_around_it() -> None:
    pixels, masks = segmentation.draw(20, 64, seed=0)
    assert pixels.shape == (20, 64, 64, 3)
    assert pixels.dtype == np.uint8
    assert set(np.unique(masks)) == set(range(len(segmentation.CLASSES)))
    # The shapes have any color: by color alone, the classes are alike.
    means = [pixels[masks == index].mean() for index in range(len(segmentation.CLASSES))]
    assert max(means) - min(means) < 60
