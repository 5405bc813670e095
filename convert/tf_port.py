"""Compares a port of `tf_model.h5` with the TensorFlow model that wrote it: transformers 4.x's own.

    python convert/tf_port.py                 measure on XS, fail beyond 1e-5
    python convert/tf_port.py --write-golden  also make tests/golden/tf anew

Needs an environment of its own, since transformers 5 has no TensorFlow: this package's dependencies,
`transformers==4.57.6` and `tf-keras`. The TensorFlow model computes `uniform`, and so does the port.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # for transformers; this package has Keras 3 all the same

import h5py
import numpy as np
import safetensors.numpy
import transformers
from comparing import error

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.config import VARIANTS
from swiftformer_tf.model import SwiftFormerModel
from swiftformer_tf.porting import port

THRESHOLD = 1e-5
CONTROL = 0.1  # what the other attention type must differ by, or the comparison says nothing
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "tf"


def reference(
    kind: str, depths: tuple[int, ...], widths: tuple[int, ...], labels: int, size: int
) -> transformers.TFPreTrainedModel:
    """transformers' model with weights under which every part of it counts."""
    config = transformers.SwiftFormerConfig(
        depths=list(depths),
        embed_dims=list(widths),
        downsamples=[True] * len(depths),
        num_labels=labels,
        id2label={index: f"class {index}" for index in range(labels)},
        image_size=size,
    )
    model = getattr(transformers, kind)(config)
    model(np.zeros((1, 3, size, size), np.float32))
    rng = np.random.default_rng(0)
    for variable in model.weights:
        leaf, shape = variable.name.rpartition("/")[2].partition(":")[0], tuple(variable.shape)
        if leaf.startswith("layer_scale") or leaf in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif leaf == "kernel":
            variable.assign(rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape))
        else:
            variable.assign(rng.normal(0, 1 if leaf == "w_g" else 0.2, shape))
    return model


def variables_in(path: Path) -> int:
    """Number of variables in the file, by h5py."""
    found: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return len(found)


def measure(kind: str, folder: Path) -> bool:
    """XS, saved by one class of transformers: its own output against the port's."""
    model = reference(kind, VARIANTS["xs"]["depths"], VARIANTS["xs"]["embed_dims"], 1000, 224)
    model.save_pretrained(folder)
    path = folder / "tf_model.h5"
    images = np.random.default_rng(1).standard_normal((2, 224, 224, 3), np.float32)
    theirs = model(images.transpose(0, 3, 1, 2))[0].numpy()
    opened = Checkpoint.open(path)
    ported = port(opened).model
    ours = np.asarray(ported(images, training=False))
    other = np.asarray(port(Checkpoint.open(path, token_weights="l2")).model(images, training=False))
    if isinstance(ported, SwiftFormerModel):
        # transformers gives the last map channels first.
        ours, other = ours.transpose(0, 3, 1, 2), other.transpose(0, 3, 1, 2)
    found, control = error(ours, theirs), error(other, theirs)
    passed = found <= THRESHOLD and control >= CONTROL and opened.token_weights == "uniform"
    print(
        f"{'ok  ' if passed else 'FAIL'} {kind}: {variables_in(path)} variables, {opened.token_weights}, "
        f"largest difference {found:.1e}, with the other attention type {control:.2f}",
        flush=True,
    )
    return passed


def write_golden() -> None:
    """A small file with both kinds of block, its `config.json`, and what the model computes."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    model = reference("TFSwiftFormerForImageClassification", (2, 1), (4, 6), 3, 32)
    model.save_pretrained(GOLDEN)
    images = np.random.default_rng(2).standard_normal((2, 32, 32, 3), np.float32)
    logits = model(images.transpose(0, 3, 1, 2)).logits.numpy()
    safetensors.numpy.save_file({"images": images, "logits": logits}, GOLDEN / "expected.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-golden", action="store_true", help="make tests/golden/tf anew")
    if parser.parse_args().write_golden:
        write_golden()
    print(f"transformers {transformers.__version__}")
    passed = []
    for kind in ("TFSwiftFormerForImageClassification", "TFSwiftFormerModel"):
        with tempfile.TemporaryDirectory() as folder:
            passed.append(measure(kind, Path(folder)))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
