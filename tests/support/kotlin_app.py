"""The Kotlin compiler, and apps of it that run on pictures against stand-ins for Android and LiteRT.

The stand-ins in tests/kotlin/ have the signatures of the libraries, each with its address; the compiler is npm's
`kotlin-compiler`, which `make test` installs into .kotlin/ where there is npm and its registry can be reached.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.written_files import KOTLIN

ROOT = Path(__file__).parents[2]
COMPILER = ROOT / ".kotlin" / "node_modules" / "kotlin-compiler" / "lib"
# For processes that live for seconds: machine code made once and not again for speed, which takes half their time.
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
STAND_INS = sorted((ROOT / "tests" / "kotlin").glob("*.kt"))


def compile_kotlin(sources: list[Path], classes: Path, version: str = KOTLIN) -> str:
    """What the compiler says to sources in a version of the language; nothing where all is well.

    They may use what was compiled into `classes` before.
    """
    if not COMPILER.is_dir() or not shutil.which("java"):
        message = "no Kotlin compiler: needs Java, and npm and its registry for `make .kotlin/installed`"
        # The Makefile is for POSIX: on Windows nothing installs it.
        if os.environ.get("CI") and sys.platform != "win32":
            pytest.fail(message)
        pytest.skip(message)
    compiler = ["java", *JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, sorted(COMPILER.glob("*.jar"))))]
    language = ["-Werror", "-language-version", version, "-api-version", version]
    known = [COMPILER / "kotlin-stdlib.jar", *([classes] if classes.is_dir() else [])]
    arguments = ["-no-stdlib", "-no-reflect", "-cp", os.pathsep.join(map(str, known)), "-d", str(classes)]
    command = [*compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *language, *arguments, *map(str, sources)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0 or result.stderr
    return result.stderr


def camera_screen(page: Path) -> str:
    """The one example of the page of an Android folder that is a whole file."""
    blocks = re.findall(r"```kotlin\n(.*?)```", page.read_text(), re.DOTALL)
    (screen,) = [block for block in blocks if "ComponentActivity()" in block]
    assert screen.count("\n") < 50  # it is to fit on one
    return screen


def command(classes: Path, package: str) -> list[str]:
    """Runs the app of a package among compiled classes."""
    jars = os.pathsep.join(str(COMPILER / f"{name}.jar") for name in ("kotlin-compiler", "kotlin-stdlib"))
    return ["java", *JAVA_OPTIONS, "-cp", os.pathsep.join([str(classes), jars]), f"{package}.MainKt"]


def words(picture: np.ndarray) -> np.ndarray:
    """Android's colors of RGB or RGBA."""
    channels = picture.astype(np.int64).transpose(2, 0, 1)
    red, green, blue = channels[:3]
    alpha = channels[3] if len(channels) == 4 else 255
    return (alpha << 24) | (red << 16) | (green << 8) | blue


def start(
    app: list[str],
    folder: Path,
    model: str,
    picture: np.ndarray,
    answer: bytes,
    *,
    stem: str = "tiny",
    task: str = "0",
    orientation: int = 1,
    accelerator: str = "GPU",
) -> subprocess.CompletedProcess[str]:
    """Runs the app on a picture, with what the model is to answer."""
    height, width = picture.shape[:2]
    content = np.concatenate([[orientation, width, height], words(picture).ravel()])
    (folder / "picture").write_bytes(content.astype(np.uint32).astype(">u4").tobytes())
    (folder / f"{stem}_{model.lower()}.tflite.output").write_bytes(answer)
    return subprocess.run([*app, model, accelerator, task], cwd=folder, capture_output=True, text=True, check=False)


def run_app(
    app: list[str],
    folder: Path,
    model: str,
    picture: np.ndarray,
    answer: bytes,
    *,
    stem: str = "tiny",
    task: str = "0",
    orientation: int = 1,
) -> tuple[list[str], bytes]:
    """What the app prints, and what it wrote into the model's input."""
    result = start(app, folder, model, picture, answer, stem=stem, task=task, orientation=orientation)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines(), (folder / f"{stem}_{model.lower()}.tflite.input").read_bytes()
