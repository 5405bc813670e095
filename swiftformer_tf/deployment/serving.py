"""Serves a page that runs models in the browser, to this machine only."""

import base64
import contextlib
import hashlib
import http.server
import json
import mimetypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from swiftformer_tf.errors import ConfigError, ImageError, ModelError
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.tasks import INDICES
from swiftformer_tf.tasks.classification import activation

__all__ = ["LITERT_JS", "PageServer", "page_model", "runtime_folder", "serve"]

# The package that npm must have installed in the folder.
LITERT_JS = "@litertjs/core@2.5.3"

# The files of it that the page loads; an interrupted npm leaves only some of them.
RUNTIME_FILES = ("core/dist/index.js", "wasm-utils/dist/index.js", "core/wasm")

WEB = Path(__file__).with_name("web")
TYPES = {".js": "text/javascript", ".wasm": "application/wasm"}


def page_model(model: LiteModel, *, name: str, url: str) -> dict[str, Any]:
    """Returns what the page needs to know about a model.

    Args:
        model: A model with labels and float32 input and output.
        name: Display name.
        url: URL at which the page finds the file.

    Raises:
        ModelError: The model has no labels, its input is integer, or it is a segmenter whose transform crops.
    """
    if not model.config.num_labels:
        raise ModelError(f"{name}: no labels to show; it returns pooled features")
    try:
        model.config.transform.check_photographs()
        further = SHOWN[model.main_output.task](model)
    except (ConfigError, ImageError) as error:
        raise ModelError(f"{name}: {error}") from None
    types = (model.recipe.inference_input_type, model.recipe.inference_output_type)
    if types != ("float32", "float32"):
        raise ModelError(f"{name}: takes {types[0]} and returns {types[1]}: the page needs float32 inputs and outputs")
    return {
        "name": name,
        "url": url,
        "shape": [1, *model.config.input_size, model.config.num_channels],
        "labels": list(model.labels),
        "transform": model.config.transform.to_dict(),
        "raw": model.include_preprocessing,
        "resized": list(model.config.transform.resized),
        "keepsShape": model.config.transform.keeps_shape,
        "megabytes": round(len(model.content) / 1e6, 1),
        "task": model.main_output.task,
        **further,
    }


def _labels(model: LiteModel) -> dict[str, Any]:
    return {
        # The activation that the page has to apply: none if the file applies it itself.
        "activation": None if model.classifier_activation else activation(model.config),
        "numbers": activation(model.config) is None,
    }


def _mask(model: LiteModel) -> dict[str, Any]:
    model.config.transform.check_whole()
    output = model.main_output
    return {
        "colors": [list(color) for color in model.config.colors],
        "maskSize": list(output.shape[1:3]),
        "isMask": output.activation in INDICES,
    }


# Additional data that the page needs to show outputs, by task.
SHOWN = {"classification": _labels, "semantic-segmentation": _mask}


def runtime_folder(litert_js: str | Path) -> Path:
    """Finds LiteRT.js in a folder in which npm installed it.

    Raises:
        ModelError: It is missing or incomplete; the message says how to install it.

    Examples:
        >>> runtime_folder("nowhere")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no LiteRT.js in nowhere: run npm install @litertjs/core@2.5.3 there
    """
    runtime = Path(litert_js, "node_modules", "@litertjs")
    if not runtime.is_dir():
        raise ModelError(f"no LiteRT.js in {litert_js}: run npm install {LITERT_JS} there")
    for name in RUNTIME_FILES:
        if not (runtime / name).exists():
            # npm skips a package whose folder exists, whatever it contains.
            raise ModelError(
                f"{runtime / name} is missing: remove {runtime} and run npm install {LITERT_JS} in {litert_js}"
            )
    return runtime


class PageServer(http.server.ThreadingHTTPServer):
    """Serves the page, models and LiteRT.js, and no other files, on this machine's loopback address.

    The page's Content-Security-Policy prevents the browser from loading anything from another host.

    Args:
        models: Paths of the models; the first is selected when the page opens.
        litert_js: Folder in which npm installed `LITERT_JS`, with a `node_modules`.
        port: Port; 0 selects a free one.

    Raises:
        ModelError: LiteRT.js is not installed there, or the page cannot run a model.
        OSError: The port is taken.

    Examples:
        >>> PageServer([], litert_js="nowhere")
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no LiteRT.js in nowhere: run npm install @litertjs/core@2.5.3 there
    """

    daemon_threads = True

    def __init__(self, models: Sequence[str | Path], *, litert_js: str | Path = ".", port: int = 0) -> None:
        self.runtime = runtime_folder(litert_js)
        self.models = [LiteModel.open(path) for path in models]
        self.listing = [
            page_model(model, name=Path(path).stem, url=f"/models/{index}.tflite")
            for index, (path, model) in enumerate(zip(models, self.models, strict=True))
        ]
        self.policy = _policy()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """The URL to open in the browser."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


def serve(
    models: Sequence[str | Path],
    *,
    litert_js: str | Path = ".",
    port: int = 0,
    started: Callable[[str], object] | None = None,
) -> None:
    """Serves a page that runs models in the browser until it is interrupted by Ctrl-C, as `swiftformer-tf serve` does.

    Args:
        models: See `PageServer`.
        litert_js: See `PageServer`.
        port: See `PageServer`.
        started: Called with the URL once a browser can open it.

    Raises:
        ModelError: See `PageServer`.
        OSError: The port is taken.

    Examples:
        >>> serve([], litert_js="nowhere", started=print)
        Traceback (most recent call last):
        ...
        swiftformer_tf.errors.ModelError: no LiteRT.js in nowhere: run npm install @litertjs/core@2.5.3 there
    """
    with PageServer(models, litert_js=litert_js, port=port) as server:
        if started:
            started(server.url)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        found = self._find(self.path.partition("?")[0])
        if found is None:
            self.send_error(404)
            return
        content, kind = found
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Security-Policy", self.server.policy)
        # WebAssembly threads require a page that is isolated from other origins.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(content)

    def _find(self, path: str) -> tuple[bytes, str] | None:
        if path == "/":
            return (WEB / "index.html").read_bytes(), "text/html; charset=utf-8"
        if path == "/models.json":
            return json.dumps(self.server.listing).encode(), "application/json"
        if match := re.fullmatch(r"/models/(\d{1,3})\.tflite", path):
            index = int(match[1])
            if index < len(self.server.models):
                return self.server.models[index].content, "application/octet-stream"
            return None
        for prefix, root in (("/page/", WEB), ("/litert/", self.server.runtime)):
            if path.startswith(prefix):
                file = (root / path.removeprefix(prefix)).resolve()
                if file.is_relative_to(root.resolve()) and file.is_file():
                    kind = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
                    return file.read_bytes(), kind
        return None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Does not log requests to the terminal."""


def _policy() -> str:
    """The policy: nothing from another host; the one inline script, which locates LiteRT.js, is allowed by its hash."""
    (inline,) = re.findall(r'<script type="importmap">(.*?)</script>', (WEB / "index.html").read_text(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    return (
        f"default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'sha256-{digest}'; worker-src 'self' blob:; "
        "img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
