"""Reads `tf_model.h5`, as saved by the TensorFlow port in transformers 4.x, with h5py.

The file has Keras 2's layout: one group per layer, which contains the variables under the names of the scopes in which
they were created, beginning with the saved class. The scopes are followed by Hugging Face's names, with `_._` for the
dot before a number.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from swiftformer_tf.checkpoints.container import Container, check_size, in_memory
from swiftformer_tf.errors import CheckpointError

__all__ = ["read"]

# The last part of a variable's name in Keras, and in PyTorch; other names are the same.
LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

# The scopes end here; what follows is under Hugging Face's prefix, or is the classifier's own.
_BODY = re.compile(r"^(?:.*/)?((?:patch_embed/patch_embedding|encoder/network)[/_].*)$")
_CLASSIFIER = re.compile(r"^(?:.*/)?((?:norm|head|dist_head)/\w+)$")


def read(path: Path) -> Container:
    """Reads the tensors of a `tf_model.h5`, with the names and shapes of Hugging Face's PyTorch model.

    Raises:
        CheckpointError: The file is damaged, truncated, too large, or a different kind of HDF5 file.
        OSError: The file cannot be read.
    """
    try:
        with h5py.File(path) as file:
            datasets: dict[str, h5py.Dataset] = {}
            # Does not follow links, within the file or out of it.
            file.visititems(lambda name, item: datasets.update({name: item} if isinstance(item, h5py.Dataset) else {}))
            check_size(dataset.shape for dataset in datasets.values())
            tensors: dict[str, np.ndarray] = {}
            for name, dataset in datasets.items():
                key = _torch_name(name)
                if key in tensors:
                    raise CheckpointError(f"two variables map to {key}, the second is {name}")
                tensors[key] = _to_torch(key, _numbers(name, dataset))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # h5py's, by what is damaged
        if isinstance(error, OSError) and error.errno:
            raise
        raise CheckpointError(f"damaged or cut short ({error}); download or copy it again") from None
    return in_memory(tensors)


def _torch_name(name: str) -> str:
    """Hugging Face's PyTorch name of a variable.

    >>> _torch_name("swiftformer/tf_swift_former_model/swiftformer/encoder/network_._0/blocks_._1/attn/w_g:0")
    'swiftformer.encoder.network.0.blocks.1.attn.w_g'
    >>> _torch_name("norm/tf_swift_former_for_image_classification/norm/moving_mean:0")
    'norm.running_mean'
    """
    plain = re.sub(r":\d+$", "", name)
    body, classifier = _BODY.match(plain), _CLASSIFIER.match(plain)
    if not (body or classifier):
        raise CheckpointError(
            f"an HDF5 file with {name!r} in it; expected the tf_model.h5 of a SwiftFormer, as transformers 4 wrote it"
            ". Open a whole Keras model with keras.models.load_model(path), and a weights file (.weights.h5) with "
            "model.load_weights(path)"
        )
    tail = f"swiftformer/{body[1]}" if body else classifier[1] if classifier else ""
    *modules, leaf = tail.replace("_._", "/").split("/")
    return ".".join([*modules, LEAVES.get(leaf, leaf)])


def _numbers(name: str, dataset: h5py.Dataset) -> np.ndarray:
    # Only as Keras writes them, in one piece and inside this file, so that the data is never larger than the file.
    own = not dataset.is_virtual and dataset.external is None and dataset.chunks is None
    size = dataset.id.get_storage_size()
    if not own or size != dataset.size * dataset.dtype.itemsize:
        raise CheckpointError(
            f"{name}: declares {dataset.size:,} numbers but stores {size:,} bytes; expected all of them, uncompressed, "
            "as transformers writes them"
        )
    return np.asarray(dataset[()])


def _to_torch(key: str, value: np.ndarray) -> np.ndarray:
    """Axes in PyTorch's order: kernels are (height, width, in, out), depthwise ones too, and dense ones (in, out)."""
    if ".layer_scale" in key:
        return value.reshape(-1, 1, 1)
    if key.endswith(".weight") and value.ndim in (2, 4):
        return np.ascontiguousarray(value.transpose((3, 2, 0, 1) if value.ndim == 4 else (1, 0)))
    return value
