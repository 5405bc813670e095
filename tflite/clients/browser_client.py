"""LiteRT.js in headless Chromium, on the CPU (wasm) and a GPU in software (webgpu), through the package's own page."""

import base64
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from environments import LeftOutError, debian_command, npm
from PIL import Image
from running import recipe_names, say

from swiftformer_tf.deployment.serving import LITERT_JS, PageServer
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.predicting import predict_photographs

__all__ = ["PLAYWRIGHT"]

SNIPPETS = Path(__file__).parents[2] / "docs" / "tutorials" / "running-the-files.md"

PLAYWRIGHT = "playwright-core@1.64.1"
VARIANTS = ("wasm", "webgpu")
COUNT, GPU_COUNT = 3, 2
TIMEOUT = 3600


def main(kit: Path, *, quick: bool) -> dict[str, Any]:
    """What the client says."""
    folder = Path(os.environ["CLIENT_FOLDER"])
    if not shutil.which("node"):
        raise LeftOutError("no node: install Node.js")
    chromium = debian_command("chromium", "chromium")
    packages = npm(folder / "npm", [LITERT_JS, PLAYWRIGHT])
    names = recipe_names(kit)
    paths = [kit / f"{name}.tflite" for name in names]
    first = LiteModel.open(paths[0])
    with PageServer(paths, litert_js=packages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said, end = drive(
            ["node", str(Path(__file__).with_suffix(".mjs")), server.url, str(chromium), str(packages)],
            job(kit, names, shown(first, kit, folder / "shown"), count=GPU_COUNT if quick else COUNT),
            folder / "job.json",
        )
        server.shutdown()
    runs = [each for each in said if "recipe" in each]
    for each in runs:
        if "outputs" in each:  # JavaScript has them in one row
            each["outputs"] = np.reshape(each["outputs"], (-1, *first.main_output.shape[1:])).tolist()
    answered = {(each["variant"], each["recipe"]) for each in runs}
    for variant, name in itertools.product(VARIANTS, names):
        if (variant, name) not in answered:
            runs.append({"variant": variant, "recipe": name, "failed": end})
    (page,) = [each["page"] for each in said if "page" in each] or [end]
    if page:
        runs.append({"variant": "the page, used", "recipe": names[0], "failed": page})
    browsers = [each["chromium"] for each in said if "chromium" in each] or ["none"]
    return {"versions": {"LiteRT.js": LITERT_JS.rpartition("@")[2], "Chromium": browsers[0]}, "runs": runs}


def drive(command: list[str], work: dict[str, Any], file: Path) -> tuple[list[dict[str, Any]], str]:
    """What node said line by line, shown as it comes, and why it says no more; `file` is where it reads `work`."""
    file.write_text(json.dumps(work))
    said = []
    with (
        file.open() as job,
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdin=job, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        for line in process.stdout:
            said.append(json.loads(line))
            print(progress(said[-1]), flush=True)
        timer.cancel()
        status = process.wait()
        errors.seek(0)
        words = errors.read().strip().splitlines()[-3:]
    if status == -signal.SIGKILL:
        return said, f"no answer within {TIMEOUT} s"
    return said, f"node ended with status {status}: {' '.join(words)}"


def progress(each: dict[str, Any]) -> str:
    """One line for people."""
    if "recipe" not in each:
        return f"page: {each['page'] or 'used'}" if "page" in each else f"Chromium {each['chromium']}"
    outcome = each.get("refused") or each.get("failed") or f"{each['facts']['ms']} ms a photograph"
    return f"{each['variant']} {each['recipe']}: {outcome}"


def shown(lite: LiteModel, kit: Path, folder: Path) -> list[dict[str, Any]]:
    """What the page must show of photographs by this file: the best label with its score or, of a segmenter, the
    commonest class with its share, and the overlay, which is written to `folder`."""
    is_mask = lite.main_output.task == "semantic-segmentation"
    paths = sorted((kit / "photographs").glob("*.png"))[:2]
    expected = []
    for path, each in zip(
        paths, predict_photographs(lite, paths, top=1, output=folder if is_mask else None), strict=True
    ):
        (best,) = each.result["classes" if is_mask else "labels"]
        row = {"file": str(path), "label": best["label"], "score": best["share" if is_mask else "score"]}
        if is_mask:
            pixels = np.asarray(Image.open(each.result["overlay"]).convert("RGBA"))
            row |= {"overlay": base64.b64encode(pixels.tobytes()).decode(), "least": lite.recipe.min_pixel_agreement}
        expected.append(row)
    return expected


def job(kit: Path, names: list[str], photographs: list[dict[str, Any]], *, count: int) -> dict[str, Any]:
    """What the browser has to do, and what it must see on the page, where photographs go through the transform."""
    inputs = np.load(kit / "inputs.npy")[:count]
    return {
        "inputs": [base64.b64encode(each.tobytes()).decode() for each in inputs],
        "gpuCount": GPU_COUNT,
        "recipes": names,
        "photographs": photographs,
        "snippet": re.findall(r"```js\n(.*?)```", SNIPPETS.read_text("utf-8"), re.DOTALL)[0],
    }


if __name__ == "__main__":
    say(main)
