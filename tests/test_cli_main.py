"""The command as a whole: help, misuse, silence, exit statuses."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from support.commands import run
from support.weight_files import GOLDEN

import swiftformer_tf
from swiftformer_tf import SEGMENTATION_HEADS, LiteModel
from swiftformer_tf.cli import cli
from swiftformer_tf.cli.console import EVALUATE_OPTIONS, TASK_OPTIONS
from swiftformer_tf.cli.options import in_options

PACKAGE = Path(swiftformer_tf.__file__).parent

COMMANDS = [
    *("info", "port", "export", "verify", "predict", "train", "evaluate"),
    *("benchmark", "debug-quantization", "serve", "demo"),
]


def script() -> str:
    """Where pip installed it: on Windows not beside Python, and with an ending."""
    found = shutil.which("swiftformer-tf", path=sysconfig.get_path("scripts"))
    assert found
    return found


def command(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The installed script in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run(
        [script(), *map(str, arguments)], capture_output=True, text=True, timeout=3600, cwd=cwd, env=environment
    )


def test_every_command_is_listed_and_has_examples() -> None:
    assert list(cli.commands) == COMMANDS
    listed = CliRunner().invoke(cli, ["--help"], terminal_width=80)
    assert listed.exit_code == 0
    said = " ".join(listed.output.split())
    assert "Exit status: 0 done, 1 a check failed, 2 invalid arguments or input, 130 interrupted." in said
    assert "swiftformer-tf export xs.pth -o models --recipe mixed_int8" in said
    assert "..." not in listed.output.partition("Commands:")[2]  # cut off at 80 columns
    for name in COMMANDS:
        assert name in listed.output


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_says_what_and_shows_how(name: str) -> None:
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert f"\n  swiftformer-tf {name}" in shown.output  # an example
    assert "Usage:" in shown.output
    assert [line for line in shown.output.splitlines() if len(line) > 80] == []
    assert cli.commands[name].get_short_help_str(100).endswith(".")
    # Every option explains itself.
    unexplained = [p.name for p in cli.commands[name].params if isinstance(p, click.Option) and not p.help]
    assert unexplained == []


@pytest.mark.parametrize(
    ("line", "message", "said"),
    [
        ("train --batch-size 7", "batch_size=7: expected a multiple", "--batch-size 7: expected a multiple"),
        (
            "train --process-id 1",
            "process_id and coordinator_address need num_processes of 2 or more",
            "--process-id and --coordinator-address need --num-processes of 2 or more",
        ),
        ("train --problem-type x", "problem_type='x': expected", "--problem-type x: expected"),
        ("train --num-processes=2", "num_processes=2: no answer", "--num-processes 2: no answer"),
        ("port x.pth", "choose original, timm or hf with `to`", "choose original, timm or hf with --to"),
        (
            "train photos -o run",
            "train with a `learning_rate` below 0.001, or with a lower clip_norm in a `recipe` of your own",
            "train with a --learning-rate below 0.001, or with a lower clip_norm in a --recipe of your own",
        ),
        ("train photos", "train with `problem_type='regression'`", "train with --problem-type regression"),
        ("export x.pth -o out", "export without `target='mediapipe'`", "export without --for mediapipe"),
        ("export x.pth -o out", "choose another name (`stem`)", "choose another name (--name)"),
        # Options that set an argument of another name, or one value of it.
        ("export x.pth --mask", "classifier_activation='argmax': expected 'softmax'", "--mask: expected 'softmax'"),
        ("export x.pth --probabilities", "classifier_activation='softmax': expected", "--probabilities: expected"),
        (
            "export x.pth --probabilities",
            "`classifier_activation='probabilities'`: a model without labels has none; leave it out",
            "--probabilities: a model without labels has none; leave it out",
        ),
        ("export x.pth --android-class 1x", "class_name='1x': expected", "--android-class 1x: expected"),
        ("export x.pth --android-package A-b", "package='A-b': expected", "--android-package A-b: expected"),
        ("export x.pth --task x=poetry", "`tasks`: x has the unknown task", "--task: x has the unknown task"),
        (
            "train photos",
            "export it without `classifier_activation`, and without `target='mediapipe'`",
            "export it without --probabilities, and without --for mediapipe",
        ),
        # Of another command, and of none.
        ("evaluate x photos", "train with `problem_type='regression'`", "train with --problem-type regression"),
        ("predict x photo", "export it with `tasks` for its outputs", "export it with --task for its outputs"),
        ("info x", "only `evaluate` and `predict` open it", "only `evaluate` and `predict` open it"),
        # Words of a sentence, of a file, or about a file that nobody typed an option for.
        ("train --variant xs", "variant xs is for a new model", "variant xs is for a new model"),
        ("export x.pth -o out", "x.json: image_size=0: expected", "x.json: image_size=0: expected"),
        ("train --recipe my.json", "my.json: recipe.batch_size=0: expected", "my.json: recipe.batch_size=0: expected"),
        (
            "train --recipe my.json",
            "a recipe of no use: image_size=0: expected",
            "a recipe of no use: image_size=0: expected",
        ),
        ("port a_labels.pth --labels x", "a_labels.pth: no such label", "a_labels.pth: no such label"),
    ],
)
def test_a_command_speaks_of_its_options(line: str, message: str, said: str) -> None:
    name, *arguments = line.split()
    assert in_options(message, cli.commands[name], arguments, others=cli.commands.values()) == said


def options_named(source: str) -> set[str]:
    """Options of our commands in the strings of a module, other than docstrings."""
    options = {name for command in cli.commands.values() for each in command.params for name in each.opts}
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]
    return {name for text in strings for name in re.findall(r"--[a-z][a-z-]*", text)} & options


def test_the_library_names_arguments_and_no_options() -> None:
    """Its messages are for Python users too; `in_options` words them for a command."""
    library = [path for path in PACKAGE.rglob("*.py") if "cli" not in path.relative_to(PACKAGE).parts]
    found = {path.relative_to(PACKAGE).as_posix(): options_named(path.read_text()) for path in library}
    assert len(found) > 100
    assert {name: named for name, named in found.items() if named} == {}


@pytest.mark.parametrize("text", ["give --images FOLDER", "(`--name`)", "--recipe {recipe}"])
def test_an_option_in_a_message_is_noticed(text: str) -> None:
    assert len(options_named(f'"""Runs `--json`."""\ndef f(recipe):\n    raise ConfigError(f"{text}")')) == 1


def test_a_command_names_what_was_typed(tmp_path: Path) -> None:
    photograph = tmp_path / "photos" / "cat"
    photograph.mkdir(parents=True)
    arguments = ["train", str(photograph.parent), "-o", str(tmp_path / "run"), "--num-processes", "2"]
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: --num-processes 2: Keras runs on tensorflow; several")


def test_the_version() -> None:
    from swiftformer_tf import __version__

    assert run("--version").output.strip().endswith(__version__)


def test_python_runs_it_as_a_module() -> None:
    arguments = [sys.executable, "-m", "swiftformer_tf", "train", "--freeze", "x"]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=3600, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("Usage: swiftformer-tf train [OPTIONS] FOLDER\n")
    assert "Invalid value for '--freeze': 'x' is not a valid integer range." in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["unknown"],
        ["info"],
        ["info", "no such file"],
        ["info", "--jsn", "x"],
        ["port", "no such file", "-o", "x.keras"],
        ["export", "no such file", "-o", "x", "--recipe", "float32"],
        ["verify", "no such file"],
        ["predict", "no such file", "x.jpg"],
    ],
)
def test_misuse_is_status_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "Error: " in result.output


def test_a_model_that_is_not_there_is_told_what_would_be_one() -> None:
    result = run("info", "swiftformer_xs_imagenett")
    assert result.exit_code == 2
    assert "swiftformer_xs_imagenett: no such file or folder; expected one, the name of weights" in result.stderr
    assert "(swiftformer_xs_imagenette), or an id on the Hugging Face hub (OWNER/NAME)" in result.stderr


def test_types_are_named_in_the_help() -> None:
    shown = " ".join(run("train", "--help").output.split())
    assert "--recipe paper|short|FILE.json" in shown
    assert "--from FILE|FOLDER|NAME" in shown
    assert "--teacher FILE|FOLDER|NAME A classifier to distill from: a .keras or .tflite file or a checkpoint." in shown
    *first, last = SEGMENTATION_HEADS
    named = f"Head of a segmenter: {', '.join(first)} or {last}."
    assert f"{named} Default: that of a segmenter in --from, or semantic_fpn_64." in shown


@pytest.mark.parametrize("name", ["export", "train"])
def test_an_interruption_is_no_failed_check(
    name: str, saved: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swiftformer_tf.pretrained_model.open_weights", interrupted)
    arguments = {
        "export": [str(saved), "-o", str(tmp_path / "out"), "--recipe", "float32"],
        "train": [str(folder), "-o", str(tmp_path / "out"), "--from", str(saved)],
    }[name]
    result = run(name, *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\nAborted!\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["info", "predict", "verify", "export"])
@pytest.mark.parametrize("suffix", [".tflite", ".keras", ".pth", ".safetensors"])
def test_a_damaged_model_is_one_line_for_every_command(
    name: str, suffix: str, tmp_path: Path, saved: Path, lite: Callable[..., LiteModel], folder: Path
) -> None:
    whole = {".tflite": lite("float32").content, ".keras": saved.read_bytes()}.get(suffix, b"neither of them")
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    picture = str(min(folder.rglob("*.png")))
    arguments = {
        "info": [str(path)],
        "predict": [str(path), picture],
        "verify": [str(path), "--reference", str(saved), "--images", str(folder)],
        "export": [str(path), "-o", str(tmp_path / "out"), "--recipe", "float32"],
    }[name]
    result = run(name, *arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {path}: ")
    assert not (tmp_path / "out").exists()


# In processes of their own: what a user's terminal shows.


def test_a_real_process_says_nothing_of_tensorflow(tmp_path: Path, saved: Path) -> None:
    result = command("export", saved, "-o", tmp_path / "out", "--recipe", "dynamic_int8", cwd=tmp_path)
    # What a machine that is slow enough says once a minute is no noise.
    said = [line for line in result.stderr.splitlines() if not re.fullmatch("dynamic_int8: (export|verify)", line)]
    expected = "Only the files themselves were checked: give --images FOLDER to compare with Keras"
    assert (result.returncode, said) == (0, [expected])
    # The path's length decides where the line ends, at a space or within a name.
    assert "tiny_RECIPE.tflite,notcomparedwithKeras" in "".join(result.stdout.split())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "tiny_dynamic_int8.json",
        "tiny_dynamic_int8.tflite",
    ]


def test_a_real_process_fails_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "cut.keras").write_bytes(b"PK\x03\x04 cut short")
    result = command("info", "cut.keras", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "Error: cut.keras: not a Keras model (not a zip archive), or cut short\n"


@pytest.mark.posix
def test_a_reader_that_goes_away_is_no_error() -> None:
    """`swiftformer-tf info model.pth | head -1`"""
    piped = f"set -o pipefail; '{script()}' info '{GOLDEN / 'original_tiny.pth'}' --json | true"
    result = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, timeout=3600)
    assert "Traceback" not in result.stderr
    assert "Broken pipe" not in result.stderr


def test_options_of_the_library_and_the_command_agree() -> None:
    from swiftformer_tf.deployment.chips import WHICH_RECIPE
    from swiftformer_tf.recipes import INFERENCE_TYPES, RECIPES
    from swiftformer_tf.tasks import TASKS
    from swiftformer_tf.training.from_folders import TRAINING_TASKS

    for name, choices in {"train": TASK_OPTIONS, "evaluate": EVALUATE_OPTIONS}.items():
        (task,) = (p for p in cli.commands[name].params if p.name == "task")
        assert list(task.type.choices) == list(choices)  # type: ignore[attr-defined]
    assert list(TASK_OPTIONS) == ["classification", "segmentation"]
    assert list(TASK_OPTIONS.values()) == list(TRAINING_TASKS)
    assert set(EVALUATE_OPTIONS.values()) == set(TASKS)
    options: dict[str, Any] = {p.name: p for p in cli.commands["export"].params}
    assert list(options["names"].type.choices) == [*RECIPES, "all"]
    assert set(options["input_type"].type.choices) == set(options["output_type"].type.choices)
    assert set(options["input_type"].type.choices) == {each for row in INFERENCE_TYPES.values() for each in row}
    assert f"May be repeated. {WHICH_RECIPE} int16x8 is {RECIPES['int16x8'].caution}." in options["names"].help
    assert "or all, which needs --calibration." in options["names"].help
