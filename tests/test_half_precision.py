"""Models that compute in half precision: their files compute in float32, and so does what these are compared with."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from swiftformer_tf import (
    RECIPES,
    ModelError,
    SwiftFormerForImageClassification,
    SwiftFormerModel,
    export,
    export_files,
    fuse,
    verify,
)
from swiftformer_tf.fusion import in_float32
from swiftformer_tf.images.folders import photographs_in

KINDS = ("mixed_float16", "mixed_bfloat16", "bfloat16")


def halved(model: SwiftFormerForImageClassification, kind: str) -> SwiftFormerForImageClassification:
    half = SwiftFormerForImageClassification(model.config, dtype=kind)
    half.set_weights(model.get_weights())
    return half


def with_own_head(classifier: SwiftFormerForImageClassification, kind: str) -> keras.Model:
    """Its labels again and an embedding, by Keras's layers of the same precision."""
    backbone = SwiftFormerModel(classifier.config, share_layers_with=classifier)
    norm = layers.BatchNormalization(dtype=kind)
    pooled = layers.GlobalAveragePooling2D(dtype=kind)(norm(backbone.output))
    head = layers.Dense(classifier.config.num_labels, dtype=kind)
    model = keras.Model(backbone.input, {"labels": head(pooled), "embedding": pooled})
    norm.set_weights(classifier.get_layer("norm").get_weights())
    head.set_weights(classifier.get_layer("head").get_weights())
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [False, True])
def test_files_are_compared_with_floats(
    own: bool, kind: str, model: SwiftFormerForImageClassification, pixels: np.ndarray
) -> None:
    pixels = pixels[:12]  # five answers, as many as a verdict needs
    half = halved(model, kind)
    reference: keras.Model = with_own_head(half, kind) if own else half
    config = model.config
    report = verify(export(fuse(reference, config=config), RECIPES["float32"]), reference=reference, images=pixels)
    assert report.raise_for_failure().measured["snr_db"] > 100
    # Another model, by a hundredth of one matrix: a comparison within half precision would let it through.
    wrong = keras.models.clone_model(reference)
    wrong.set_weights([each * (1.01 if each.ndim == 2 else 1) for each in reference.get_weights()])
    report = verify(export(fuse(wrong, config=config), RECIPES["float32"]), reference=reference, images=pixels)
    assert {check.name.partition(" of ")[0] for check in report.checks if check.status == "failed"} >= {"snr"}


@pytest.mark.parametrize("own", [False, True])
def test_trained_models_of_mixed_precision_pass(own: bool, real_photographs: Path, tmp_path: Path) -> None:
    photographs = photographs_in(real_photographs)
    half = SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette", dtype="mixed_float16")
    exported = export_files(
        with_own_head(half, "mixed_float16") if own else half,
        ["float32", "int8"],
        tmp_path,
        config=half.config,
        image_size=128,
        tasks={"labels": "classification"} if own else None,
        calibration=photographs[::2],
        images=photographs[1::4],  # one of each class
    )
    assert [each.report.verdict for each in exported] == ["passed", "passed"]


def test_a_model_of_floats_is_its_own_reference(model: SwiftFormerForImageClassification) -> None:
    assert in_float32(model) is model


class Subclassed(keras.Model):
    """One without a graph."""


def test_a_model_of_half_precision_without_a_graph_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^mine computes in half precision and is a subclassed model \(Subclassed\),"):
        in_float32(Subclassed(dtype="mixed_float16", name="mine"))
