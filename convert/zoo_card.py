"""What people read of the zoo: a model card in each folder, the hashes of its files, and one table of all."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from swiftformer_tf.deployment.chips import CHIPS, WHICH_RECIPE
from swiftformer_tf.files import replacing
from swiftformer_tf.images.labels import imagenet_classes
from swiftformer_tf.images.transform import Transform

CARD, HASHES = "README.md", "SHA256SUMS"

USE = """\
```python
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

path = "{file}"
image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
{preparation}
runner = Interpreter(path).get_signature_runner()
(logits,) = runner(**{{name: np.asarray(image, np.float32)[None] for name in runner.get_input_details()}}).values()
labels = zipfile.ZipFile(path).read("labels.txt").decode().splitlines()  # a .tflite file with metadata is also a zip
print(labels[logits.argmax()])
```

The photograph is prepared as in the evaluation. The files take RGB from 0 to 255; normalization is inside. In Keras:

```python
import keras
import swiftformer_tf

model = keras.saving.load_model("{stem}.keras")
```
"""

# How a photograph gets the size that a crop is cut from, and where the crop begins; see `Transform.crop_mode`.
_RESIZE = "image = image.resize(({width}, {height}), Image.Resampling.{interpolation})"
_COVER = """\
shorter = min(image.size)
image = image.resize([{side} * length // shorter for length in image.size], Image.Resampling.{interpolation})"""
_COVER_BOTH = """\
ratio = min(image.width / {width}, image.height / {height})
image = image.resize([round(length / ratio) for length in image.size], Image.Resampling.{interpolation})"""
_CROP = """
left, top = {left}, {top}
image = image.crop((left, top, left + {width}, top + {height}))"""


def preparation(transform: Transform) -> str:
    """Lines of Python that prepare the Pillow image `image` as an evaluation transform does, up to normalization.

    They compute the pixels of the transform, or with torchvision's rounding those that differ by at most 1 of 255.
    """
    interpolation = transform.interpolation.upper()
    height, width = transform.resized
    if not transform.keeps_shape:
        lines = _RESIZE.format(width=width, height=height, interpolation=interpolation)
    elif height == width:
        lines = _COVER.format(side=width, interpolation=interpolation)
    else:
        lines = _COVER_BOTH.format(width=width, height=height, interpolation=interpolation)
    if transform.crop is None:
        return lines
    height, width = transform.size
    corner = "round(({} - {}) / 2)" if transform.crop_mode in ("center", "squash") else "({} - {}) // 2"
    left, top = corner.format("image.width", width), corner.format("image.height", height)
    return lines + _CROP.format(left=left, top=top, width=width, height=height)


def license_of(name: str) -> str | None:
    """The license that a repository's own card names; None where there is no card, or none in it.

    Raises:
        LocalEntryNotFoundError: The hub cannot be reached, which tells nothing of the card.
    """
    repository, _, revision = name.partition("@")
    try:
        path = huggingface_hub.hf_hub_download(repository, CARD, revision=revision or None)
    except LocalEntryNotFoundError:  # a kind of the next one
        raise
    except EntryNotFoundError:
        return None
    return huggingface_hub.ModelCard.load(path).data.get("license")


def dataset_name(photographs: Path) -> str:
    """The name of the folder, also where it is given as `.`."""
    return photographs.resolve().name


def dataset_type(photographs: Path) -> str:
    """The hub's name for photographs whose `val/` has exactly ImageNet's 1000 classes, else their folder's."""
    classes = {path.name for path in photographs.joinpath("val").iterdir() if path.is_dir()}
    return "imagenet-1k" if classes == set(imagenet_classes()) else dataset_name(photographs)


def write(home: Path, state: dict[str, Any]) -> None:
    """Writes the card and the hashes of a model's folder."""
    source = state["made_of"]["model"].partition("@")[0]
    results = [
        huggingface_hub.EvalResult(
            task_type="image-classification",
            dataset_type=state["dataset"],
            dataset_name=state["made_of"]["photographs"],
            metric_type="accuracy",
            metric_name=f"top-1, {recipe}",
            metric_value=round(100 * top1, 2),
        )
        for recipe, top1 in state["accuracy"].items()
    ]
    data = huggingface_hub.ModelCardData(
        license=state["license"],
        library_name="keras",
        pipeline_tag="image-classification",
        base_model=source,
        tags=["swiftformer", "tflite", "litert", "quantization"],
        model_name=home.name if results else None,
        eval_results=results or None,
    )
    transform = Transform.from_dict(state["transform"])
    height, width = transform.size
    first = next(iter(state["files"].values()))["file"]
    made = ", ".join(f"{name} {version}" for name, version in state["made_of"]["references"].items())
    text = f"""\
---
{data.to_yaml()}
---

# {home.name}

[{source}](https://huggingface.co/{source}) at revision `{state["made_of"]["revision"]}`, for Keras and as
TFLite (LiteRT) files, made by swiftformer_tf {state["made_of"]["swiftformer_tf"]}.
{state["labels"]} labels, {height} x {width} pixels,
attention type `{state["token_weights"]}`. License: {state["license"] or "not named by the source; ask its authors"}.

Logits of the Keras model differ from the source library's by at most {state["logits"]:.1e} of their
largest value ({made}). Every file was compared with the Keras model on {state["made_of"]["photographs"]}:

{_table(_rows(home.name, state))}
`{HASHES}` has the checksum of each file, the `.json` beside it all that was measured.

## Which file

{WHICH_RECIPE} All files are called in the same way, with float32 input and output:

{_table([{"file": f"`{report['file']}`", "for": CHIPS[recipe]} for recipe, report in state["files"].items()])}
## Use

{USE.format(file=first, stem=home.name, preparation=preparation(transform))}"""
    with replacing(home / CARD) as beside:
        beside.write_text(text, "utf-8")
    files = sorted(path for path in home.iterdir() if path.name != HASHES)
    with replacing(home / HASHES) as beside:
        beside.write_text(
            "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files), "utf-8"
        )


def write_table(folder: Path, states: Sequence[dict[str, Any]], failed: Sequence[str]) -> None:
    """Writes `README.md` over all models, with what failed or is not done yet."""
    rows = [row for state in states for row in _rows(state["made_of"]["model"], state)]
    told = "".join(f"* {line}\n" for line in failed) or "Nothing failed.\n"
    text = f"# Published SwiftFormers, ported and verified\n\n{_table(rows)}\n{told}"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / CARD) as beside:
        beside.write_text(text, "utf-8")


def _rows(name: str, state: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "model": name,
            "logits": f"{state['logits']:.1e}",
            "recipe": recipe,
            "MB": f"{report['bytes'] / 1e6:.2f}",
            "SNR dB": _figure(report.get("snr_db"), ".1f"),
            "agreement": _figure(report.get("agreement"), ".1%"),
            "top-1": _figure(state["accuracy"].get(recipe), ".2%"),
            "verdict": report["verdict"],
        }
        for recipe, report in state["files"].items()
    ]


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(rows: Sequence[dict[str, str]]) -> str:
    if not rows:
        return "No model was finished.\n"
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
