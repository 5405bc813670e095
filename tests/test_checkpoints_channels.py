"""Trained weights for another number of input channels, as timm's `in_chans` makes them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.weight_files import random_checkpoint

from swiftformer_tf import ConfigError, SwiftFormerForImageClassification, SwiftFormerModel
from swiftformer_tf.checkpoints.input_channels import STEM, with_input_channels


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        # timm 1.0.31's adapt_input_conv(channels, [1, 2, 3]).
        (1, [6.0]),
        (2, [1.5, 3.0]),
        (4, [0.75, 1.5, 2.25, 0.75]),
        (5, [0.6, 1.2, 1.8, 0.6, 1.2]),
    ],
)
def test_kernels_are_timms(channels: int, expected: list[float]) -> None:
    checkpoint = random_checkpoint()
    kernel = np.ones_like(checkpoint.tensors[STEM]) * np.array([1, 2, 3], np.float32)[:, None, None]
    known = dataclasses.replace(checkpoint, tensors={**checkpoint.tensors, STEM: kernel})
    adapted = with_input_channels(known, channels)
    assert adapted.tensors[STEM].shape == (len(kernel), channels, 3, 3)
    assert adapted.tensors[STEM][0, :, 0, 0] == pytest.approx(expected)
    assert len(adapted.config.transform.mean) == adapted.config.num_channels == channels


@pytest.mark.parametrize("kind", [SwiftFormerForImageClassification, SwiftFormerModel])
def test_a_gray_photograph_is_answered_as_one_of_three_equal_channels(
    kind: type[SwiftFormerForImageClassification | SwiftFormerModel], tmp_path: Path
) -> None:
    random_checkpoint().save(tmp_path / "rgb.safetensors")
    colored = kind.from_pretrained(tmp_path / "rgb.safetensors")
    gray = kind.from_pretrained(tmp_path / "rgb.safetensors", num_channels=1)
    assert gray.config.num_channels == 1
    pixels = np.random.default_rng(0).normal(size=(2, 64, 64, 1)).astype(np.float32)
    expected = np.asarray(colored(np.repeat(pixels, 3, axis=-1), training=False))
    np.testing.assert_allclose(np.asarray(gray(pixels, training=False)), expected, rtol=1e-4, atol=1e-5)
    # In a Keras file, too; and the number that it already has changes nothing.
    gray.save(tmp_path / "gray.keras")
    again = kind.from_pretrained(tmp_path / "gray.keras", num_channels=1)
    np.testing.assert_array_equal(again.get_weights()[0], gray.get_weights()[0])
    with pytest.raises(ConfigError, match="num_channels=4: the weights take 1; expected weights with 3 channels"):
        kind.from_pretrained(tmp_path / "gray.keras", num_channels=4)
    with pytest.raises(ConfigError, match="num_channels=0: expected"):
        kind.from_pretrained(tmp_path / "rgb.safetensors", num_channels=0)
