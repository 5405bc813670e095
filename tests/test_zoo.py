"""The parts of `convert/zoo.py` that need no PyTorch; `make parity` runs it whole (convert/zoo_trial.py)."""

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub.utils
import numpy as np
import pytest
import zoo_card
import zoo_failures
import zoo_state
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image

from swiftformer_tf import (
    TRANSFORMS,
    CheckpointError,
    SwiftFormerForImageClassification,
    Transform,
    evaluate,
)
from swiftformer_tf.deployment.chips import CHIPS, WHICH_RECIPE
from swiftformer_tf.images.labels import imagenet_classes
from swiftformer_tf.images.samples import photographs
from swiftformer_tf.images.transform import open_image
from swiftformer_tf.pipeline import export_files

NAME = "timm/swiftformer_xs.dist_in1k"
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (CheckpointError("no weights\nhere"), f"{NAME}: no weights here"),
        (CheckpointError(f"{NAME}: no weights"), f"{NAME}: no weights"),
        (ConnectionError("refused"), f"{NAME}: ConnectionError: refused"),
        (LocalEntryNotFoundError("no hub"), f"{NAME}: LocalEntryNotFoundError: no hub"),
    ],
)
def test_what_is_known_takes_one_line(problem: Exception, line: str, tmp_path: Path) -> None:
    assert zoo_failures.explain(NAME, problem, tmp_path / "zoo" / "x.log") == line
    assert not list(tmp_path.iterdir())


def refused_connections() -> list[Exception]:
    """What the Hub's client of this version and requests, that of others, raise where nobody listens."""
    raised: list[Exception] = []
    for get in (huggingface_hub.utils.get_session().get, importlib.import_module("requests").get):
        with pytest.raises(Exception) as caught:  # noqa: PT011  (whose type is what the test is about)
            get("http://127.0.0.1:9")
        raised.append(caught.value)
    return raised


def test_a_network_error_of_the_hub_s_client_takes_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    for problem in refused_connections():
        line = zoo_failures.explain(NAME, problem, tmp_path / "x.log")
        assert line.startswith(f"{NAME}: {type(problem).__name__}: ")
        assert "traceback" not in line
    assert not list(tmp_path.iterdir())


def test_a_key_layout_without_a_library_is_refused() -> None:
    libraries = {"timm": "a", "hf": "b"}
    assert zoo_failures.library_for(NAME, "hf", libraries) == "b"
    with pytest.raises(zoo_failures.ZooError) as caught:
        zoo_failures.library_for("me/mine", "original", libraries)
    line = zoo_failures.explain("me/mine", caught.value, Path("x.log"))
    assert line.startswith("me/mine: key layout original, which no library loads; expected timm or hf; ")


def test_what_nobody_foresaw_leaves_its_traceback(tmp_path: Path) -> None:
    """A bug of ours in one line would tell nobody where it is."""
    log = tmp_path / "zoo" / "x.log"
    try:
        raise KeyError("made_of")
    except KeyError as problem:
        line = zoo_failures.explain(NAME, problem, log)
    assert line == f"{NAME}: KeyError: 'made_of' (traceback: {log})"
    written = log.read_text()
    assert written.startswith("Traceback (most recent call last):\n")
    assert f'File "{__file__}", line ' in written
    assert written.endswith("KeyError: 'made_of'\n")


@pytest.mark.parametrize("given", [".", "val/..", "../imagenette/"])
def test_photographs_are_called_as_their_folder_is(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imagenette" / "val" / "tench").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "imagenette")
    assert zoo_card.dataset_name(Path(given)) == "imagenette"
    assert zoo_card.dataset_type(Path(given)) == "imagenette"


def make_zoo(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What `make zoo` would run in a folder."""
    clean = {name: value for name, value in os.environ.items() if name != "PHOTOGRAPHS" and "MAKE" not in name}
    command = ["make", "--file", str(ROOT / "Makefile"), "--dry-run", "--always-make", "zoo", *words]
    folder.joinpath("pyproject.toml").touch()
    return subprocess.run(command, cwd=folder, env=clean | environment, capture_output=True, text=True)


@pytest.mark.parametrize(("there", "lacks"), [((), "train"), (("train",), "val")])
def test_a_misspelled_folder_is_refused_before_a_library_is_loaded(
    there: tuple[str, ...], lacks: str, tmp_path: Path
) -> None:
    for part in there:
        (tmp_path / "typo" / part).mkdir(parents=True)
    # Any of them would raise an error when it is imported.
    for library in ("keras", "tensorflow", "timm", "torch", "transformers"):
        (tmp_path / f"{library}.py").write_text("raise AssertionError\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "convert" / "zoo.py"), "--photographs", "typo"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"--photographs typo: no folder {lacks} in it; expected train/ and val/\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


@pytest.mark.posix
def test_only_the_default_folder_of_photographs_may_be_absent(tmp_path: Path) -> None:
    assert "--photographs" not in make_zoo(tmp_path).stdout
    for done in (make_zoo(tmp_path, "PHOTOGRAPHS=typo"), make_zoo(tmp_path, PHOTOGRAPHS="typo")):
        assert done.returncode
        assert "PHOTOGRAPHS=typo: no such folder" in done.stderr
        assert "zoo.py" not in done.stdout
    for name in ("photographs", "my pictures"):
        tmp_path.joinpath(name).mkdir()
    assert make_zoo(tmp_path).stdout.rstrip().endswith('--photographs "photographs"')
    assert make_zoo(tmp_path, "PHOTOGRAPHS=my pictures").stdout.rstrip().endswith('--photographs "my pictures"')


def test_a_run_without_a_table_ends_without_another_error() -> None:
    """A step that always runs finds no table where an earlier one failed."""
    steps = (ROOT / ".github" / "workflows" / "zoo.yml").read_text("utf-8").split("\n      - ")
    (step,) = [each for each in steps if "run: cat zoo/README.md" in each]
    assert step.startswith("if: always() && hashFiles('zoo/README.md') != ''\n")


@pytest.mark.parametrize("size", [(67, 41), (40, 77), (48, 48)])
@pytest.mark.parametrize(
    "transform",
    [
        *(TRANSFORMS[name].replace(size=(32, 32)) for name in TRANSFORMS),
        TRANSFORMS["timm"].replace(size=(24, 33)),
        TRANSFORMS["timm"].replace(size=(24, 32), crop_mode="squash"),
        TRANSFORMS["hf"].replace(size=(32, 33), crop=0.9, crop_mode="shortest_edge"),
        TRANSFORMS["hf"].replace(size=(32, 32), crop=0.9, crop_mode="height_width"),
    ],
)
def test_the_card_prepares_a_photograph_as_the_evaluation_does(transform: Transform, size: tuple[int, int]) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8))
    names = {"image": picture, "Image": Image}
    exec(zoo_card.preparation(transform), names)
    expected = transform.crop_image(picture).astype(int)
    assert np.asarray(names["image"]).shape == expected.shape
    assert np.abs(np.asarray(names["image"]) - expected).max() <= (transform.backend == "torchvision")


def card_in(folder: Path, model: SwiftFormerForImageClassification) -> str:
    """The card that `zoo.py` would write beside a file of `model`."""
    export_files(model, "float32", folder, stem="tiny", include_preprocessing=True)
    made_of = {"model": NAME, "revision": "0" * 40, "swiftformer_tf": "0", "references": {}, "photographs": "pictures"}
    state = {
        "made_of": made_of,
        "license": "apache-2.0",
        "token_weights": "l2",
        "labels": model.config.num_labels,
        "transform": model.config.transform.to_dict(),
        "accuracy": {},
        "logits": 0.0,
        "files": {"float32": json.loads((folder / "tiny_float32.json").read_text("utf-8"))},
    }
    zoo_card.write(folder, json.loads(json.dumps(state)))
    return (folder / zoo_card.CARD).read_text("utf-8")


def test_the_card_says_which_file_is_for_what(model: SwiftFormerForImageClassification, tmp_path: Path) -> None:
    (section,) = re.findall(r"## Which file\n\n(.*?)\n\n## Use\n", card_in(tmp_path, model), re.DOTALL)
    said, table = section.split("\n\n")
    assert said == f"{WHICH_RECIPE} All files are called in the same way, with float32 input and output:"
    assert table.splitlines()[2:] == [f"| `tiny_float32.tflite` | {CHIPS['float32']} |"]


def test_the_snippet_of_the_card_prints_the_label_that_the_evaluation_counts(
    model: SwiftFormerForImageClassification,
    pixels: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On photographs far from square that lie on their sides, whose labels change if they are only resized."""
    snippet = re.findall(r"```python\n(.*?)```", card_in(tmp_path, model), re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    turned = Image.Exif()
    turned[0x0112] = 6
    for first, second, third in pixels[:12].reshape(4, 3, 64, 64, 3):
        Image.fromarray(np.concatenate([first, second, third], 1)).save("photo.jpg", quality=95, exif=turned)
        exec(compile(snippet, "card", "exec"), {})
        logits = np.asarray(model(model.config.transform(open_image("photo.jpg"))[None], training=False))
        assert capsys.readouterr().out == f"{model.config.labels[logits.argmax()]}\n"


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory, model: SwiftFormerForImageClassification) -> Path:
    """A folder as ImageNet's: scikit-image's pictures in folders of three classes, by their WordNet ids."""
    folder = tmp_path_factory.mktemp("imagenet") / "val"
    pictures = photographs(model.config.transform)[1].pixels
    for number, picture in enumerate(pictures):
        path = folder / list(imagenet_classes())[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return folder


@pytest.fixture
def home(tmp_path: Path, model: SwiftFormerForImageClassification) -> Path:
    """What `zoo.py` exports of a model with ImageNet's first labels."""
    labels = dict(enumerate(list(imagenet_classes().values())[: model.config.num_labels]))
    named = SwiftFormerForImageClassification(model.config.replace(id2label=labels))
    named.set_weights(model.get_weights())
    recipes = ("float32", "float16")
    export_files(named, recipes, tmp_path / "home", stem="home", include_preprocessing=True)
    named.save(tmp_path / "home" / "home.keras")
    return tmp_path / "home"


def test_a_model_begins_with_nothing_but_its_state(tmp_path: Path) -> None:
    home = tmp_path / "zoo" / "model"
    zoo_state.begin(home, {"made_of": 1})
    (home / "model_int8.json").touch()
    zoo_state.begin(home, {"made_of": 2})
    assert [path.name for path in home.iterdir()] == [zoo_state.STATE]
    assert json.loads((home / zoo_state.STATE).read_text("utf-8")) == {"made_of": 2}
    assert [path.name for path in home.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(("step", "state"), [("mkdir", 1), ("write_text", 1), ("rename 1", 1), ("rename 2", None)])
def test_an_interrupted_beginning_leaves_no_folder_without_a_state(
    step: str, state: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "model"
    zoo_state.begin(home, {"made_of": 1})
    name, _, turn = step.partition(" ")
    real, calls = getattr(Path, name), itertools.count(1)

    def interrupted(path: Path, *arguments: Any, **options: Any) -> Any:
        if home.parent in path.parents and next(calls) == int(turn or 1):
            raise KeyboardInterrupt
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        zoo_state.begin(home, {"made_of": 2})
    monkeypatch.undo()
    left = json.loads((home / zoo_state.STATE).read_text("utf-8"))["made_of"] if home.exists() else None
    assert left == state


def test_files_are_evaluated_on_a_folder_of_imagenet(home: Path, imagenet: Path) -> None:
    """Each accuracy is kept as soon as it is counted, and not counted again."""
    state: dict[str, Any] = {"files": {"float32": {}, "float16": {}}, "accuracy": {}}
    zoo_state.evaluate(home, state, imagenet)
    expected = evaluate(home / "home.keras", imagenet).scores.metrics["accuracy"]
    assert 0 < expected < 1
    assert state["accuracy"]["float32"] == pytest.approx(expected)
    assert json.loads((home / zoo_state.STATE).read_text("utf-8")) == state

    interrupted = {"files": state["files"], "accuracy": {"float32": 0.5}}
    (home / "home_float32.tflite").unlink()
    zoo_state.evaluate(home, interrupted, imagenet)
    assert interrupted["accuracy"] == {"float32": 0.5, "float16": state["accuracy"]["float16"]}


def test_without_folders_of_its_classes_nothing_is_evaluated_and_that_is_said(
    home: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state: dict[str, Any] = {"files": {"float32": {}}, "accuracy": {}}
    zoo_state.evaluate(home, state, folder)
    assert state["accuracy"] == {}
    assert capsys.readouterr().err.startswith(f"not evaluated on {folder}: class 'left' is none of")
