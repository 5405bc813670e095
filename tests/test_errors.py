"""Messages: the file in front, once, and one line fit for a terminal."""

from pathlib import Path

import pytest

from swiftformer_tf.errors import ModelError, one_line, prefix_path

FILE = Path("x.tflite")


@pytest.mark.parametrize("message", ["damaged", "x.tflite: damaged"])
def test_the_file_stands_in_front_once(message: str) -> None:
    with pytest.raises(ModelError) as caught, prefix_path(FILE), prefix_path(FILE):
        raise ModelError(message)
    assert str(caught.value) == "x.tflite: damaged"


def test_a_message_without_a_file_stays_as_it_is() -> None:
    with pytest.raises(ModelError) as caught, prefix_path(None):
        raise ModelError("damaged")
    assert str(caught.value) == "damaged"


def test_what_a_file_says_stays_in_one_line() -> None:
    with pytest.raises(ModelError) as caught, prefix_path(FILE):
        raise ModelError("damaged\nat \x1b[2J")
    assert str(caught.value) == r"x.tflite: damaged\nat \x1b[2J"


def test_another_error_passes() -> None:
    with pytest.raises(KeyError, match=r"^'weight_map'$"), prefix_path(FILE):
        raise KeyError("weight_map")


@pytest.mark.parametrize(("letters", "shown"), [(9, "a" * 9), (10, "a" * 10), (11, "a" * 10 + "...")])
def test_only_what_is_longer_is_cut(letters: int, shown: str) -> None:
    assert one_line("a" * letters, 10) == shown
