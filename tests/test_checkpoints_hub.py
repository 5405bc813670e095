"""Ids on the Hugging Face hub, against a server on loopback that also fails as networks do."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from support.commands import run
from support.hub_server import COMMIT, Hub, hub_server
from support.weight_files import GOLDEN, SMALL, random_checkpoint

from swiftformer_tf import CheckpointError, SwiftFormerForImageClassification
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.hub import fetch, is_hub_id
from swiftformer_tf.checkpoints.saving import save_folder

NAME = "someone/swiftformer_small.test"
WEIGHTS = "model.safetensors"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tried(hub: Hub, name: str, method: str = "GET") -> list[int]:
    """First byte of each request for a file."""
    return [start for verb, path, start in hub.requests if verb == method and path.endswith(f"/{name}")]


def left(folder: Path) -> list[str]:
    """Whole files in the cache."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and "snapshots" in path.parts)


@pytest.fixture
def checkpoint() -> Checkpoint:
    return random_checkpoint(SMALL)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(tmp_path: Path, cache: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with `checkpoint` in timm's layout, and a cache that is empty."""
    save_folder(checkpoint, tmp_path / "net", layout="timm")
    constants = huggingface_hub.constants
    with hub_server() as server:
        server.repositories[NAME] = files_of(tmp_path / "net")
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # less never reaches the disk
        monkeypatch.setattr(time, "sleep", lambda _: None)  # between huggingface_hub's tries
        yield server


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timm/swiftformer_xs.dist_in1k", True),
        ("MBZUAI/swiftformer-xs@main", True),
        ("MBZUAI/swiftformer-xs@refs/pr/1", True),
        ("swiftformer_xs", False),
        ("./timm/swiftformer", False),
        ("../swiftformer", False),
        ("/timm/swiftformer", False),
        ("a/b/c", False),
        ("weights/model.pth", False),
        ("weights/model.keras", False),
        ("weights/MODEL.TFLITE", False),
        ("", False),
    ],
)
def test_what_is_taken_for_an_id(name: str, expected: bool) -> None:
    assert is_hub_id(name) is expected


def test_what_is_here_is_no_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm" / "net").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not is_hub_id("timm/net")


def test_a_model_is_fetched_once_and_kept(hub: Hub, checkpoint: Checkpoint) -> None:
    model = SwiftFormerForImageClassification.from_pretrained(NAME)
    assert isinstance(model, SwiftFormerForImageClassification)
    assert model.config == checkpoint.config
    np.testing.assert_array_equal(model.get_layer("head").bias, checkpoint.tensors["head.bias"])
    assert tried(hub, WEIGHTS) == [0]
    fetch(f"{NAME}@main")
    fetch(f"{NAME}@{COMMIT}")
    assert tried(hub, WEIGHTS) == [0]


def test_the_cache_serves_where_the_hub_is_away(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetch(NAME)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert fetch(NAME) == folder
    message = r"someone/else: no such file or folder here or in the cache, and the hub at http://127.0.0.1:9 cannot be"
    with pytest.raises(CheckpointError, match=message):
        fetch("someone/else")


def test_only_what_is_needed_is_fetched(hub: Hub) -> None:
    others = ("pytorch_model.bin", "tf_model.h5", "optimizer.pt", "README.md", "flax_model.msgpack")
    hub.repositories[NAME] |= dict.fromkeys(others, b"large")
    assert sorted(path.name for path in fetch(NAME).iterdir()) == ["config.json", WEIGHTS]


def test_shards_and_hugging_faces_layout(hub: Hub, tmp_path: Path) -> None:
    import json

    import safetensors.numpy

    save_folder(random_checkpoint(SMALL.replace(token_weights="uniform")), tmp_path / "hf")
    tensors = safetensors.numpy.load_file(tmp_path / "hf" / WEIGHTS)
    places = {key: f"model-{index % 2}.safetensors" for index, key in enumerate(tensors)}
    files = files_of(tmp_path / "hf")
    del files[WEIGHTS]
    for name in set(places.values()):
        files[name] = safetensors.numpy.save({key: tensors[key] for key in tensors if places[key] == name})
    files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    hub.repositories["someone/sharded"] = files
    assert SwiftFormerForImageClassification.from_pretrained("someone/sharded").config.labels == ("cat", "dog")
    assert tried(hub, "preprocessor_config.json") == [0]
    del hub.repositories["someone/sharded"]["model-1.safetensors"]
    with pytest.raises(CheckpointError, match=r"model-1.safetensors is missing, although model.safetensors"):
        fetch("someone/sharded")


def test_the_tensorflow_port_is_fetched_where_there_is_nothing_else(hub: Hub) -> None:
    hub.repositories["someone/tf"] = {
        name: (GOLDEN / "tf" / name).read_bytes() for name in ("config.json", "tf_model.h5")
    }
    assert SwiftFormerForImageClassification.from_pretrained("someone/tf").config.token_weights == "uniform"


def test_an_interrupted_download_goes_on_by_itself(hub: Hub, checkpoint: Checkpoint) -> None:
    hub.cut[WEIGHTS] = (1, 1000)
    assert SwiftFormerForImageClassification.from_pretrained(NAME).config == checkpoint.config
    assert tried(hub, WEIGHTS) == [0, 1000]


def test_a_download_that_keeps_failing_is_named_and_goes_on_next_time(hub: Hub, cache: Path) -> None:
    whole = hub.repositories[NAME][WEIGHTS]
    hub.cut[WEIGHTS] = (50, 0)
    with pytest.raises(CheckpointError) as caught:
        fetch(NAME)
    assert re.match(
        rf"{NAME}: {WEIGHTS} could not be downloaded from {hub.endpoint} \(\w+: .*\); what has arrived is kept, "
        r"and the next "
        "try continues from there$",
        str(caught.value),
    )
    assert left(cache) == ["config.json"]
    hub.cut[WEIGHTS] = (1, 1000)
    fetch(NAME)
    assert tried(hub, WEIGHTS)[-1] == 1000
    assert (fetch(NAME) / WEIGHTS).read_bytes() == whole


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_damaged_download_is_refused_and_removed(hub: Hub, cache: Path, name: str) -> None:
    hub.damaged.add(name)
    with pytest.raises(
        CheckpointError, match=rf"{name} was damaged during the download: its checksum is \w+\.\.\., the hub's is"
    ):
        fetch(NAME)
    assert name not in left(cache)
    hub.damaged.clear()
    assert (fetch(NAME) / name).read_bytes() == hub.repositories[NAME][name]


def test_a_file_damaged_in_the_cache_is_found(hub: Hub) -> None:
    blob = (fetch(NAME) / WEIGHTS).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0")
    with pytest.raises(CheckpointError, match="the copy was removed, try again"):
        fetch(NAME)
    assert (fetch(NAME) / WEIGHTS).read_bytes() == hub.repositories[NAME][WEIGHTS]


def test_what_the_hub_does_not_have_is_named(hub: Hub) -> None:
    hub.repositories["someone/empty"] = {"README.md": b"soon"}
    for name, said in (
        ("someone/nothing", "no such file or folder here, and the hub at http://127.0.0.1:.* refused it: Repository"),
        (f"{NAME}@v9", "no such file or folder here, and the hub at http://127.0.0.1:.* refused it: Revision"),
        ("someone/empty", "holds no weights; expected one of model.safetensors, "),
    ):
        with pytest.raises(CheckpointError, match=f"^{name}: {said}"):
            fetch(name)
    with pytest.raises(CheckpointError, match=r"^x: expected OWNER/NAME or OWNER/NAME@REVISION"):
        fetch("x")


def test_without_huggingface_hub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    said = r'install huggingface_hub: run pip install "\.\[hub\]" in your clone of swiftformer_tf$'
    with pytest.raises(CheckpointError, match=said):
        SwiftFormerForImageClassification.from_pretrained(NAME)


def test_the_command_takes_the_hub_of_the_environment(hub: Hub, tmp_path: Path) -> None:
    """`HF_ENDPOINT` is read when huggingface_hub is imported: only a process of its own shows that it counts."""

    def info(name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from swiftformer_tf.cli import main; main()", "info", name]
        environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")} | variables
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    found = info(NAME)
    assert (found.returncode, NAME in found.stdout) == (0, True), found.stderr
    assert tried(hub, WEIGHTS) == [0]
    assert left(tmp_path / "home" / "hub") == ["config.json", WEIGHTS]
    refused = info("someone/else", HF_HUB_OFFLINE="1")
    assert refused.returncode == 2
    assert refused.stderr == (
        f"Error: someone/else: no such file or folder here or in the cache, and the hub at {hub.endpoint} cannot be "
        "reached (offline)\n"
    )


def test_an_id_is_a_model_for_commands(hub: Hub, tmp_path: Path) -> None:
    assert "someone/swiftformer_small.test" in run("info", NAME).stdout
    result = run("port", NAME, "-o", tmp_path / "x.keras")
    assert result.exit_code == 0, result.output
    result = run("port", "someone/nothing", "-o", tmp_path / "y.keras")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: someone/nothing: no such file or folder here, and the hub")
    assert len(result.stderr.splitlines()) == 1
