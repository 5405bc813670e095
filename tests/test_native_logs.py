"""Native log lines stay away, Python's own messages arrive."""

import subprocess
import sys

import pytest

from swiftformer_tf.native_logs import native_stderr_silenced

SCRIPT = """
import os, sys
from swiftformer_tf.native_logs import native_stderr_silenced

os.write(2, b"before\\n")
with native_stderr_silenced():
    os.write(2, b"native noise\\n")
    print("python message", file=sys.stderr)
    with native_stderr_silenced():
        os.write(2, b"deeper noise\\n")
        print("deeper message", file=sys.stderr)
    os.write(2, b"native noise\\n")
os.write(2, b"after\\n")
print("python after", file=sys.stderr)
with native_stderr_silenced():
    raise ValueError("what went wrong")
"""


def test_only_what_native_code_writes_is_dropped() -> None:
    shown = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True).stderr.splitlines()
    expected = ["before", "python message", "deeper message", "after", "python after"]
    assert shown[: len(expected)] == expected
    assert shown[len(expected)].startswith("Traceback")
    assert shown[-1] == "ValueError: what went wrong"
    assert not [line for line in shown if "noise" in line]


def test_standard_output_can_be_kept_for_python_alone() -> None:
    script = """
import os
from swiftformer_tf.native_logs import native_stdout_silenced

print("before")
with native_stdout_silenced():
    os.write(1, b"native noise\\n")
    print("python message")
print("after")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["before", "python message", "after"]


def test_a_stand_in_for_stderr_stays_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    stand_in = sys.stderr
    with native_stderr_silenced():
        assert sys.stderr is stand_in
        print("kept", file=sys.stderr)
    assert capsys.readouterr().err == "kept\n"


def test_a_logging_handler_that_was_made_meanwhile_can_still_write() -> None:
    """TensorFlow makes one where it is imported."""
    script = """
import logging
from swiftformer_tf.native_logs import native_stderr_silenced

with native_stderr_silenced():
    logging.getLogger("library").addHandler(logging.StreamHandler())
    logging.getLogger("library").warning("meanwhile")
logging.getLogger("library").warning("later")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines() == ["meanwhile", "later"]


def test_a_script_that_exports_hears_nothing_of_tensorflow() -> None:
    script = """
import swiftformer_tf as sf
import keras

config = sf.SwiftFormerConfig.from_variant("tiny", image_size=32, id2label={0: "cat", 1: "dog"})
model = sf.SwiftFormerForImageClassification(config)
keras.ops.ones(1) + 1
assert sf.export(sf.fuse(model), sf.RECIPES["float32"]).content
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr == ""
