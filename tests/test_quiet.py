"""Native log lines stay away, Python's own messages arrive."""

import subprocess
import sys

import pytest

from swiftformer_tf.quiet import native_stderr_silenced

SCRIPT = """
import os, sys
from swiftformer_tf.quiet import native_stderr_silenced

os.write(2, b"before\\n")
with native_stderr_silenced():
    os.write(2, b"native noise\\n")
    print("python message", file=sys.stderr)
    {inside}
os.write(2, b"after\\n")
print("and python after", file=sys.stderr)
"""


def stderr_of(inside: str) -> str:
    return subprocess.run([sys.executable, "-c", SCRIPT.format(inside=inside)], capture_output=True, text=True).stderr


def test_only_what_native_code_writes_is_dropped() -> None:
    assert stderr_of("pass").splitlines() == ["before", "python message", "after", "and python after"]


def test_blocks_may_be_nested() -> None:
    inside = "with native_stderr_silenced(): os.write(2, b'deeper noise'); print('deeper', file=sys.stderr)"
    assert stderr_of(inside).splitlines() == ["before", "python message", "deeper", "after", "and python after"]


def test_an_error_is_still_shown() -> None:
    shown = stderr_of("raise ValueError('what went wrong')")
    assert "native noise" not in shown
    assert shown.rstrip().endswith("ValueError: what went wrong")


def test_a_stand_in_for_stderr_stays_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    stand_in = sys.stderr
    with native_stderr_silenced():
        assert sys.stderr is stand_in
        print("kept", file=sys.stderr)
    assert capsys.readouterr().err == "kept\n"
