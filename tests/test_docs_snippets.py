"""Blocks of pages that `make docs` does not run: of the README, a page of results, and running-the-files.md."""

import importlib
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
from PIL import Image
from support.commands import run
from support.kotlin_app import STAND_INS, command, compile_kotlin, run_app
from support.random_models import pictures
from support.segmenters import lite
from support.segments import write_pairs
from support.weight_files import GOLDEN

from swiftformer_tf import (
    PRETRAINED,
    RECIPES,
    SEGMENTATION_HEADS,
    VARIANTS,
    Checkpoint,
    LiteModel,
    SwiftFormerForImageClassification,
    SwiftFormerForSemanticSegmentation,
    port,
    to_checkpoint,
)
from swiftformer_tf.config import TokenWeights
from swiftformer_tf.deployment.android import write_android_folder
from swiftformer_tf.images.samples import photographs
from swiftformer_tf.training import SEGMENTATION_RECIPES

README = Path(__file__).parents[1] / "README.md"
PAGE = Path(__file__).parents[1] / "docs" / "tutorials" / "running-the-files.md"


def snippet(language: str, page: Path = PAGE) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return str(block)


def write_use(folder: Path, package: str, block: str, names: dict[str, str]) -> Path:
    """A Kotlin file of a package with a block in which these names have these types."""
    used = ("android.util.Log", "com.google.ai.edge.litert.*", *names.values())
    imports = "".join(f"import {each}\n" for each in used)
    given = ", ".join(f"{name}: {each.rpartition('.')[2]}" for name, each in names.items())
    path = folder / f"{package}.kt"
    path.write_text(f"package {package}\n\n{imports}\nfun use({given}) {{\n{block}}}\n")
    return path


def test_the_readmes_command_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, on a sixth of the photographs of the demo."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (block,) = [each for each in blocks if "export swiftformer_xs_imagenette" in each]
    transform = Checkpoint.open(PRETRAINED["swiftformer_xs_imagenette"]).config.transform
    for split, shown in zip(("train", "val"), photographs(transform), strict=True):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for index, pixels in enumerate(shown.pixels[::6]):
            Image.fromarray(pixels).save(tmp_path / "photos" / split / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(block.replace("\\\n", " "))
    assert program == "swiftformer-tf"
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "models").glob("*.tflite")) == [
        "swiftformer_xs_imagenette_mixed_int8.tflite"
    ]
    assert "mixed_int8" in (tmp_path / "report.html").read_text("utf-8")


# Apps that run the blocks of pages on the picture in the working directory.
MAINS = {
    "swiftformer": 'fun main() = use(Context(AssetManager(File("assets"))), Uri.parse("picture"))',
    "streets": """fun main() {
    val context = Context(AssetManager(File("assets")))
    use(context, frame(), ImageView(context), 90)
}""",
}
IMPORTS = (
    *("android.content.Context", "android.content.res.AssetManager", "android.net.Uri", "android.widget.ImageView"),
    *("app.frame", "java.io.File"),
)


def test_the_kotlin_snippets_run_with_the_classes_that_export_writes(folder_of_app: Path, tmp_path: Path) -> None:
    """Compiled at once, since the compiler takes long to start; then one that calls what is not there."""
    segmenter = lite("float32", "softmax")
    models = {"model_float32.tflite": segmenter}
    write_android_folder(models, tmp_path / "app", package="streets", class_name="Streets")
    sources = [*STAND_INS, *folder_of_app.rglob("*.kt"), *(tmp_path / "app").rglob("*.kt")]
    label, place = snippet("kotlin"), {"context": "android.content.Context", "uri": "android.net.Uri"}
    mask = snippet("kotlin", PAGE.with_name("masks-to-segmenter.md"))
    picture = {
        "context": "android.content.Context",
        "bitmap": "android.graphics.Bitmap",
        "image": "android.widget.ImageView",
        "rotationDegrees": "kotlin.Int",
    }
    uses = [write_use(tmp_path, "swiftformer", label, place), write_use(tmp_path, "streets", mask, picture)]
    npu = snippet("kotlin", PAGE.parents[1] / "npu.md")
    uses.append(write_use(tmp_path, "npu", npu, {"context": "android.content.Context"}))
    for package, main in MAINS.items():
        uses.append(tmp_path / package / "Main.kt")
        uses[-1].parent.mkdir()
        uses[-1].write_text("\n".join([f"package {package}", *(f"import {each}" for each in IMPORTS), main]))
    assert compile_kotlin([*sources, *uses], tmp_path / "classes") == ""
    shutil.copytree(folder_of_app / "assets", tmp_path / "swiftformer" / "assets")
    shutil.copytree(tmp_path / "app" / "assets", tmp_path / "streets" / "assets")
    (photograph,) = pictures(1, 73, 73)
    best = np.array([0, 255, 200, 3, 4, 5, 6, 7, 8, 9], np.uint8).tobytes()
    lines, _ = run_app(command(tmp_path / "classes", "swiftformer"), tmp_path / "swiftformer", "INT8", photograph, best)
    assert [line.rsplit(" ", 1)[0] for line in lines if line.startswith("class")] == ["class 1", "class 2", "class 9"]
    even = np.full(segmenter.outputs[0].shape, 1 / segmenter.outputs[0].shape[-1], np.float32).tobytes()
    streets = command(tmp_path / "classes", "streets")
    lines, _ = run_app(streets, tmp_path / "streets", "FLOAT32", photograph, even, stem="model")
    assert lines[-1] == "closed the environment"
    wrong = write_use(tmp_path, "streets", mask.replace("overlay", "overlie"), picture)
    assert "unresolved reference 'overlie'" in compile_kotlin([wrong], tmp_path / "classes")


def test_the_other_snippets_are_where_their_tests_look_for_them() -> None:
    """`make clients` runs MediaPipe's and LiteRT.js's with files and photographs of its own in these places."""
    assert snippet("py").count('path, photograph = "models/') == 1
    assert snippet("js").count('"/models/0.tflite"') == 1
    embeddings = snippet("py", PAGE.parents[1] / "embeddings.md")
    assert embeddings.count('model_asset_path="models/features_mixed_int8.tflite"') == 1
    assert embeddings.count('f"photos/val/{name}/0.jpg"') == 1
    assert embeddings.count('for name in ("tench", "parachute")') == 1


def test_a_workflow_runs_the_clients_that_run_them() -> None:
    root = PAGE.parents[2]
    (listed,) = re.findall(r"^CI_CLIENTS \?= (.*)$", (root / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"mediapipe", "browser"} <= {*listed.split()}
    jobs = (root / ".github" / "workflows" / "clients.yml").read_text("utf-8").split("\n\n")
    (job,) = [each for each in jobs if "clients-ci" in each]
    assert "actions/setup-node" in job


def run_block(path: Path, part: str, **given: Any) -> dict[str, Any]:
    """Runs the Python block of a page that has `part` in it, with the names that it is given, and returns all names."""
    blocks = re.findall(r"```py(?:thon)?\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    (block,) = [each for each in blocks if part in each]
    exec(block, given)
    return given


class Tensor:
    """The methods of PyTorch's tensors that the page of the attention types calls."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def detach(self) -> Self:
        return self

    def numpy(self) -> np.ndarray:
        return self.array


@pytest.mark.parametrize("token_weights", ["l2", "uniform"])
def test_the_outputs_that_the_page_writes_tell_the_attention_type(
    token_weights: TokenWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a port of the same file in the place of its PyTorch model."""
    port_of_it = port(Checkpoint.open(GOLDEN / "original_tiny.pth", token_weights=token_weights)).model
    rng = np.random.default_rng(0)
    torch = SimpleNamespace(randn=lambda *shape: Tensor(np.asarray(rng.standard_normal(shape, np.float32))))

    def model(pixels: Tensor) -> Tensor:
        return Tensor(np.asarray(port_of_it(pixels.array.transpose(0, 2, 3, 1), training=False)))

    monkeypatch.chdir(tmp_path)
    page = PAGE.parents[1] / "attention-types.md"
    run_block(page, "numpy.savez(", torch=torch, numpy=np, model=SimpleNamespace(eval=lambda: model))
    done = run("port", GOLDEN / "original_tiny.pth", "-o", "xs.keras", "--expected", "outputs.npz")
    assert done.exit_code == 0, done.output
    assert f"; {token_weights} fits" in done.output


def test_the_own_model_of_the_readme_trains() -> None:
    assert run_block(README, "model.fit(")["model"].optimizer.iterations == 1


def test_the_steps_of_the_readme_end_in_a_verified_file(
    model: SwiftFormerForImageClassification, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a tiny model in the place of the published one: random, it loses more to integers than the recipe allows."""
    monkeypatch.setitem(RECIPES, "mixed_int8", RECIPES["mixed_int8"].replace(min_snr=12, min_agreement=0.85))
    (tmp_path / "photos").mkdir()
    for part in ("train", "val"):
        (tmp_path / "photos" / part).symlink_to(folder)
    to_checkpoint(model).save(tmp_path / "swiftformer_xs.pth", key_layout="original")
    monkeypatch.chdir(tmp_path)
    run_block(README, "raise_for_failure()")
    assert LiteModel.open(tmp_path / "swiftformer_xs_mixed_int8.tflite").recipe.name == "mixed_int8"


def test_the_training_of_the_segmentation_page_trains(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny model for one epoch, on drawn pictures in the place of CamVid's."""
    write_pairs(tmp_path / "CAMVID", count=2)
    monkeypatch.setitem(PRETRAINED, "swiftformer_xs_imagenette", saved)
    short = SEGMENTATION_RECIPES["short"].replace(epochs=1, batch_size=2, crop_size=(32, 32), whole_epochs=0.0)
    monkeypatch.setitem(SEGMENTATION_RECIPES, "short", short)
    monkeypatch.chdir(tmp_path)
    found = run_block(PAGE.parents[1] / "results" / "segmentation.md", "train_segmenter(model")
    assert found["model"].config.labels == ("sky", "ground")
    assert found["model"].config.input_size == (360, 480)
    trained = SwiftFormerForSemanticSegmentation.from_pretrained(tmp_path / "run" / "model.keras")
    assert trained.head == SEGMENTATION_HEADS["semantic_fpn_64"]


def test_the_readme_has_the_sizes_and_times_of_the_page_of_the_variants() -> None:
    """A row for each recipe; the page also tells partitions."""
    page = (PAGE.parents[1] / "results" / "variants.md").read_text("utf-8")
    rows = re.findall(r"^\| `\w+` \|(?: [\d.]+, [\d.]+, \d+ \|){4}$", page, re.MULTILINE)
    assert [row.split("`")[1] for row in rows] == list(RECIPES)
    assert "\n".join(re.sub(r", \d+ \|", " |", row) for row in rows) in README.read_text("utf-8")


def test_the_page_of_the_recipes_has_their_thresholds() -> None:
    page = PAGE.with_name("quantization.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) dB, (\d+) % \|$", page, re.MULTILINE)
    thresholds = {name: (recipe.min_snr, round(100 * recipe.min_agreement)) for name, recipe in RECIPES.items()}
    assert {name: (int(snr), int(share)) for name, snr, share in rows} == thresholds


def test_pages_say_of_their_rows_what_their_scripts_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which goals they are held against, and that the photographs had a part in choices."""
    results = PAGE.parents[1] / "results"
    monkeypatch.syspath_prepend(str(results))
    draws, quantization = (importlib.import_module(name) for name in ("draws", "quantization"))
    sections = {"robustness.md": draws.draws_table(), "quantization.md": quantization.heading(1966, 200, 192, 0.9049)}
    for name, lines in sections.items():
        assert "Expect larger losses on unseen photographs" in " ".join(lines)
        assert "\n".join(lines) in (results / name).read_text("utf-8")


def test_the_page_of_the_variants_lists_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    results = PAGE.parents[1] / "results"
    monkeypatch.syspath_prepend(str(results))
    table = "\n".join(importlib.import_module("variants").architectures())
    assert [name for name in VARIANTS if f"| `{name}` |" not in table] == []
    assert (results / "variants.md").read_text("utf-8").endswith(f"\n\n{table}\n")
