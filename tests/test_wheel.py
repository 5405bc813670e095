"""What people install: the wheel as pip builds it, and what it does in an environment away from the checkout."""

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from PIL import Image

ROOT = Path(__file__).parents[1]
with_addresses = runpy.run_path(str(ROOT / "docs" / "pypi_readme.py"))["with_addresses"]
NAME = "swiftformer_xs_imagenette"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]

# What the package reads at run time and is no Python.
DATA = {
    "__init__.pyi",
    "checkpoints/__init__.pyi",
    "deployment/android.kt.jinja",
    "deployment/android.md.jinja",
    "deployment/classifier.kt.jinja",
    "deployment/classifier.md.jinja",
    "deployment/segmenter.kt.jinja",
    "deployment/segmenter.md.jinja",
    "deployment/web/app.js",
    "deployment/web/classifier.js",
    "deployment/web/index.html",
    "deployment/web/photograph.js",
    "deployment/web/segmentation.js",
    "deployment/web/style.css",
    "images/imagenet.tsv",
    "py.typed",
    "report/page.html",
    "training/__init__.pyi",
    f"weights/{NAME}.md",
    f"weights/{NAME}.safetensors",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def version(wheel: Path) -> str:
    """As git has it now, which an editable installation of an earlier commit does not."""
    return wheel.name.removeprefix("swiftformer_tf-").removesuffix("-py3-none-any.whl")


def test_it_is_for_every_system(version: str) -> None:
    assert re.fullmatch(r"\d+\.\d+(\.\w+)*(\+[\w.]+)?", version), version


def test_it_holds_the_package_its_license_and_nothing_else(wheel: Path, version: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    about = f"swiftformer_tf-{version}.dist-info"
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("swiftformer_tf/**/*.py")}
    data = {f"swiftformer_tf/{name}" for name in DATA}
    assert {name for name in packed if not name.startswith(about)} == modules | data
    assert {name for name in packed if name.startswith(about)} == {
        f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    assert packed[f"{about}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert [name for name in modules | data if packed[name] != (ROOT / name).read_bytes()] == []
    assert sum(map(len, packed.values())) < 10e6


def test_what_an_index_would_show_of_it(wheel: Path, version: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = Parser().parsestr(archive.read(f"swiftformer_tf-{version}.dist-info/METADATA").decode())
        scripts = archive.read(f"swiftformer_tf-{version}.dist-info/entry_points.txt").decode()
    assert (about["Name"], about["Version"], about["License-Expression"]) == (
        "swiftformer_tf",
        version,
        "Apache-2.0",
    )
    assert about["Requires-Python"] == ">=3.11"
    assert about["Description-Content-Type"] == "text/markdown"
    shown = str(about.get_payload())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert shown == with_addresses((ROOT / "README.md").read_text("utf-8"), project["urls"]["Repository"])
    places = re.findall(r"\]\(([^)]+)\)", shown)
    assert [place for place in places if not place.startswith("https://")] == []
    files = [place.partition("/HEAD/")[2].partition("#")[0] for place in places if "/HEAD/" in place]
    assert len(files) > 15
    assert [name for name in files if not (ROOT / name).is_file()] == []
    needed = [each for each in about.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert not [each for each in needed if each.startswith(("torch", "jax", "matplotlib", "huggingface", "scikit"))]
    assert scripts.split("\n")[:2] == ["[console_scripts]", "swiftformer-tf = swiftformer_tf.cli:main"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![a b](docs/a.svg)", "![a b](https://x.org/y/raw/HEAD/docs/a.svg)"),
        ("[a](b.md) [c](d/e.md#f)", "[a](https://x.org/y/blob/HEAD/b.md) [c](https://x.org/y/blob/HEAD/d/e.md#f)"),
        ("[a](https://z.org/b.md) [c](#d)", "[a](https://z.org/b.md) [c](#d)"),
        ("`sf.RECIPES[x](y)` `(z)`", "`sf.RECIPES[x](y)` `(z)`"),
    ],
)
def test_relative_links_become_addresses(text: str, shown: str) -> None:
    assert with_addresses(text, "https://x.org/y") == shown


def test_the_source_distribution_holds_what_tests_and_documentation_read() -> None:
    """All that git tracks, but for what is of use only in a clone."""
    packed = {Path(each.distribution_path).as_posix() for each in SdistBuilder(str(ROOT)).recurse_included_files()}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    clone_only = {".ci/run", ".gitattributes", ".gitignore", "pyproject.toml"}
    assert {name for name in listed.split("\0") if name} - packed == clone_only


@pytest.fixture(scope="module")
def run_installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`run_installed(program, *arguments)` is what a program of an environment with the wheel prints.

    The environment is new; the packages that the wheel depends on are those of the one in which the tests run.
    """
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "venv", with_pip=False)
    programs = root / "venv" / "bin"
    # pip runs in the new environment, and before that sees other packages: in those this one may be installed already.
    pip = [*PIP, "--python", str(programs / "python")]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
    (packages,) = root.glob("venv/lib/python3.*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("-packages")]
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in dependencies))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(program: str, *arguments: str) -> str:
        command = [str(programs / program), *arguments]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    Image.linear_gradient("L").save(root / "picture.png")
    found = run("python", "-c", "import importlib.util as u; print(u.find_spec('swiftformer_tf').origin)")
    assert Path(found.strip()) == packages / "swiftformer_tf" / "__init__.py"
    return run


@pytest.mark.posix
def test_installed_it_says_how_to_use_it_and_what_ships(run_installed: Callable[..., str], version: str) -> None:
    assert run_installed("swiftformer-tf", "--help").startswith("Usage: swiftformer-tf [OPTIONS] COMMAND [ARGS]...")
    assert run_installed("swiftformer-tf", "--version").strip().endswith(f"version {version}")
    about = json.loads(run_installed("swiftformer-tf", "info", NAME, "--json"))
    assert (about["variant"], about["num_labels"]) == ("xs", 10)


@pytest.mark.posix
def test_installed_it_labels_a_picture_with_the_weights_that_ship(run_installed: Callable[..., str]) -> None:
    command = ("swiftformer-tf", "predict", NAME, "picture.png", "--top", "10", "--json")
    (answer,) = json.loads(run_installed(*command))
    assert answer["image"] == "picture.png"
    assert sorted(label["index"] for label in answer["labels"]) == list(range(10))
    assert "tench" in {label["label"] for label in answer["labels"]}
    assert sum(label["score"] for label in answer["labels"]) == pytest.approx(1, abs=1e-5)
