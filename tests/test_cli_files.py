"""info, port and predict."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from support.commands import run
from support.random_models import TWO_STAGES, random_classifier, random_images, tiny_config

from swiftformer_tf import LiteModel, SwiftFormerForImageClassification, SwiftFormerModel, to_checkpoint
from swiftformer_tf.checkpoints import Checkpoint

Model = SwiftFormerForImageClassification

ASSUMED = (
    "assumed, since files of the original repository do not say; weights of its first release (before July 2023) need "
    "--token-weights uniform"
)


@pytest.fixture
def checkpoint(tmp_path: Path, model: Model) -> Path:
    """An original-layout file, which does not say which attention type it is for."""
    from swiftformer_tf.checkpoints import key_layouts, torch_zip

    tensors, path = to_checkpoint(model).tensors, tmp_path / "tiny.pth"
    named = {name: tensors[key] for key, name in key_layouts.from_canonical(tensors, "original").items()}
    torch_zip.write(path, named, "model", None)
    return path


def test_info_fits_a_narrow_terminal(
    lite: Callable[..., LiteModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lite("int8").save(tmp_path / "x.tflite")
    lines = run("info", tmp_path / "x.tflite").stdout.splitlines()[1:]
    assert max(map(len, lines)) <= 80
    assert lines[lines.index("  sha256") + 1] == f"    {lite('int8').sha256}"  # in one piece, to be copied


def test_info_of_each_kind(
    saved: Path, checkpoint: Path, lite: Callable[..., LiteModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    lite("int8").save(tmp_path / "renamed.tflite")
    for path, kind in ((saved, "keras"), (checkpoint, "checkpoint"), (tmp_path / "renamed.tflite", "tflite")):
        shown = run("info", path)
        assert shown.exit_code == 0
        assert shown.stdout.splitlines()[0] == str(path)
        facts = dict(line.strip().split("  ", 1) for line in shown.stdout.splitlines()[1:])
        assert facts["kind"].strip() == kind
        assert facts["variant"].strip() == "non-standard"
        assert facts["token weights"].strip().startswith("l2" + (", assumed" if kind == "checkpoint" else ""))
        assert (ASSUMED in " ".join(shown.stdout.split())) == (kind == "checkpoint")
        assert "token weights assumed" not in facts
        assert facts["labels"].strip().startswith("class 0, class 1" if kind != "checkpoint" else "LABEL_0, LABEL_1")
        assert facts["size"].strip() == f"{path.stat().st_size / 1e6:.2f} MB"
        assert max(map(len, shown.stdout.splitlines()[1:])) <= 250
        document = json.loads(run("info", path, "--json").stdout)
        assert (document["file"], document["kind"], document["num_labels"]) == (str(path), kind, 10)
        assert document["bytes"] == path.stat().st_size
    assert facts["metadata name"].strip() == "SwiftFormer int8"
    assert facts["metadata output name"].strip() == "logits"


def test_port_writes_a_model_and_says_what_it_assumed(checkpoint: Path, tmp_path: Path, model: Model) -> None:
    target = tmp_path / "ported.keras"
    result = run("port", checkpoint, "-o", target)
    assert result.exit_code == 0, result.output
    assert "original layout, non-standard architecture, 10 labels" in result.stderr
    assert f"token weights: l2, {ASSUMED}\n" in result.stderr
    assert result.stdout == f"{target}: {len(model.weights)} tensors\n"
    image = random_images(1, 64, 64, 3)
    np.testing.assert_array_equal(keras.models.load_model(target)(image), model(image))


def test_port_follows_the_attention_type_given(checkpoint: Path, tmp_path: Path) -> None:
    result = run("port", checkpoint, "-o", tmp_path / "x.keras", "--token-weights", "uniform")
    assert result.stderr.splitlines()[-1] == "token weights: uniform"
    assert keras.models.load_model(tmp_path / "x.keras").config.token_weights == "uniform"


def test_port_refuses_another_suffix_and_a_missing_folder(checkpoint: Path, tmp_path: Path) -> None:
    result = run("port", checkpoint, "-o", tmp_path / "x.h5")
    assert result.exit_code == 2
    assert "expected a name that ends in .keras; for weights, choose original, timm or hf with --to" in result.stderr
    checkpoint.write_bytes(b"never read")
    target = tmp_path / "no" / "x.keras"
    result = run("port", checkpoint, "-o", target)
    assert result.exit_code == 2
    assert f"Error: {target}: no such folder: {target.parent}; make it first" in result.stderr


def test_port_refuses_a_model_that_has_no_weights_any_more(lite: Callable[..., LiteModel], tmp_path: Path) -> None:
    lite("float32").save(tmp_path / "x.tflite")
    result = run("port", tmp_path / "x.tflite", "-o", tmp_path / "x.keras")
    assert result.exit_code == 2
    assert result.stderr == f"Error: {tmp_path / 'x.tflite'}: a TFLite model; expected a .keras model or a checkpoint\n"
    assert not (tmp_path / "x.keras").exists()


@pytest.mark.parametrize("name", ["out.safetensors", "out.pth", "folder"])
@pytest.mark.parametrize("to", ["hf", "timm", "original"])
def test_port_writes_weights_back(saved: Path, tmp_path: Path, model: Model, to: str, name: str) -> None:
    result = run("port", saved, "-o", tmp_path / name, "--to", to)
    if to == "hf":  # these weights are for l2
        assert result.exit_code == 2
        assert "layout hf: its code computes uniform token weights, but these weights are for l2" in result.stderr
        assert list(tmp_path.iterdir()) == []
    elif (to, name) == ("original", "folder"):
        assert result.exit_code == 2
        assert "expected a name that ends in .safetensors or .pth" in result.stderr
    else:
        assert result.exit_code == 0, result.output
        opened = Checkpoint.open(tmp_path / name)
        assert opened.key_layout == to
        expected = to_checkpoint(model)
        assert all(np.array_equal(tensor, opened.tensors[key]) for key, tensor in expected.tensors.items())


def test_port_makes_new_heads_and_says_so(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    result = run("port", saved, "-o", tmp_path / "two.keras", "--labels", tmp_path / "labels.txt")
    assert "labels: the heads for 10 labels are dropped; new ones for 2 labels have random weights" in result.stderr
    assert keras.models.load_model(tmp_path / "two.keras").config.labels == ("cat", "dog")
    result = run("port", saved, "-o", tmp_path / "net", "--to", "timm", "--labels", "imagenet")
    assert "new ones for 1000 labels" in result.stderr
    config = json.loads((tmp_path / "net" / "config.json").read_text())
    assert config["id2label"]["0"] == config["label_names"][0] == "tench"
    (tmp_path / "ten.txt").write_text("".join(f"name {index}\n" for index in range(10)))
    result = run("port", saved, "-o", tmp_path / "ten.safetensors", "--to", "timm", "--labels", tmp_path / "ten.txt")
    assert "labels: the weights of the 10 outputs are kept" in result.stderr
    assert Checkpoint.open(tmp_path / "ten.safetensors").config.labels[9] == "name 9"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "no.txt"], "no.txt: cannot be read as a list of labels"),
        (["--labels", "{folder}/blank.txt"], "blank.txt, line 2: empty, expected a label"),
        (
            ["--labels", "imagenet", "--num-labels", "3"],
            "labels imagenet has 1000 names, but --num-labels is 3; give one of the two",
        ),
        (["--num-labels", "0"], "0 is not in the range x>=1"),
    ],
)
def test_port_refuses_labels_that_are_none(saved: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "blank.txt").write_text("cat\n\ndog\n")
    told = [argument.format(folder=tmp_path) for argument in arguments]
    result = run("port", saved, "-o", tmp_path / "x.keras", *told)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "x.keras").exists()


def test_a_folder_is_a_model_for_every_command(tmp_path: Path, model: Model, few: Path) -> None:
    model.save_pretrained(tmp_path / "net")
    picture = min(few.rglob("*.png"))
    facts = json.loads(run("info", tmp_path / "net", "--json").stdout)
    assert facts["scheme"] == "timm"
    assert re.search(r"^  key layout +timm$", run("info", tmp_path / "net").stdout, re.MULTILINE)
    assert facts["bytes"] == sum(path.stat().st_size for path in (tmp_path / "net").iterdir())
    assert run("predict", tmp_path / "net", picture).exit_code == 0
    result = run("export", tmp_path / "net", "-o", tmp_path / "out", "--recipe", "float32", "--images", few)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "net_float32.tflite").is_file()
    verify = ("verify", tmp_path / "out" / "net_float32.tflite", "--reference", tmp_path / "net", "--images", few)
    assert run(*verify).exit_code == 0


def test_a_folder_names_its_files_by_its_own_whole_name(
    tmp_path: Path, few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from within it, and with dots in it, as timm's names have; and of gray photographs there is an app, too."""
    net = tmp_path / "net.in1k"
    random_classifier(num_channels=1, **TWO_STAGES).save_pretrained(net)
    monkeypatch.chdir(net)
    photographs = ("--calibration", few, "--images", few)
    result = run("export", ".", "-o", tmp_path / "out", "--recipe", "int8", *photographs, "--android", tmp_path / "app")
    assert result.exit_code in (0, 1), result.output  # random weights do not pass
    assert (tmp_path / "out" / "net.in1k_int8.tflite").is_file()
    (kotlin,) = (tmp_path / "app").rglob("*.kt")
    assert kotlin.name == "NetIn1k.kt"
    assert run("predict", tmp_path / "out" / "net.in1k_int8.tflite", min(few.rglob("*.png"))).exit_code == 0


def test_predict_ranks_labels(saved: Path, folder: Path, model: Model, pixels: np.ndarray) -> None:
    paths = sorted(folder.rglob("*.png"))[:2]
    document = json.loads(run("predict", saved, *paths, "--top", "3", "--json").stdout)
    assert [entry["image"] for entry in document] == [str(path) for path in paths]
    logits = np.asarray(model(np.stack([model.config.transform(path) for path in paths])))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for entry, expected in zip(document, scores, strict=True):
        order = np.argsort(-expected)[:3]
        assert [label["index"] for label in entry["labels"]] == order.tolist()
        assert [label["label"] for label in entry["labels"]] == [model.config.labels[i] for i in order]
        np.testing.assert_allclose([label["score"] for label in entry["labels"]], expected[order], atol=1e-5)


def test_predict_prints_lines(lite: Callable[..., LiteModel], folder: Path, tmp_path: Path) -> None:
    lite("int8").save(tmp_path / "x.tflite")
    picture = min(folder.rglob("*.png"))
    shown = run("predict", tmp_path / "x.tflite", picture)
    first, *lines = shown.stdout.splitlines()
    assert (first, len(lines)) == (str(picture), 5)
    assert all("%" in line and "class" in line for line in lines)
    assert len(run("predict", tmp_path / "x.tflite", picture, "--top", "99").stdout.splitlines()) == 11


def test_predict_stops_at_an_unreadable_picture_before_it_prints(saved: Path, folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("no picture")
    result = run("predict", saved, min(folder.rglob("*.png")), broken)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {broken}: cannot be read as a picture (")


def test_predict_asks_for_its_photographs_before_it_opens_the_model(saved: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.keras").write_bytes(saved.read_bytes()[:100])
    picture = min(folder.rglob("*.png"))
    (tmp_path / "none").mkdir()
    none = "no photographs in this folder; expected .jpg, .png or others that Pillow opens"
    for path, said in ((tmp_path / "none", none), (tmp_path / "no.jpg", "no such file")):
        result = run("predict", tmp_path / "cut.keras", picture, path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"Error: {path}: {said}\n"


def test_predict_takes_all_photographs_of_a_folder(saved: Path, few: Path) -> None:
    pictures = sorted(few.rglob("*.png"))
    result = run("predict", saved, few, pictures[0], "--top", "1", "--json")
    assert [each["image"] for each in json.loads(result.stdout)] == [str(path) for path in (*pictures, pictures[0])]


def test_predict_without_labels_gives_features(tmp_path: Path, folder: Path) -> None:
    model = random_classifier(id2label={}, **TWO_STAGES)
    model.save(tmp_path / "x.keras")
    picture = min(folder.rglob("*.png"))
    expected = model.predict_on_batch(model.config.transform(picture)[None])[0]
    (told,) = json.loads(run("predict", tmp_path / "x.keras", picture, "--json").stdout)
    assert told == {"image": str(picture), "features": expected.tolist()}
    shown = run("predict", tmp_path / "x.keras", picture, "--top", "2")
    assert shown.stdout.splitlines()[1] == f"  {len(expected)} numbers: {expected[0]:.4g} {expected[1]:.4g} ..."
    everything = run("predict", tmp_path / "x.keras", picture, "--top", str(len(expected)))
    assert everything.stdout.count(".") > 0
    assert "..." not in everything.stdout


def test_predict_takes_no_maps_of_features(tmp_path: Path, folder: Path) -> None:
    SwiftFormerModel(tiny_config(**TWO_STAGES)).save(tmp_path / "x.keras")
    picture = min(folder.rglob("*.png"))
    result = run("predict", tmp_path / "x.keras", picture)
    shape = f"{tmp_path / 'x.keras'}: features of shape (None, None, None, 12)"
    said = f"{shape}: expected (batch, n), a vector for each photograph; pool maps, "
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {said}as a classifier without labels does\n"
