"""The snippets of docs/tutorials/running-the-files.md that `make docs` does not run."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from support.kotlin_app import STAND_INS, compile_kotlin

from swiftformer_tf import VARIANTS

PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "running-the-files.md"


def snippet(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(block)


def test_the_kotlin_snippet_compiles_with_the_class_that_export_writes(folder_of_app: Path, tmp_path: Path) -> None:
    use = tmp_path / "Use.kt"
    imports = "import android.content.Context\nimport android.net.Uri\n"
    use.write_text(f"package swiftformer\n\n{imports}\nfun use(context: Context, uri: Uri) {{\n{snippet('kotlin')}}}\n")
    assert compile_kotlin([*STAND_INS, *folder_of_app.rglob("*.kt"), use], tmp_path / "classes") == ""


def test_the_other_snippets_are_where_their_tests_look_for_them() -> None:
    """`make clients` runs MediaPipe's and LiteRT.js's with files and photographs of its own in these places."""
    assert snippet("py").count('path, photograph = "models/') == 1
    assert snippet("js").count('"/models/0.tflite"') == 1


def test_a_workflow_runs_the_clients_that_run_them() -> None:
    root = PAGE.parents[2]
    (recipe,) = re.findall(r"^clients-ci:.*\n((?:\t.*\n)+)", (root / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"mediapipe", "browser"} <= {*re.findall(r"--client (\w+)", recipe)}
    jobs = (root / ".github" / "workflows" / "clients.yml").read_text("utf-8").split("\n\n")
    (job,) = [each for each in jobs if "clients-ci" in each]
    assert "actions/setup-node" in job


def test_the_own_model_of_the_readme_trains() -> None:
    readme = (PAGE.parents[2] / "README.md").read_text("utf-8")
    (block,) = [each for each in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "model.fit(" in each]
    found: dict[str, Any] = {}
    exec(block, found)
    assert found["model"].optimizer.iterations == 1


def test_the_page_of_the_variants_lists_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    results = PAGE.parents[1] / "results"
    monkeypatch.syspath_prepend(str(results))
    table = "\n".join(importlib.import_module("variants").architectures())
    assert [name for name in VARIANTS if f"| `{name}` |" not in table] == []
    assert (results / "variants.md").read_text("utf-8").endswith(f"\n\n{table}\n")
