"""Real photographs and masks: CamVid's validation part, where it lies beside the repository."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    SwiftFormerForSemanticSegmentation,
    calibrate,
    export,
    fuse,
    verify,
)
from swiftformer_tf.evaluation import evaluate_segmentation
from swiftformer_tf.images.masks import VOID, MaskFolder, count_pixels

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def test_camvid_is_read(camvid: Path) -> None:
    """All pairs, at their size; shares of classes as counted by others (car 1.8 %, bicyclist 2.2 % of all of val)."""
    folder = MaskFolder.open(camvid)
    assert len(folder) == 21
    for image, labels in folder:
        assert (image.size, labels.shape) == ((480, 360), (360, 480))
        assert set(np.unique(labels)) <= {*range(11), VOID}
    shares = dict(zip(folder.classes.labels, count_pixels(folder) / count_pixels(folder).sum(), strict=True))
    assert shares["car"] == pytest.approx(0.018, abs=0.005)
    assert shares["bicyclist"] == pytest.approx(0.022, abs=0.006)
    assert max(shares, key=lambda label: shares[label]) == "road"


@pytest.fixture(scope="module")
def published() -> Iterator[SwiftFormerForSemanticSegmentation]:
    """The segmenter of the results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(RESULTS), *sys.path])
        script = importlib.import_module("camvid")
        yield script.published(RESULTS / "camvid" / script.WEIGHTS)


@pytest.fixture(scope="module")
def calibrated(camvid: Path, published: SwiftFormerForSemanticSegmentation) -> tuple[DeployModel, Calibration]:
    deploy = fuse(published, classifier_activation="softmax")
    return deploy, calibrate(deploy, camvid.parent / "train")


@pytest.mark.parametrize(("recipe", "agreement"), [("int8", 0.99), ("mixed_int8", 0.995)])
def test_integers_answer_as_keras_at_the_published_size(
    recipe: str,
    agreement: float,
    camvid: Path,
    published: SwiftFormerForSemanticSegmentation,
    calibrated: tuple[DeployModel, Calibration],
) -> None:
    """What `docs/results/camvid_files.py` measures on all of val, on a few of its pictures: 99.44 and 99.52 % there."""
    deploy, calibration = calibrated
    file = export(deploy, RECIPES[recipe], calibration=calibration)
    report = verify(file, reference=published, images=MaskFolder.open(camvid).images[::7])
    assert report.passed, [each for each in report.checks if each.status != "passed"]
    assert report.measured["agreement"] >= agreement


def test_the_published_weights_know_streets(camvid: Path, published: SwiftFormerForSemanticSegmentation) -> None:
    whole = MaskFolder.open(camvid)
    few = MaskFolder(whole.images[::7], whole.masks[::7], whole.classes)
    confusion = evaluate_segmentation(published.predict_on_batch, published.config, few)
    assert confusion.pixel_accuracy > 0.85  # 90.35 % of all 101
    assert confusion.mean_iou > 0.5  # 63.3 % of all 101


def test_of_the_data_only_figures_and_weights_are_in_the_repository() -> None:
    """No picture of CamVid, whose license forbids commercial use; what the wheel has is in `test_wheel.py`."""
    folder = RESULTS / "camvid"
    pictures = {"loss.png"}  # a plot
    assert {path.name for path in folder.iterdir() if path.suffix not in (".json", ".md", ".safetensors")} == pictures
    (weights,) = folder.glob("*.safetensors")
    assert weights.stat().st_size < 8e6
    with safetensors.safe_open(weights, "np") as tensors:
        assert tensors.metadata()["license"] == "CC BY-NC 4.0"
        assert {str(tensors.get_tensor(key).dtype) for key in tensors.keys()} == {"float16"}  # noqa: SIM118
