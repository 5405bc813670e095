"""What the package promises as a whole: names, docstrings, imports, the wheel."""

import ast
import dataclasses
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

import swiftformer_tf
from swiftformer_tf import SwiftFormerError, errors

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "swiftformer_tf").rglob("*.py"))
MODULES = [
    "swiftformer_tf",
    *(module.name for module in pkgutil.walk_packages(swiftformer_tf.__path__, "swiftformer_tf.")),
]

# Not loaded by `import swiftformer_tf`: heavy, optional, or of other backends.
NOT_LOADED = (
    *("torch", "jax", "matplotlib", "jinja2", "skimage", "timm", "transformers"),
    *("ai_edge_litert", "ai_edge_quantizer", "click", "rich"),
)

PUBLIC = [name for name in swiftformer_tf.__all__ if callable(getattr(swiftformer_tf, name))]


def test_all_is_sorted_complete_and_true() -> None:
    names = swiftformer_tf.__all__
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    assert all(hasattr(swiftformer_tf, name) for name in names)
    stub = ast.parse((ROOT / "swiftformer_tf" / "__init__.pyi").read_text())
    told = next(node.value for node in stub.body if isinstance(node, ast.Assign))
    assert set(ast.literal_eval(told)) == set(names)
    assert dir(swiftformer_tf) == names


@pytest.mark.parametrize("name", MODULES)
def test_every_modules_all_is_true(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says nothing of itself"
    missing = [each for each in getattr(module, "__all__", ()) if not hasattr(module, each)]
    assert missing == []


def test_no_function_shares_the_name_of_its_module() -> None:
    """`swiftformer_tf.x` would be the one or the other, depending on what was imported last."""
    modules = {module.name for module in pkgutil.iter_modules(swiftformer_tf.__path__)}
    assert modules & set(swiftformer_tf.__all__) == {"training"}  # the module itself
    for name in MODULES:
        if name.startswith("swiftformer_tf.cli"):
            continue  # a subcommand's file is named after it, and nobody imports from there
        module = importlib.import_module(name)
        own = {n for n, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == name}
        assert name.rpartition(".")[2] not in own, name


def documented(name: str) -> tuple[Any, str]:
    value = getattr(swiftformer_tf, name)
    return value, inspect.getdoc(value) or ""


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name: str) -> None:
    value, text = documented(name)
    assert text, name
    assert "Inherited" not in text
    if isinstance(value, type) and issubclass(value, Exception):
        return
    # For a class that refuses arguments before it is made, `inspect` would ask `__new__`.
    made_by = vars(value)["__init__"] if dataclasses.is_dataclass(value) else value
    names = inspect.signature(made_by).parameters
    parameters = [p for p in names if p not in ("self", "args", "kwargs") and not p.startswith("_")]
    section = text.partition("Args:")[2]
    undocumented = [p for p in parameters if not re.search(rf"^    {p}: ", section, re.MULTILINE)]
    assert undocumented == []


@pytest.mark.parametrize(
    "name",
    ["Recipe", "SwiftFormerConfig", "Transform", "evaluate", "export", "export_files", "fuse", "port", "verify"],
)
def test_what_can_fail_says_how(name: str) -> None:
    text = documented(name)[1]
    assert "Raises:" in text
    if name in ("export", "export_files", "fuse", "verify"):
        assert "Returns:" in text


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name[0].isupper()])
def test_exceptions_have_one_root_and_are_public(name: str) -> None:
    assert issubclass(getattr(errors, name), SwiftFormerError)
    assert name in swiftformer_tf.__all__


def test_every_message_of_ours_comes_from_the_tree() -> None:
    """Anything else would reach the command line as a traceback."""
    raised: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
                raised.setdefault(node.exc.func.id, set()).add(path.name)
    # An OSError, which the command line reports by its file, and click's own.
    others = {name: {"files.py"} for name in ("FileExistsError", "FileNotFoundError", "UnwrittenError")}
    others["Misuse"] = {"__init__.py"}
    # As LiteRT itself raises it; `LiteRunner` and `profile_ops` make it one of ours.
    others["RuntimeError"] = {"profiling.py", "subprocess_interpreter.py"}
    # Caught where the files are read, and told with the name of the file.
    others["ValueError"] = {"files.py", "torch_zip.py", "torch_pickle.py", "transform.py", "teachers.py"}
    assert {name: files for name, files in raised.items() if name not in errors.__all__} == others


def loaded_by(statement: str) -> tuple[set[str], str]:
    """Top-level modules that a fresh process has loaded after a statement, and what it wrote to standard error."""
    script = f"{statement}\nimport sys\nprint('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stdout.split()), result.stderr


def test_importing_loads_nothing_heavy_and_says_nothing() -> None:
    loaded, said = loaded_by("import swiftformer_tf")
    assert loaded & {*NOT_LOADED, "keras", "tensorflow", "numpy", "PIL"} == set()
    assert said == ""  # TensorFlow's greeting stays away


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_heavy_modules_are_imported_where_they_are_used(path: Path) -> None:
    """Inside functions: a module's own imports are light."""
    imported = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    allowed = {"click", "rich"} if "cli" in path.parts else set()
    assert imported & {*NOT_LOADED, "tensorflow"} <= allowed


def test_no_file_is_too_long_to_read() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 420} == {}


def test_no_machine_path_is_in_the_sources() -> None:
    private = re.compile(r"/(?:work|home|Users|tmp)/\w")
    told = {path.relative_to(ROOT).as_posix(): private.findall(path.read_text()) for path in SOURCES}
    assert {name: found for name, found in told.items() if found} == {}


# The wheel.


def wheel_files() -> set[str]:
    """Files that hatchling would pack, by its own account."""
    return {Path(each.distribution_path).as_posix() for each in WheelBuilder(str(ROOT)).recurse_included_files()}


def test_the_wheel_holds_the_package_and_nothing_else() -> None:
    included = wheel_files()
    assert {name.partition("/")[0] for name in included} == {"swiftformer_tf"}
    assert "swiftformer_tf/py.typed" in included
    assert {path.relative_to(ROOT).as_posix() for path in SOURCES} <= included
    data = [
        path for path in (ROOT / "swiftformer_tf").rglob("*") if path.suffix in (".html", ".tsv", ".safetensors", ".md")
    ]
    assert {path.relative_to(ROOT).as_posix() for path in data} <= included
    assert not [name for name in included if "__pycache__" in name or name.endswith(".pyc")]


def test_the_version_is_the_tag() -> None:
    """Nothing in the tree names a version: hatchling asks git, and the package asks what was installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
    assert swiftformer_tf.__version__ == importlib.metadata.version("swiftformer_tf")


@pytest.mark.parametrize(("tag", "version"), [("v0.1.0", "0.1.0"), ("v1.2.0rc1", "1.2.0rc1")])
def test_a_tag_makes_a_release(tag: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "docs/pypi_readme.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (["init"], ["add", "."], [*identity, "commit", "-m", "x"], ["tag", tag]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    assert WheelBuilder(str(tmp_path)).metadata.version == version


def test_the_address_stands_once_and_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ROOT / "README.md").read_text("utf-8").count(project["urls"]["Repository"]) == 1


def test_what_is_imported_is_declared() -> None:
    """Every third-party module of the package is a dependency or an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    declared = {re.split(r"[><=\[ ]", name)[0].lower().replace("-", "_") for name in wanted}
    distributions = {"PIL": "pillow", "skimage": "scikit_image"}
    imported: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").partition(".")[0])
    foreign = {name for name in imported if name not in sys.stdlib_module_names and name != "swiftformer_tf"}
    assert {distributions.get(name, name) for name in foreign} <= declared


def test_the_extras_that_messages_name_are_those_of_the_project_and_of_the_readme() -> None:
    """A message that sends people to an extra without the package would not cure anything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    always = {re.split("[><=]", each)[0] for each in project["dependencies"]} | {"swiftformer_tf"}
    distributions = {"skimage": "scikit-image"}
    for extra, packages in errors.EXTRAS.items():
        # An extra may ask for a later version of what is there in any case.
        own = [re.split(r"[><=\[]", each)[0] for each in project["optional-dependencies"][extra]]
        assert [each for each in own if each not in always] == [distributions.get(name, name) for name in packages]
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text("utf-8").partition("needed for")[2], re.M)
    assert rows[: len(errors.EXTRAS)] == list(errors.EXTRAS)
