"""A saved classifier loaded again: as it was, with other labels, without any."""

from pathlib import Path

import numpy as np
import pytest
from support.random_models import TWO_STAGES, random_classifier, random_images, tiny_config

from swiftformer_tf import (
    CheckpointError,
    ConfigError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    to_checkpoint,
)
from swiftformer_tf.checkpoints.relabeling import relabel

Model = SwiftFormerForImageClassification


@pytest.fixture(scope="module")
def model() -> Model:
    """A classifier for ten labels. Shared: do not change it."""
    return random_classifier(**TWO_STAGES)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Path:
    """`model` as a `.keras` file."""
    path = tmp_path_factory.mktemp("saved") / "small.keras"
    model.save(path)
    return path


def test_a_folder_is_loaded_as_a_model(tmp_path: Path, model: Model) -> None:
    model.save_pretrained(tmp_path / "net")
    image = random_images(1, 64, 64, 3)
    again = Model.from_pretrained(tmp_path / "net")
    assert again.config == model.config
    np.testing.assert_array_equal(again(image), model(image))


def test_other_labels_make_new_heads_aloud(saved: Path, model: Model) -> None:
    with pytest.warns(UserWarning, match="heads for 10 labels are dropped; new ones for 3 labels have random weights"):
        three = Model.from_pretrained(saved, num_labels=3)
    assert three.config.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    kept, before = to_checkpoint(three).tensors, to_checkpoint(model).tensors
    assert all(np.array_equal(kept[key], before[key]) for key in before if not key.startswith("head"))
    assert 0.01 < kept["head.weight"].std() < 0.025
    assert not np.array_equal(kept["head.weight"], kept["head_dist.weight"])
    assert not kept["head.bias"].any()


def test_as_many_labels_rename_the_outputs(saved: Path, model: Model) -> None:
    names = {index: f"name {index}" for index in range(10)}
    renamed = Model.from_pretrained(saved, id2label=names)  # no warning, which would be an error
    assert renamed.config.id2label == names
    np.testing.assert_array_equal(renamed.get_layer("head").kernel, model.get_layer("head").kernel)


def test_labels_that_contradict_each_other_are_refused(saved: Path) -> None:
    with pytest.raises(ConfigError, match="num_labels=3: id2label has 1 label; give one of the two"):
        Model.from_pretrained(saved, num_labels=3, id2label={0: "cat"})
    with pytest.raises(ConfigError, match="num_labels=-1: expected an int from 0"):
        Model.from_pretrained(saved, num_labels=-1)


def test_heads_can_be_left_out_and_put_on_again(saved: Path) -> None:
    whole = Model.from_pretrained(saved)
    none, said = relabel(to_checkpoint(whole), {})
    assert (none.config.num_labels, said) == (0, "the heads for 10 labels are dropped; features come out")
    pooled = Model.from_pretrained(saved, num_labels=0)  # no warning, which would be an error: nothing is new
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    expected = Model(whole.config.replace(id2label={}), share_layers_with=whole)(images)
    np.testing.assert_allclose(pooled(images), expected, atol=1e-5)
    again, said = relabel(none, {0: "cat"}, seed=3)
    assert said == "there were no heads; new ones for 1 label have random weights (seed 3) and must be trained"
    assert again.tensors["head.weight"].shape == (1, 12)
    with pytest.raises(CheckpointError, match="a backbone without the classifier's normalization; no new head"):
        relabel(to_checkpoint(SwiftFormerModel(tiny_config(**TWO_STAGES))), {0: "cat"})
