"""`backend_logits.py CHECKPOINT PICTURES.npz LOGITS.npz`: a port's logits on the backend that `KERAS_BACKEND` names.

Writes logits for every array of pictures (B, H, W, 3) and both attention types, and prints one line of JSON: the
backend and its version.
"""

import importlib.metadata
import json
import sys

import keras
import numpy as np

from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.porting import port


def main(checkpoint: str, pictures: str, logits: str) -> None:
    results = {}
    with np.load(pictures) as file:
        batches = list(file.values())
    for token_weights in ("l2", "uniform"):
        model = port(Checkpoint.open(checkpoint, token_weights=token_weights)).model
        for index, batch in enumerate(batches):
            output = model(keras.ops.convert_to_tensor(batch), training=False)
            results[f"{token_weights}-{index}"] = keras.ops.convert_to_numpy(output)
    np.savez(logits, **results)
    backend = keras.backend.backend()
    print(json.dumps({"backend": backend, "version": importlib.metadata.version(backend)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
