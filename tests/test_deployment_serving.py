"""The page's server: what it gives out, and what it keeps."""

import dataclasses
import json
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import run
from support.segments import CROPS, cropping, segmenter

from swiftformer_tf import RECIPES, LiteModel, ModelError, export, fuse
from swiftformer_tf.deployment.serving import LITERT_JS, RUNTIME_FILES, WEB, PageServer, page_model, runtime_folder
from swiftformer_tf.tasks.semantic_segmentation import answers_at


@pytest.fixture
def npm_folder(tmp_path: Path) -> Path:
    """What npm would have made, with small files in it."""
    runtime = tmp_path / "npm" / "node_modules" / "@litertjs"
    for name in ("core/wasm/runtime.wasm", "core/dist/index.js", "wasm-utils/dist/index.js"):
        (runtime / name).parent.mkdir(parents=True)
        (runtime / name).write_bytes(b"\0asm")
    (tmp_path / "npm" / "secret.txt").write_text("secret")
    return tmp_path / "npm"


@pytest.fixture
def url(tmp_path: Path, npm_folder: Path, lite: Callable[..., LiteModel]) -> Iterator[str]:
    """A running server with one model."""
    lite("float32").save(tmp_path / "tiny.tflite")
    with PageServer([tmp_path / "tiny.tflite"], litert_js=npm_folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


def fetch(url: str) -> tuple[bytes, dict[str, str]]:
    with urllib.request.urlopen(url) as response:
        return response.read(), dict(response.headers)


def test_page_model_and_runtime_are_served(url: str, lite: Callable[..., LiteModel]) -> None:
    assert b"<title>SwiftFormer in the browser</title>" in fetch(url)[0]
    (entry,) = json.loads(fetch(f"{url}models.json")[0])
    config = lite("float32").config
    assert (entry["name"], entry["shape"], entry["labels"]) == ("tiny", [1, 64, 64, 3], list(config.labels))
    assert entry["transform"] == json.loads(json.dumps(config.transform.to_dict()))
    assert fetch(url.rstrip("/") + entry["url"])[0] == lite("float32").content
    content, headers = fetch(f"{url}litert/core/wasm/runtime.wasm")
    assert (content, headers["Content-Type"]) == (b"\0asm", "application/wasm")


def test_all_that_the_page_names_is_there(url: str) -> None:
    texts = [fetch(url)[0].decode(), *(path.read_text() for path in WEB.glob("*.js"))]
    names = {name for text in texts for name in re.findall(r'["/](page/[\w.]+)"', text)}
    assert names >= {"page/app.js", "page/style.css", "page/classifier.js", "page/photograph.js"}
    for name in names:
        fetch(url + name)


def test_the_page_may_load_from_its_own_host_only(url: str) -> None:
    policy = fetch(url)[1]["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert not re.search(r"https?:|\*", policy)
    for path in WEB.iterdir():
        assert not re.search(r"(?:https?:)?//\w+\.\w", path.read_text()), path.name


@pytest.mark.parametrize(
    "path",
    ["secret.txt", "litert/../../secret.txt", "page/../serving.py", "page/", "models/1.tflite", "models/x.tflite"],
)
def test_nothing_else_of_the_disk_is_given_out(url: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(url + path)


def test_the_server_is_for_this_machine_alone(npm_folder: Path) -> None:
    with PageServer([], litert_js=npm_folder) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_model_of_integers_is_refused_by_name(lite: Callable[..., LiteModel]) -> None:
    model = lite("float32")
    integers = dataclasses.replace(model, recipe=RECIPES["int8"].replace(inference_input_type="uint8", name="int8"))
    with pytest.raises(
        ModelError, match="tiny: takes uint8 and returns float32: the page needs float32 inputs and outputs"
    ):
        page_model(integers, name="tiny", url="/")


def test_the_import_map_names_what_is_checked(npm_folder: Path) -> None:
    """What the page imports of LiteRT.js is what `runtime_folder` looks for."""
    named = re.findall(r'"/litert/([^"]+)"', (WEB / "index.html").read_text())
    folders = re.findall(r'"/litert/([^"]+)/"', (WEB / "classifier.js").read_text())
    assert sorted([*named, *folders]) == sorted(RUNTIME_FILES)
    assert runtime_folder(npm_folder) == npm_folder / "node_modules" / "@litertjs"


@pytest.mark.parametrize("name", RUNTIME_FILES)
def test_half_of_litert_js_is_refused_with_the_cure(npm_folder: Path, name: str) -> None:
    runtime = npm_folder / "node_modules" / "@litertjs"
    (runtime / name).rename(npm_folder / "elsewhere")
    message = f"{runtime / name} is missing: remove {runtime} and run npm install {LITERT_JS} in {npm_folder}"
    with pytest.raises(ModelError, match=re.escape(message)):
        PageServer([], litert_js=npm_folder)


@pytest.mark.parametrize("arguments", [["serve", "{model}"], ["demo", "--serve", "-o", "{folder}/out"]])
def test_without_litert_js_nothing_is_done_and_the_cure_is_named(
    tmp_path: Path, lite: Callable[..., LiteModel], arguments: list[str]
) -> None:
    lite("float32").save(tmp_path / "tiny.tflite")
    filled = [each.format(model=tmp_path / "tiny.tflite", folder=tmp_path) for each in arguments]
    result = run(*filled, "--litert-js", tmp_path)
    assert result.exit_code == 2
    assert f"no LiteRT.js in {tmp_path}: run npm install @litertjs/core@2.5.3 there" in result.output
    assert not (tmp_path / "out").exists()


def test_serve_opens_the_page_and_ends_when_it_is_interrupted(
    tmp_path: Path, npm_folder: Path, lite: Callable[..., LiteModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def interrupted(server: PageServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.launch", opened.append)
    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    lite("float32").save(tmp_path / "tiny.tflite")
    arguments = ["serve", str(tmp_path / "tiny.tflite"), "--litert-js", str(npm_folder), "--port", "0"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    (url,) = opened
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
    assert result.stderr.splitlines() == [f"Serving {url} to this machine only. Press Ctrl-C to stop.", "Ended."]
    run(*arguments, "--no-browse")
    assert opened == [url]


SEGMENTATION_JS = """
import {{ classes, painted, shares }} from "{module}";
const {{ outputs, model, size, same }} = {given};
const colors = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
console.log(JSON.stringify([
  [...classes(new Float32Array(outputs), model, size)], shares(Uint8Array.from(same)),
  [...painted(new Uint8Array([2, 0]), colors)],
]));
"""


@pytest.mark.parametrize("size", [(6, 10), (24, 40), (37, 53), (5, 9), (1, 1)])
@pytest.mark.parametrize("is_mask", [False, True])
def test_the_page_makes_masks_as_predict_does(tmp_path: Path, size: tuple[int, int], is_mask: bool) -> None:
    """On photographs of the map's own size, larger and smaller ones; the first of equal outputs wins."""
    if not (node := shutil.which("node")):
        pytest.skip("no Node.js")
    module = tmp_path / "segmentation.mjs"
    module.write_bytes((WEB / "segmentation.js").read_bytes())
    rng = np.random.default_rng(0)
    outputs = rng.integers(0, 3, (1, 6, 10)) if is_mask else rng.normal(size=(1, 6, 10, 3)).astype(np.float32)
    outputs[0, :2, :2] = 1
    model = {"labels": ["a", "b", "c"], "isMask": is_mask, "maskSize": [6, 10]}
    photograph = {"height": size[0], "width": size[1]}
    given = {"outputs": outputs.ravel().tolist(), "model": model, "size": photograph, "same": [0, 0, 1, 2]}
    (tmp_path / "run.mjs").write_text(SEGMENTATION_JS.format(module=module.as_uri(), given=json.dumps(given)))
    said = subprocess.run([node, tmp_path / "run.mjs"], capture_output=True, text=True, check=True).stdout
    mask, shares, painted = json.loads(said)
    np.testing.assert_array_equal(np.reshape(mask, size), answers_at(outputs, size, 3))
    assert shares == [{"index": 0, "share": 0.5}, {"index": 1, "share": 0.25}, {"index": 2, "share": 0.25}]
    assert painted == [7, 8, 9, 255, 1, 2, 3, 255]


@pytest.mark.parametrize(("activation", "size", "is_mask"), [(None, [10, 16], False), ("argmax", [40, 64], True)])
def test_a_segmenter_is_told_to_the_page(activation: Any, size: list[int], is_mask: bool) -> None:
    exported = export(fuse(segmenter(), classifier_activation=activation), RECIPES["float32"])
    entry = page_model(exported, name="streets", url="/")
    assert (entry["task"], entry["maskSize"], entry["isMask"]) == ("semantic-segmentation", size, is_mask)
    assert len(entry["colors"]) == 2
    json.dumps(entry)


def test_a_segmenter_that_sees_parts_is_refused() -> None:
    exported = export(fuse(cropping()), RECIPES["float32"])
    with pytest.raises(ModelError, match=f"^streets: {CROPS}"):
        page_model(exported, name="streets", url="/")
