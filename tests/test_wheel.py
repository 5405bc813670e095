"""What people install: the wheel as pip builds it."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from swiftformer_tf import __version__

ROOT = Path(__file__).parents[1]
NAME = "swiftformer_xs_imagenette"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]

# What the package reads at run time and is no Python.
DATA = {
    "deployment/android_readme.md.jinja",
    "deployment/classifier.kt.jinja",
    "deployment/web/app.js",
    "deployment/web/classifier.js",
    "deployment/web/index.html",
    "deployment/web/photograph.js",
    "deployment/web/style.css",
    "imagenet.tsv",
    "py.typed",
    "report/page.html",
    f"weights/{NAME}.md",
    f"weights/{NAME}.safetensors",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True)
    (built,) = folder.iterdir()
    return built


def test_it_is_for_every_system(wheel: Path) -> None:
    assert wheel.name == f"swiftformer_tf-{__version__}-py3-none-any.whl"


def test_it_holds_the_package_its_licence_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    about = f"swiftformer_tf-{__version__}.dist-info"
    modules = {
        f"swiftformer_tf/{path.relative_to(ROOT / 'swiftformer_tf')}" for path in ROOT.glob("swiftformer_tf/**/*.py")
    }
    data = {f"swiftformer_tf/{name}" for name in DATA}
    assert {name for name in packed if not name.startswith(about)} == modules | data
    assert {name for name in packed if name.startswith(about)} == {
        f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    assert packed[f"{about}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert [name for name in modules | data if packed[name] != (ROOT / name).read_bytes()] == []
    assert sum(map(len, packed.values())) < 10e6


def test_what_an_index_would_show_of_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = Parser().parsestr(archive.read(f"swiftformer_tf-{__version__}.dist-info/METADATA").decode())
        scripts = archive.read(f"swiftformer_tf-{__version__}.dist-info/entry_points.txt").decode()
    assert (about["Name"], about["Version"], about["License-Expression"]) == (
        "swiftformer_tf",
        __version__,
        "Apache-2.0",
    )
    assert about["Requires-Python"] == ">=3.11"
    assert about.get_payload() == (ROOT / "README.md").read_text("utf-8")
    needed = [each for each in about.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert not [each for each in needed if each.startswith(("torch", "jax", "matplotlib", "huggingface", "scikit"))]
    assert scripts.split("\n")[:2] == ["[console_scripts]", "swiftformer-tf = swiftformer_tf.cli:main"]
