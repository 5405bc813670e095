"""A fresh start: what is imported when, and Keras's way to the classes of this package."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from support import ENVIRONMENT
from support.forks import Forks
from support.random_models import TWO_STAGES

from swiftformer_tf import LiteModel, SwiftFormerConfig, SwiftFormerForImageClassification, SwiftFormerModel, fuse
from swiftformer_tf.layers import Encoder
from swiftformer_tf.saved_classes import SAVED_CLASSES
from swiftformer_tf.training import ClippedAdamW

PACKAGE = Path(__file__).parents[1] / "swiftformer_tf"

# What the command alone needs, what starts within 0.3 s of processor time, and with what a file is looked into within
# 1 s. Seconds would hang on the processor, and on what else it does.
BARE = {"click", "lazy_loader", "swiftformer_tf"}
QUICK = BARE | {"PIL", "numpy"}
FOR_FILES = QUICK | {"ai_edge_litert", "flatbuffers", "h5py", "ml_dtypes", "safetensors"}

GOLDEN = Path(__file__).parent / "golden"
TINY = SwiftFormerConfig.from_variant("tiny", image_size=32, id2label={0: "cat", 1: "dog"}, **TWO_STAGES)


def fresh(script: str, *arguments: object) -> str:
    """What a new process prints."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def started(*arguments: object) -> tuple[set[str], str]:
    """Packages of others that the command imported, and what it printed."""
    script = """
import json, sys
from swiftformer_tf.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(list(sys.modules)))
"""
    said, _, last = fresh(script, *arguments).rstrip().rpartition("\n")
    modules = {name.partition(".")[0] for name in json.loads(last)} - sys.stdlib_module_names
    return {name for name in modules if not name.startswith("_") and name != "cython_runtime"}, said


@pytest.mark.parametrize("arguments", [["--version"], ["exprot"], ["exprot", "--help"]])
def test_a_version_and_a_typo_need_no_subcommand(arguments: list[str]) -> None:
    assert started(*arguments)[0] <= BARE


EXPORT = ["export", "swiftformer_xs_imagenette", "-o", "out"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["export", "--recipe", "int9"],
        ["info", "swiftformer_xs_imagenett"],
        ["predict", "mine.pth", "photos"],
        [*EXPORT, "--recipe", "int8"],
        [*EXPORT, "--recipe", "float16", "--mask", "--probabilities"],
    ],
)
def test_the_command_starts_at_once(arguments: list[str]) -> None:
    assert started(*arguments)[0] <= QUICK


def test_importing_the_package_asks_for_no_version() -> None:
    """What reads it imports `email`, for a fifth of the time in which `--help` answers."""
    assert fresh("import sys, swiftformer_tf; print('importlib.metadata' in sys.modules)") == "False\n"


def test_a_command_ends_without_a_last_look_for_garbage() -> None:
    """Nor does it keep a caller's process, which goes on, from its own."""
    script = """
import atexit, gc
from swiftformer_tf.cli import main
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # registered first, called last
try:
    main(["--version"])
except SystemExit:
    print(gc.get_freeze_count())
"""
    assert fresh(script).splitlines()[1:] == ["0", "True"]


@pytest.mark.parametrize(
    "path", ["swiftformer_xs_imagenette", GOLDEN / "original_tiny.pth", GOLDEN / "hf", GOLDEN / "tf", "x.tflite"]
)
def test_info_needs_no_keras(path: str | Path, lite: Callable[..., LiteModel], tmp_path: Path) -> None:
    if path == "x.tflite":
        path = tmp_path / path
        lite("float32").save(path)
    packages, said = started("info", path, "--json")
    assert packages <= FOR_FILES
    assert json.loads(said)["kind"] == ("tflite" if tmp_path in Path(path).parents else "checkpoint")


def test_a_keras_file_that_is_refused_needs_no_keras(tmp_path: Path) -> None:
    (tmp_path / "cut.keras").write_bytes(b"PK\x03\x04 cut short")
    assert started("info", tmp_path / "cut.keras")[0] <= FOR_FILES


def test_a_help_of_a_subcommand_that_needs_keras_does_without() -> None:
    assert started("train", "--help")[0] & {"keras", "tensorflow"} == set()


def test_the_table_has_every_class_that_a_saved_file_may_name() -> None:
    registered: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any("register_keras" in ast.unparse(d) for d in node.decorator_list):
                registered.setdefault(module, set()).add(node.name)
    assert {module: set(names) for module, names in SAVED_CLASSES.by_module.items()} == registered


LOAD = """
{imports}
model = keras.saving.load_model({path!r})
print(type(model).__module__, type(model).__name__, type(getattr(model, 'optimizer', None)).__name__)
"""

USUAL = "import swiftformer_tf\nimport keras"


@pytest.fixture(scope="module")
def imported() -> Iterator[Forks]:
    """Processes in which the lines of `USUAL` have run, and nothing else of this package or Keras."""
    with Forks(["swiftformer_tf", "keras"], ENVIRONMENT) as forks:
        yield forks


def printed(forks: Forks, script: str, folder: Path) -> str:
    status = forks.start("builtins:exec", script, {}, said=folder / "said")()
    assert status == 0, (folder / "said.err").read_text()
    return (folder / "said.out").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was saved with its optimizer."""
    model = SwiftFormerForImageClassification(TINY)
    model.compile(optimizer=ClippedAdamW(1e-3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    path = tmp_path_factory.mktemp("trained") / "trained.keras"
    model.save(path)
    return path


@pytest.mark.parametrize(
    "imports",
    [
        USUAL,
        "import keras\nimport swiftformer_tf",
        "from swiftformer_tf.model import SwiftFormerModel\nimport keras",
        "import swiftformer_tf\nimport importlib.util\nimportlib.util.find_spec('keras')\nimport keras",
    ],
)
def test_keras_finds_a_trained_model_and_its_optimizer(imports: str, trained: Path) -> None:
    """In fresh processes: Keras and TensorFlow import each other, in an order that the first import decides."""
    said = fresh(LOAD.format(imports=imports, path=str(trained)))
    assert said == "swiftformer_tf.model SwiftFormerForImageClassification ClippedAdamW\n"


@pytest.mark.parametrize("kind", ["backbone", "deploy", "layer"])
def test_keras_finds_the_other_classes(kind: str, imported: Forks, tmp_path: Path) -> None:
    image = keras.Input((32, 32, 12))
    models = {
        "backbone": lambda: SwiftFormerModel(TINY),
        "deploy": lambda: fuse(SwiftFormerForImageClassification(TINY)),
        "layer": lambda: keras.Model(image, SwiftFormerModel(TINY).get_layer("stages-1-blocks-0")(image)),
    }
    model = models[kind]()
    assert kind != "layer" or isinstance(model.layers[-1], Encoder)
    path = tmp_path / "saved.keras"
    model.save(path)
    said = printed(imported, LOAD.format(imports=USUAL, path=str(path)), tmp_path)
    assert said.split()[1] == type(model).__name__
    again = keras.saving.load_model(path)
    given = np.zeros((1, *model.input_shape[1:-1], model.input_shape[-1]) if kind != "backbone" else (1, 32, 32, 3))
    np.testing.assert_array_equal(again(given.astype("float32")), model(given.astype("float32")))


def test_keras_itself_is_what_it_would_be(imported: Forks, tmp_path: Path) -> None:
    """Its module keeps the loader that knows its source."""
    script = (
        "import swiftformer_tf, keras, inspect; print(type(keras.__loader__).__name__, inspect.getsource(keras)[:3])"
    )
    assert printed(imported, script, tmp_path).startswith("SourceFileLoader ")


def test_the_face_shows_the_public_names_only() -> None:
    script = "import swiftformer_tf as sf; print(sorted(dir(sf)) == sorted(sf.__all__)); sf.from_pretraned"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout == "True\n"
    assert "AttributeError: No swiftformer_tf attribute from_pretraned" in result.stderr


def test_tensorflows_greeting_stays_away() -> None:
    script = "import swiftformer_tf as sf; sf.SwiftFormerModel"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stderr == b""
