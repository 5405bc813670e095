"""From a weight file to a Keras model or to another layout, by the function behind `swiftformer-tf port`."""

from pathlib import Path

import numpy as np
import pytest
from support.weight_files import SMALL, random_checkpoint

from swiftformer_tf import CheckpointError, ConfigError
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.weight_files import PortedFile, port_file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    random_checkpoint(SMALL, key_layout="timm").save(tmp_path / "source.safetensors")
    return tmp_path / "source.safetensors"


def test_another_layout_holds_the_same_weights(source: Path, tmp_path: Path) -> None:
    ported = port_file(source, tmp_path / "out.safetensors", to="original")
    assert isinstance(ported, PortedFile)
    assert ported.path == tmp_path / "out.safetensors"
    before, after = Checkpoint.open(source), Checkpoint.open(ported.path)
    assert after.key_layout == "original"
    assert before.tensors.keys() == after.tensors.keys()
    assert all(np.array_equal(tensor, after.tensors[key]) for key, tensor in before.tensors.items())
    assert ported.notes[0].startswith("timm layout, ")


def test_a_keras_model_comes_back_as_the_same_weights(source: Path, tmp_path: Path) -> None:
    port_file(source, tmp_path / "out.keras")
    back = port_file(tmp_path / "out.keras", tmp_path / "back.safetensors", to="timm")
    assert back.path.read_bytes() == source.read_bytes()


def test_nothing_is_written_where_the_name_is_of_another_form(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"out\.safetensors"):
        port_file(source, tmp_path / "out.safetensors")
    with pytest.raises(CheckpointError, match="none"):
        port_file(tmp_path / "none.safetensors", tmp_path / "out.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["source.safetensors"]
