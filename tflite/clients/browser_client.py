"""LiteRT.js in headless Chromium, on the CPU (wasm) and a GPU in software (webgpu), through the package's own page."""

import base64
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
from environments import LeftOutError, debian_command, npm
from running import recipe_names, say

from swiftformer_tf.deployment.serving import LITERT_JS, PageServer
from swiftformer_tf.litemodel import LiteModel, LiteRunner

__all__ = ["PLAYWRIGHT"]

PLAYWRIGHT = "playwright-core@1.64.1"
COUNT, GPU_COUNT = 6, 2
TIMEOUT = 600


def main(kit: Path, *, quick: bool) -> dict[str, Any]:
    """What the client says."""
    folder = Path(os.environ["CLIENT_FOLDER"])
    if not shutil.which("node"):
        raise LeftOutError("no node: install Node.js")
    chromium = debian_command("chromium", "chromium")
    packages = npm(folder / "npm", [LITERT_JS, PLAYWRIGHT])
    names = recipe_names(kit)[:1] if quick else recipe_names(kit)
    paths = [kit / f"{name}.tflite" for name in names]
    with PageServer(paths, litert_js=packages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        result = subprocess.run(
            ["node", str(Path(__file__).with_suffix(".mjs")), server.url, str(chromium), str(packages)],
            input=json.dumps(job(kit, names, LiteModel.open(paths[0]))),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        server.shutdown()
    if result.returncode:
        raise RuntimeError(f"node: {result.stderr.strip()}")
    said = json.loads(result.stdout.strip().splitlines()[-1])
    runs = said["runs"]
    if said["page"]:
        runs.append({"variant": "the page, used", "recipe": names[0], "failed": said["page"]})
    return {"versions": {"LiteRT.js": LITERT_JS.rpartition("@")[2], "Chromium": said["chromium"]}, "runs": runs}


def job(kit: Path, names: list[str], lite: LiteModel) -> dict[str, Any]:
    """What the browser has to do, and what it must see on the page, where photographs go through the transform."""
    runner, transform = LiteRunner(lite), lite.config.transform
    photographs = []
    for path in sorted((kit / "photographs").glob("*.png"))[:2]:
        logits = runner(transform(path)[None])
        powers = np.exp(logits - logits.max())
        best = int(logits.argmax())
        photographs.append({"file": str(path), "label": lite.labels[best], "score": float(powers[best] / powers.sum())})
    inputs = np.load(kit / "inputs.npy")[:COUNT]
    return {
        "inputs": [base64.b64encode(each.tobytes()).decode() for each in inputs],
        "gpuCount": GPU_COUNT,
        "recipes": names,
        "photographs": photographs,
    }


if __name__ == "__main__":
    say(main)
