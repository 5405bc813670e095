"""A model with two outputs, labels and an embedding, by six recipes: `python examples/labels_and_embedding.py FOLDER`.

The backbone and the labels are those of the weights that ship with the package; beside them stands an embedding of unit
length, the pooled features turned to 64 random directions, which keeps distances. The pictures are drawn here. Exit
status 1 if one of the files fails its checks against Keras.
"""

import argparse
import sys

import keras
import numpy as np

import swiftformer_tf as sf


def draw(count: int, size: int, seed: int) -> np.ndarray:
    """Pictures (count, size, size, 3) of waves in two colors, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    pictures = []
    for _ in range(count):
        first, second = rng.uniform(0, 255, (2, 3))
        (down, right), phase = rng.uniform(-12, 12, 2), rng.uniform(0, 6)
        share = (np.sin(2 * np.pi * (down * y + right * x) + phase)[..., None] + 1) / 2
        pictures.append(first * share + second * (1 - share) + rng.normal(0, 8, (size, size, 3)))
    return np.clip(pictures, 0, 255).astype(np.uint8)


def two_outputs(classifier: sf.SwiftFormerForImageClassification) -> keras.Model:
    """Labels and an embedding of the same picture; the backbone's layers are computed once."""
    size = classifier.config.input_size
    image = keras.Input((*size, 3), name="image")
    backbone = sf.SwiftFormerModel(classifier.config, share_layers_with=classifier)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(image))
    directions = keras.layers.Dense(64, use_bias=False, kernel_initializer="orthogonal", name="directions")(pooled)
    outputs = {"labels": classifier(image), "embedding": keras.layers.UnitNormalization()(directions)}
    return keras.Model(image, outputs, name="labels_and_embedding")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where the files go")
    parser.add_argument("--recipe", action="append", choices=list(sf.RECIPES), help="may be given many times")
    parser.add_argument("--count", type=int, default=100, help="pictures for calibration")
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(0)
    classifier = sf.SwiftFormerForImageClassification.from_pretrained("swiftformer_xs_imagenette")
    size = max(classifier.config.input_size)
    exported = sf.export_files(
        two_outputs(classifier),
        options.recipe or ["float32", "float16", "dynamic_int8", "mixed_int8", "int8", "int16x8"],
        options.folder,
        config=classifier.config,
        tasks={"labels": "classification"},
        calibration=draw(options.count, size, seed=1),
        images=draw(16, size, seed=2),
    )
    for each in exported:
        outputs = each.report.measured["outputs"]
        ratios = ", ".join(f"{name} {figures['snr_db']:.1f} dB" for name, figures in outputs.items())
        print(f"{each.path.name}: {ratios}; {each.report.verdict}")
        for check in each.report.checks:
            if check.status != "passed":
                print(f"  {check.explanation}")
    return 0 if all(each.report.verdict == "passed" for each in exported) else 1


if __name__ == "__main__":
    sys.exit(main())
