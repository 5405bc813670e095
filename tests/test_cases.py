"""What a classifier's outputs mean, on two folders of real users, with what transformers' pipeline says of them.

The values are those of transformers 5.23's pipeline, whose image processor, torchvision's, made
`cases_fast_processor.npz` of the photographs. The weights are random and see each rounding: with Pillow's, one step of
255 here and there, 1.png would have 0.83 of a scratch instead of 0.46.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import run

from swiftformer_tf import LiteModel, LiteRunner, port
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.predicting import predictor, probabilities

CASES = Path(__file__).parents[2] / "shared" / "cases"
PIXELS = Path(__file__).with_name("golden") / "cases_fast_processor.npz"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")

SEVERAL, ONE = "01_multilabel_softmax/hf_multi2", "02_one_logit_softmax/hf_one2"

# By folder and photograph, in the order of the labels: scratch, dent, rust, crack, stain.
PIPELINE = {
    (SEVERAL, "0.png"): (0.0, 0.0, 1.0, 0.9998, 0.0002),
    (SEVERAL, "1.png"): (0.4558, 0.0, 0.9912, 1.0, 1.0),
    (ONE, "0.png"): (0.0,),
    (ONE, "1.png"): (0.5527,),
}


@pytest.mark.parametrize(("folder", "name"), PIPELINE)
def test_of_the_same_pixels_the_answers_are_the_pipelines(folder: str, name: str) -> None:
    checkpoint = Checkpoint.open(CASES / folder)
    with np.load(PIXELS) as file:
        pixels = file[name]
    predict, config = predictor(port(checkpoint).model)
    images = config.transform.normalize(pixels[None].astype(np.float32))
    assert probabilities(predict(images), checkpoint)[0] == pytest.approx(PIPELINE[folder, name], abs=1e-4)
    mine = config.transform.crop_image(Image.open(CASES / Path(folder).parent / name).convert("RGB"))
    np.testing.assert_array_equal(mine, pixels)


@pytest.mark.parametrize("folder", [SEVERAL, ONE])
def test_the_command_and_a_file_with_scores_answer_as_the_pipeline(folder: str, tmp_path: Path) -> None:
    photographs = sorted(str(path) for path in (CASES / folder).parent.glob("*.png"))
    labels = Checkpoint.open(CASES / folder).config.labels
    export = ["export", str(CASES / folder), "-o", str(tmp_path), "--recipe", "float32", "--probabilities"]
    assert run(*export).exit_code == 0
    (file,) = tmp_path.glob("*.tflite")
    for model in (CASES / folder, file):
        outcome = run("predict", model, *photographs, "--json")
        for answer in json.loads(outcome.stdout):
            said = {row["label"]: row["score"] for row in answer["labels"]}
            expected = PIPELINE[folder, Path(answer["image"]).name]
            assert [said[label] for label in labels] == pytest.approx(expected, abs=2e-4)
    lite = LiteModel.open(file)
    assert (lite.classifier_activation, lite.config.problem_type) == (
        "sigmoid",
        "multi_label_classification" if folder == SEVERAL else None,
    )
    assert LiteRunner(lite)(np.zeros((1, 64, 64, 3), np.float32)).shape == (len(labels),)
