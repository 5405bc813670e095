"""The photographs that a pip package ships."""

import importlib.util

import numpy as np
import pytest

from swiftformer_tf import ImageError, Transform
from swiftformer_tf.images.samples import PHOTOGRAPHS, photographs


def test_two_sets_of_different_crops_in_the_size_wanted() -> None:
    pytest.importorskip("skimage")
    calibration, holdout = photographs(Transform(size=(48, 64)))
    for pictures, names in ((each.pixels, each.names) for each in (calibration, holdout)):
        assert len(names) == len(pictures) == len(set(names))
        assert pictures.dtype == np.uint8
        assert pictures.shape[1:] == (48, 64, 3)
        assert len(pictures) >= 50
        assert pictures.std(axis=(1, 2, 3)).min() > 1  # pictures, not planes
    assert {name.partition(",")[0] for name in holdout.names} == set(PHOTOGRAPHS.values())
    assert not {each.tobytes() for each in calibration.pixels} & {each.tobytes() for each in holdout.pixels}
    assert not {*calibration.names} & {*holdout.names}


def test_without_the_package_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = r"give a folder of your own \(`images`\), or install the demo's: run pip install \"\.\[demo\]\" in your cl"
    with pytest.raises(ImageError, match=said):
        photographs(Transform())
