"""Draws the README's pictures of a report, of the browser page and of a segmentation, from files that we may ship.

    swiftformer-tf demo -o demo
    npm install --prefix node @litertjs/core@2.5.3 playwright-core@1.64.1
    python docs/pictures/screens.py demo node

Needs Chromium. The photographs come with scikit-image: a cat (Chelsea, CC0) and Greek coins from Pompeii (Brooklyn
Museum, no known copyright restrictions). The segmenter learns the upper two rows of coins, from a mask that a
watershed finds, and is shown on the lower two.
"""

import argparse
import importlib.resources
import json
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_fill_holes
from skimage.filters import sobel
from skimage.segmentation import watershed

from swiftformer_tf.deployment.serving import PageServer
from swiftformer_tf.predicting import predict_photographs
from swiftformer_tf.training import SegmentationRecipe, train

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1000, 640

# For the segmenter.
EPOCHS = 40

# A README is loaded on phones, too.
MAX_BYTES = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="folder of swiftformer-tf demo")
    parser.add_argument("node", type=Path, help="folder in which npm installed both packages")
    given = parser.parse_args()
    photographs = importlib.resources.files("skimage") / "data"
    with (
        importlib.resources.as_file(photographs / "chelsea.png") as cat,
        importlib.resources.as_file(photographs / "coins.png") as coins,
        tempfile.TemporaryDirectory() as name,
    ):
        screens(given.demo, given.node, cat, Path(name))
        segmentation(coins, Path(name))


def screens(demo: Path, node: Path, photograph: Path, folder: Path) -> None:
    """The beginning of the report, and the browser page with an answer."""
    models = [demo / f"swiftformer_xs_imagenette_{recipe}.tflite" for recipe in ("float16", "dynamic_int8")]
    with PageServer(models, litert_js=node) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        size = {"width": WIDTH, "height": HEIGHT}
        job = [
            {"url": (demo / "report.html").resolve().as_uri(), "file": str(folder / "report.png"), **size},
            {"url": server.url, "file": str(folder / "browser.png"), "photograph": str(photograph), **size},
        ]
        chromium = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
        command = ["node", str(HERE / "screens.mjs"), chromium, str(node.resolve())]
        subprocess.run(command, input=json.dumps(job), text=True, check=True)
        server.shutdown()
    for name in ("report", "browser"):
        save(Image.open(folder / f"{name}.png"), name)


def segmentation(photograph: Path, folder: Path) -> None:
    """The lower half of a photograph beside what a segmenter that has learned the upper half makes of it."""
    pixels = np.asarray(Image.open(photograph).convert("L"))
    half = len(pixels) // 2
    write_pairs(pixels[:half], folder / "coins")
    recipe = SegmentationRecipe(epochs=EPOCHS, batch_size=4, crop_size=(128, 128), warmup_steps=10, ema=0.9)
    train(
        folder / "coins" / "images",
        folder / "run",
        task="semantic-segmentation",
        source="swiftformer_xs_imagenette",
        recipe=recipe,
        image_size=(160, 384),
    )
    lower = folder / "lower.png"
    Image.fromarray(pixels[half:]).convert("RGB").save(lower)
    predict_photographs(folder / "run" / "model.keras", [lower], output=folder)
    parts = [Image.open(lower), Image.open(folder / "lower_overlay.png")]
    both = Image.new("RGB", (parts[0].width, 2 * parts[0].height + 8), "white")
    for index, part in enumerate(parts):
        both.paste(part, (0, index * (part.height + 8)))
    save(both.resize((2 * both.width, 2 * both.height), Image.Resampling.LANCZOS), "segmentation")


def write_pairs(pixels: np.ndarray, folder: Path) -> None:
    """Overlapping crops of a photograph of coins and their masks, as `train` reads them."""
    markers = np.where(pixels < 30, 1, np.where(pixels > 150, 2, 0))
    mask = binary_fill_holes(watershed(sobel(pixels), markers) == 2).astype(np.uint8)
    for name, values in (("images", pixels), ("masks", mask)):
        (folder / name).mkdir(parents=True)
        for index, left in enumerate(range(0, values.shape[1] - 127, 32)):
            picture = Image.fromarray(values[:, left : left + 128])
            (picture.convert("RGB") if name == "images" else picture).save(folder / name / f"{index}.png")
    (folder / "classes.csv").write_text("background\ncoin\n")


def save(picture: Image.Image, name: str) -> None:
    """Saves a picture as a PNG with few enough colors to be small in a README."""
    path = HERE / f"{name}.png"
    for colors in (256, 128, 64, 32):
        picture.convert("RGB").quantize(colors).save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            return
    raise SystemExit(f"{path}: {path.stat().st_size} bytes, expected {MAX_BYTES} at most")


if __name__ == "__main__":
    main()
