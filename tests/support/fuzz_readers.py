"""What `make fuzz` reads: good files, and the call that a user would open them with."""

import datetime
import json
import pathlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from PIL import Image

from support.fuzz_seeds import Reader
from support.photographs import png
from support.random_models import pictures, seeded_model, tiny_config
from support.weight_files import GOLDEN, SMALL, random_checkpoint, random_tensors, torch_save
from swiftformer_tf import RECIPES, SwiftFormerConfig, export, fuse
from swiftformer_tf.checking import Expected
from swiftformer_tf.checkpoints.folders import INDEX
from swiftformer_tf.checkpoints.saving import save_folder
from swiftformer_tf.images.labels import read_labels
from swiftformer_tf.images.masks import MaskClasses, open_mask
from swiftformer_tf.images.targets import open_annotated
from swiftformer_tf.images.transform import TRANSFORMS, open_image
from swiftformer_tf.info import describe
from swiftformer_tf.litert import metadata
from swiftformer_tf.litert.model_file import LiteModel
from swiftformer_tf.litert.runner import LiteRunner
from swiftformer_tf.loading import open_any
from swiftformer_tf.training.recipes import TrainingRecipe, training_recipe

__all__ = ["READERS", "write_seeds"]


def write_seeds(folder: Path) -> None:
    """The seeds of all readers, each in a subfolder of the reader's name."""
    for name, reader in READERS.items():
        (folder / name).mkdir()
        reader.write(folder / name)


def _describe(path: Path) -> Any:
    return describe(open_any(path))


def _copy_golden(*names: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in names:
            shutil.copy(GOLDEN / name, folder / Path(name).name)

    return write


def _write_torch(folder: Path) -> None:
    _copy_golden("float16.bin", "training.pth", "strided.pth")(folder)
    random_checkpoint().save(folder / "small.pth", key_layout="original")


def _write_forms(folder: Path) -> None:
    """What training scripts and wrappers put around, before and beside the weights."""
    weights = random_tensors(SMALL)
    averaged = {key: tensor * 2 for key, tensor in weights.items()}
    wrapped = {f"model.{key}": tensor for key, tensor in weights.items()}
    counter = {"n_averaged": np.zeros((), np.int64)}
    maps = {key.replace("stages.", "stages_"): x for key, x in weights.items() if key.startswith(("stem", "stages"))}
    inert = {
        "seen": {1, 2},
        "best": np.float64(0.5),
        "day": datetime.date(2026, 1, 1),
        "folder": pathlib.PurePosixPath("a"),
    }
    torch_save(folder / "timm.pth.tar", {"state_dict": weights, "state_dict_ema": averaged, "args": inert})
    torch_save(folder / "lightning.ckpt", {"state_dict": wrapped, "callbacks": {"best": [inert]}, "loops": ()})
    torch_save(folder / "swa.pt", {f"module.{key}": tensor for key, tensor in weights.items()} | counter)
    torch_save(folder / "deep.pt", {"run": [{"net": {"weights": weights}}]})
    torch_save(folder / "maps.pt", maps)


def _write_safetensors(folder: Path) -> None:
    _copy_golden("bfloat16.safetensors")(folder)
    random_checkpoint().save(folder / "small.safetensors", key_layout="timm")


def _write_hdf5(folder: Path) -> None:
    shutil.copytree(GOLDEN / "tf", folder / "tf_model.h5", ignore=shutil.ignore_patterns("expected*"))


def _write_folders(folder: Path) -> None:
    checkpoint = random_checkpoint(SMALL.replace(token_weights="uniform"))
    shutil.copytree(GOLDEN / "hf", folder / "golden")
    save_folder(checkpoint, folder / "hf", layout="hf")
    save_folder(random_checkpoint(), folder / "timm", layout="timm")
    save_folder(random_checkpoint(), folder / "timm_wrapper", layout="timm_wrapper")
    for name in ("hf", "timm", "timm_wrapper"):
        # Without our own record in the weights, so that the documents beside them count.
        weights = folder / name / "model.safetensors"
        safetensors.numpy.save_file(safetensors.numpy.load_file(weights), weights)
    shutil.copytree(folder / "hf", folder / "sharded")
    tensors = safetensors.numpy.load_file(folder / "sharded" / "model.safetensors")
    (folder / "sharded" / "model.safetensors").unlink()
    places = {key: ("a.safetensors", "b.safetensors")[index % 2] for index, key in enumerate(tensors)}
    for name in set(places.values()):
        part = {key: tensor for key, tensor in tensors.items() if places[key] == name}
        safetensors.numpy.save_file(part, folder / "sharded" / name)
    (folder / "sharded" / f"model.safetensors{INDEX}").write_text(json.dumps({"weight_map": places}))


def _read_config(path: Path) -> Any:
    config = SwiftFormerConfig.open(path)
    assert SwiftFormerConfig.from_json(config.to_json()) == config
    return config.to_dict()


def _write_configs(folder: Path) -> None:
    shutil.copy(GOLDEN / "hf" / "config.json", folder / "hf.json")
    (folder / "own.json").write_text(tiny_config().to_json())


def _read_recipe(path: Path) -> Any:
    return TrainingRecipe.open(path).to_dict()


def _write_recipe(folder: Path) -> None:
    (folder / "recipe.json").write_text(json.dumps(training_recipe("short", "tiny").to_dict()))


def _read_label_file(path: Path) -> Any:
    return read_labels(path, 4)


def _write_label_file(folder: Path) -> None:
    (folder / "labels.txt").write_text("tench\ngoldfish\nEnglish springer\ncafé\n", "utf-8")


def _read_metadata(path: Path) -> Any:
    images, kind = open_annotated(path)
    return [kind, list(images.class_names), np.asarray(images.targets).tolist()]


def _write_metadata(folder: Path) -> None:
    tables = {
        "columns": "file_name,rust,crack\n0.png,1,0\n1.png,0,1\n",
        "names": "file_name\tlabels\n0.png\t['rust', 'crack']\n1.png\tcafé\n",
        "one": 'file_name;label\n"0.png";dog\n1.png;cat\n',
    }
    for name, table in tables.items():
        (folder / name).mkdir()
        (folder / name / "metadata.csv").write_bytes(table.encode("utf-16" if name == "names" else "utf-8"))
        for index in range(2):
            Image.new("RGB", (4, 4)).save(folder / name / f"{index}.png")


def _read_expected(path: Path) -> Any:
    expected = Expected.open(path)
    return [list(expected.pixels.shape), list(expected.logits.shape)]


def _write_expected(folder: Path) -> None:
    arrays: dict[str, Any] = {"pixels": np.ones((1, 3, 32, 32), np.float32), "logits": np.ones((1, 2), np.float32)}
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "packed.npz", **arrays)


def _read_photograph(path: Path) -> Any:
    return TRANSFORMS["original"].crop_image(open_image(path)).shape


def _write_photographs(folder: Path) -> None:
    picture = Image.fromarray(pictures(1, 40, 60)[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    picture.save(folder / "a.jpg", exif=exif)
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.save(folder / "a.png")
    picture.convert("P").save(folder / "palette.png", transparency=3)
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27).save(folder / "deep.png")
    picture.save(folder / "a.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.save(folder / "a.bmp")
    picture.save(folder / "a.tif", compression="tiff_lzw")
    picture.save(folder / "a.webp")


def _write_keras(folder: Path) -> None:
    config = SMALL
    model = seeded_model(config, config.transform.normalize(pictures(4, 32, 32)))
    model.save(folder / "small.keras")


def _read_tflite(path: Path) -> Any:
    lite = LiteModel.open(path)
    answer = LiteRunner(lite)(np.zeros((1, *lite.config.input_size, lite.config.num_channels), np.float32))
    return {**describe(lite), "answers": len(answer), "metadata": metadata.read(lite.content)}


def _write_tflite(folder: Path) -> None:
    images = pictures(8, 32, 32)
    config = SMALL.replace(image_size=32)
    deploy = fuse(seeded_model(config, config.transform.normalize(images)), image_size=32)
    for recipe in ("float32", "int8"):
        export(deploy, RECIPES[recipe], calibration=images).save(folder / f"{recipe}.tflite")


def _read_mask(path: Path) -> Any:
    labels = open_mask(path, MASK_CLASSES)
    return [list(labels.shape), np.unique(labels).tolist()]


def _write_masks(folder: Path) -> None:
    """Indices in gray, with alpha and with a palette, and colors."""
    indices = np.arange(35, dtype=np.uint8).reshape(5, 7) % 3
    gray = Image.fromarray(indices)
    gray.save(folder / "gray.png")
    gray.convert("LA").save(folder / "alpha.png")
    palette = gray.copy()
    palette.putpalette(np.array(MASK_CLASSES.colors, np.uint8).ravel().tolist())
    palette.save(folder / "palette.png")
    palette.convert("RGB").save(folder / "colors.png")


def _write_deep_masks(folder: Path) -> None:
    """Of 16 bits: gray, colors, and both with alpha."""
    for colors, channels in {0: 1, 2: 3, 4: 2, 6: 4}.items():
        rows = [bytes([0, 1] * 7 * channels) for _ in range(5)]
        (folder / f"{colors}.png").write_bytes(png((7, 5), 16, rows, colors=colors))


def _read_class_file(path: Path) -> Any:
    classes = MaskClasses.open(path)
    return [classes.labels, classes.colors]


def _write_class_files(folder: Path) -> None:
    (folder / "classes.csv").write_text("road,#804080\nvoid,black\nsky,skyblue\n")
    (folder / "names.csv").write_bytes(
        "road\r\nArbre, grün\r\n猫\r\n".replace("Arbre, grün", '"Arbre"').encode("utf-8-sig")
    )


MASK_CLASSES = MaskClasses(("road", "sky", "void"), ((128, 64, 128), (135, 206, 235), (0, 0, 0)))

READERS: dict[str, Reader] = {
    "torch": Reader(_describe, _write_torch),
    "forms": Reader(_describe, _write_forms),
    "legacy": Reader(_describe, _copy_golden("legacy.pth")),
    "safetensors": Reader(_describe, _write_safetensors),
    "hdf5": Reader(_describe, _write_hdf5),
    "folder": Reader(_describe, _write_folders),
    "config": Reader(_read_config, _write_configs),
    "recipe": Reader(_read_recipe, _write_recipe),
    "labels": Reader(_read_label_file, _write_label_file),
    "metadata": Reader(_read_metadata, _write_metadata),
    "expected": Reader(_read_expected, _write_expected),
    # Pillow refuses more than 179 million pixels; they take 700 MB, and conversion to RGB as much again.
    "photograph": Reader(_read_photograph, _write_photographs, bytes=3 * 2**29),
    "mask": Reader(_read_mask, _write_masks, bytes=3 * 2**29),
    "deep_mask": Reader(_read_mask, _write_deep_masks, bytes=3 * 2**29),
    "classes": Reader(_read_class_file, _write_class_files),
    "keras": Reader(_describe, _write_keras, cases=500),
    "tflite": Reader(_read_tflite, _write_tflite, cases=500),
}
