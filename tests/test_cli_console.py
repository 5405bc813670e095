"""How the commands show tables, what fits 80 columns and what does not, and what they do."""

import threading

import pytest

from swiftformer_tf.cli import console
from swiftformer_tf.cli.benchmark import milliseconds
from swiftformer_tf.cli.console import print_table, short_names

LONG = "/somewhere/deep/a_file_with_a_name_that_no_terminal_has_a_place_for_mixed_int8.tflite"


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    return lines


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_long_name_is_folded_and_figures_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """The widest table there is: that of `benchmark`."""
    row = {
        "file": LONG,
        "MB": "112.16",
        "ms": "6017",
        "quartiles": "54.45 to 142",
        "ratio": "26.34",
        "partitions": "18",
        "peak MB": "132.9",
        "matrices": "100%",
    }
    print_table([row, {**row, "file": "short"}], title=f"{LONG}: {LONG}")
    lines = shown(capsys)
    heading = next(index for index, line in enumerate(lines) if line.startswith("file"))
    assert "".join(lines[:heading]).replace(" ", "") == f"{LONG}:{LONG}"
    assert lines[heading].split() == ["file", "MB", "ms", "quartiles", "ratio", "partitions", "peak", "MB", "matrices"]
    first, *others = lines[heading + 2 :]
    assert first.split()[1:] == ["112.16", "6017", "54.45", "to", "142", "26.34", "18", "132.9", "100%"]
    assert first.split()[0] + "".join(line.strip() for line in others[:-1]) == LONG
    assert others[-1].split()[0] == "short"


@pytest.mark.parametrize(
    ("paths", "common", "names"),
    [
        (["m/swiftformer_xs_a_mixed_int8", "m/swiftformer_xs_a_int8"], "swiftformer_xs_a_", ["mixed_int8", "int8"]),
        (["m/xs", "m/xs_int8"], "", ["xs", "xs_int8"]),
        (["m/xs_old", "m/xs_old_int8", "m/xs_int8"], "xs_", ["old", "old_int8", "int8"]),
        (["a/model_int8", "b/model_int8"], "", ["a/model_int8", "b/model_int8"]),
        (["runs/a/model", "runs/b/model"], "runs/", ["a/model", "b/model"]),
        (["models/swiftformer_xs_imagenette_mixed_int8"], "", ["swiftformer_\nxs_\nimagenette_\nmixed_int8"]),
        (["model.of.today-int8", "model.of.today-float32"], "model.of.today-", ["int8", "float32"]),
        (["NameWithoutWords"], "", ["NameWithoutWords"]),
    ],
)
def test_files_are_told_apart_in_a_narrow_column(paths: list[str], common: str, names: list[str]) -> None:
    assert short_names([f"{path}.tflite" for path in paths]) == (common, names)


def test_names_of_files_fold_between_words(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"quartiles": "54.45 to 142", "peak MB": "132.9", "partitions": "18", "matrices": "100%", "ms": "60.17"}
    _, names = short_names(["a/swiftformer_xs_imagenette_dynamic_int8.tflite", "tiny.tflite"])
    print_table([{"file": name, **figures, "MB": "112.16", "ratio": "26.34"} for name in names])
    folded = ["swiftformer_", "xs_", "imagenette_", "dynamic_int8"]
    assert [line.split()[0] for line in shown(capsys)[2:]] == [*folded, "tiny"]


def test_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"label": "[red]apple[/red]", "images": 3}], title="[bold]")
    lines = shown(capsys)
    assert (lines[0].strip(), lines[-1].split()) == ("[bold]", ["[red]apple[/red]", "3"])


@pytest.mark.parametrize(("value", "text"), [(0.054, "0.05"), (99.9, "99.90"), (6017.2, "6017")])
def test_times_stay_short(value: float, text: str) -> None:
    assert milliseconds(value) == text


def test_regular_notes_end_with_their_block_and_with_their_reader(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def clocks() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "regular notes"]

    def failing() -> None:
        with console.regular_notes() as doing:
            doing("waiting")
            assert len(clocks()) == 1
            raise ValueError("in the block")

    with pytest.raises(ValueError, match="in the block"):
        failing()
    assert clocks() == []
    assert capsys.readouterr().err == ""  # a minute is longer

    def broken(message: str) -> None:
        raise BrokenPipeError(message)

    monkeypatch.setattr(console, "note", broken)
    monkeypatch.setattr(console, "NOTE_SECONDS", 0.005)
    with console.regular_notes() as doing:
        doing("waiting")
        for clock in clocks():
            clock.join(timeout=600)
        assert clocks() == []


def test_where_a_bar_moves_there_are_no_regular_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # which is how Rich is told that it writes to a terminal
    with console.regular_notes() as doing:
        doing("waiting")
        assert "regular notes" not in {thread.name for thread in threading.enumerate()}
