"""Hugging Face's TensorFlow port of SwiftFormer, in an environment with the last transformers that has it.

`tflite/benchmark.py` runs this as `benchmark_hf_tf.py FOLDER`; it writes the port's files and `hf_tf.json` about them.
Its weights are random, so its answers are not judged.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from transformers import SwiftFormerConfig, TFSwiftFormerForImageClassification

# What the port is called, and what the converter is told.
FORMS = {"float32": "float32", "dynamic": "dynamic int8", "int8": "int8"}


def convert(model: Any, form: str, calibration: np.ndarray) -> bytes:
    """Converts a model for a batch of one with the TFLite converter, as its guide shows."""
    spec = tf.TensorSpec((1, 3, 224, 224), tf.float32, name="pixel_values")
    function = tf.function(lambda pixel_values: model(pixel_values, training=False).logits, input_signature=[spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    if form != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if form == "int8":
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def main(folder: Path) -> None:
    calibration = np.load(folder / "calibration.npy").transpose(0, 3, 1, 2)[:50].copy()
    model, entries = None, []
    for form, kind in FORMS.items():
        path = folder.parent / "untrained" / f"xs_hf_tf_{form}.tflite"
        failed = path.with_suffix(".error")
        if not path.exists() and not failed.exists():
            try:
                if model is None:
                    model = TFSwiftFormerForImageClassification(SwiftFormerConfig())
                    model(tf.zeros((1, 3, 224, 224)), training=False)
                path.write_bytes(convert(model, form, calibration))
            except Exception as error:  # that a peer cannot be built is a result
                failed.write_text(f"{type(error).__name__}: {' '.join(str(error).strip().splitlines()[:1])}")
        entries.append(
            {
                "name": f"HF TensorFlow 4.57.6, {form}",
                "model": "xs",
                "kind": kind,
                "file": f"../untrained/{path.name}",
                "error": None if path.exists() else failed.read_text(),
                "reference": None,
                "untrained": True,
            }
        )
    (folder / "hf_tf.json").write_text(json.dumps(entries, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
