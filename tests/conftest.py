"""What many tests share: made once in a process, since building and converting a model takes seconds."""

import functools
import gc
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# NumPy's matrices are small here: its second thread would only spin, and take the core of another worker. It reads this
# when it is imported; processes that tests start inherit it.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# What a shell sets for other programs decides what commands print, which servers they ask, and what Keras runs on.
os.environ.pop("COLUMNS", None)
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("HF_ENDPOINT", None)
os.environ.pop("HF_HUB_OFFLINE", None)
os.environ.pop("HF_TOKEN", None)
os.environ.pop("LINES", None)
os.environ.pop("NO_COLOR", None)
os.environ.pop("TTY_COMPATIBLE", None)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
os.environ["KERAS_BACKEND"] = "tensorflow"

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support import ENVIRONMENT, JAX_ENVIRONMENT
from support.forks import Forks
from support.killed_commands import MODULES
from support.random_models import TWO_STAGES, pictures, seeded_model, tiny_config
from support.tracing import steps_traced, trace_steps
from support.training_runs import write_photographs
from support.windows import POSIX_ONLY, reason_to_skip

from swiftformer_tf import (
    RECIPES,
    Calibration,
    DeployModel,
    LiteModel,
    SwiftFormerConfig,
    SwiftFormerForImageClassification,
    calibrate,
    export,
    fuse,
)
from swiftformer_tf.cli import console

# The same examples in every run, however slow the machine, and nothing left in the checkout.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")

# Keras and TensorFlow make objects by the hundred thousand while they trace a model, which all stay: Python's collector
# would go through them again and again, for a tenth of the processor time of a training.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 10, 10)

# Operations of such small models gain nothing by threads, which share the cores with other workers and add up sums in
# an order of their own: on one, a training is the same on every machine, and in the processes of `support.ENVIRONMENT`.
tf.config.threading.set_intra_op_parallelism_threads(1)

# To trace a model for a prediction takes seven times as long as to run it operation by operation: only files that
# train for longer, and tests that compare both, trace. What is exported is traced by the package itself.
trace_steps(False)

# What commands say of slow machines is tested where it is made to be said.
console.NOTE_SECONDS = 86_400.0

REAL_PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "data" / "imagenette224.tar"
CAMVID = Path(__file__).parents[2] / "shared" / "data" / "camvid.tar"


# Files that take longest, training above all: begun last, each would keep one worker busy while the others wait.
FIRST = (
    "test_examples",
    "test_training_runs",
    "test_training_processes",
    "test_training_cli",
    "test_fuzz",
    "test_writing",
    "test_wheel",
    "test_training_teachers",
)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by their number: compressed ones may hold the clock's second, and all workers must agree on names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, the order otherwise as it was; and skips what this system cannot run."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(FIRST)))
    for item in items:
        if reason := reason_to_skip({mark.name for mark in item.iter_markers()}, sys.platform):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """uint8 pictures of the size of `model`."""
    return pictures(48, 64, 64)


@pytest.fixture(scope="session")
def model(pixels: np.ndarray) -> SwiftFormerForImageClassification:
    """A tiny classifier for 64 px that tells `pixels` apart. Shared: do not change it.

    It has two stages, the second so wide that recipes with integer weights have some to store.
    """
    config = tiny_config(**TWO_STAGES | {"embed_dims": (8, 20)})
    return seeded_model(config, config.transform.normalize(pixels))


@pytest.fixture(scope="session")
def variant_model() -> Callable[[str], SwiftFormerForImageClassification]:
    """`variant_model(name)` is that row of `VARIANTS`, as initialized. Shared: do not change it."""
    return functools.cache(lambda name: SwiftFormerForImageClassification(SwiftFormerConfig.from_variant(name)))


@pytest.fixture(scope="session")
def deploy(model: SwiftFormerForImageClassification) -> DeployModel:
    """`model`, fused."""
    return fuse(model)


@pytest.fixture(scope="session")
def calibrated_deploy(
    model: SwiftFormerForImageClassification, deploy: DeployModel, pixels: np.ndarray
) -> Callable[..., tuple[DeployModel, Calibration]]:
    """`calibrated_deploy(**options of fuse)` is `model`, fused and calibrated on `pixels`, once in a process for each.

    Shared: do not change it.
    """

    @functools.cache
    def made(**options: Any) -> tuple[DeployModel, Calibration]:
        fused = fuse(model, **options) if options else deploy
        return fused, calibrate(fused, pixels)

    return made


@pytest.fixture(scope="session")
def lite(
    model: SwiftFormerForImageClassification, calibrated_deploy: Callable[..., tuple[DeployModel, Calibration]]
) -> Callable[..., LiteModel]:
    """`lite(recipe, **options of fuse)` is `model` exported, once in a process for each of them."""

    @functools.cache
    def exported(recipe: str, **options: Any) -> LiteModel:
        if options and not RECIPES[recipe].has_integer_weights:
            return export(fuse(model, **options), RECIPES[recipe])
        deploy, calibration = calibrated_deploy(**options)
        return export(deploy, RECIPES[recipe], calibration=calibration)

    return exported


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> Path:
    """Photographs on disk: `pixels` as PNG in two subfolders."""
    root = tmp_path_factory.mktemp("photographs")
    for index, picture in enumerate(pixels):
        path = root / ("left", "right")[index % 2] / f"{index:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """Twelve photographs of `folder`, in the same subfolders: five answers of `model`, as many as a verdict needs."""
    root = tmp_path_factory.mktemp("few")
    for path in sorted(folder.rglob("*.png"), key=lambda path: path.name)[:12]:
        copy = root / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return root


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, model: SwiftFormerForImageClassification) -> Path:
    """`model` as a `.keras` file."""
    path = tmp_path_factory.mktemp("saved") / "tiny.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of seven pictures, for trainings."""
    return write_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Processes that run commands and trainings."""
    with Forks(MODULES, ENVIRONMENT) as forks:
        yield forks


@pytest.fixture(scope="session")
def jax_forks() -> Iterator[Forks]:
    """Likewise, for Keras on JAX."""
    with Forks((*MODULES, "jax.experimental.multihost_utils"), JAX_ENVIRONMENT) as forks:
        yield forks


@pytest.fixture(scope="module")
def traced() -> Iterator[None]:
    """Steps and predictions of a file's tests are traced, as they are for users."""
    with steps_traced(True):
        yield


@pytest.fixture
def untraced() -> Iterator[None]:
    """In such a file, the steps of a test are not: of few of them, tracing takes most of the time."""
    with steps_traced(False):
        yield


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """`full_disk(folder, room)`: from its call on, no file that is written to `folder` gets beyond `room` bytes.

    The nearest to a full disk that needs no privilege: the system's limit on the size of files.
    """
    if sys.platform == "win32":
        pytest.skip(POSIX_ONLY)
    import resource

    def fill(folder: Path, room: int) -> None:
        class WaitingRoom(tempfile.TemporaryDirectory):
            def __enter__(self) -> str:
                self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)
                if Path(self.name).is_relative_to(folder):
                    resource.setrlimit(resource.RLIMIT_FSIZE, (room, self.limits[1]))
                return super().__enter__()

            def __exit__(self, *error: Any) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
                super().__exit__(*error)

        monkeypatch.setattr("swiftformer_tf.files.tempfile.TemporaryDirectory", WaitingRoom)

    return fill


@pytest.fixture(scope="session")
def real_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 photographs of Imagenette's validation split, ten classes in turn."""
    if not REAL_PHOTOGRAPHS.is_file():
        pytest.skip(f"no {REAL_PHOTOGRAPHS.name} beside the repository")
    root = tmp_path_factory.mktemp("imagenette")
    with tarfile.open(REAL_PHOTOGRAPHS) as archive:
        members = [member for member in archive if member.isfile() and member.name.startswith("val/")]
        members.sort(key=lambda member: member.name)
        archive.extractall(root, members=members[:: len(members) // 40][:40], filter="data")
    return root / "val"


@pytest.fixture(scope="session")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CamVid's validation part, `images/val` and `masks/val` with a class list, of which every fifth pair is there.

    Beside it, `images/train` has a few pictures to calibrate on.
    """
    if not CAMVID.is_file():
        pytest.skip(f"no {CAMVID.name} beside the repository")
    root = tmp_path_factory.mktemp("camvid")
    with tarfile.open(CAMVID) as archive:
        everything = sorted((each for each in archive if each.isfile()), key=lambda m: m.name)
        members = [each for each in everything if "/val/" in each.name]
        stems = sorted({Path(member.name).stem for member in members})[::5]
        train = [each for each in everything if "/images/train/" in each.name][::120]
        wanted = [*train, *(each for each in members if Path(each.name).stem in stems)]
        archive.extractall(root, members=wanted, filter="data")
    names = [
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
        "void",
    ]
    (root / "camvid" / "classes.csv").write_text("\n".join((*names, "void")))
    return root / "camvid" / "images" / "val"


@pytest.fixture(scope="session")
def models(
    model: SwiftFormerForImageClassification, lite: Callable[..., LiteModel], pixels: np.ndarray
) -> dict[str, LiteModel]:
    """Files of an app by their names: floats, and integers with integer inputs and outputs."""
    integer = RECIPES["int8"].replace(inference_input_type="int8", inference_output_type="uint8")
    quantized = export(fuse(model), integer, calibration=pixels[:8])
    return {"tiny_float32.tflite": lite("float32"), "tiny_int8.tflite": quantized}


@pytest.fixture(scope="session")
def folder_of_app(models: dict[str, LiteModel], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Android folder of `models`."""
    from swiftformer_tf.deployment.android import write_android_folder

    folder = tmp_path_factory.mktemp("android") / "main"
    write_android_folder(models, folder, readme=folder.parent / "page.md")
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Photographs of a folder beside that of their masks; fresh in each test."""
    from support.segments import write_pairs

    return write_pairs(tmp_path)


@pytest.fixture
def good_files(tmp_path: Path) -> dict[str, Path]:
    """The same small weights in two formats, by suffix; fresh in each test."""
    from support.weight_files import random_checkpoint

    paths = {suffix: tmp_path / f"good.{suffix}" for suffix in ("pth", "safetensors")}
    for path in paths.values():
        random_checkpoint().save(path, key_layout="timm")
    return paths
