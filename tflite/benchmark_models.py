"""A program of its own, `benchmark_models.py keras|timm VARIANT SIZE`: how fast is a model before it is exported?

Prints one line of JSON with what one process measured, since the peak of a process never falls: seconds, after the
imports, to build the model (`build_s`) and from then to the first answer (`first_s`), and for `predict_1`, `predict_32`
and `train_32` (inference of a batch of 1 and 32, a training step of 32) the median `ms` and the process's `peak` in
bytes after them. The step is the same on both sides: cross-entropy, AdamW, float32. Keras runs on the backend that
KERAS_BACKEND names; timm on PyTorch, eager, in the environment of `benchmark_torch.py`.
"""

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from process_memory import peak

__all__ = ["STEPS", "measure"]

LABELS = 1000
# By name: size of the batch, how often.
STEPS = {"predict_1": (1, 12), "predict_32": (32, 4), "train_32": (32, 4)}

Model = tuple[Callable[[np.ndarray], object], Callable[[np.ndarray, np.ndarray], object]]


def keras_model(variant: str, size: int) -> Model:
    """This package's model, and what trains it one step."""
    import keras

    from swiftformer_tf import SwiftFormerConfig, SwiftFormerForImageClassification

    config = SwiftFormerConfig.from_variant(variant, image_size=size, id2label={i: str(i) for i in range(LABELS)})
    model = SwiftFormerForImageClassification(config)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss)
    return model.predict_on_batch, model.train_on_batch


def timm_model(variant: str, size: int) -> Model:
    """timm's, likewise."""
    import timm
    import torch

    model = timm.create_model(f"swiftformer_{variant}", num_classes=LABELS)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def predict(images: np.ndarray) -> object:
        model.eval()
        with torch.inference_mode():
            return model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()

    def train(images: np.ndarray, labels: np.ndarray) -> object:
        model.train()
        optimizer.zero_grad()
        logits = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        return loss.item()

    return predict, train


IMPORTS = {"keras": ("keras", "swiftformer_tf.model"), "timm": ("timm", "torch")}
SOURCES: dict[str, Callable[[str, int], Model]] = {"keras": keras_model, "timm": timm_model}


def measure(source: str, variant: str, size: int) -> dict[str, Any]:
    """All steps in the order of what they hold, so that each peak is its own; the first of each does not count."""
    for name in IMPORTS[source]:
        importlib.import_module(name)
    start = time.perf_counter()
    predict, train = SOURCES[source](variant, size)
    found: dict[str, Any] = {"build_s": time.perf_counter() - start}
    rng = np.random.default_rng(0)
    images = rng.normal(size=(32, size, size, 3)).astype(np.float32)
    labels = rng.integers(0, LABELS, 32)
    start = time.perf_counter()
    predict(images[:1])
    found["first_s"] = time.perf_counter() - start
    for name, (batch, repeats) in STEPS.items():
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            if name.startswith("train"):
                train(images[:batch], labels[:batch])
            else:
                predict(images[:batch])
            times.append(1000 * (time.perf_counter() - start))
        found[name] = {"ms": statistics.median(times[1:]), "peak": peak()}
    return found


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
