"""Ports a checkpoint to a Keras model: `python convert/port.py CHECKPOINT -o model.keras`, as `swiftformer-tf port`."""

import sys

from swiftformer_tf.cli import main

if __name__ == "__main__":
    main(["port", *sys.argv[1:]])
