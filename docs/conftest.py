"""Runs the code blocks of the tutorials, Python and shell, in a folder with a few photographs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

# Two of the classes of the weights that ship, so that `evaluate` finds its labels.
CLASSES = ("parachute", "tench")


def _run(example: Example) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", str(example.parsed)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{example.parsed}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that a reader would be in: `photos/train` and `photos/val`, with a folder a class."""
    from swiftformer_tf.images.samples import photographs
    from swiftformer_tf.images.transform import TRANSFORMS

    here, path = Path.cwd(), tmp_path_factory.mktemp("reader")
    for part, crops in zip(("train", "val"), photographs(TRANSFORMS["original"]), strict=True):
        for index, pixels in enumerate(crops.pixels):
            target = path / "photos" / part / CLASSES[index % 2] / f"{index // 2}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
    os.chdir(path)
    yield path
    os.chdir(here)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="bash", evaluator=_run)],
    patterns=["tutorials/*.md"],
    fixtures=["folder"],
).pytest()
