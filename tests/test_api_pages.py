"""The pages about public names: complete, up to date, and their examples run."""

import ast
import builtins
import doctest
import inspect
import logging
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import swiftformer_tf
from swiftformer_tf import training

FOLDER = Path(__file__).parents[1] / "docs" / "api"
GENERATE = runpy.run_path(str(FOLDER / "generate.py"))

PUBLIC = [(module, name) for module in (swiftformer_tf, training) for name in module.__all__ if name != "training"]
CONSTANTS = [name for _, name in PUBLIC if name.isupper()]


def path(module: Any, name: str) -> str:
    return f"{'training/' * (module is training)}{name}.md"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return GENERATE["pages"]()


def test_the_pages_are_those_of_the_docstrings(pages: dict[str, str]) -> None:
    written = {each.relative_to(FOLDER).as_posix(): each.read_text("utf-8") for each in FOLDER.rglob("*.md")}
    differ = sorted(name for name in {*pages, *written} if pages.get(name) != written.get(name))
    assert differ == [], "docs/api is not what the docstrings say: run make docs"


def test_every_public_name_has_a_page_and_a_line_in_the_index(pages: dict[str, str]) -> None:
    expected = [path(module, name) for module, name in PUBLIC]
    assert set(pages) == {"README.md", *expected}
    assert all(f"]({name}) | " in pages["README.md"] for name in expected)
    assert ") |  |" not in pages["README.md"]  # a name without a summary
    assert len({name.lower() for name in pages}) == len(pages)  # file systems that do not tell cases apart


def test_links_lead_somewhere(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert (FOLDER / name).parent.joinpath(target).resolve().exists(), f"{name}: {target}"


def test_a_page_has_signature_arguments_errors_and_example(pages: dict[str, str]) -> None:
    text = pages["export.md"]
    assert "calibration: Calibration | str | Path | np.ndarray | Iterable[Any] | None = None,\n" in text
    assert "* `deploy`: What [`fuse`](fuse.md) returned.\n" in text
    assert "* [`ExportError`](ExportError.md): " in text
    assert "**Example**\n\n```python\n>>> " in text
    assert 'token_weights: Literal["l2", "uniform"] = "l2",\n' in pages["SwiftFormerConfig.md"]
    assert "class swiftformer_tf.ConfigError(SwiftFormerError, ValueError)\n" in pages["ConfigError.md"]
    assert "RECIPES: dict[str, Recipe]\n" in pages["RECIPES.md"]
    assert "## `open`\n\n```python\n@classmethod\nopen(" in pages["Checkpoint.md"]


def test_docstrings_fit_their_signatures(caplog: pytest.LogCaptureFixture) -> None:
    """The reader of docstrings complains about arguments that are not there, and of sections that it cannot read."""
    with caplog.at_level(logging.WARNING):
        GENERATE["pages"]()
    assert [record.getMessage() for record in caplog.records] == []


def test_pages_of_names_that_are_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "gone.md").touch()
    GENERATE["write"](tmp_path)
    assert {each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*.md")} == set(GENERATE["pages"]())


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda each: getattr(each, "__name__", each))
def test_every_public_name_has_an_example(module: Any, name: str, pages: dict[str, str]) -> None:
    value = getattr(module, name)
    is_error = isinstance(value, type) and issubclass(value, Exception)
    assert is_error or "**Example**" in pages[path(module, name)]
    if callable(value) and not is_error:
        own = inspect.getdoc(value) or ""
        parameters = set(inspect.signature(value).parameters) - {"kwargs"}
        assert all(f"\n    {each}: " in own for each in parameters), f"{name}: an argument is not explained"


def test_examples_use_public_names_and_what_they_import(pages: dict[str, str]) -> None:
    """Where pytest runs them, the names of the module are there too; a reader has only those of the package."""
    given = {*dir(builtins), *(name for _, name in PUBLIC), "np"}
    for page, text in pages.items():
        source = "\n".join(example.source for example in doctest.DocTestParser().get_examples(text))
        nodes = list(ast.walk(ast.parse(source)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        imports = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
        bound = {alias.asname or alias.name for alias in imports}
        bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert {node.id for node in names} - bound - given == set(), page


@pytest.mark.parametrize("name", CONSTANTS)
def test_examples_of_constants_run(name: str, pages: dict[str, str]) -> None:
    """Those of functions and classes are found by pytest; a constant has no `__doc__` to find."""
    module = training if name in training.__all__ else swiftformer_tf
    source = pages[path(module, name)]
    found = doctest.DocTestParser().get_doctest(source.replace("```\n", "\n"), dict(vars(module)), name, None, None)
    assert found.examples
    assert doctest.DocTestRunner().run(found).failed == 0
