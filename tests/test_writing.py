"""Every command that writes, on a disk that is full and killed in the middle: what was there is what it was."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from support.commands import run
from support.forks import Forks
from support.random_models import TWO_STAGES, random_classifier
from support.written_files import CURE, files_in, without_waiting

from swiftformer_tf import (
    RECIPES,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    Transform,
    export,
    fuse,
    to_checkpoint,
)
from swiftformer_tf.cli import cli
from swiftformer_tf.deployment.android_folder import GENERATED

Model = SwiftFormerForImageClassification

# What is written below {out}: the command, its files, and the name that an error gives.
WRITING: dict[str, tuple[str, list[str], str]] = {
    "port": ("port {pth} -o {out}/x.keras", ["x.keras"], "x.keras"),
    "port to a .safetensors": ("port {keras} --to timm -o {out}/x.safetensors", ["x.safetensors"], "x.safetensors"),
    "port to a .pth": ("port {keras} --to original -o {out}/x.pth", ["x.pth"], "x.pth"),
    "port to timm's folder": (
        "port {keras} --to timm -o {out}/net",
        ["net/config.json", "net/model.safetensors"],
        "net/model.safetensors",
    ),
    "port to Hugging Face's folder": (
        "port {pth} --token-weights uniform --to hf -o {out}/net",
        ["net/config.json", "net/model.safetensors", "net/preprocessor_config.json"],
        "net/model.safetensors",
    ),
    "export": (
        "export {keras} --recipe float32 -o {out}",
        ["tiny_float32.json", "tiny_float32.tflite"],
        "tiny_float32.tflite",
    ),
    "export --android": (
        "export {keras} --recipe float32 -o {elsewhere} --android {out}",
        ["assets/tiny_float32.tflite", "assets/tiny_labels.txt", "kotlin/swiftformer/Tiny.kt"],
        "",
    ),
    "verify --html": (
        "verify {lite} --reference {keras} --images {pictures} --html {out}/page.html",
        ["page.html"],
        "page.html",
    ),
    "export --html": (
        "export {keras} --recipe float32 -o {elsewhere} --html {out}/page.html",
        ["page.html"],
        "page.html",
    ),
    "debug-quantization --plot": (
        "debug-quantization {integers} --reference {keras} --images {pictures} --count 2 --plot {out}/x.png",
        ["x.png"],
        "x.png",
    ),
    "evaluate --confusion": (
        "evaluate {keras} {pictures} --labels {labels} --confusion {out}/x.png",
        ["x.png"],
        "x.png",
    ),
    "predict": (
        "predict {segmenter} {picture} -o {out}",
        ["picture_mask.png", "picture_overlay.png"],
        "",
    ),
    "demo": (
        "demo --images {pictures} -o {out}",
        ["swiftformer_xs_imagenette.keras"],
        "swiftformer_xs_imagenette.keras",
    ),
}
# Runs once more after it was killed: a command that writes one file, and one that writes several.
AGAIN = ("port", "port to timm's folder")


# What they write is tried in test_training_runs.py; it is read.
ELSEWHERE = {("train", "--output"), ("serve", "--litert-js"), ("demo", "--litert-js")}


def test_every_option_that_names_what_to_write_is_here() -> None:
    named = {
        (name, parameter.opts[-1])
        for name, command in cli.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and isinstance(parameter.type, click.Path) and not parameter.type.exists
    }
    tried = {
        (command.split()[0], "--output" if option == "-o" else option)
        for command, *_ in WRITING.values()
        for option in command.split()
    }
    assert named - tried == ELSEWHERE


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> dict[str, Path]:
    """Files for the commands to read: of a model that is built and converted in a moment."""
    root = tmp_path_factory.mktemp("given")
    model = random_classifier(**TWO_STAGES, image_size=32)
    model.save(root / "tiny.keras")
    deploy = fuse(model)
    bare = to_checkpoint(model, key_layout="original")
    bare.save(root / "bare.bin", key_layout="timm")  # which has no place for a word about the attention type
    for name, recipe, terms in (
        ("tiny", "float32", None),
        ("old", "float32", "of an earlier export"),
        ("tiny_dynamic_int8", "dynamic_int8", None),
    ):
        export(deploy, RECIPES[recipe], license=terms).save(root / f"{name}.tflite")
    pictures = sorted(folder.rglob("*.png"))[:10]
    (root / "pictures").mkdir()
    for path in pictures:
        (root / "pictures" / path.name).symlink_to(path)
    (root / "picture.png").symlink_to(pictures[0])
    whole = Transform(size=(32, 32), crop=None)
    labels = {0: "road", 1: "sky"}
    config = SwiftFormerConfig.from_variant("tiny", image_size=32, id2label=labels, transform=whole)
    SwiftFormerForSemanticSegmentation(config).save(root / "segmenter.keras")
    lines = [f"{path.name} {index}\n" for index, path in enumerate(pictures)]
    (root / "labels.txt").write_text("".join(lines))
    return {
        "pth": root / "bare.bin",
        "keras": root / "tiny.keras",
        "lite": root / "tiny.tflite",
        "old": root / "old.tflite",
        "integers": root / "tiny_dynamic_int8.tflite",
        "pictures": root / "pictures",
        "labels": root / "labels.txt",
        "picture": root / "picture.png",
        "segmenter": root / "segmenter.keras",
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the commands write: something is there that is none of theirs."""
    (tmp_path / "out" / "net").mkdir(parents=True)
    (tmp_path / "out" / "net" / "mine.txt").write_text("mine")
    return tmp_path / "out"


@pytest.fixture
def arguments(given: dict[str, Path], out: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    def filled_in(command: str) -> list[str]:
        places = {**given, "out": out, "elsewhere": tmp_path / "elsewhere"}
        return [word.format(**places) for word in command.split()]

    return filled_in


def put_old(out: Path, names: list[str], given: dict[str, Path]) -> dict[str, bytes]:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        # With what says that a Kotlin class is of the same models and lists their files: others are not written over.
        listed = " ".join(f'"{Path(each).name}"' for each in names)
        text = f"old {name}\n{GENERATED.format(stem='tiny')} {listed}"
        # A class is not written over either if one of its files cannot be read.
        (out / name).write_bytes(given["old"].read_bytes() if name.endswith(".tflite") else text.encode())
    return files_in(out)


@pytest.mark.parametrize("name", WRITING)
def test_on_a_full_disk_the_error_names_file_and_cure(
    name: str,
    given: dict[str, Path],
    arguments: Callable[[str], list[str]],
    out: Path,
    full_disk: Callable[[Path, int], None],
) -> None:
    command, files, named = WRITING[name]
    old = put_old(out, files, given)
    full_disk(out, 20)
    result = run(*arguments(command))
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[-1] == f"Error: {out / named}: {CURE}"
    assert files_in(out) == old


Killed = Callable[[str, int], None]


@pytest.fixture
def killed(forks: Forks, arguments: Callable[[str], list[str]], out: Path, tmp_path: Path) -> Killed:
    """Runs a command that SIGKILL ends before the file of that number moves to `out`."""

    def kill(command: str, moves: int) -> None:
        said = tmp_path / "said"
        status = forks.start("support.killed_commands:killed", moves, str(out), arguments(command), said=said)()
        assert status == -9, said.with_suffix(".err").read_text()  # SIGKILL

    return kill


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.posix
def test_killed_before_the_file_is_in_its_place(
    name: str, given: dict[str, Path], arguments: Callable[[str], list[str]], out: Path, killed: Killed
) -> None:
    command, files, _ = WRITING[name]
    old = put_old(out, files, given)
    killed(command, 1)
    left = files_in(out)
    assert without_waiting(left) == old
    assert {Path(each).name for each in left.keys() - old.keys()} >= {Path(each).name for each in files}
    if name not in AGAIN:
        return
    assert run(*arguments(command)).exit_code == 0
    now = files_in(out)
    assert now.keys() == left.keys()  # What a killed process left is no hindrance.
    assert not [each for each in files if now[each] == old[each]]
    assert now["net/mine.txt"] == b"mine"


@pytest.mark.posix
def test_killed_between_two_files_a_folder_still_opens(
    given: dict[str, Path], arguments: Callable[[str], list[str]], out: Path, killed: Killed
) -> None:
    """Whole files, some of them old; and the weights' own word about themselves is what counts."""
    command = WRITING["port to timm's folder"][0]
    assert run(*arguments(command)).exit_code == 0
    old = files_in(out)
    killed(f"{command} --num-labels 3", 2)
    now = without_waiting(files_in(out))
    assert now.keys() == old.keys()
    assert [each for each in now if now[each] != old[each]] == ["net/config.json"]
    assert Model.from_pretrained(out / "net").config == Model.from_pretrained(given["keras"]).config
