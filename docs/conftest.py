"""Runs the code blocks of the tutorials and of embeddings.md in a folder with a few photographs and masks.

`python` and `bash` blocks run as they stand, `sh` blocks with what takes hours made small. Blocks of other pages are
parsed by tests/test_docs_commands.py.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

# Two of the classes of the weights that ship, so that `evaluate` finds its labels.
CLASSES = ("parachute", "tench")


# What real work takes hours for, and what a page's `sh` blocks run in its place.
SMALL = {"--from swiftformer_xs_imagenette": "--variant tiny --epochs 1 --batch-size 4 --image-size 64"}


def _run(example: Example) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", str(example.parsed)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{example.parsed}\n{done.stdout}\n{done.stderr}"


def _run_small(example: Example) -> None:
    """Runs the same commands on a model that learned nothing, in this process and untraced: that takes seconds."""
    import tensorflow as tf

    from swiftformer_tf.cli import cli

    text = str(example.parsed).replace("\\\n", " ")
    for long, small in SMALL.items():
        text = text.replace(long, small)
    tf.config.run_functions_eagerly(True)
    for line in text.splitlines():
        program, command, *arguments = shlex.split(line, comments=True)
        assert program == "swiftformer-tf", line
        done = CliRunner().invoke(cli, [command, *arguments])
        # 1 is what `export` answers of files that are not good enough.
        assert done.exit_code in ((0, 1) if command == "export" else (0,)), f"{line}\n{done.output}\n{done.exception!r}"
    tf.config.run_functions_eagerly(False)


def _write_streets(streets: Path, part: str, crops: np.ndarray) -> None:
    """Photographs, each with a mask of what is bright in it and what is not."""
    for kind in ("images", "masks"):
        (streets / kind / part).mkdir(parents=True)
    for index, pixels in enumerate(crops):
        Image.fromarray(pixels).save(streets / "images" / part / f"{index}.jpg")
        Image.fromarray((pixels.mean(axis=-1) > 128).astype(np.uint8)).save(streets / "masks" / part / f"{index}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that a reader would be in: `photos`, a folder a class, and `streets`, a mask a photograph."""
    from swiftformer_tf.images.samples import photographs
    from swiftformer_tf.images.transform import TRANSFORMS

    here, path = Path.cwd(), tmp_path_factory.mktemp("reader")
    for part, crops in zip(("train", "val"), photographs(TRANSFORMS["original"]), strict=True):
        for index, pixels in enumerate(crops.pixels):
            target = path / "photos" / part / CLASSES[index % 2] / f"{index // 2}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
        _write_streets(path / "streets", part, crops.pixels[:: len(crops.pixels) // 8])
    _write_streets(path / "streets", "test", crops.pixels[1 :: len(crops.pixels) // 8])
    (path / "streets" / "classes.csv").write_text("road,#804080\nsky,#4682b4\n")
    Image.fromarray(pixels).save(path / "street.jpg")
    os.chdir(path)
    yield path
    os.chdir(here)


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="bash", evaluator=_run),
        CodeBlockParser(language="sh", evaluator=_run_small),
    ],
    patterns=["tutorials/*.md", "embeddings.md"],
    fixtures=["folder"],
).pytest()
