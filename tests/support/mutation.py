"""How many small mistakes the tests catch: a seeded sample of mutants, each run with the tests of its module.

    python -m support.mutation            # PYTHONPATH=tests; make mutation

A mutant is one change in one place: an operator, a comparison, a constant, a condition turned round, a call's argument
left out. Before the first, the tests run without any: they must pass. Where it was tried before, the result is in
mutants.json, so that an interrupted run goes on. A mutant that no test catches is printed with its place; EQUIVALENT
names those that change nothing that anyone can see, and why.
"""

import argparse
import ast
import collections
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "swiftformer_tf"

# Modules that are sampled, and the tests that a mutant of each may fail beside its own examples: quick ones first.
TESTS: dict[str, tuple[str, ...]] = {
    "quantization/scales.py": ("test_quantization_scales.py",),
    "quantization/ranges.py": (
        *("test_quantization_extremes.py", "test_quantization_outputs.py", "test_quantization_output_bias.py"),
        *("test_quantization_graph.py", "test_quantization_mean.py", "test_exporting.py", "test_calibration.py"),
    ),
    "quantization/rounding.py": ("test_quantization_rounding.py", "test_exporting.py"),
    "recipes": ("test_recipes.py", "test_calibration.py", "test_file_checks.py"),
    "images/metadata.py": ("test_annotations.py", "test_retrieval.py"),
    "images/targets.py": ("test_annotations.py", "test_retrieval.py", "test_training_annotated.py"),
    "images/labels.py": ("test_images_labels.py",),
    "verification/verifying.py": ("test_notebook.py", "test_verification.py", "test_file_checks.py", "test_heads.py"),
    "verification/comparison.py": (
        *("test_comparison.py", "test_tasks.py", "test_verification.py", "test_heads_whole_way.py"),
        "test_segmentation_deployment.py",
    ),
    "verification/file_checks.py": (
        *("test_file_checks.py", "test_litert_strictness.py", "test_litert_metadata.py", "test_verification.py"),
        *("test_exporting.py", "test_segmentation_deployment.py"),
    ),
    "evaluation.py": ("test_evaluation.py", "test_annotations.py", "test_segmentation.py"),
    "porting.py": ("test_porting.py", "test_segmentation_checkpoints.py", "test_heads_whole_way.py"),
    "fusion/deploy_model.py": (
        *("test_fusion.py", "test_heads.py", "test_heads_refused.py", "test_heads_copied.py"),
        "test_heads_whole_way.py",
    ),
    "tasks": (
        *("test_tasks.py", "test_tasks_scores.py", "test_segmentation_deployment.py", "test_fusion.py"),
        *("test_evaluation.py", "test_retrieval.py", "test_segmentation.py"),
    ),
}

# By a mutant's name, why nobody can tell it from the program.
EQUIVALENT: dict[str, str] = {
    "swiftformer_tf/quantization/ranges.py: if count % IMAGES_PER_PRODUCT == 0:: condition turned round": (
        "the same sums, added up after other images: slower, and different in float32's last digits"
    ),
    "swiftformer_tf/quantization/ranges.py: moments[tensor] = moments.get(tensor, 0) + product.astype(np.float64): "
    "Add to Sub": "what all is divided by has the other sign, too",
    'swiftformer_tf/tasks/scores.py: order = np.argsort(-scores, kind="stable"): argument kind left out': (
        "photographs of the same score count together, in whatever order they come"
    ),
    "swiftformer_tf/tasks/features.py: first = (own >= SAME).argmax(axis=1): GtE to Gt": (
        "no cosine is 1 - 1e-6 to the last digit but by chance"
    ),
}

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
}


class _Code(ast.NodeVisitor):
    """Nodes that run and that a test can see: no docstrings, annotations, imports, texts or `__all__`."""

    def __init__(self) -> None:
        self.found: list[ast.AST] = []

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Raise):
            return
        if isinstance(node, ast.keyword) and node.arg == "strict":
            return  # it changes only what happens where there is another mistake already
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return
        self.found.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type_comment"):
                continue
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    self.visit(each)


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A change in one place of a module."""

    path: Path
    tests: tuple[str, ...]
    node: int
    variant: int
    line: int
    change: str
    turn: int

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8").splitlines()[self.line - 1].strip()

    @property
    def name(self) -> str:
        """Without a number of its place, so that it stays the same when other lines of the module change."""
        turn = f" ({self.turn})" if self.turn > 1 else ""
        return f"{self.path.relative_to(ROOT).as_posix()}: {self.text}: {self.change}{turn}"

    @property
    def source(self) -> str:
        tree = ast.parse(self.path.read_text("utf-8"))
        _mutate(_nodes(tree)[self.node], self.variant)
        return ast.unparse(tree)


def mutants(path: Path, tests: tuple[str, ...]) -> Iterator[Mutant]:
    lines, turns = path.read_text("utf-8").splitlines(), collections.Counter[tuple[str, str]]()
    for variant in range(2):
        # Each node is changed in turn, and only what is said of the change is kept.
        for index, node in enumerate(_nodes(ast.parse(path.read_text("utf-8")))):
            if change := _mutate(node, variant):
                line = getattr(node, "lineno", 1)
                same = (lines[line - 1].strip(), change)
                turns[same] += 1
                yield Mutant(path, tests, index, variant, line, change, turns[same])


def _nodes(tree: ast.AST) -> list[ast.AST]:
    code = _Code()
    code.visit(tree)
    return code.found


def _mutate(node: ast.AST, variant: int) -> str | None:
    """Changes a node in its place; what it did, or None where this node has no such change."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and not variant and type(node.op) in SWAPS:
        return _swap(node, "op")
    if isinstance(node, ast.Compare) and not variant and type(node.ops[0]) in SWAPS:
        before, node.ops[0] = type(node.ops[0]).__name__, SWAPS[type(node.ops[0])]()  # type: ignore[call-overload]
        return f"{before} to {type(node.ops[0]).__name__}"
    if isinstance(node, ast.Constant) and not variant:
        return _constant(node)
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not variant:
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "condition turned round"
    if isinstance(node, ast.Call) and variant and node.keywords and node.keywords[-1].arg != "strict":
        return f"argument {node.keywords.pop().arg} left out"
    return None


def _swap(node: ast.BinOp | ast.BoolOp | ast.AugAssign, field: str) -> str:
    before = type(getattr(node, field))
    setattr(node, field, SWAPS[before]())
    return f"{before.__name__} to {SWAPS[before].__name__}"


def _constant(node: ast.Constant) -> str | None:
    before = node.value
    if isinstance(before, bool):
        node.value = not before
    elif isinstance(before, int | float):
        node.value = before + 1
    else:
        return None
    return f"{before} to {node.value}"


def sample(count: int, seed: int) -> list[Mutant]:
    """Modules take turns, so that a large one has no more mutants than a small one.

    A hash of its name draws a mutant, so that the sample stays the same but for lines that change.
    """
    queues = []
    for name, tests in TESTS.items():
        found = [mutant for path in _modules(name) for mutant in mutants(path, tests)]
        queues.append(sorted(found, key=lambda each: hashlib.sha256(f"{seed}: {each.name}".encode()).digest()))
    chosen = [each[turn] for turn in range(count) for each in queues if turn < len(each)]
    return chosen[:count]


def caught(mutant: Mutant) -> bool:
    """Whether the tests fail with the mutant."""
    return _failure(mutant.path, mutant.tests, {mutant.path: mutant.source}) is not None


def unmutated_failure(name: str) -> str | None:
    """What is said of a module whose tests fail without a mistake in it: they would catch every mutant.

    Its sources are written as a mutant's are, without comments and in another layout.
    """
    sources = {path: ast.unparse(ast.parse(path.read_text("utf-8"))) for path in _modules(name)}
    failure = _failure(PACKAGE / name, TESTS[name], sources)
    return failure and f"{name}: its tests fail without a mutant, mend them first: {failure[-2000:]}"


def _modules(name: str) -> list[Path]:
    return sorted((PACKAGE / name).glob("*.py")) if (PACKAGE / name).is_dir() else [PACKAGE / name]


def _failure(tested: Path, tests: tuple[str, ...], sources: dict[Path, str]) -> str | None:
    """What pytest says of a copy of the package that has these sources; None if all tests pass."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ROOT.iterdir():
            if each.name not in ("swiftformer_tf", ".git"):
                (folder / each.name).symlink_to(each)
        for each in PACKAGE.rglob("*"):
            if each.is_file() and each.suffix != ".pyc":
                target = folder / each.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                if each in sources:
                    target.write_text(sources[each], "utf-8")
                else:
                    target.symlink_to(each)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        environment = {**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        arguments = [tested.relative_to(ROOT).as_posix(), *(f"tests/{test}" for test in tests)]
        done = subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    output = (done.stdout + done.stderr).decode(errors="replace")
    if "while loading conftest" in output:
        return output  # what every test imports fails
    if done.returncode not in (0, 1, 2):
        # Not SystemExit, which ends a thread of the pool in silence, and the pool waits for it forever.
        raise RuntimeError(f"pytest ended with {done.returncode}: {output[-2000:]}")
    return output if done.returncode else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="Mutants at a time; default: one a core")
    parser.add_argument("--results", type=Path, default=Path("mutants.json"))
    given = parser.parse_args()
    known = json.loads(given.results.read_text()) if given.results.exists() else {}
    counted = [each for each in sample(given.count, given.seed) if each.name not in EQUIVALENT]
    todo = [each for each in counted if each.name not in known]
    with ThreadPool(given.jobs) as pool:
        sampled = [name for name, tests in TESTS.items() if any(each.tests == tests for each in todo)]
        if failures := [each for each in pool.map(unmutated_failure, sampled) if each]:
            raise SystemExit("\n".join(failures))
        for each, known[each.name] in pool.imap_unordered(lambda mutant: (mutant, caught(mutant)), todo):
            given.results.write_text(json.dumps(known, indent=1) + "\n")
            print("caught  " if known[each.name] else "SURVIVED", f"line {each.line}", each.name, flush=True)
    number = sum(known[each.name] for each in counted)
    print(f"{number} of {len(counted)} mutants caught ({number / len(counted):.1%}), seed {given.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
